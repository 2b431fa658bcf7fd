"""tools/extract_features.py: output in all formats, with one or two ranks."""

import json
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from pyarrow import parquet

from tests.apis.album import SIZES, reference, write_album, write_model
from tests.tools import run

TOOL = 'tools/extract_features.py'
SUFFIXES = ['npz', 'npy', 'parquet']
BAD = ['00.jpg', 'b-c/00.png']  # in the first and the second batch of 2


@pytest.fixture(scope='module')
def ready(tmp_path_factory):
    """Checkpoint, folder with seven photos and two broken files, features."""
    root = tmp_path_factory.mktemp('ready')
    backbone = write_model(root / 'epoch_1.pth')
    album = write_album(root / 'photos', 7)
    for name in BAD:
        (root / 'photos' / name).write_bytes(b'no image')
    features = [reference(backbone, photo) for photo in album.values()]
    return root / 'epoch_1.pth', root / 'photos', [*album], features


def read(path):
    """Read names, features and header with the format's own library."""
    if path.suffix == '.npz':
        with np.load(path) as file:  # allows no pickle
            return (
                file['names'].tolist(),
                file['features'],
                json.loads(str(file['header'])),
            )
    if path.suffix == '.npy':
        names = path.with_name(f'{path.name}.names.txt').read_text('utf-8')
        return names.splitlines(), np.load(path), None
    table = parquet.read_table(path)
    assert table.column_names == ['name', 'feature']
    assert table.schema.field('feature').type.list_size > 0
    return (
        table['name'].to_pylist(),
        np.array(table['feature'].to_pylist(), np.float32),
        json.loads(table.schema.metadata[b'header']),
    )


def test_each_format_equals_the_reference(ready, tmp_path):
    model, photos, names, expected = ready
    written = []
    for suffix in SUFFIXES:
        out = tmp_path / suffix / f'features.{suffix}'
        done = run(
            'python',
            TOOL,
            model,
            photos,
            '--out',
            out,
            *SIZES,
            '--batch-size',
            4,
            '--workers',
            0,
        )
        lines = done.stdout.splitlines()
        dim = len(expected[0])
        assert lines[-1] == (
            f"7 images, {dim}-d, of 9 files, 2 skipped (2 can't be read): {out}"
        )
        assert "can't be read: '00.jpg', 'b-c/00.png'" in done.stdout
        listed = out.with_name(f'{out.name}.skipped.txt').read_text()
        assert listed.split() == BAD
        kept, features, header = read(out)
        assert kept == names and features.dtype == np.float32
        np.testing.assert_allclose(features, expected, rtol=1e-4, atol=1e-5)
        written.append(features)
        if header:
            assert header['model'] == str(model)
            assert len(header['sha256']) == 64 and header['skipped'] == 2
            assert header['transform'] == dict(
                resize=40, crop=32, interpolation='bilinear'
            )
            assert header['background'] == [255, 255, 255]
        files = {path.name for path in out.parent.iterdir()}
        assert files == {out.name, f'{out.name}.skipped.txt'} | (
            {f'{out.name}.names.txt'} if suffix == 'npy' else set()
        )
    assert (written[0] == written[1]).all() and (written[0] == written[2]).all()


def test_two_processes_write_the_same_as_one(ready, tmp_path, free_port):
    model, photos, *_ = ready
    one, two = tmp_path / 'one.npz', tmp_path / 'two.npz'
    # the last batch has one image, and each rank has a broken one
    command = [TOOL, model, photos, *SIZES, '--batch-size', 2]
    run('python', *command, '--out', one, '--workers', 0)
    with ThreadPoolExecutor(2) as pool:  # faster than a launcher
        done = [
            *pool.map(
                lambda rank: run(
                    'python',
                    *command,
                    '--out',
                    two,
                    '--launcher',
                    'pytorch',
                    env=dict(
                        RANK=str(rank),
                        LOCAL_RANK=str(rank),
                        WORLD_SIZE='2',
                        LOCAL_WORLD_SIZE='2',
                        MASTER_ADDR='127.0.0.1',
                        MASTER_PORT=str(free_port),
                    ),
                ),
                range(2),
            )
        ]
    assert [each.stdout.count(' 2 skipped ') for each in done] == [1, 0]
    for name in ('names', 'features', 'header'):
        with np.load(one) as single, np.load(two) as distributed:
            assert single[name].tobytes() == distributed[name].tobytes()
    assert (tmp_path / 'two.npz.skipped.txt').read_text().split() == BAD
    assert not [*tmp_path.glob('half.*')]


def test_a_run_replaces_earlier_output(ready, tmp_path):
    model, _, *_ = ready
    write_album(tmp_path / 'photos')
    out = tmp_path / 'features.npy'
    out.write_bytes(b'old')
    (tmp_path / 'features.npy.skipped.txt').write_text('old.png\n')
    scratch = tmp_path / 'half.features.npy.features'  # left by a killed run
    (scratch / 'all').mkdir(parents=True)
    done = run(
        'python',
        TOOL,
        model,
        tmp_path / 'photos',
        '--out',
        out,
        *SIZES,
        '--workers',
        0,
        '--dtype',
        'float16',
    )
    assert ', of 3 files, 0 skipped: ' in done.stdout.splitlines()[-1]
    assert np.load(out).dtype == np.float16 and len(np.load(out)) == 3
    assert {path.name for path in tmp_path.iterdir()} == {
        'photos',
        'features.npy',
        'features.npy.names.txt',
    }


def test_float16_in_parquet(ready, tmp_path):
    model, photos, names, expected = ready
    out = tmp_path / 'features.parquet'
    run(
        'python',
        TOOL,
        model,
        photos,
        '--out',
        out,
        *SIZES,
        '--workers',
        0,
        '--dtype',
        'float16',
    )
    assert str(parquet.read_schema(out).field('feature').type.value_type) == (
        'halffloat'
    )
    np.testing.assert_allclose(read(out)[1], expected, rtol=2e-3, atol=1e-3)


def test_nothing_is_written_if_no_image_is_left(ready, tmp_path, fails):
    (tmp_path / 'photos').mkdir()
    (tmp_path / 'photos/0.png').touch()
    line = fails(
        TOOL,
        ready[0],
        tmp_path / 'photos',
        '--out',
        tmp_path / 'out/f.npz',
        *SIZES,
        '--workers',
        0,
    )
    assert line == (
        f"error: none of the 1 images in '{tmp_path / 'photos'}' can be read"
    )
    assert not [*(tmp_path / 'out').iterdir()]


def test_errors_come_before_the_work(ready, tmp_path, fails, monkeypatch):
    model, photos, *_ = ready

    def error(out, folder=photos):
        return fails(TOOL, model, folder, '--out', tmp_path / out)

    assert 'should end in .npz, .npy, .parquet' in error('features.csv')
    (tmp_path / 'a.npz').mkdir()
    assert 'is a folder: name the file to write' in error('a.npz')
    (tmp_path / 'file').touch()
    assert "can't be written" in error('file/features.npz')
    assert 'folder of photos' in error('f.npz', tmp_path / 'none')
    monkeypatch.setitem(sys.modules, 'pyarrow', None)
    assert error('f.parquet').endswith(
        "f.parquet' needs the package pyarrow: pip install pyarrow, or write .npz"
    )
    assert {path.name for path in tmp_path.iterdir()} == {'a.npz', 'file'}
