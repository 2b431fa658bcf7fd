"""Crops of LoadCrops against torchvision."""

import cv2
import mmcv
import numpy as np
import pytest
import torch
from mmengine.dataset import default_collate
from mmpretrain.registry import TRANSFORMS
from PIL import Image
from scipy import stats
from torchvision.transforms import InterpolationMode, RandomResizedCrop
from torchvision.transforms import functional as F

from mmdisco.datasets import Photos
from mmdisco.datasets.transforms import Picture, draw_box, load_crops
from tests.mocov2_views import photograph


def build(**options):
    return TRANSFORMS.build(dict(type='LoadCrops', **options))


def save(path, size=(500, 375), **options):
    photograph(512).resize(size).save(path, quality=90, **options)
    return str(path)


def crops_of(load, path):
    return [
        crop.permute(1, 2, 0).numpy().astype(int)
        for crop in load(dict(img_path=path))['img']
    ]


def boxes_of(load, path, seed):
    """The boxes that a seed gives, and that seed set again."""
    with Image.open(path) as image:
        size = image.size[::-1]
    torch.manual_seed(seed)
    boxes = [load.draw(size, view) for view in range(load.num_views)]
    torch.manual_seed(seed)
    return boxes


@pytest.mark.parametrize('name', ('a.jpg', 'a.png'))
@pytest.mark.parametrize('interpolation', ('bilinear', 'bicubic'))
def test_crops_are_torchvisions(tmp_path, name, interpolation):
    path = save(tmp_path / name)
    load = build(interpolation=interpolation)
    with Image.open(path) as image:
        image.load()
        for seed in range(8):
            boxes = boxes_of(load, path, seed)
            for actual, box in zip(crops_of(load, path), boxes):
                mode = InterpolationMode(interpolation)
                other = np.asarray(F.resized_crop(image, *box, [224, 224], mode), int)
                assert actual.shape == (224, 224, 3)
                off = np.abs(actual - other)
                assert off.max() <= (1 if interpolation == 'bilinear' else 6)
                assert off.mean() < 0.2


@pytest.mark.parametrize('channels_last', (False, True))
def test_the_layout_in_memory_changes_no_value(tmp_path, channels_last):
    path = save(tmp_path / 'a.jpg', (90, 80))
    torch.manual_seed(0)
    expected = build(size=32)(dict(img_path=path))['img']
    torch.manual_seed(0)
    crops = build(size=32, channels_last=channels_last)(dict(img_path=path))['img']
    for crop, other in zip(crops, expected):
        assert crop.shape == (3, 32, 32) and torch.equal(crop, other)
        assert crop.permute(1, 2, 0).is_contiguous() == channels_last
        assert crop.is_contiguous() == (not channels_last)


def test_views_of_their_own_size_and_scale(tmp_path):
    path = save(tmp_path / 'a.png')
    load = build(
        num_views=3,
        size=(64, 64, 24),
        scale=[(0.4, 1.0), (0.4, 1.0), (0.05, 0.1)],
        interpolation=['bicubic', 'bilinear', 'bicubic'],
    )
    with Image.open(path) as image:
        for seed in range(8):
            boxes = boxes_of(load, path, seed)
            areas = [box.height * box.width / (500 * 375) for box in boxes]
            assert min(areas[:2]) > 0.39 and areas[2] < 0.11
            crops = crops_of(load, path)
            for crop, box, size, name in zip(
                crops, boxes, load.size, load.interpolation
            ):
                mode = InterpolationMode(name)
                other = np.asarray(F.resized_crop(image, *box, [size, size], mode), int)
                assert np.abs(crop - other).max() <= 6


def test_a_generator_gives_each_view_again(tmp_path):
    """A view drawn and cut alone, without touching torch's generator."""
    path = save(tmp_path / 'a.jpg')
    load = build(num_views=2, size=[64, 32], scaled_decoding=False)
    picture = Picture(open(path, 'rb').read())
    state = torch.random.get_rng_state()
    seeds = [torch.Generator().manual_seed(seed) for seed in (3, 4)]
    boxes = [load.draw(picture.size, i, seed) for i, seed in enumerate(seeds)]
    assert torch.equal(torch.random.get_rng_state(), state)
    again = load.draw(picture.size, 1, torch.Generator().manual_seed(4))
    assert again == boxes[1] != boxes[0]
    together = load.cut(picture, boxes, [0, 1])
    (alone,) = load.cut(Picture(open(path, 'rb').read()), [again], [1])
    assert torch.equal(alone, together[1]) and alone.shape == (3, 32, 32)


@pytest.mark.parametrize(
    'size, scale, ratio',
    [
        ((40, 400), (0.9, 1.0), (3 / 4, 4 / 3)),  # never fits
        ((400, 40), (0.9, 1.0), (3 / 4, 4 / 3)),
        ((60, 62), (1.0, 1.0), (1.0, 1.0)),
    ],
)
def test_the_central_crop_is_torchvisions(size, scale, ratio):
    reference = RandomResizedCrop.get_params(
        torch.empty(3, *size), list(scale), list(ratio)
    )
    assert draw_box(size, scale, ratio) == reference


@pytest.mark.parametrize('scaled', (False, True))
def test_area_and_aspect_are_torchvisions_in_distribution(tmp_path, scaled):
    """Crops of an image with its coordinates as colours."""
    x, y = np.meshgrid(np.arange(250), np.arange(200))
    image = Image.fromarray(np.stack([x, y, x * 0], 2).astype(np.uint8))
    image.save(tmp_path / 'map.jpg', quality=100, subsampling=0)
    load = build(size=16, scaled_decoding=scaled)
    crop = RandomResizedCrop(16, (0.2, 1.0))

    def boxes(views):  # log area, log aspect, left, top
        views = np.stack(views).astype(float)  # [V, 16, 16, 3]
        across, down = views[..., 0].mean(1), views[..., 1].mean(2)
        wide = (across[:, 12] - across[:, 3]) / 9 * 16
        high = (down[:, 12] - down[:, 3]) / 9 * 16
        return np.stack(
            [
                np.log(wide * high),
                np.log(wide / high),
                across[:, 3] - wide * 3.5 / 16,
                down[:, 3] - high * 3.5 / 16,
            ]
        )

    torch.manual_seed(0)
    reference = boxes([np.asarray(crop(image)) for _ in range(1200)])
    actual = boxes(
        [view for _ in range(600) for view in crops_of(load, str(tmp_path / 'map.jpg'))]
    )
    for a, b in zip(actual, reference):
        assert stats.ks_2samp(a, b).pvalue > 0.001
    assert np.exp(actual[0].min()) == pytest.approx(0.2 * 50000, rel=0.1)


def test_scaled_decoding_only_where_every_crop_allows(tmp_path, monkeypatch):
    path = save(tmp_path / 'large.jpg', (1600, 1200))
    divisors, decode = [], load_crops.decode_jpeg
    monkeypatch.setattr(
        load_crops,
        'decode_jpeg',
        lambda *args: divisors.append(args[2]) or decode(*args),
    )
    load, whole = build(size=100), build(size=100, scaled_decoding=False)
    for seed in range(30):
        boxes = boxes_of(load, path, seed)
        smallest = min(min(box.height, box.width) for box in boxes)
        scaled = crops_of(load, path)
        largest = max(d for d in (1, 2, 4, 8) if smallest / d >= 100)
        assert divisors[-1] == largest
        if seed < 10:
            torch.manual_seed(seed)
            exact = crops_of(whole, path)
            assert divisors[-1] == 1
            for a, b in zip(scaled, exact):
                assert np.abs(a - b).mean() < 2
    assert {4, 8} <= set(divisors)
    small = save(tmp_path / 'small.jpg', (260, 250))
    for _ in range(5):
        build(size=200)(dict(img_path=small))
        assert divisors[-1] == 1


def test_a_file_that_is_cut_off_raises_at_any_scale(tmp_path):
    content = open(save(tmp_path / 'a.jpg', (1600, 1200)), 'rb').read()
    for name, wrong in (
        ('half.jpg', content[: len(content) // 2]),
        ('end.jpg', content[:-2000]),
        ('junk.jpg', b'<html>'),
    ):
        (tmp_path / name).write_bytes(wrong)
        for size in (100, 1000):
            with pytest.raises(OSError):
                build(size=size)(dict(img_path=str(tmp_path / name)))
    # bytes after the end are allowed
    (tmp_path / 'more.jpg').write_bytes(content + b'\0\0')
    for a, b in zip(
        *(seeded(build(size=64), tmp_path / n) for n in ('more.jpg', 'a.jpg'))
    ):
        np.testing.assert_array_equal(a, b)
    data = Photos(
        str(tmp_path),
        pipeline=[dict(type='LoadCrops', size=32), dict(type='PackInputs')],
    )
    assert all(data[i]['inputs'][0].shape == (3, 32, 32) for i in range(5))
    assert data._unreadable.sum() == 3


def seeded(load, path):
    torch.manual_seed(0)
    return crops_of(load, str(path))


@pytest.mark.parametrize('mode', ('L', 'P', 'CMYK', 'LA', 'RGBA', 'turned'))
def test_images_of_any_mode_equal_mmcvs(tmp_path, mode):
    photo, options = photograph(64), {}
    path = tmp_path / ('a.jpg' if mode in ('L', 'CMYK', 'turned') else 'a.png')
    if mode == 'turned':
        options['exif'] = exif = Image.Exif()
        exif[274] = 6  # a quarter turn
    else:
        photo = photo.convert(mode)
    photo.save(path, **options)
    expected = mmcv.imread(str(path), channel_order='rgb', backend='pillow')
    # the whole of a square image
    load = build(size=64, scale=(1.0, 1.0), ratio=(1.0, 1.0), num_views=1)
    np.testing.assert_array_equal(crops_of(load, str(path))[0], expected)


def test_batches_are_lists_of_views(tmp_path):
    path = save(tmp_path / 'a.jpg')
    pack = TRANSFORMS.build(dict(type='PackInputs'))
    batch = default_collate(
        [pack(build(num_views=3)(dict(img_path=path))) for _ in range(2)]
    )
    assert [view.shape for view in batch['inputs']] == [(2, 3, 224, 224)] * 3
    assert batch['inputs'][0].dtype == torch.uint8


class Threads(torch.utils.data.Dataset):
    """Items are the numbers of threads of torch and OpenCV."""

    def __len__(self):
        """Return the number of items."""
        return 4

    def __getitem__(self, _):
        """Return both numbers of threads."""
        return torch.tensor([torch.get_num_threads(), cv2.getNumThreads()])


def test_workers_run_one_thread_each():
    """PyTorch limits its own threads; OpenCV's are set before the fork."""
    from mmengine.config import Config
    from mmengine.utils.dl_utils import set_multi_processing

    env = Config.fromfile('configs/_base_/default_runtime.py').env_cfg
    before = cv2.getNumThreads()
    try:
        set_multi_processing(**env.mp_cfg)
        loader = torch.utils.data.DataLoader(Threads(), num_workers=2)
        assert torch.cat(list(loader)).unique().tolist() == [1]
    finally:
        cv2.setNumThreads(before)


@pytest.mark.parametrize(
    'options',
    (
        dict(size=0),
        dict(num_views=0),
        dict(scale=(0.0, 1.0)),
        dict(scale=(0.5, 0.2)),
        dict(scale=(0.2, 2.0)),
        dict(ratio=(0, 1)),
        dict(size=(32, 0)),
        dict(scale=[(0.2, 1.0), (0.0, 1.0)]),
        dict(interpolation='nearest'),
    ),
)
def test_arguments_out_of_range(options):
    with pytest.raises(ValueError, match=f'{next(iter(options))}='):
        build(**options)


def test_as_many_values_as_views():
    with pytest.raises(ValueError, match='size: 3 values for num_views=2'):
        build(size=(96, 96, 96))
