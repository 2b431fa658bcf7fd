"""Packed images: what is in the shards, and what reads them."""

import hashlib
import io
import json
import os
import signal
import tarfile
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pytest
import torch
import webdataset
from mmengine import fileio
from mmpretrain.registry import DATASETS
from PIL import Image
from torch.utils.data import DataLoader

from mmdisco import cli
from mmdisco.apis.packing import index, pack
from mmdisco.datasets import LabelledPhotos, Photos
from mmdisco.datasets.packed import ShardError, open_packed, writer
from mmdisco.errors import InputError, MissingFileError

CLASSES = ['ant', 'bee', 'bee-eater']  # as a whole path, 'bee-eater/' is before 'bee/'
LOAD = [dict(type='LoadPhoto'), dict(type='PackInputs')]


def picture(seed, width, height):
    rng = np.random.default_rng(seed)
    small = rng.integers(0, 256, (3, 4, 3)).astype(np.uint8)
    return Image.fromarray(small).resize((width, height), Image.Resampling.BICUBIC)


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    """Thirty images in three classes: JPEG files of several sizes, and PNG."""
    root = tmp_path_factory.mktemp('photos')
    for i in range(30):
        path = root / CLASSES[i % 3] / 'deep' / f'{i:02d}.{"png" if i == 4 else "JPG"}'
        path.parent.mkdir(parents=True, exist_ok=True)
        # the sixth is small enough to be copied
        image = picture(i, 30, 20) if i == 6 else picture(i, 60 + i, 90)
        image.save(path, **({} if i == 4 else dict(format='JPEG', quality=95)))
    return root


@pytest.fixture(scope='module')
def packed(folder, tmp_path_factory):
    out = tmp_path_factory.mktemp('packed') / 'out'
    pack(folder, out, size=32, shard_mb=0.03, workers=2)
    return out


@pytest.fixture(scope='module')
def copied(folder, tmp_path_factory):
    out = tmp_path_factory.mktemp('copied') / 'out'
    pack(folder, out, copy=True, shard_mb=0.03, workers=0)
    return out


def names_in(folder):
    return sorted(p.relative_to(folder).as_posix() for p in folder.rglob('*.*'))


def members(out):
    """Files in all shards, by Python's own reader."""
    for path in sorted(out.glob('*.tar')):
        with tarfile.open(path) as tar:
            for entry in tar:
                yield path.name, entry.name, tar.extractfile(entry).read()


def test_shards_hold_each_image_once_re_encoded_by_the_stated_rule(folder, packed):
    files = {name: data for _, name, data in members(packed)}
    assert len(files) == 3 * 30
    for i, name in enumerate(names_in(folder)):
        about = json.loads(files[f'{i:09d}.json'])
        with Image.open(folder / name) as original:
            assert about['path'] == name
            assert (about['width'], about['height']) == original.size
            width, height = original.size
            data = files[f'{i:09d}.jpg']
            if min(original.size) <= 32:
                assert data == (folder / name).read_bytes()
                continue
            short = min(width, height)
            size = round(width * 32 / short), round(height * 32 / short)
            by_hand = io.BytesIO()
            resized = original.convert('RGB').resize(size, Image.Resampling.BICUBIC)
            resized.save(by_hand, 'JPEG', quality=90)
            assert data == by_hand.getvalue()
        label = CLASSES.index(name.split('/')[0])
        assert files[f'{i:09d}.cls'] == str(label).encode()


def test_webdataset_reads_the_same_images_and_labels(folder, copied):
    shards = sorted(map(str, copied.glob('*.tar')))
    assert len(shards) > 2
    read = webdataset.WebDataset(shards, shardshuffle=False).decode('rgb8')
    samples = {sample['json']['path']: sample for sample in read}
    assert sorted(samples) == names_in(folder)
    data = LabelledPhotos(str(copied), pipeline=LOAD)
    for i, name in enumerate(sorted(samples, key=lambda n: n.split('/', 1))):
        sample = samples[name]
        pixels = sample.get('jpg', sample.get('png'))  # [H, W, 3], RGB
        assert np.array_equal(data[i]['inputs'].permute(1, 2, 0), pixels[..., ::-1])
        assert sample['cls'] == data.get_data_info(i)['gt_label']


def test_the_order_in_shards_is_shuffled_by_the_seed(folder, packed, tmp_path):
    def order(out):
        return [name for _, name, _ in members(out) if name.endswith('.jpg')]

    assert order(packed) != sorted(order(packed))
    # classes of the images in the first shard: as many as in the whole
    first = [
        d for shard, n, d in members(packed) if n[-3:] == 'cls' and '000000' in shard
    ]
    assert len({*first}) == 3
    pack(folder, tmp_path / 'again', size=32, shard_mb=0.03, workers=0)
    for path in packed.glob('*.tar'):  # byte for byte, with other workers
        assert path.read_bytes() == (tmp_path / 'again' / path.name).read_bytes()
    pack(folder, tmp_path / 'other', size=32, shard_mb=0.03, workers=0, seed=1)
    assert order(tmp_path / 'other') != order(packed)
    assert sorted(order(tmp_path / 'other')) == sorted(order(packed))


@pytest.mark.parametrize('cls', [Photos, LabelledPhotos])
def test_data_sets_give_the_items_of_the_folder_in_its_order(folder, copied, cls):
    plain, data = (cls(str(each), pipeline=LOAD) for each in (folder, copied))
    assert len(plain) == len(data) == 30
    for i in range(30):
        one, other = plain[i], data[i]
        assert torch.equal(one['inputs'], other['inputs'])
        assert one['data_samples'].get('gt_label') == other['data_samples'].get(
            'gt_label'
        )
    assert plain.metainfo.get('classes') == data.metainfo.get('classes')


def test_a_list_selects_packed_images_by_their_names(folder, copied, tmp_path):
    names = names_in(folder)[3:20:4]
    (tmp_path / 'list.txt').write_text('\n'.join(names))
    options = dict(ann_file=str(tmp_path / 'list.txt'), pipeline=LOAD)
    plain, data = (LabelledPhotos(str(f), **options) for f in (folder, copied))
    for i in range(len(names)):
        assert torch.equal(plain[i]['inputs'], data[i]['inputs'])
        assert plain[i]['data_samples'].gt_label == data[i]['data_samples'].gt_label
    (tmp_path / 'list.txt').write_text('ant/deep/99.JPG')
    with pytest.raises(InputError, match=r"1 of 1 images that .*, e.g. 'ant/deep/99"):
        LabelledPhotos(str(copied), **options)


def test_workers_that_are_forked_or_spawned_read_packed_images(folder, copied):
    plain = Photos(str(folder), pipeline=LOAD)
    data = DATASETS.build(dict(type='Photos', data_root=str(copied), pipeline=LOAD))
    for method, workers in (('fork', 2), ('spawn', 1)):
        loader = DataLoader(
            data,
            batch_size=None,
            num_workers=workers,
            multiprocessing_context=method,
            collate_fn=_same,
        )
        for i, item in enumerate(loader):
            assert torch.equal(item['inputs'], plain[i]['inputs'])


def _same(item):
    return item


def test_mmpretrains_own_loader_reads_packed_images(folder, copied):
    load = [dict(type='LoadImageFromFile'), dict(type='PackInputs')]
    plain, data = (Photos(str(each), pipeline=load) for each in (folder, copied))
    assert torch.equal(plain[5]['inputs'], data[5]['inputs'])


def test_the_index_states_what_the_shards_are(packed):
    about = json.loads((packed / 'shards.json').read_text())
    assert about['images'] == 30 == sum(s['nsamples'] for s in about['shardlist'])
    assert about['classes'] == CLASSES
    made = about['made']
    assert (made['size'], made['quality'], made['seed']) == (32, 90, 0)
    assert (made['copied'], made['encoded'], made['unreadable']) == (1, 29, {})
    for shard in about['shardlist']:
        content = (packed / shard['url']).read_bytes()
        assert len(content) == shard['filesize']
        assert hashlib.sha256(content).hexdigest() == shard['sha256']
    hidden = [p.name for p in packed.iterdir() if p.name.startswith('.')]
    assert not hidden


def test_unreadable_images_are_left_out_and_named(folder, tmp_path, capsys):
    photos = tmp_path / 'photos'
    photos.mkdir()
    for name in names_in(folder)[:3]:
        data = (folder / name).read_bytes()
        (photos / name.replace('/', '_')).write_bytes(data)
    (photos / 'cut.jpg').write_bytes(data[: len(data) // 2])
    images = pack(photos, tmp_path / 'out', size=32, workers=0)
    assert len(images) == 3 and images.labels is None
    assert 'cut.jpg' in images.made['unreadable']
    out = capsys.readouterr().out
    assert f"left out  '{photos}/cut.jpg', not a readable image" in out
    assert '3 images' in out and '1 unreadable' in out
    # copied without decoding: replaced by another in training, with one warning
    pack(photos, tmp_path / 'all', copy=True, workers=0)
    data = Photos(str(tmp_path / 'all'), pipeline=LOAD)
    assert len(data) == 4
    assert all(data[i]['inputs'].shape[0] == 3 for i in range(4))
    for path in photos.iterdir():
        path.write_text('<html>')
    with pytest.raises(InputError, match='none of the 4 images can be read'):
        pack(photos, tmp_path / 'none', size=32, workers=0)


def pack_and_die(folder, out, after):
    """Kill this process before it writes an image."""
    sample, done = writer._sample, []

    def kill(image, plan):
        done.append(image)
        if len(done) == after:
            os.kill(os.getpid(), signal.SIGKILL)
        return sample(image, plan)

    writer._sample = kill
    pack(folder, out, size=32, shard_mb=0.03, workers=0)


def test_a_killed_packing_continues_and_gives_the_same_bytes(folder, packed, tmp_path):
    out = tmp_path / 'out'
    complete = 0
    for after in (13, 8, 2):
        process = get_context('fork').Process(
            target=pack_and_die, args=(folder, out, after)
        )
        process.start()
        process.join()
        assert process.exitcode == -signal.SIGKILL
        shards = [*out.glob('shards-*.tar')]
        assert len(shards) >= complete  # those are kept
        complete = len(shards)
        for path in shards:
            assert path.read_bytes() == (packed / path.name).read_bytes()
        assert not (out / 'shards.json').exists()
    assert complete == 2
    before = {path: path.stat().st_mtime_ns for path in shards}
    with pytest.raises(InputError, match='was begun with size 32, this is 48'):
        pack(folder, out, size=48, shard_mb=0.03, workers=0)
    pack(folder, out, size=32, shard_mb=0.03, workers=0)
    assert all(path.stat().st_mtime_ns == at for path, at in before.items())
    for path in packed.iterdir():
        if path.name != 'shards.json':
            assert path.read_bytes() == (out / path.name).read_bytes()
    assert sorted(p.name for p in out.iterdir()) == sorted(
        p.name for p in packed.iterdir()
    )


def test_folders_that_can_not_be_packed(folder, packed, tmp_path, monkeypatch):
    with pytest.raises(MissingFileError, match='does not exist'):
        pack(tmp_path / 'no', tmp_path / 'out')
    with pytest.raises(InputError, match='holds packed images already: name'):
        pack(packed, tmp_path / 'out')
    with pytest.raises(InputError, match='holds packed images already: choose'):
        pack(folder, packed)
    (tmp_path / 'tars').mkdir()
    (tmp_path / 'tars' / 'a.tar').touch()
    with pytest.raises(InputError, match='holds other tar files'):
        pack(folder, tmp_path / 'tars')
    for options in (dict(size=0), dict(quality=101), dict(shard_mb=0)):
        with pytest.raises(InputError, match='set '):
            pack(folder, tmp_path / 'out', **options)
    monkeypatch.setattr(
        'shutil.disk_usage', lambda _: type('Usage', (), dict(free=1000))
    )
    with pytest.raises(InputError, match=r'packing needs .* 1 kB are free'):
        pack(folder, tmp_path / 'out', size=32)


def put(path, items):
    path.parent.mkdir(exist_ok=True, parents=True)
    with tarfile.open(path, 'w') as tar:
        for name, data in items:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))


def test_shards_of_others_are_indexed(folder, tmp_path):
    """As webdataset writes them by hand, and tarred class folders."""
    names = names_in(folder)
    contents = [(folder / name).read_bytes() for name in names]
    pairs = tmp_path / 'pairs'
    pairs.mkdir()
    for shard in range(2):
        with webdataset.TarWriter(str(pairs / f'{shard}.tar')) as tar:
            for i in range(shard, 30, 2):
                end = names[i].rsplit('.')[-1].lower()
                label = CLASSES.index(names[i].split('/')[0])
                tar.write({'__key__': f'x{i:03d}', end: contents[i], 'cls': label})
    images = index(pairs)
    assert len(images) == 30 and images.classes == ['0', '1', '2']
    data = LabelledPhotos(str(pairs), num_classes=3, pipeline=LOAD)
    for i in range(30):
        row = int(data.get_data_info(i)['img_path'].rsplit('/x')[-1][:3])
        assert fileio.get(data.get_data_info(i)['img_path']) == contents[row]
        assert data.get_data_info(i)['gt_label'] == CLASSES.index(
            names[row].split('/')[0]
        )
    assert index(pairs, labels=False).labels is None
    assert len(Photos(str(pairs))) == 30

    put(tmp_path / 'tree' / 'all.tar', zip(names, contents))
    index(tmp_path / 'tree')
    tree = LabelledPhotos(str(tmp_path / 'tree'), pipeline=LOAD)
    plain = LabelledPhotos(str(folder), pipeline=LOAD)
    assert all(torch.equal(tree[i]['inputs'], plain[i]['inputs']) for i in range(30))
    with pytest.raises(MissingFileError, match='has no tar file'):
        index(folder)


def test_tars_of_strangers_do_no_harm(tmp_path):
    """Paths out of the folder, pickles and links are never followed."""
    png = io.BytesIO()
    picture(0, 8, 8).save(png, 'PNG')
    bomb = b"cos\nsystem\n(S'touch " + str(tmp_path / 'harm').encode() + b"'\ntR."
    put(
        tmp_path / 'in' / 'a.tar',
        [
            ('../../harm.png', png.getvalue()),
            ('/etc/harm.png', png.getvalue()),
            ('b.png', png.getvalue()),
            ('b.pyd', bomb),
            ('b.pickle', bomb),
            ('b.pth', bomb),
            ('http://x/c.png', png.getvalue()),
        ],
    )
    index(tmp_path / 'in')
    data = Photos(str(tmp_path / 'in'), pipeline=LOAD)
    assert [data[i]['inputs'].shape[-1] for i in range(len(data))] == [8] * len(data)
    assert sorted(p.name for p in tmp_path.rglob('*')) == [
        'a.tar',
        'in',
        'shards.json',
        'shards.npz',
    ]
    with tarfile.open(tmp_path / 'in' / 'a.tar', 'w') as tar:
        link = tarfile.TarInfo('x.png')
        link.type, link.linkname = tarfile.SYMTYPE, '/etc/passwd'
        tar.addfile(link)
    with pytest.raises(InputError, match='a link or special file'):
        index(tmp_path / 'in')


def damaged(packed, tmp_path, change):
    """A copy of the index with another content."""
    out = tmp_path / 'damaged'
    out.mkdir(exist_ok=True)
    for path in packed.iterdir():
        (out / path.name).write_bytes(path.read_bytes())
    about = json.loads((out / 'shards.json').read_text())
    with np.load(out / 'shards.npz') as file:
        arrays = dict(file)
    change(about, arrays, out)
    if (out / 'shards.json').exists():
        (out / 'shards.json').write_text(json.dumps(about))
    if 'raw' not in arrays:
        np.savez(out / 'shards.npz', **arrays)
    return str(out)


def escape(about, arrays, out):
    about['shardlist'][0]['url'] = '../x.tar'


def beyond(about, arrays, out):
    arrays['start'] = arrays['start'] + 10**6


def huge(about, arrays, out):
    arrays['start'] = arrays['start'] + (2**63 - 10**6)


def fewer(about, arrays, out):
    arrays['size'] = arrays['size'][1:]


def wrong_label(about, arrays, out):
    arrays['labels'] = arrays['labels'] + 1


def no_such_shard(about, arrays, out):
    arrays['shard'] = arrays['shard'] + 1


def floats(about, arrays, out):
    arrays['start'] = arrays['start'].astype(float)


def pickled(about, arrays, out):
    arrays['names'] = np.array([print])


def compressed(about, arrays, out):
    np.savez_compressed(out / 'shards.npz', **arrays)
    arrays['raw'] = 1


def newer(about, arrays, out):
    about['version'] = 2


def short(about, arrays, out):
    path = out / 'shards-000001.tar'
    path.write_bytes(path.read_bytes()[:-512])


def gone(about, arrays, out):
    (out / 'shards-000001.tar').unlink()


@pytest.mark.parametrize(
    'change',
    [escape, beyond, huge, fewer, wrong_label, no_such_shard, floats, pickled]
    + [compressed, newer, short, gone],
)
def test_a_damaged_index_is_one_line(packed, tmp_path, change):
    open_packed(damaged(packed, tmp_path, lambda *_: None))
    with pytest.raises(InputError, match='again') as caught:
        open_packed(damaged(packed, tmp_path, change))
    assert len(str(caught.value).splitlines()) == 1


def test_a_shard_that_is_lost_during_a_training_stops_it(packed, tmp_path):
    out = Path(damaged(packed, tmp_path, lambda *_: None))
    data = Photos(str(out), pipeline=LOAD)
    data[0]
    for path in out.glob('*.tar'):
        path.write_bytes(path.read_bytes()[:512])
    with pytest.raises(ShardError, match='ends before byte'):
        for i in range(30):
            data[i]


def test_the_command(folder, tmp_path, capsys):
    out = tmp_path / 'out'
    options = '--size 32 --shard-mb 0.03 --workers 0 --no-labels'.split()
    cli.main(['pack', str(folder), str(out), *options])
    said = capsys.readouterr().out
    assert f'photos    30 images in {folder}' in said and 'estimate  0:00' in said
    assert f'next: give {out} wherever' in said
    assert not [name for _, name, _ in members(out) if name[-3:] == 'cls']
    (out / 'shards.json').unlink()
    cli.main(['pack', '--index', str(out)])
    said = capsys.readouterr().out
    assert '30 packed in' in said and 'no classes' in said
    for words in ([str(folder)], ['--index', str(out), str(folder)], []):
        with pytest.raises(SystemExit):
            cli.main(['pack', *words])
        assert 'takes PHOTOS and OUT, or --index' in capsys.readouterr().err
