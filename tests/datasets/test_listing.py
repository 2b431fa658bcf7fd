"""Counts of files found, taken and left out add up in every storage."""

import io
import os
import re
import tarfile

import lmdb
import numpy as np
import pytest
from mmengine.logging import MMLogger
from PIL import Image
from torchvision.datasets import ImageFolder

from mmdisco.apis.photos import SkippingPhotos
from mmdisco.datasets import LabelledPhotos, Photos
from mmdisco.datasets.listing import EXTENSIONS, class_folders, list_images
from mmdisco.errors import InputError
from mmdisco.evaluation.sources import open_photos, open_source

pytestmark = pytest.mark.skipif(
    '.heic' in EXTENSIONS, reason='where pillow-heif is, HEIC is taken'
)
TAKEN = [
    'a/1.jpg',
    'a/2.JPEG',
    'a/deep/3.Png',
    'a/not.hidden.gif',
    'a/5.avif',
    'b/6.jfif',
    'b/7.JPE',
    'b/8.jp2',
    'b/9.tiff',
    'b/_MACOSX/10.webp',
    'b/c.d/11.mpo',
]
LEFT_OUT = {
    'hidden': [
        'a/.ipynb_checkpoints/1-checkpoint.jpg',
        'a/.thumbnails/x/2.png',
        'a/deep/.Trash-1000/files/3.png',
        '__MACOSX/a/._1.jpg',
        'a/._1.jpg',
        'b/@eaDir/6.jfif/thumb.jpg',
        '$RECYCLE.BIN/old.jpg',
        '.cache/z.txt',
        'a/.DS_Store',
    ],
    'HEIC (needs pillow-heif)': ['a/IMG_0001.HEIC', 'b/IMG_0002.heic'],
    'JXL (not read)': ['b/new.jxl'],
    'with another ending': [
        'a/notes.txt',
        'b/Thumbs.db',
        'b/labels.json',
        'b/jpg',
        'b/a.jpg.part',
    ],
}


def content():
    file = io.BytesIO()
    Image.fromarray(np.full((4, 4, 3), 99, np.uint8)).save(file, 'png')
    return file.getvalue()


def write(root):
    """Files of all kinds, named after their kind."""
    for name in TAKEN + sum(LEFT_OUT.values(), []):
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content())


@pytest.fixture
def lines(caplog):
    """Logged lines with counts."""
    logger = MMLogger.get_current_instance()
    logger.addHandler(caplog.handler)
    yield lambda: [
        record.getMessage()
        for record in caplog.records
        if 'files found' in record.getMessage()
    ]
    logger.removeHandler(caplog.handler)


def counts(line):
    """Parse a log line: files found, taken, and left out by reason."""
    found, taken = map(
        int, re.search(r"': (\d+) files found, (\d+) taken", line).groups()
    )
    reasons = re.findall(r'(\d+) ([^,]+)', line.partition('left out: ')[2])
    return found, taken, {reason: int(count) for count, reason in reasons}


def as_folder(root):
    write(root / 'train')


def as_tar(root):
    write(root / 'plain')
    with tarfile.open(root / 'train.tar', 'w') as tar:
        tar.add(root / 'plain', '.')


def as_lmdb(root):
    write(root / 'plain')
    with lmdb.open(str(root / 'train.lmdb'), map_size=2**20) as env:
        with env.begin(write=True) as transaction:
            for path in (root / 'plain').rglob('*'):
                if path.is_file():
                    key = str(path.relative_to(root / 'plain')).encode()
                    transaction.put(key, path.read_bytes())


@pytest.mark.parametrize('store', [as_folder, as_tar, as_lmdb])
def test_evaluation_takes_the_same_of_each_storage(tmp_path, store, lines):
    store(tmp_path)
    source = open_source(str(tmp_path))
    assert source.names == sorted(TAKEN)
    assert source.classes == ['a', 'b']
    [line] = lines()
    expected = {reason: len(names) for reason, names in LEFT_OUT.items()}
    assert counts(line) == (len(TAKEN) + sum(expected.values()), len(TAKEN), expected)


def test_training_and_features_take_them(tmp_path, lines):
    write(tmp_path)
    expected = {reason: len(names) for reason, names in LEFT_OUT.items()}
    total = len(TAKEN) + sum(expected.values())
    data = Photos(str(tmp_path))
    paths = [data.get_data_info(i)['img_path'] for i in range(len(data))]
    assert paths == [str(tmp_path / name) for name in sorted(TAKEN)]
    assert len(LabelledPhotos(str(tmp_path))) == len(TAKEN)
    for line in lines():
        assert counts(line) == (total, len(TAKEN), expected)
    assert len(lines()) == 2
    photos = SkippingPhotos(str(tmp_path))
    assert photos.names == sorted(TAKEN)
    photos.unreadable[3] = 1
    left = total - len(TAKEN) + 1
    assert photos.counts() == (
        f"{total} files, {left} skipped (1 can't be read, 9 hidden, "
        '5 with another ending, 2 HEIC (needs pillow-heif), 1 JXL (not read))'
    )
    assert photos.extracted(np.zeros((len(TAKEN), 2))).skipped == sorted(
        [
            photos.names[3],
            *LEFT_OUT['HEIC (needs pillow-heif)'],
            *LEFT_OUT['JXL (not read)'],
        ]
    )


def test_an_ordinary_folder_is_as_torchvision_lists_it(tmp_path):
    """Labels and order: by class, then by the whole path."""
    rng = np.random.default_rng(0)
    for i in range(200):
        depth = rng.integers(1, 4)
        parts = rng.choice(['a', 'B', 'a-b', 'a b', '9', '10', 'é', 'z.x'], depth)
        path = tmp_path.joinpath(*parts, f'{rng.integers(50)}-{i}.PnG')
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    reference = ImageFolder(tmp_path)
    data = LabelledPhotos(str(tmp_path))
    infos = [data.get_data_info(i) for i in range(len(data))]
    assert list(data.CLASSES) == reference.classes
    assert {i['img_path']: i['gt_label'] for i in infos} == dict(reference.imgs)
    below = [i['img_path'].removeprefix(f'{tmp_path}/').split('/', 1) for i in infos]
    assert below == sorted(below)
    names = [
        str(path.relative_to(tmp_path))
        for path in tmp_path.rglob('*')
        if path.is_file()
    ]
    assert list_images(str(tmp_path))[0] == sorted(names)


def touch(root, *names):
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(content())


def test_link_loops_are_walked_once(tmp_path, lines):
    root = tmp_path / 'data/train'
    touch(root, 'a/1.png', 'b/2.png')
    touch(tmp_path / 'data', 'val/a/3.png')
    for link, target in (
        ('all', '.'),
        ('a/up', '..'),
        ('b/self', 'self'),
        ('b/top', str(tmp_path)),
        ('b/a', '../a'),
        ('a/b', '../b'),
        ('b/gone.png', 'nowhere'),
    ):
        (root / link).symlink_to(target)
    names, tally = list_images(str(root))
    assert names == ['a/1.png', 'b/2.png']
    assert tally.left_out == {'linked twice or in a loop': 5, 'linked to nothing': 2}
    assert tally.found == 9
    # class folders: 'all' is none
    source = open_source(str(tmp_path / 'data'))
    assert source.classes == ['a', 'b'] and source.names == names
    assert 'left out: 5 linked twice or in a loop' in lines()[0]


def test_links_elsewhere_are_followed(tmp_path):
    touch(tmp_path / 'elsewhere', 'cats/1.png', 'cats/deep/2.png', '3.png')
    (tmp_path / 'train/a').mkdir(parents=True)
    (tmp_path / 'train/cats').symlink_to(tmp_path / 'elsewhere/cats')
    (tmp_path / 'train/a/3.png').symlink_to(tmp_path / 'elsewhere/3.png')
    (tmp_path / 'link').symlink_to(tmp_path / 'train')
    for root in tmp_path / 'train', tmp_path / 'link':
        assert list_images(str(root))[0] == ['a/3.png', 'cats/1.png', 'cats/deep/2.png']
        assert class_folders(str(root)) == ['a', 'cats']
        assert len(LabelledPhotos(str(root))) == 3
        assert np.asarray(open_photos(str(root))[0]).mean() == 99


def test_a_folder_is_listed_by_its_own_path_rather_than_a_links(tmp_path):
    """Independent of the system's order."""
    touch(tmp_path, 'm/1.png')
    for link in 'az':
        (tmp_path / link).symlink_to('m')
    touch(tmp_path.parent / 'other', '2.png')
    for link in 'yx':
        (tmp_path / link).symlink_to(tmp_path.parent / 'other')
    names, tally = list_images(str(tmp_path))
    assert names == ['m/1.png', 'x/2.png']
    assert tally.left_out == {'linked twice or in a loop': 3}


def test_many_links_among_folders_take_no_time(tmp_path):
    """There are millions of paths without a cycle."""
    for i in range(12):
        touch(tmp_path, f'{i}/x.png')
        for j in range(12):
            (tmp_path / f'{i}/to{j}').symlink_to(f'../{j}')
    names, tally = list_images(str(tmp_path))
    assert len(names) == 12 and tally.found == 12 + 144


@pytest.mark.parametrize('call', ['scandir', 'stat'])
def test_a_folder_that_may_not_be_read_is_counted(tmp_path, monkeypatch, call):
    """The folder itself, or its parent."""
    touch(tmp_path, 'a/1.png', 'closed/2.png')
    real = getattr(os, call)

    def refuse(path, **options):
        if os.fspath(path).rstrip('/').endswith('closed'):
            raise PermissionError(13, 'Permission denied', path)
        return real(path, **options)

    monkeypatch.setattr(os, call, refuse)  # root may read all
    names, tally = list_images(str(tmp_path))
    assert names == ['a/1.png']
    assert tally.left_out == {'without permission': 1}


def test_files_are_listed_without_stat(tmp_path, monkeypatch):
    touch(tmp_path, *(f'{c}/{i}.png' for c in 'ab' for i in range(50)))
    asked = []
    for name in 'stat', 'lstat':
        real = getattr(os, name)
        monkeypatch.setattr(
            os,
            name,
            lambda path, *args, real=real, **kwargs: (
                asked.append(path) or real(path, *args, **kwargs)
            ),
        )
    assert len(list_images(str(tmp_path))[0]) == 100
    assert len(asked) == 3  # the folders


def test_pictures_outside_class_folders_are_counted(tmp_path, lines):
    touch(tmp_path, 'a/1.png', '2.png', '3.png', 'notes.txt')
    assert len(LabelledPhotos(str(tmp_path))) == 1
    assert counts(lines()[0]) == (
        4,
        1,
        {'outside class folders': 2, 'with another ending': 1},
    )


def test_the_error_of_an_empty_folder_lists_files_left_out(tmp_path):
    touch(tmp_path, 'IMG_1.HEIC', '.trash/1.png')
    with pytest.raises(
        InputError,
        match='holds no image .*; left out: 1 HEIC '
        r'\(needs pillow-heif\), 1 hidden',
    ):
        Photos(str(tmp_path))


def test_pillow_reads_all_extensions():
    """Of Pillow's other formats only camera formats and the like are left out."""
    Image.init()
    known = {
        ending
        for ending, kind in Image.registered_extensions().items()
        if kind in Image.OPEN
    }
    assert {*EXTENSIONS} - known <= {'.mpo'}  # read by its JPEG reader
    for kind in ('JPEG', 'PNG', 'WEBP', 'AVIF', 'GIF', 'BMP', 'TIFF'):
        common = {e for e, k in Image.registered_extensions().items() if k == kind} - {
            '.avifs'
        }
        assert common <= {*EXTENSIONS}, kind


def test_hidden_shards_and_folders_of_classes(tmp_path):
    touch(tmp_path, 'train/a/1.png', 'train/__MACOSX/a/1.png')
    (tmp_path / 'train/._0.tar').write_bytes(b'Mac')
    (tmp_path / '._train.tar').write_bytes(b'Mac')
    assert open_source(str(tmp_path)).classes == ['a']
