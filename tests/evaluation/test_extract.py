"""Features do not depend on the number of batches, workers and processes."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.transforms import functional as F

from mmdisco.errors import InputError
from mmdisco.evaluation.features.views import Crop, ImageViews, batch_of
from mmdisco.evaluation.sources import open_source
from tests.evaluation.tiny import (
    checkpoint,
    extracted,
    idx_folder,
    pictures,
    plain_features,
    report_of,
)
from tests.tools import COUNT_THREADS, ROOT, gloo_threads, run

KNN = 'tools/eval/knn.py'


@pytest.fixture(scope='module')
def tiny(tmp_path_factory):
    """Checkpoint and data: numbers that no batch or rank divides."""
    root = tmp_path_factory.mktemp('tiny')
    checkpoint(root / 'model.pth')
    return (root / 'model.pth', idx_folder(root / 'data', slice(59), slice(37)))


def same_files(one, other):
    for split in ('train', 'test'):
        for name in ('features.npy', 'labels.npy'):
            a, b = (folder / split / name for folder in (one, other))
            assert a.read_bytes() == b.read_bytes(), (split, name)


def test_two_processes_give_the_same_bits(tiny, tmp_path, free_port):
    model, data = tiny

    def words(name):
        return [
            KNN,
            model,
            '--data',
            data,
            '--features',
            tmp_path / name,
            '--out',
            tmp_path / f'{name}.json',
            '--batch-size',
            8,
            '--k',
            1,
            5,
        ]

    run('python', *words('one'))
    (tmp_path / 'sitecustomize.py').write_text(COUNT_THREADS)
    done = run(
        'python',
        'tools/torchrun.py',
        '--nproc_per_node=2',
        f'--master_port={free_port}',
        *words('two'),
        '--launcher',
        'pytorch',
        cold=True,
        env=dict(PYTHONPATH=f'{tmp_path}:{ROOT}'),
    )
    assert gloo_threads(done) == ['0'] * 3  # torchrun's and both ranks'
    same_files(tmp_path / 'one', tmp_path / 'two')
    one, two = (report_of(tmp_path / f'{n}.json') for n in ('one', 'two'))
    assert all(report.pop('seconds_of_features') > 0 for report in (one, two))
    assert one == two
    assert [
        done.stdout.count(line) for line in (one['summary'], 'k = 1, T = 0.07')
    ] == [1, 1]
    assert done.stdout.strip().endswith(one['summary'])
    saved = np.load(tmp_path / 'two/train/features.npy')
    assert (np.abs(saved).sum(2) > 0).all()  # no image was left out


def ranks(number, port, *words):
    """The tool in processes that a launcher would start; much faster."""
    with ThreadPoolExecutor(number) as pool:
        for done in [
            pool.submit(
                run,
                'python',
                *words,
                '--launcher',
                'pytorch',
                env=dict(
                    RANK=str(rank),
                    LOCAL_RANK=str(rank),
                    WORLD_SIZE=str(number),
                    MASTER_ADDR='127.0.0.1',
                    MASTER_PORT=str(port),
                ),
            )
            for rank in range(number)
        ]:
            done.result()


def test_random_views_depend_on_neither_workers_nor_ranks(tiny, tmp_path, free_port):
    model, data = tiny
    words = [
        'tools/eval/linear.py',
        model,
        '--data',
        data,
        '--views',
        2,
        '--seed',
        3,
        '--batch-size',
        8,
        '--by',
        'sgd',
        '--epochs',
        1,
    ]
    ranks(
        2,
        free_port,
        *words,
        '--workers',
        0,
        '--features',
        tmp_path / 'two',
        '--out',
        tmp_path / 'two.json',
    )
    for split, views in (('train', 2), ('test', 0)):
        extracted(
            model,
            data,
            tmp_path / 'one',
            split,
            views=views,
            seed=3,
            batch_size=8,
            num_workers=2,
        )
    same_files(tmp_path / 'one', tmp_path / 'two')
    [first, second] = np.load(tmp_path / 'one/train/features.npy')
    assert not np.isclose(first, second).all(1).any()
    assert (tmp_path / 'two.json').is_file()


@pytest.mark.parametrize('batch_size, num_workers', [(1, 0), (7, 0), (256, 0), (7, 2)])
def test_batches_and_workers(tiny, tmp_path, batch_size, num_workers):
    model, data = tiny
    found = extracted(
        model, data, tmp_path, batch_size=batch_size, num_workers=num_workers
    )
    backbone = checkpoint(tmp_path / 'model.pth')
    images, labels = pictures('train')
    torch.testing.assert_close(
        found.plain, plain_features(backbone, images[:59]), rtol=1e-4, atol=1e-5
    )
    assert torch.equal(found.labels, labels[:59])


def test_half_precision_is_rounded_once(tiny, tmp_path):
    model, data = tiny
    whole, half = (
        extracted(model, data, tmp_path / dtype, dtype=dtype)
        for dtype in ('float32', 'float16')
    )
    assert half.plain.dtype == torch.float16
    assert torch.equal(half.plain, whole.plain.half())


def test_a_random_view_is_a_crop_with_a_flip(tiny):
    """Found by trying: the picture is a resized box of the image."""
    source = open_source(str(tiny[1]))
    plain = ImageViews(source, Crop(None, None))
    views = [
        ImageViews(source, Crop(None, 28), view, seed)
        for view, seed in ((0, 0), (0, 0), (1, 0), (0, 1))
    ]
    before = torch.get_rng_state()
    made = [torch.stack([view[i] for i in range(59)]) for view in views]
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(made[0], made[1])
    assert not torch.equal(made[0], made[2])
    assert not torch.equal(made[0], made[3])
    whole = ImageViews(source, Crop(None, 28, scale=1.0), 0)
    flips = 0
    for i in range(59):
        near = [
            (whole[i].float() - x.float()).abs().mean()
            for x in (plain[i], plain[i].flip(2))
        ]
        flips += near[1] < near[0]
    assert 15 < flips < 44


def photos(root, sizes):
    for split in ('train', 'val'):
        for label, size in zip('abc', sizes):
            path = root / split / label / '0.png'
            path.parent.mkdir(parents=True)
            noise = np.random.default_rng(len(label)).integers(
                0, 256, (*size, 3), np.uint8
            )
            Image.fromarray(noise).save(path)
    return root


def test_images_are_resized_and_cropped_as_by_torchvision(tiny, tmp_path):
    data = photos(tmp_path / 'data', [(40, 60), (50, 44), (90, 31)])
    for crop in (Crop(32, 28), Crop(36, 36, 'bicubic')):
        views = ImageViews(open_source(str(data)), crop)
        for i, label in enumerate('abc'):
            image = Image.open(data / 'train' / label / '0.png')
            mode = F.InterpolationMode(crop.interpolation)
            image = F.center_crop(F.resize(image, crop.resize, mode), crop.crop)
            assert np.array_equal(views[i].permute(1, 2, 0), image)


def test_images_of_several_sizes_want_a_crop(tiny, tmp_path):
    model, _ = tiny
    data = photos(tmp_path / 'data', [(40, 60), (50, 44), (40, 60)])
    for workers in (0, 1):
        with pytest.raises(InputError) as caught:
            extracted(model, data, tmp_path / 'out', num_workers=workers)
        assert (
            str(caught.value)
            .strip()
            .endswith(
                'one batch has images of 40x60 and 50x44 pixels: set --resize and '
                '--crop'
            )
        )
        assert not (tmp_path / 'out/train').exists()
    found = extracted(model, data, tmp_path / 'out', crop=Crop(32, 28))
    assert found.views.shape == (1, 3, 32)
    assert batch_of([torch.zeros(3, 4, 5)] * 2).shape == (2, 3, 4, 5)
