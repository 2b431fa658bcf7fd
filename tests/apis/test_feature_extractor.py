"""Features from Python equal the reference."""

import numpy as np
import pytest
import torch
from mmengine.logging import MMLogger
from PIL import Image

from mmdisco.apis import FeatureExtractor
from mmdisco.errors import InputError, MissingFileError
from tests.apis.album import CROP, RESIZE, reference, write_album, write_model


@pytest.fixture(scope='module')
def model(tmp_path_factory):
    """A checkpoint and its backbone."""
    path = tmp_path_factory.mktemp('model') / 'epoch_1.pth'
    return path, write_model(path)


@pytest.fixture
def warnings(caplog):
    """Logged warnings."""
    logger = MMLogger.get_current_instance()
    logger.addHandler(caplog.handler)
    yield lambda: [
        record.getMessage()
        for record in caplog.records
        if record.levelname == 'WARNING'
    ]
    logger.removeHandler(caplog.handler)


def extractor(model, **options):
    return FeatureExtractor(
        model[0], **{'device': 'cpu', 'resize': RESIZE, 'crop': CROP, **options}
    )


def close(actual, expected):
    np.testing.assert_allclose(actual, expected, rtol=1e-4, atol=1e-5)


def message(action, *args, error=InputError):
    """Return the error message, which must be one line."""
    with pytest.raises(error) as caught:
        action(*args)
    assert type(caught.value) is error and '\n' not in str(caught.value)
    return str(caught.value)


def test_a_list_of_any_kinds_keeps_its_order(model, tmp_path):
    album = write_album(tmp_path, 5)
    (*_, first), photos = album, [*album.values()]
    images = [
        tmp_path / first,
        str(tmp_path / first),
        photos[0],
        Image.fromarray(photos[2]),
        photos[1],
    ]
    expected = [
        reference(model[1], photo)
        for photo in (photos[-1], photos[-1], photos[0], photos[2], photos[1])
    ]
    # features differ, so a wrong order is noticed
    assert np.abs(np.diff(expected[1:], axis=0)).max(1).min() > 1e-2
    actual = extractor(model, batch_size=2)(images)
    assert actual.dtype == np.float32
    assert actual.shape == (5, len(expected[0]))
    close(actual, expected)
    assert isinstance(actual, np.ndarray) and actual.flags.writeable
    close(extractor(model)(tuple(images)), expected)


def test_one_image_is_a_list_of_one(model, tmp_path):
    name, photo = [*write_album(tmp_path).items()][0]
    expected = [reference(model[1], photo)]
    for image in (str(tmp_path / name), photo, Image.fromarray(photo)):
        close(extractor(model)(image), expected)


def test_the_crop_is_that_of_the_arguments(model, tmp_path):
    photo = [*write_album(tmp_path).values()][0]
    actual = extractor(model, resize=50, crop=48, interpolation='bicubic')(photo)
    close(actual[0], reference(model[1], photo, Image.Resampling.BICUBIC, 50, 48))
    default = FeatureExtractor(model[0], device='cpu')(photo)[0]
    close(default, reference(model[1], photo, resize=256, crop=224))


def test_images_are_turned_upright_and_stay_the_callers(model, tmp_path):
    photo = [*write_album(tmp_path).values()][0]
    tag = Image.Exif()
    tag[0x0112] = 6  # stored rotated by 90 degrees counterclockwise
    path = tmp_path / 'turned.png'
    Image.fromarray(np.rot90(photo)).save(path, exif=tag)
    expected = reference(model[1], photo)
    close(extractor(model)(path)[0], expected)
    with Image.open(path) as image:
        close(extractor(model)([image, image]), [expected] * 2)
        assert image.getexif()[0x0112] == 6
        assert image.size == (photo.shape[0], photo.shape[1])
    grey = Image.fromarray(photo).convert('L')
    close(extractor(model)(grey)[0], reference(model[1], np.stack([grey] * 3, -1)))


def test_a_folder_gives_names_and_skips_broken_files(model, tmp_path, warnings):
    album = write_album(tmp_path, 6)
    for name in ('00.jpg', 'b/zz.png'):
        (tmp_path / name).write_bytes(b'no image')
    (tmp_path / 'notes.txt').write_text('passed over')
    names, features, skipped = extractor(model, batch_size=4).extract_folder(tmp_path)
    assert names == [*album]
    close(features, [reference(model[1], photo) for photo in album.values()])
    assert skipped == ['00.jpg', 'b/zz.png']
    assert warnings() == [
        f"Skip 2 of 8 images in '{tmp_path}' that can't be read: '00.jpg', 'b/zz.png'"
    ]


def test_a_warning_names_ten_at_most(model, tmp_path, warnings):
    write_album(tmp_path, 1)
    for i in range(12):
        (tmp_path / f'bad{i:02d}.png').touch()
    assert len(extractor(model).extract_folder(str(tmp_path)).skipped) == 12
    [line] = warnings()
    assert line.endswith("'bad09.png' and 2 more")


def test_a_folder_without_a_readable_image(model, tmp_path):
    extract = extractor(model).extract_folder
    assert 'holds no image' in message(extract, tmp_path)
    (tmp_path / '0.png').touch()
    assert message(extract, tmp_path) == (
        f"none of the 1 images in '{tmp_path}' can be read"
    )
    assert 'not found' in message(extract, tmp_path / 'none', error=MissingFileError)
    (tmp_path / 'a\nb.png').touch()
    assert 'rename it' in message(extract, tmp_path)


def test_bad_images_are_named(model, tmp_path):
    photo = [*write_album(tmp_path).values()][0]
    call = extractor(model)
    broken = tmp_path / 'broken.png'
    broken.write_bytes(b'no image')
    assert f"image '{broken}' can't be read" in message(call, [photo, broken])
    (tmp_path / 'sub').mkdir()
    assert 'use extract_folder' in message(call, tmp_path / 'sub')
    assert message(call, [photo, 'none.png'], error=MissingFileError) == (
        "image 'none.png' not found"
    )
    wrong = 'image 1 of 2, counted from 0, is '
    for image, reason in [
        (photo / 255, 'an array of float64'),
        (photo[..., 0], f'shape {photo.shape[:2]}'),
        (photo.transpose(2, 0, 1), 'should be uint8, RGB, [H, W, 3]'),
        (photo[:0], 'should be uint8, RGB, [H, W, 3]'),
        (torch.tensor(photo), 'of type Tensor: should be a path'),
    ]:
        line = message(call, [photo, image])
        assert line.startswith(wrong) and reason in line
    assert message(call, []) == 'no images: the list is empty'


@pytest.mark.parametrize(
    'options, words',
    [
        (dict(resize=0), 'resize is 0, should be a positive integer'),
        (dict(crop=41), 'crop is 41, larger than resize, 40: '),
        (dict(batch_size=None), 'batch_size is None'),
        (dict(batch_size=-1), 'batch_size is -1'),
        (dict(interpolation='cubic'), 'one of bilinear, bicubic'),
        (dict(device='nonsense'), "device 'nonsense' can't be used: "),
        (dict(checkpoint='other.pth'), 'is a checkpoint: '),
    ],
)
def test_bad_arguments_fail_at_construction(model, options, words):
    assert words in message(lambda: extractor(model, **options))
