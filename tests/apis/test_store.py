"""A store holds the teacher's embeddings of the views that are replayed."""

import multiprocessing
import os
import random
import runpy
import shutil
import signal
import sys
import time

import numpy as np
import pytest
import timm
import torch
from mmpretrain.registry import DATASETS, MODELS

from mmdisco.apis.packing import pack
from mmdisco.apis.store import photos_config, store_teacher
from mmdisco.apis.store_header import StoreOptions
from mmdisco.datasets.stored import Store, ViewReplay, view_seed
from mmdisco.errors import InputError
from mmdisco.launch import use_store
from mmdisco.launch.smoke import photo_tiles
from tests.forkserver import ROOT, START
from tests.tools import run

SIZE = 32


@pytest.fixture(scope='module')
def files(tmp_path_factory):
    """Photos and a teacher's file."""
    folder = tmp_path_factory.mktemp('files')
    photo_tiles(folder / 'photos', 10, 64)
    torch.manual_seed(0)
    network = timm.create_model('test_vit', dynamic_img_size=True)
    torch.save(network.state_dict(), folder / 'teacher.pth')
    return folder


@pytest.fixture
def photos(files, tmp_path):
    """Photos of a test's own."""
    return shutil.copytree(files / 'photos', tmp_path / 'photos')


def config(files, photos=None, **teacher):
    cfg = photos_config(
        str(photos or files / 'photos'),
        'timm:test_vit',
        str(files / 'teacher.pth'),
        SIZE,
    )
    cfg.model.teacher.update(teacher)
    return cfg


def write(files, out, photos=None, teacher=(), **options):
    options = {**dict(speed='off', workers=0, batch_size=8), **options}
    return store_teacher(
        config(files, photos, **dict(teacher)), out, StoreOptions(**options), 'command'
    )


def expected(files, store, names, kind=0, photos=None):
    """Embeddings [N, K, D] by plain loops."""
    cfg = config(files, photos)
    teacher = MODELS.build(cfg.model.teacher)
    teacher.renormalize.mean = teacher.renormalize.std = None  # done here
    header = store.header
    replay = ViewReplay([kind['pipeline'] for kind in header['kinds']])
    rows = []
    for name in names:
        path = str((photos or files / 'photos') / name)
        row = []
        for k in range(store.num_views):
            (view,) = replay.views(
                path, [(kind, view_seed(header['seed'], name, kind, k))]
            )
            if header['images']['to_rgb']:
                view = view.flip(0)
            image = (view.float() - 127.5) / 127.5  # timm's statistics
            row.append(teacher(image[None])[0].numpy())
        rows.append(row)
    return np.array(rows)


def embeds_of(store):
    views = range(store.num_views)
    return np.stack(
        [
            [store.embeds(row, kind, views) for row in range(len(store))]
            for kind in range(len(store.header['kinds']))
        ]
    )  # [kinds, N, K, D]


def cosines(a, b):
    return (a * b).sum(-1) / np.linalg.norm(a, axis=-1) / np.linalg.norm(b, axis=-1)


@pytest.mark.parametrize('dtype', ['fp32', 'fp16', 'int8'])
@pytest.mark.parametrize('speed', ['off', 'auto'])
def test_embeddings_are_the_teachers_of_the_replayed_views(
    files, tmp_path, dtype, speed
):
    store = store_teacher(
        config(files),
        tmp_path / 'store',
        StoreOptions(3, dtype, 5, 8, 0, speed, shard=4, check=4, verify=True),
        '',
    )
    truth = expected(files, store, store.names)
    assert store.header['images']['to_rgb'] == (speed == 'off')
    assert cosines(embeds_of(store)[0], truth).min() > (
        0.999 if speed == 'auto' else (0.9995 if dtype == 'int8' else 0.999999)
    )
    if speed == 'off' and dtype != 'int8':
        np.testing.assert_allclose(
            embeds_of(store)[0],
            truth,
            rtol=dict(fp16=2e-3, fp32=1e-4)[dtype],
            atol=2e-4,
        )
    accuracy = store.header['accuracy']
    assert accuracy['dtype'] > 0.999 and accuracy['speed'] > 0.999
    assert (dtype == 'int8') == (accuracy['dtype'] < 0.99999)
    assert (speed == 'auto') == (accuracy['speed'] < 0.9999999)


def contents(folder):
    return {
        p.name: p.read_bytes() for p in folder.iterdir() if p.name.startswith('kind')
    }


def test_growth_leaves_what_exists_and_equals_a_store_written_at_once(
    files, photos, tmp_path
):
    out = tmp_path / 'store'
    later = sorted(p for p in photos.rglob('*.jpg'))[3:5]
    for path in later:
        path.rename(tmp_path / path.name)
    write(files, out, photos, views=2, shard=3, dtype='fp32')
    before = contents(out)
    reader = Store(out)
    old = embeds_of(reader)
    assert len(reader) == 8
    write(files, out, photos, views=5, shard=2)  # further views
    for path in later:
        (tmp_path / path.name).rename(path)
    grown = write(files, out, photos)  # new images
    assert (len(grown), grown.num_views) == (10, 5)
    assert before.items() <= contents(out).items()
    assert np.array_equal(embeds_of(reader), old)  # as opened before
    assert np.array_equal(embeds_of(grown)[:, :8, :2], old)
    whole = write(files, tmp_path / 'whole', photos, views=5, dtype='fp32')
    assert whole.names != grown.names and {*whole.names} == {*grown.names}
    rows = whole.rows_of(grown.names)
    np.testing.assert_allclose(
        embeds_of(grown), embeds_of(whole)[:, rows], rtol=1e-4, atol=1e-5
    )
    assert grown.rows_of(['no/such.jpg']).tolist() == [-1]
    write(files, out, photos, verify=True)  # nothing to do
    with pytest.raises(InputError, match='5 views of each image, --views is 3'):
        write(files, out, photos, views=3)


def test_others_are_refused(files, photos, tmp_path):
    out = tmp_path / 'store'
    write(files, out, photos, views=1)
    for options, message in (
        (dict(dtype='int8'), '--dtype fp16, not int8'),
        (dict(seed=3), '--seed 0, not 3'),
        (dict(teacher=dict(mean=[1.0] * 3)), r'teacher with mean \[127.5.*not \[1.0'),
    ):
        with pytest.raises(InputError, match=message):
            write(files, out, photos, **options)
    torch.manual_seed(1)
    other = timm.create_model('test_vit', dynamic_img_size=True).state_dict()
    torch.save(other, tmp_path / 'teacher.pth')
    with pytest.raises(InputError, match='teacher with sha256'):
        write(
            files, out, photos, teacher=dict(checkpoint=str(tmp_path / 'teacher.pth'))
        )
    first, second = sorted(photos.rglob('*.jpg'))[:2]
    content = first.read_bytes()
    first.write_bytes(content + b'\0')
    with pytest.raises(InputError, match=f'{first.name}.*{len(content) + 1} bytes'):
        write(files, out, photos)
    first.write_bytes(content)
    second.unlink()
    with pytest.raises(InputError, match=f"{second.name}' of the store.* is not in"):
        write(files, out, photos)
    with pytest.raises(InputError, match='not a teacher store'):
        write(files, photos, photos)


def test_damage_is_found(files, tmp_path):
    out = tmp_path / 'store'
    store = write(files, out, views=2, shard=4)
    path = sorted(out.glob('kind*.npy'))[1]
    content = path.read_bytes()
    path.write_bytes(content[:-1])
    with pytest.raises(InputError, match=f'{path.name}.*is damaged'):
        Store(out)
    path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    assert len(Store(out)) == 10  # the size is right
    with pytest.raises(InputError, match='another checksum'):
        write(files, out, verify=True)
    # a shard with another's content
    other = sorted(out.glob('kind*.npy'))[0]
    path.write_bytes(other.read_bytes())
    with pytest.raises(InputError, match='below 0.998'):
        write(files, out, check=200)
    path.unlink()
    with pytest.raises(InputError, match='1 of 3 shards are missing'):
        Store(out)
    assert write(files, out, check=20, verify=True).names == store.names
    assert path.read_bytes() == content
    (out / 'images-0.txt').write_text('')
    with pytest.raises(InputError, match='images-0.txt.* damaged'):
        Store(out)


def test_an_unreadable_image_has_no_embedding(files, photos, tmp_path, capsys):
    broken = sorted(photos.rglob('*.jpg'))[4]
    broken.write_bytes(broken.read_bytes()[:400])
    store = write(files, tmp_path / 'store', photos, views=2, shard=5, check=30)
    assert f"1 images can't be read and have no embedding: '{broken.parent.name}/" in (
        capsys.readouterr().out
    )
    embeds = embeds_of(store)[0]
    row = store.names.index(str(broken.relative_to(photos)))
    assert np.isnan(embeds[row]).all()
    others = [i for i in range(10) if i != row]
    truth = expected(files, store, [store.names[i] for i in others], photos=photos)
    assert cosines(embeds[others], truth).min() > 0.99999


def test_packed_images_are_those_of_the_folder(files, tmp_path):
    packed = tmp_path / 'packed'
    pack(files / 'photos', packed, copy=True, workers=1)
    store = write(files, tmp_path / 'store', packed, views=2, check=10)
    folder = write(files, tmp_path / 'folder', views=2)
    assert store.names == folder.names and store.sizes == folder.sizes
    assert np.array_equal(embeds_of(store), embeds_of(folder))
    for photos in (packed, files / 'photos'):
        cfg = config(files, photos)
        use_store(cfg, str(tmp_path / 'store'))
        torch.manual_seed(0)
        item = DATASETS.build(cfg.train_dataloader.dataset)[3]
        stored = store.embeds(store.rows_of([store.names[3]])[0], 0, range(2))
        assert {*map(tuple, item['data_samples'].tolist())} == {
            *map(tuple, stored.tolist())
        }
    again = tmp_path / 'small'
    pack(files / 'photos', again, size=32, workers=1)
    with pytest.raises(InputError, match='10 of 10 images .* are others than those'):
        use_store(config(files, again), str(tmp_path / 'store'))
    with pytest.raises(InputError, match='bytes, .* when it was stored'):
        write(files, tmp_path / 'store', again)


def words(files, out, *more):
    return [
        'tools/store_teacher.py',
        files / 'photos',
        '--teacher=timm:test_vit',
        f'--teacher-checkpoint={files / "teacher.pth"}',
        f'--size={SIZE}',
        '--workers=0',
        '--shard=1',
        '--batch-size=4',
        f'--out={out}',
        *more,
    ]


def test_two_ranks_write_the_same_store_as_one(files, tmp_path, free_port):
    for ranks in (1, 2):
        launch = ['tools/torchrun.py', f'--nproc-per-node={ranks}']
        launch += [f'--master-port={free_port}'] if ranks > 1 else []
        out = tmp_path / str(ranks)
        done = run('python', *launch, *words(files, out, '--views=3'))
        assert done.stdout.count('complete ') == 1
    one, two = (contents(tmp_path / str(ranks)) for ranks in (1, 2))
    assert len(one) == 20 and one == two


def test_of_a_store_killed_at_any_moment_nothing_is_wrong_or_lost(files, tmp_path):
    kill_at_random(files, tmp_path, kills=2, images=12)


@pytest.mark.slow  # a process for each kill
def test_of_a_store_killed_a_hundred_times_nothing_is_wrong_or_lost(files, tmp_path):
    kill_at_random(files, tmp_path, kills=100, images=500)


def run_tool(words):
    torch.set_num_threads(1)
    os.chdir(ROOT)
    sys.argv = words
    runpy.run_path(words[0], run_name='__main__')


def kill_at_random(files, tmp_path, kills, images, views=20):
    """Kill a store's processes; shards that exist are never written again."""
    photo_tiles(tmp_path / 'photos', images, 64)
    (tmp_path / 'teacher.pth').symlink_to(files / 'teacher.pth')
    out = tmp_path / 'store'
    command = [*map(str, words(tmp_path, out, f'--views={views}'))]
    start = multiprocessing.get_context(START)
    rng = random.Random(0)
    written, killed = {}, 0
    while True:
        process = start.Process(target=run_tool, args=(command,))
        process.start()
        if killed < kills:
            # one more shard, and any moment from then on
            while len(stored_shards(out)) <= len(written) and process.is_alive():
                time.sleep(0.002)
            time.sleep(rng.random() * 0.1)
            process.kill()
            killed += 1
        process.join()
        now = stored_shards(out)
        assert written.items() <= now.items(), 'a shard was written again'
        written = now
        if process.exitcode == 0:
            break
        assert process.exitcode == -signal.SIGKILL
    assert killed == kills
    assert len(written) == images
    once = write(
        tmp_path, tmp_path / 'once', views=views, shard=1, batch_size=4, speed='auto'
    )
    assert contents(out) == contents(tmp_path / 'once')
    truth = expected(tmp_path, once, once.names[:3])
    assert cosines(embeds_of(Store(out))[0, :3], truth).min() > 0.999


def stored_shards(folder):
    """Identity of each shard's file that has a sidecar."""
    return {
        path.name: (path.with_suffix('.npy').stat().st_ino, path.stat().st_ino)
        for path in folder.glob('kind*.json')
    }
