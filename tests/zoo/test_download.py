"""A download is complete or fails, however the servers misbehave."""

import hashlib
import random
import runpy
import sys
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
from mmengine.fileio import BaseStorageBackend
from mmengine.fileio.backends.registry_utils import prefix_to_backends

from mmdisco.errors import InputError
from mmdisco.zoo import download
from mmdisco.zoo.download import check_file, fetch
from tests.tools import ROOT
from tests.zoo.server import Reply, Server

TOOL = 'tools/download.py'
SIZE = 1_000_000
RIGHT = b'PK' + random.Random(0).randbytes(SIZE - 2)
WRONG = b'PK' + random.Random(1).randbytes(SIZE - 2)
THIRD = 3 * SIZE // 10


def sha(content):
    return hashlib.sha256(content).hexdigest()


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setenv('no_proxy', '*')
    monkeypatch.setattr(download, 'PAUSE', 0)
    server = Server()
    yield server
    server.close()


@pytest.fixture
def path(tmp_path):
    return tmp_path / 'models' / 'r50.pth'


def assert_only(path, content):
    assert path.read_bytes() == content
    assert list(path.parent.iterdir()) == [path]


def assert_nothing(path):
    assert list(path.parent.iterdir()) == []


@pytest.mark.parametrize('digest', [sha(RIGHT), sha(RIGHT).upper(), None])
def test_lost_connections(server, path, digest):
    cut = Reply(stop=THIRD)
    url = server.give('a', RIGHT, cut, cut, Reply())
    assert fetch([url], path, digest) == sha(RIGHT)
    assert_only(path, RIGHT)
    assert [(asked, status, size) for _, asked, status, size in server.log] == [
        (None, 200, THIRD),
        (f'bytes={THIRD}-', 206, THIRD),
        (f'bytes={2 * THIRD}-', 206, SIZE - 2 * THIRD),
    ]


def test_connection_reset(server, path):
    url = server.give('a', RIGHT, Reply(stop=THIRD, reset=True), Reply())
    fetch([url], path)
    assert_only(path, RIGHT)


def test_progress_resets_the_count_of_failures(server, path):
    url = server.give('a', RIGHT, *[Reply(stop=SIZE // 8)] * 7, Reply())
    fetch([url], path, retries=1)
    assert server.sent('a') == SIZE


def test_gives_up_without_progress(server, path):
    url = server.give('a', RIGHT, Reply(stop=THIRD), Reply(stop=0))
    with pytest.raises(InputError, match=f'breaks off at {THIRD} of {SIZE}'):
        fetch([url], path, retries=3)
    assert len(server.log) == 1 + 3
    assert not path.exists()


def test_takes_up_an_earlier_call(server, path):
    url = server.give('a', RIGHT, Reply(stop=THIRD), Reply(status=503))
    with pytest.raises(InputError, match='503'):
        fetch([url], path, retries=1)
    server.give('a', RIGHT)
    fetch([url], path)
    assert_only(path, RIGHT)
    assert server.sent('a') == SIZE


@pytest.mark.parametrize('again', ['a', 'b'])
def test_killed_before_renaming(server, path, monkeypatch, again):
    urls = dict(a=server.give('a', RIGHT), b=server.give('b', WRONG))
    with monkeypatch.context() as patch:
        patch.setattr(download, 'sha256_of', None)
        with pytest.raises(TypeError):
            fetch([urls['a']], path)
    fetch([urls[again]], path)
    assert_only(path, RIGHT if again == 'a' else WRONG)
    assert server.answers('a') == [200]


def test_ranges_ignored(server, path):
    cut = Reply(stop=THIRD, ranges=False)
    url = server.give('a', RIGHT, cut, cut, Reply(ranges=False))
    fetch([url], path)
    assert_only(path, RIGHT)
    assert server.answers('a') == [200] * 3


def test_ranges_ignored_and_always_cut(server, path):
    url = server.give('a', RIGHT, Reply(stop=THIRD, ranges=False))
    with pytest.raises(InputError, match='breaks off'):
        fetch([url], path, retries=2)
    assert len(server.log) == 1 + 2  # only the first request made progress


@pytest.mark.parametrize('digest', [sha(RIGHT), None])
@pytest.mark.parametrize('if_range', [True, False])
@pytest.mark.parametrize('old', [WRONG, WRONG[:-9], WRONG + b'more'])
def test_file_changed_on_the_server(server, path, digest, if_range, old):
    url = server.give(
        'a', old, Reply(stop=THIRD), Reply(if_range=if_range, content=RIGHT)
    )
    fetch([url], path, digest)
    assert_only(path, RIGHT)
    assert server.answers('a') == ([200, 200] if if_range else [200, 206, 200])


def test_another_length_means_another_file(server, path):
    url = server.give(
        'a',
        WRONG[:-9],
        Reply(stop=THIRD),
        Reply(if_range=False, mark='none', content=RIGHT),
    )
    fetch([url], path)
    assert_only(path, RIGHT)


def test_file_shrunk_on_the_server(server, path):
    url = server.give(
        'a', WRONG, Reply(stop=THIRD), Reply(content=RIGHT[:THIRD], if_range=False)
    )
    fetch([url], path)
    assert_only(path, RIGHT[:THIRD])
    assert server.answers('a') == [200, 416, 200]


@pytest.mark.parametrize('mark', [dict(mark='none'), dict(weak=True)])
def test_no_good_mark_no_gluing(server, path, mark):
    """Without a validator a changed file would go unnoticed."""
    url = server.give(
        'a', WRONG, Reply(stop=THIRD, **mark), Reply(content=RIGHT, **mark)
    )
    fetch([url], path)
    assert_only(path, RIGHT)
    assert [asked for _, asked, _, _ in server.log] == [None, None]


def test_a_date_is_a_mark(server, path):
    dated = Reply(mark='Last-Modified')
    url = server.give('a', RIGHT, replace(dated, stop=THIRD), dated)
    fetch([url], path)
    assert_only(path, RIGHT)
    assert server.sent('a') == SIZE


def test_range_that_was_not_asked_for(server, path):
    url = server.give('a', RIGHT, Reply(stop=THIRD), Reply(back=1000))
    fetch([url], path)
    assert_only(path, RIGHT)
    assert server.answers('a') == [200, 206, 200]


def test_next_mirror_goes_on_if_the_sha256_is_known(server, path):
    urls = [
        server.give('a', RIGHT, Reply(stop=THIRD), Reply(status=404)),
        server.give('b', RIGHT),
    ]
    fetch(urls, path, sha(RIGHT))
    assert_only(path, RIGHT)
    assert server.sent('a') + server.sent('b') == SIZE


def test_next_mirror_starts_again_without_a_sha256(server, path):
    urls = [
        server.give('a', WRONG, Reply(stop=THIRD), Reply(status=404)),
        server.give('b', RIGHT),
    ]
    fetch(urls, path)
    assert_only(path, RIGHT)


def test_half_of_another_file_is_not_this_mirrors_fault(server, path):
    urls = [
        server.give('a', WRONG, Reply(stop=THIRD), Reply(status=404)),
        server.give('b', RIGHT),
    ]
    fetch(urls, path, sha(RIGHT))
    assert_only(path, RIGHT)
    assert server.answers('b') == [206, 200]


def test_wrong_bytes_then_a_good_mirror(server, path):
    urls = [server.give('a', WRONG), server.give('b', RIGHT)]
    fetch(urls, path, sha(RIGHT))
    assert_only(path, RIGHT)
    assert server.answers('a') == server.answers('b') == [200]


def test_wrong_bytes_everywhere(server, path):
    with pytest.raises(InputError) as error:
        fetch([server.give('a', WRONG)], path, sha(RIGHT))
    assert sha(WRONG) in str(error.value) and sha(RIGHT) in str(error.value)
    assert_nothing(path)


def test_missing_here_but_not_there(server, path):
    urls = [server.give('a', b'', Reply(status=404)), server.give('b', RIGHT)]
    fetch(urls, path)
    assert_only(path, RIGHT)
    assert server.answers('a') == [404]  # permanent: no retry


def test_busy_servers_are_asked_again(server, path):
    url = server.give('a', RIGHT, Reply(status=503), Reply(status=429), Reply())
    fetch([url], path)
    assert_only(path, RIGHT)


def test_all_mirrors_fail(server, path, free_port):
    urls = [
        server.give('a', b'', Reply(status=404)),
        server.give('b', WRONG),
        f'http://127.0.0.1:{free_port}/c',
    ]
    with pytest.raises(InputError) as error:
        fetch(urls, path, sha(RIGHT), retries=1)
    assert '\n' not in str(error.value)
    for url, why in zip(urls, ['404', sha(WRONG), 'refused']):
        assert why in str(error.value).split(url)[1].split('; ')[0]


@pytest.mark.parametrize('reply', [Reply(kind='text/html; charset=utf-8'), Reply()])
def test_web_page(server, path, reply):
    url = server.give('a', b'\n<!DOCTYPE html><p>Sign in</p>', reply)
    if reply.kind.startswith('text/html'):
        server.give('a', RIGHT, reply)  # the content type is enough
    with pytest.raises(
        InputError,
        match=f'{url} answers with a web page instead of the file: '
        'download it manually',
    ):
        fetch([url], path)
    assert_nothing(path)


def test_web_page_does_not_cost_the_part(server, path):
    url = server.give('a', RIGHT, Reply(stop=THIRD), Reply(kind='text/html'))
    with pytest.raises(InputError, match='web page'):
        fetch([url], path)
    server.give('a', RIGHT)
    fetch([url], path)
    assert server.answers('a') == [200, 206, 206]
    assert_only(path, RIGHT)


def test_without_content_length(server, path):
    fetch([server.give('a', RIGHT, Reply(length=False))], path)
    assert_only(path, RIGHT)


def test_local_file(path, tmp_path):
    source = tmp_path / 'a file.pth'
    source.write_bytes(RIGHT)
    missing = (tmp_path / 'none.pth').as_uri()
    assert fetch([missing, source.as_uri()], path) == sha(RIGHT)
    assert_only(path, RIGHT)
    source.write_bytes(WRONG)
    fetch([str(source)], path)  # as for files inside the package
    assert_only(path, WRONG)
    with pytest.raises(InputError, match=f'{missing} .*No such file'):
        fetch([missing], path)


def test_storage_backend(path, monkeypatch):

    class Shelf(BaseStorageBackend):
        def get(self, filepath):
            return {'shelf://here/r50': RIGHT}[filepath]

        def get_text(self, filepath, encoding='utf-8'):
            raise NotImplementedError

    monkeypatch.setitem(prefix_to_backends, 'shelf', Shelf)
    urls = ['unheard-of://r50', 'shelf://there/r50', 'shelf://here/r50']
    fetch(urls, path, sha(RIGHT))
    assert_only(path, RIGHT)
    with pytest.raises(InputError, match='unheard-of.*; shelf://there/r50 '):
        fetch(urls[:2], path)


def test_disk_full(server, path):
    path.parent.mkdir()
    path.with_name('r50.pth.part').symlink_to('/dev/full')
    with pytest.raises(InputError, match="can't write .*No space left"):
        fetch([server.give('a', RIGHT)], path)
    assert len(server.log) == 1  # no retry


def test_folder_that_cannot_be(server, tmp_path):
    (tmp_path / 'models').write_text('a file')
    with pytest.raises(InputError, match="can't write '.*models/r50.pth'"):
        fetch([server.give('a', RIGHT)], tmp_path / 'models' / 'r50.pth')


def test_check_file_that_is_a_folder(tmp_path):
    with pytest.raises(InputError, match='directory'):
        check_file(tmp_path)


@pytest.fixture
def zoo(monkeypatch):
    """Replace the index; returns a function that adds an entry."""
    entries = {}

    def add(name, *urls, sha256=None):
        entries[name] = SimpleNamespace(
            name=name,
            config=str(ROOT / f'configs/disco/{name}.py'),
            urls=urls,
            sha256=sha256,
            file=f'{name}.pth' if urls else None,
            metadata={},
        )

    def find(name):
        if name not in entries:
            raise InputError(f"no model '{name}'")
        return entries[name]

    monkeypatch.setattr('mmdisco.zoo.models.find', find)
    monkeypatch.setattr(
        'mmdisco.zoo.models.list_models',
        lambda pattern='*': sorted(
            n for n in entries if pattern == '*' or n.startswith(pattern[:-1])
        ),
    )
    return add


@pytest.fixture
def runs(monkeypatch, capsys):
    """Run the tool in this process and return its output."""

    def run_here(*args):
        monkeypatch.chdir(ROOT)
        monkeypatch.setattr(sys, 'argv', [TOOL, *map(str, args)])
        runpy.run_path(TOOL, run_name='__main__')
        return capsys.readouterr().out

    return run_here


def test_tool(server, zoo, runs, tmp_path):
    cut = Reply(stop=THIRD)
    url = server.give('a', RIGHT, cut, cut, Reply())
    zoo('r50', url, sha256=sha(RIGHT))
    zoo('swavr50', server.give('b', WRONG))
    out = runs('r50', 'swavr50', '--dest', tmp_path).splitlines()
    assert len(out) == 2
    assert sha(RIGHT) in out[0] and 'as expected' in out[0]
    assert sha(WRONG) in out[1] and 'no published one' in out[1]
    assert (tmp_path / 'r50.pth').read_bytes() == RIGHT
    assert (tmp_path / 'swavr50.pth').read_bytes() == WRONG
    assert server.sent('a') == server.sent('b') == SIZE
    asked = len(server.log)
    out = runs('r50', 'swavr50', '--dest', tmp_path).splitlines()
    assert out[0].endswith('already there, intact')
    assert 'already there; its sha256' in out[1] and sha(WRONG) in out[1]
    assert len(server.log) == asked


def test_tool_overwrites_nothing(server, zoo, fails, tmp_path):
    zoo('r50', server.give('a', RIGHT), sha256=sha(RIGHT))
    (tmp_path / 'r50.pth').write_bytes(WRONG)
    line = fails(TOOL, 'r50', '--dest', tmp_path)
    assert sha(WRONG) in line and sha(RIGHT) in line and 'delete' in line
    assert_only(tmp_path / 'r50.pth', WRONG)
    assert not server.log


def test_tool_goes_on_after_a_failure(server, zoo, fails, tmp_path):
    zoo('r50', server.give('a', b'', Reply(status=404)))
    zoo('swavr50', server.give('b', RIGHT))
    line = fails(TOOL, 'r50', 'swavr50', '--dest', tmp_path)
    assert '404' in line and 'r50.pth' in line
    assert_only(tmp_path / 'swavr50.pth', RIGHT)


@pytest.mark.parametrize('flags', [(), ('--verify',)])
def test_tool_without_published_weights(zoo, fails, flags):
    zoo('r50_mbv3')
    assert fails(TOOL, 'r50_mbv3', *flags).endswith(
        "'r50_mbv3' has no published weights; train it: configs/disco/r50_mbv3.py"
    )
    assert "no model 'r51'" in fails(TOOL, 'r51', *flags)


def test_tool_keeps_the_part_when_interrupted(
    server, zoo, runs, tmp_path, monkeypatch, capsys
):
    zoo('r50', server.give('a', RIGHT, Reply(stop=THIRD), Reply()))

    def interrupt(seconds):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(download, 'time', SimpleNamespace(sleep=interrupt))
        with pytest.raises(SystemExit) as stop:
            runs('r50', '--dest', tmp_path)
    assert stop.value.code == 130
    assert 'interrupted' in capsys.readouterr().err
    runs('r50', '--dest', tmp_path)
    assert_only(tmp_path / 'r50.pth', RIGHT)
    assert server.sent('a') == SIZE


def test_verify(zoo, runs, fails, tmp_path):
    zoo('known', 'http://localhost:1/a', sha256=sha(RIGHT))
    zoo('unknown', 'http://localhost:1/a')
    assert "known.pth' not found" in fails(
        TOOL, 'known', '--verify', '--dest', tmp_path
    )
    (tmp_path / 'known.pth').write_bytes(RIGHT)
    torch.save(dict(state_dict={}), tmp_path / 'unknown.pth')
    digest = sha((tmp_path / 'unknown.pth').read_bytes())
    intact, readable = runs(
        'known', 'unknown', '--verify', '--dest', tmp_path
    ).splitlines()
    assert 'intact' in intact
    assert 'readable' in readable and digest in readable
    (tmp_path / 'known.pth').write_bytes(WRONG)
    line = fails(TOOL, 'known', 'unknown', '--verify', '--dest', tmp_path)
    assert sha(WRONG) in line and sha(RIGHT) in line
    (tmp_path / 'unknown.pth').write_bytes(RIGHT)
    assert "unknown.pth' is not" in fails(
        TOOL, 'unknown', '--verify', '--dest', tmp_path
    )


def test_list(zoo, runs, fails, tmp_path):
    zoo('r50', 'https://a.org/x.pth', 'https://b.org/x', sha256=sha(RIGHT))
    zoo('r50_mbv3')
    zoo('swavr50', 'https://b.org/x.pth')
    zoo('shipped', '/opt/x.pth')
    (tmp_path / 'r50.pth').write_bytes(RIGHT)
    head, *rows = runs('--list', '--dest', tmp_path).splitlines()
    assert head.split() == ['name', 'file', 'here', 'sha256', 'from']
    assert [row.split() for row in rows] == [
        ['r50', 'r50.pth', '1.0', 'MB', 'known', 'a.org'],
        ['r50_mbv3', '-', '-', '-', 'not', 'published'],
        ['shipped', 'shipped.pth', 'no', 'unknown', 'this', 'machine'],
        ['swavr50', 'swavr50.pth', 'no', 'unknown', 'b.org'],
    ]
    _, *rows = runs('--list', 'sw*', 'r50_*', 'swav*').splitlines()
    assert [row.split()[0] for row in rows] == ['swavr50', 'r50_mbv3']
    assert "no model matches 'x*'" in fails(TOOL, '--list', 'x*')


@pytest.mark.parametrize('args', [(), ('--verify',), ('r50', '--list', '--verify')])
def test_tool_wants_names_or_one_job(zoo, runs, capsys, args):
    with pytest.raises(SystemExit) as stop:
        runs(*args)
    assert stop.value.code == 2
    assert 'usage' in capsys.readouterr().err


def test_a_gated_file_of_the_hub_says_what_to_do(server, tmp_path):
    path = tmp_path / 'dinov3.safetensors'
    url = server.give('facebook/x/resolve/main/model.safetensors', b'', Reply(403))
    page = url.split('/resolve')[0]
    with pytest.raises(InputError) as error:
        fetch([url], path)
    assert '\n' not in str(error.value)
    assert f'accept the licence on {page}, download the file there' in str(error.value)
    assert f"put it at '{path}'" in str(error.value)
    assert server.answers('facebook/x/resolve/main/model.safetensors') == [403]


def test_a_header_of_safetensors_is_not_mistaken_for_a_web_page(server, path):
    """Of 15 392 bytes: the file begins with a blank and '<'."""
    content = (15392).to_bytes(8, 'little') + b'{' + b' ' * 15391
    assert content.startswith(b' <')
    assert fetch([server.give('a', content)], path) == sha(content)
