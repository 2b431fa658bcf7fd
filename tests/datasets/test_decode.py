"""All readers give the same pixels of any image."""

import io
import tarfile
from pathlib import Path

import lmdb
import mmcv
import numpy as np
import pytest
from mmengine.logging import MMLogger
from mmengine.registry import DefaultScope
from mmpretrain.registry import TRANSFORMS
from PIL import Image

from mmdisco.apis.feature_extractor import GivenImages
from mmdisco.apis.photos import SkippingPhotos
from mmdisco.datasets import LabelledPhotos, Photos
from mmdisco.errors import InputError
from mmdisco.evaluation.sources import open_photos, open_source
from tests.datasets.odd_images import (
    ALPHA,
    RGB,
    SIDE,
    over,
    pillow,
    refused,
    table,
)
from tests.mocov2_views import photograph

TABLE, REFUSED = table(), refused()
LOAD = dict(type='LoadPhoto')
PACK = dict(type='PackInputs')
CROP = dict(
    type='LoadCrops', size=SIDE, num_views=1, scale=(1.0, 1.0), ratio=(1.0, 1.0)
)


def write(root, files):
    """A folder with one class, also as tar and LMDB."""
    for name, content in files.items():
        path = root / 'folder/train/a' / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    for kind in 'tar', 'lmdb':
        (root / kind).mkdir()
    with tarfile.open(root / 'tar/train.tar', 'w') as tar:
        tar.add(root / 'folder/train', '.')
    with lmdb.open(str(root / 'lmdb/train.lmdb'), map_size=2**22, sync=False) as env:
        with env.begin(write=True) as transaction:
            for name, content in files.items():
                transaction.put(f'a/{name}'.encode(), content)


class Readers:
    """RGB pixels of an image, by name of the reader."""

    def __init__(self, root, background=None):
        options = {} if background is None else dict(background=background)
        self.folder = root / 'folder/train/a'
        self.options = options
        self.load = TRANSFORMS.build(dict(LOAD, **options))
        self.crop = TRANSFORMS.build(dict(CROP, **options))
        self.sources = {
            kind: open_source(str(root / kind)) for kind in ('folder', 'tar', 'lmdb')
        }
        self.sources['photos'] = open_photos(str(root / 'folder/train'))
        if options:
            for source in self.sources.values():
                source.background = background
        self.sources['features'] = SkippingPhotos(str(root / 'folder/train'), **options)

    def __call__(self, name):
        """Read an image with every reader."""
        info = dict(img_path=str(self.folder / name))
        loaded = self.load(dict(info))
        assert loaded['img'].dtype == np.uint8
        assert loaded['img_shape'] == loaded['ori_shape'] == (SIDE, SIDE)
        actual = dict(
            training=loaded['img'][..., ::-1],
            fast=self.crop(dict(info))['img'][0].permute(1, 2, 0).numpy(),
        )
        for kind, source in self.sources.items():
            actual[kind] = source[source.names.index(f'a/{name}')]
        with Image.open(self.folder / name) as image:
            given = GivenImages([str(self.folder / name), image], **self.options)
            actual.update(path=given[0], image=given[1])
            assert image.fp is not None or image.im is not None
        return {key: np.asarray(value, int) for key, value in actual.items()}


@pytest.fixture(scope='module')
def written(tmp_path_factory):
    root = tmp_path_factory.mktemp('odd')
    write(root, {name: row[0] for name, row in TABLE.items()})
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        return root, Readers(root)


@pytest.mark.parametrize('name', TABLE)
def test_all_readers_give_the_pixels_that_are_expected(written, name):
    _, expected, most = TABLE[name]
    for reader, pixels in written[1](name).items():
        assert pixels.shape == (SIDE, SIDE, 3), reader
        assert np.abs(pixels - expected).max() <= most, reader


def test_all_files_are_taken(written):
    for source in written[1].sources.values():
        assert len(source) == len(TABLE)
    assert written[1].sources['photos'].tally.found == len(TABLE)


def test_the_background_is_a_setting_of_each_reader(tmp_path):
    clear = Image.fromarray(np.dstack([RGB, ALPHA]))
    write(tmp_path, {'clear.png': pillow(clear, 'png')})
    expected = over(RGB, ALPHA, (0, 200, 30))
    for reader, pixels in Readers(tmp_path, (0, 200, 30))('clear.png').items():
        assert (pixels == expected).all(), reader
    first, other = (open_photos(str(tmp_path)) for _ in range(2))
    assert first.fingerprint() == other.fingerprint()
    other.background = (0, 200, 30)
    assert first.fingerprint() != other.fingerprint()


@pytest.fixture(scope='module')
def unusual(tmp_path_factory):
    """Folder with the rejected images and a valid one, sources, datasets."""
    root = tmp_path_factory.mktemp('refused')
    files = {name: row[0] for name, row in REFUSED.items()}
    write(root, dict(files, **{'z.png': pillow(Image.fromarray(RGB), 'png')}))
    folder = str(root / 'folder/train')
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        data = [
            [kind(folder, pipeline=[load, PACK]) for load in (LOAD, CROP)]
            for kind in (Photos, LabelledPhotos)
        ]
    return (
        folder,
        [open_source(str(root / kind)) for kind in ('folder', 'tar', 'lmdb')],
        data,
    )


@pytest.mark.parametrize('name', REFUSED)
def test_values_out_of_range_are_errors(unusual, name):
    reason = REFUSED[name][1]
    index = sorted(REFUSED).index(name)
    folder, sources, (photos, labelled) = unusual
    for source in sources:
        with pytest.raises(InputError, match=reason) as error:
            source[source.names.index(f'a/{name}')]
        assert name in str(error.value) and '\n' not in str(error.value)
    with pytest.raises(InputError, match=reason):
        GivenImages([f'{folder}/a/{name}'])[0]
    for data in photos:
        assert data.prepare_data(index) is None and data._unreadable[index]
        assert data[index]['data_samples'].sample_idx == len(REFUSED)
    for data in labelled:
        with pytest.raises(InputError, match=reason):
            data[index]


def test_features_are_of_the_others(unusual):
    features = SkippingPhotos(unusual[0])
    for i in range(len(REFUSED)):
        assert np.asarray(features[i]).max() == 0
    assert (np.asarray(features[len(REFUSED)]) == RGB).all()
    actual = features.extracted(np.zeros((len(features), 3)))
    assert actual.skipped == [f'a/{name}' for name in sorted(REFUSED)]
    assert actual.names == ['a/z.png'] and len(actual.features) == 1


def test_ordinary_files_are_as_mmcv_loads_them(tmp_path):
    """The pixels and keys of a non-square photograph are identical."""
    reference = TRANSFORMS.build(
        dict(type='LoadImageFromFile', imdecode_backend='pillow')
    )
    loader = TRANSFORMS.build(LOAD)
    photo = photograph(128).resize((131, 87))
    for name, options in (
        ('a.jpg', dict(quality=75)),
        ('b.jpg', dict(progressive=True)),
        ('c.jpg', dict(subsampling=0)),
        ('d.png', {}),
        ('e.webp', {}),
        ('f.jpg', dict(exif=_turned(6))),
        ('g.bmp', {}),
    ):
        photo.save(tmp_path / name, **options)
        info = dict(img_path=str(tmp_path / name), gt_label=3)
        actual, expected = loader(dict(info)), reference(dict(info))
        assert actual.keys() == expected.keys()
        assert (actual.pop('img') == expected.pop('img')).all()
        assert actual == expected


def _turned(number):
    tag = Image.Exif()
    tag[274] = number
    return tag


@pytest.mark.parametrize('size', [(1, 1), (1, 40), (40, 1), (3, 2)])
def test_tiny_images(tmp_path, size):
    path = str(tmp_path / 'a.png')
    Image.new('RGBA', size, (10, 20, 30, 128)).save(path)
    expected = [10 * 128 / 255 + 127, 20 * 128 / 255 + 127, 30 * 128 / 255 + 127]
    views = [
        TRANSFORMS.build(LOAD)(dict(img_path=path))['img'][..., ::-1],
        np.asarray(open_photos(str(tmp_path))[0]),
    ]
    for view in views:
        assert view.shape == (*size[::-1], 3)
        np.testing.assert_allclose(view.reshape(-1, 3)[0], expected, atol=1)
    crops = TRANSFORMS.build(dict(type='LoadCrops', size=8))
    for crop in crops(dict(img_path=path))['img']:
        assert crop.shape == (3, 8, 8)
        np.testing.assert_allclose(crop[:, 4, 4], expected, atol=1)


def test_an_image_too_large_to_be_safe_is_named(tmp_path, monkeypatch):
    """More than twice Pillow's limit is an error."""
    Image.fromarray(RGB).save(tmp_path / 'a.png')
    Image.fromarray(RGB).resize((8, 8)).save(tmp_path / 'b.png')
    monkeypatch.setattr(Image, 'MAX_IMAGE_PIXELS', 100)
    photos = open_photos(str(tmp_path))
    with pytest.raises(
        InputError,
        match=r"a.png' can't be read \(Image size "
        r'\(256 pixels\) exceeds limit of 200',
    ):
        photos[0]
    for load in LOAD, CROP:
        data = Photos(str(tmp_path), pipeline=[load, PACK])
        assert data.prepare_data(0) is None and data._unreadable[0]
        assert data.prepare_data(1) is not None


def test_configs_with_mmcvs_loader_get_a_warning(tmp_path, caplog):
    MMLogger.get_current_instance().addHandler(caplog.handler)
    Image.fromarray(RGB).save(tmp_path / 'a.png')
    old = [dict(type='LoadImageFromFile', imdecode_backend='pillow'), PACK]
    data = Photos(str(tmp_path), pipeline=old)
    assert (data[0]['inputs'].permute(1, 2, 0).numpy()[..., ::-1] == RGB).all()
    assert "load with dict(type='LoadPhoto')" in caplog.text
    caplog.clear()
    Photos(str(tmp_path), pipeline=[LOAD, PACK])
    assert 'load with' not in caplog.text
    MMLogger.get_current_instance().removeHandler(caplog.handler)


def test_detectors_find_the_loader(tmp_path):
    """Found by its plain name in mmdet's scope, as in configs/_base_/detection."""
    registry = pytest.importorskip('mmdet.registry')
    content, expected, _ = TABLE['la.png']
    Path(tmp_path / 'la.png').write_bytes(content)
    with DefaultScope.overwrite_default_scope('mmdet'):
        load = registry.TRANSFORMS.build(LOAD)
    pixels = load(dict(img_path=str(tmp_path / 'la.png')))['img']
    assert (pixels[..., ::-1] == expected).all()
    # unlike mmdet's loader, which drops transparency
    reference = mmcv.imfrombytes(content, channel_order='rgb')
    assert (reference != expected).any()


def test_a_loaded_image_is_converted_too():
    with Image.open(io.BytesIO(TABLE['16 bits white.tif'][0])) as image:
        image.load()
        given = GivenImages([image, image])
        for i in range(2):
            assert (np.asarray(given[i]) == TABLE['16 bits white.tif'][1]).all()


def test_a_reason_names_no_object_in_memory(tmp_path, caplog, monkeypatch):
    logger = MMLogger.get_current_instance()
    monkeypatch.setattr(logger, 'handlers', [caplog.handler])
    write(tmp_path, {'junk.jpg': b'junk'})
    folder = str(tmp_path / 'folder/train')
    reasons = []
    for kind in ('folder', 'tar', 'lmdb'):
        with pytest.raises(InputError) as error:
            open_source(str(tmp_path / kind))[0]
        reasons.append(str(error.value))
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        for load in (LOAD, CROP):
            with pytest.raises(InputError) as error:
                LabelledPhotos(folder, pipeline=[load, PACK])[0]
            reasons.append(str(error.value))
            photos = Photos(folder, pipeline=[load, PACK])
            with pytest.raises(InputError, match='none of the 1 images'):
                photos.prepare_data(0)
    reasons += [line for line in caplog.messages if 'Skip' in line]
    assert len(reasons) == 7
    for line in reasons:
        assert 'cannot identify image file' in line, line
        assert 'BytesIO' not in line and line.count('junk.jpg') == 1, line


@pytest.mark.parametrize('subsampling', [0, 1, 2])
@pytest.mark.parametrize('progressive', [False, True])
def test_plain_jpeg_files_have_pillows_pixels(tmp_path, subsampling, progressive):
    """Decoded by OpenCV, which would fill a file that is cut off with grey."""
    image = photograph(97)
    path = tmp_path / 'photo.jpg'
    image.save(path, subsampling=subsampling, progressive=progressive, quality=85)
    load = TRANSFORMS.build(LOAD)
    pixels = load(dict(img_path=str(path)))['img']
    assert (pixels[..., ::-1] == np.array(Image.open(path))).all()
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(OSError, match='truncated'):
        load(dict(img_path=str(path)))
