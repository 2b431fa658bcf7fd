"""Each kind of storage gives the same pixels, labels and names."""

import io
import pickle
import shutil
import struct
import tarfile
from functools import cache

import lmdb
import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import ConcatDataset, DataLoader
from torchvision.datasets import ImageFolder

from mmdisco.datasets import IDXImages, LocalCIFAR10, LocalCIFAR100
from mmdisco.errors import InputError, MissingFileError
from mmdisco.evaluation.sources import check_pair, open_photos, open_source
from mmdisco.evaluation.sources.source import spread
from tests.tools import ROOT

CLASSES = ['bag', 'n1', 'n1-b']  # as a whole path, 'n1-b/' is before 'n1/'
SPLITS = {'train': range(0, 12), 'test': range(12, 18)}
# what the split's folder or file may be called
TEST_NAMES = ['val', 'validation', 'test']


@cache
def pictures(split):
    """Grey images of Fashion-MNIST, [N, 32, 32], by the rank of their name."""
    images = IDXImages(str(ROOT / 'demo/fashion_mnist')).images[SPLITS[split]]
    return np.pad(images[:, 0].numpy(), ((0, 0), (2, 2), (2, 2)))


def labels(split):
    return sorted(i % 3 for i in SPLITS[split])


def paths(split):
    return [f'{CLASSES[label]}/{i:02d}.png' for i, label in enumerate(labels(split))]


def png(array):
    file = io.BytesIO()
    Image.fromarray(array).save(file, 'png')
    return file.getvalue()


def mixed(split):
    """Path, PNG and label of each image, in no order."""
    items = [*zip(paths(split), map(png, pictures(split)), labels(split))]
    return [items[i] for i in np.random.default_rng(0).permutation(len(items))]


def folder(root, split, name):
    for path, data, _ in mixed(split):
        file = root / name / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(data)


def put_lmdb(path, items, subdir=True):
    with lmdb.open(str(path), map_size=2**22, subdir=subdir) as env:
        with env.begin(write=True) as transaction:
            for key, value in items:
                transaction.put(key.encode(), value)


def lmdb_folder(root, split, name):
    items = [(path, data) for path, data, _ in mixed(split)]
    put_lmdb(root / f'{name}.lmdb', [*items, ('meta_info.txt', b'12 images')])


def lmdb_file(root, split, name):
    put_lmdb(root / f'{name}.lmdb', [item[:2] for item in mixed(split)], subdir=False)


def lmdb_data(root, split, name):
    put_lmdb(root / name, [item[:2] for item in mixed(split)])


def put_tar(path, items):
    path.parent.mkdir(exist_ok=True)
    with tarfile.open(path, 'w') as tar:
        for name, data in items:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))


def tar_folder(root, split, name):
    items = [(path, data) for path, data, _ in mixed(split)]
    put_tar(root / f'{name}-000.tar', [*items[::2], ('n1/._00.png', b'Mac')])
    put_tar(root / f'{name}-001.tar', items[1::2])


def tar_system(root, split, name):
    """As ``tar -C train -cf train.tar .`` writes it."""
    folder(root / 'plain', split, name)
    with tarfile.open(root / f'{name}.tar', 'w') as tar:
        tar.add(root / 'plain' / name, '.')
    shutil.rmtree(root / 'plain')


def tar_pairs(root, split, name):
    """As webdataset writes it; shards sort as their images do."""
    for shard in range(2):
        items = []
        for i, data in enumerate(map(png, pictures(split))):
            if min(i // 4, 1) == shard:
                items += [
                    (f'{i:04d}.cls', b'%d' % labels(split)[i]),
                    (f'{i:04d}.json', b'{}'),
                    (f'{i:04d}.png', data),
                ]
        put_tar(root / name / f'{shard:06d}.tar', items)


def idx(root, split, _):
    prefix = {'train': 'train', 'test': 't10k'}[split]
    for stem, array in (
        (f'{prefix}-images-idx3', pictures(split)),
        (f'{prefix}-labels-idx1', np.uint8(labels(split))),
    ):
        header = struct.pack(f'>HBB{array.ndim}i', 0, 8, array.ndim, *array.shape)
        (root / f'{stem}-ubyte').write_bytes(header + array.tobytes())


def cifar(cls, key):

    def write(root, split, _):
        colours = pictures(split)[:, None].repeat(3, 1)  # [N, 3, 32, 32]
        file = root / cls.base_folder / split
        file.parent.mkdir(exist_ok=True)
        file.write_bytes(
            pickle.dumps(
                {'data': colours.reshape(len(colours), -1), key: labels(split)}
            )
        )

    return write


NAMED = dict(
    folder=folder,
    lmdb_folder=lmdb_folder,
    lmdb_file=lmdb_file,
    lmdb_data=lmdb_data,
    tar_folder=tar_folder,
    tar_system=tar_system,
)
WRITERS = dict(
    NAMED,
    tar_pairs=tar_pairs,
    idx=idx,
    cifar10=cifar(LocalCIFAR10, 'labels'),
    cifar100=cifar(LocalCIFAR100, 'fine_labels'),
)


@pytest.fixture(params=WRITERS)
def written(request, tmp_path, monkeypatch):
    """A root with both splits, and how it was written."""
    for split in SPLITS:
        for cls in (LocalCIFAR10, LocalCIFAR100):
            monkeypatch.setattr(cls, f'{split}_list', [[split, None]])
        WRITERS[request.param](
            tmp_path, split, {'train': 'train', 'test': 'val'}[split]
        )
    return tmp_path, request.param


def pixels(images):
    return [np.asarray(image) for image in images]


def own_items(batch):
    return batch


@pytest.mark.parametrize('split', SPLITS)
def test_each_kind_has_the_same_images_and_labels(written, split):
    root, how = written
    source = open_source(str(root), split)
    assert len(source) == len(SPLITS[split]) == len(set(source.names))
    assert source.kind == how.split('_')[0] and source.split == split
    assert source.labels.dtype == torch.int64
    assert source.labels.tolist() == labels(split)
    for i, expected in enumerate(pictures(split)):
        assert source[i].mode == 'RGB'
        assert (np.asarray(source[i]) == expected[..., None]).all()
    with pytest.raises(IndexError):
        source[len(source)]
    if how in NAMED:
        assert source.names == paths(split) and source.classes == CLASSES
    elif how == 'tar_pairs':
        assert source.names[0] == '000000.tar/0000.png'
        assert source.classes == ['0', '1', '2']
        assert len(open_source(str(root), split, 5).classes) == 5
    else:
        assert source.names[2] == f'{split}/000002'
        count = dict(idx=3, cifar10=10, cifar100=100)[how]
        assert len(source.classes) == count
    if how == 'cifar10':
        assert source.classes[:3] == ['airplane', 'automobile', 'bird']


def test_workers_and_processes_read_the_same(written):
    source = open_source(str(written[0]))
    source[0]  # the parent's handle is open when the workers begin
    loader = DataLoader(source, batch_size=5, num_workers=2, collate_fn=own_items)
    for _ in range(2):
        found = pixels(image for batch in loader for image in batch)
        assert np.array_equal(found, pixels(source))
    copy = pickle.loads(pickle.dumps(source))
    assert np.array_equal(pixels(copy), pixels(source))
    assert copy.fingerprint() == source.fingerprint()


def test_a_spawned_worker_reads_archives(tmp_path):
    sources = []
    for how in ('tar_folder', 'lmdb_folder'):
        root = tmp_path / how
        root.mkdir()
        WRITERS[how](root, 'train', 'train')
        sources.append(open_source(str(root)))
    loader = DataLoader(
        ConcatDataset(sources),
        batch_size=24,
        num_workers=1,
        collate_fn=own_items,
        multiprocessing_context='spawn',
    )
    found = pixels(next(iter(loader)))
    assert np.array_equal(found, 2 * pixels(sources[0]))


def test_two_sources_read_one_archive(written):
    first, second = (open_source(str(written[0])) for _ in range(2))
    assert np.array_equal(
        pixels([first[0], second[0], first[1]]), pixels([first[0], first[0], second[1]])
    )


@pytest.mark.parametrize('name', TEST_NAMES)
@pytest.mark.parametrize('how', [*NAMED, 'tar_pairs'])
def test_the_test_split_has_three_names(tmp_path, how, name):
    WRITERS[how](tmp_path, 'test', name)
    assert open_source(str(tmp_path), 'test').labels.tolist() == labels('test')


def test_val_is_preferred_as_test_of_imagenet_has_no_labels(tmp_path):
    folder(tmp_path, 'test', 'val')
    folder(tmp_path, 'train', 'test')
    assert len(open_source(str(tmp_path), 'test')) == 6


def test_cifar_is_found_from_its_own_folder(monkeypatch, tmp_path):
    for split in SPLITS:
        monkeypatch.setattr(LocalCIFAR10, f'{split}_list', [[split, None]])
        WRITERS['cifar10'](tmp_path, split, '')
    monkeypatch.chdir(tmp_path / 'cifar-10-batches-py')
    assert open_source('.').kind == 'cifar10'


def test_a_folder_is_what_torchvision_reads(tmp_path):
    folder(tmp_path, 'train', 'train')
    expected = ImageFolder(tmp_path / 'train')
    source = open_source(str(tmp_path), num_classes=3)
    assert source.classes == expected.classes
    assert source.labels.tolist() == expected.targets
    assert np.array_equal(pixels(source), pixels(x for x, _ in expected))


def test_a_photo_is_upright_and_in_rgb(tmp_path):
    array = np.random.default_rng(0).integers(0, 256, (6, 8, 3), np.uint8)
    exif = Image.Exif()
    exif[274] = 6  # to be turned by 90 degrees clockwise
    for name in ('b/deep/x.TIFF', 'a.png'):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(array).save(tmp_path / name, exif=exif)
    Image.fromarray(array).convert('RGBA').save(tmp_path / 'c.webp', lossless=True)
    (tmp_path / 'notes.txt').write_text('no photo')
    photos = open_photos(str(tmp_path))
    assert photos.names == ['a.png', 'b/deep/x.TIFF', 'c.webp']
    assert photos.labels is None and photos.classes == []
    assert photos.kind == 'folder' and photos.split == ''
    for i in (0, 1):
        assert np.array_equal(photos[i], np.rot90(array, -1))
    assert np.array_equal(photos[2], array)
    assert len(photos.fingerprint()) == 64


@pytest.mark.parametrize(
    'how', ['folder', 'lmdb_folder', 'tar_folder', 'tar_pairs', 'idx']
)
def test_a_fingerprint_tells_other_pixels_and_splits(tmp_path, how, monkeypatch):
    prints = []
    for name in ('first', 'again', 'other'):
        root = tmp_path / name
        root.mkdir()
        if name == 'other':  # the same names and labels
            changed = {split: 255 - pictures(split) // 3 for split in SPLITS}
            monkeypatch.setattr(f'{__name__}.pictures', changed.get)
        WRITERS[how](root, 'train', 'train')
        prints.append(open_source(str(root)).fingerprint())
    assert prints[0] == prints[1] != prints[2]
    if how in NAMED:  # the same file as the other split
        WRITERS[how](tmp_path / 'again', 'train', 'val')
        same = open_source(str(tmp_path / 'again'), 'test')
        assert same.labels.tolist() == labels('train')
        assert same.fingerprint() not in prints


def test_a_fingerprint_tells_names_labels_and_kinds(tmp_path):
    roots = {}
    for name in ('plain', 'renamed', 'moved'):
        roots[name] = tmp_path / name
        folder(roots[name], 'train', 'train')
    roots['tar'] = tmp_path / 'tar'
    roots['tar'].mkdir()
    tar_folder(roots['tar'], 'train', 'train')
    below = roots['renamed'] / 'train/n1'
    (below / '04.png').rename(below / '99.png')
    (roots['moved'] / 'train/n1').rename(roots['moved'] / 'train/zoo')
    prints = {open_source(str(root)).fingerprint() for root in roots.values()}
    assert len(prints) == len(roots)
    source = open_source(str(roots['plain']))
    before = source.fingerprint()
    source.labels = source.labels.flip(0)
    assert source.fingerprint() != before


def test_few_files_are_asked_for_their_size():
    for count in (0, 1, 63, 64, 65, 1000, 1281167):
        found = spread(count)
        assert len(found) <= 64 and len(found) >= min(count, 32)
        assert not count or (found[0] == 0 and found[-1] < count)


@pytest.mark.parametrize('how', [*NAMED, 'tar_pairs', 'idx'])
def test_splits_of_one_data_set_fit(tmp_path, how):
    WRITERS[how](tmp_path, 'train', 'train')
    WRITERS[how](tmp_path, 'test', 'val')
    check_pair(*(open_source(str(tmp_path), split) for split in SPLITS))


def test_class_folders_without_a_split_leave_out_every_fifth_image(tmp_path):
    for name, count in (('ant', 12), ('bee', 5)):
        (tmp_path / name).mkdir()
        for i in range(count):
            Image.new('RGB', (9, 9)).save(tmp_path / name / f'{i:02}.png')
    train, test = (open_source(str(tmp_path), split) for split in ('train', 'test'))
    assert test.names == ['ant/04.png', 'ant/09.png', 'bee/04.png']
    assert test.labels.tolist() == [0, 0, 1]
    assert sorted(train.names + test.names) == sorted(
        f'{name}/{i:02}.png'
        for name, count in (('ant', 12), ('bee', 5))
        for i in range(count)
    )
    assert train.classes == test.classes == ['ant', 'bee']
    assert train.fingerprint() != test.fingerprint()
    (tmp_path / 'bee/04.png').unlink()
    with pytest.raises(InputError, match="'bee' has fewer than five images"):
        open_source(str(tmp_path))
    (tmp_path / 'val/ant').mkdir(parents=True)  # one split only: half a download
    with pytest.raises(MissingFileError, match='has no train images'):
        open_source(str(tmp_path))
