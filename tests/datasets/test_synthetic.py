"""Synthetic detection sets, read back by mmdet's VOC and COCO datasets."""

import json

import mmdisco.detection  # noqa: F401  isort: skip  before mmdet, for its ops
import numpy as np
import pytest
from mmdet.datasets import CocoDataset, VOCDataset
from PIL import Image
from pycocotools.coco import COCO

from mmdisco.datasets.detection.synthetic import FASHION_NAMES, Scenes, make_set
from mmdisco.datasets.detection.synthetic import images as module
from mmdisco.datasets.detection.synthetic.annotations import run_lengths
from mmdisco.datasets.detection.synthetic.images import Garments, photographs
from mmdisco.datasets.idx_images import read_idx
from mmdisco.errors import InputError, MissingFileError
from tests.tools import ROOT, run

DEMO = ROOT / 'demo' / 'fashion_mnist'
COUNTS = dict(train=9, test=6)
META = dict(classes=FASHION_NAMES)


@pytest.fixture(scope='module')
def sets(tmp_path_factory):
    """The same scenes in both layouts."""
    folder = tmp_path_factory.mktemp('sets')
    for kind in ('voc', 'coco'):
        make_set(folder / kind, kind, objects=DEMO, **COUNTS)
    return folder


def files_of(folder):
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob('*')
        if path.is_file()
    }


def read_voc(root, year, split):
    return VOCDataset(
        data_root=str(root),
        metainfo=META,
        test_mode=True,
        pipeline=[],
        ann_file=f'{year}/ImageSets/Main/{split}.txt',
        data_prefix=dict(sub_data_root=f'{year}/'),
    )


def extent(mask):
    """Corners of a mask by plain loops."""
    pixels = [(x, y) for y, row in enumerate(mask) for x, v in enumerate(row) if v]
    xs, ys = zip(*pixels)
    return [min(xs), min(ys), max(xs), max(ys)], len(pixels)


@pytest.mark.parametrize('split, year', [('train', 'train2017'), ('test', 'val2017')])
def test_both_layouts_have_the_boxes_of_the_masks(sets, split, year):
    file = f'annotations/instances_{year}.json'
    coco = COCO(sets / 'coco' / file)
    data = CocoDataset(
        data_root=str(sets / 'coco'),
        ann_file=file,
        metainfo=META,
        data_prefix=dict(img=year),
        test_mode=True,
        pipeline=[],
    )
    if split == 'test':
        voc = [*read_voc(sets / 'voc', 'VOC2007', 'test')]
    else:  # alternating years
        parts = [read_voc(sets / 'voc', y, 'trainval') for y in ('VOC2007', 'VOC2012')]
        voc = [parts[i % 2][i // 2] for i in range(COUNTS[split])]
        assert [len(part) for part in parts] == [5, 4]
    assert len(data) == len(voc) == COUNTS[split]
    for item, other in zip(data, voc):
        anns = coco.loadAnns(coco.getAnnIds(item['img_id']))
        assert 1 <= len(anns) <= 4
        assert len(anns) == len(item['instances']) == len(other['instances'])
        assert (
            (item['width'], item['height'])
            == (128, 128)
            == Image.open(item['img_path']).size
        )
        with open(item['img_path'], 'rb') as a, open(other['img_path'], 'rb') as b:
            assert a.read() == b.read()
        for ann, at_coco, at_voc in zip(anns, item['instances'], other['instances']):
            (left, top, right, bottom), area = extent(coco.annToMask(ann))
            assert ann['area'] == area
            assert at_coco['bbox'] == [left, top, right + 1, bottom + 1]
            # mmdet subtracts 1 from all of VOC's corners, which are inclusive
            assert at_voc['bbox'] == [left, top, right, bottom]
            assert at_coco['bbox_label'] == at_voc['bbox_label']
            assert not at_coco['ignore_flag'] and not at_voc['ignore_flag']


def test_objects_are_garments_of_their_split_in_one_colour_each():
    for split, file in (('train', 'train'), ('test', 't10k')):
        images = read_idx(DEMO / f'{file}-images-idx3-ubyte').numpy()
        labels = read_idx(DEMO / f'{file}-labels-idx1-ubyte')
        scenes = Scenes(Garments(DEMO, split), photographs(split), 128, (3, 0))
        for index in range(12):
            scene = scenes[index]
            assert scene.labels == labels[scene.garments].tolist()
            covered = np.zeros((128, 128), int)
            for mask, box, garment in zip(scene.masks, scene.boxes(), scene.garments):
                covered += mask
                assert max(box[2] - box[0], box[3] - box[1]) < 64
                pixels = scene.image[mask].astype(float)  # [P, 3]
                # grey times a colour has rank 1
                values = np.linalg.svd(pixels, compute_uv=False)
                assert values[1] < 0.02 * values[0]
                # and the garment's shape, mirrored or not
                shape = mask[box[1] : box[3] + 1, box[0] : box[2] + 1]
                there = images[garment] > 25
                there = there[there.any(1)][:, there.any(0)]
                there = np.array(Image.fromarray(there).resize(shape.shape[::-1]))
                assert (
                    max(
                        (shape & a).sum() / (shape | a).sum()
                        for a in (there, there[:, ::-1])
                    )
                    > 0.6
                )
            assert covered.max() == 1


def test_boxes_share_a_tenth_at_most():
    scenes = Scenes(Garments(DEMO, 'test'), photographs('test'), 128, (0, 1))
    several = 0
    for index in range(40):
        boxes = scenes[index].boxes()
        several += len(boxes) > 1
        for i, a in enumerate(boxes):
            for b in boxes[:i]:
                first, second = (
                    {
                        (x, y)
                        for x in range(c[0], c[2] + 1)
                        for y in range(c[1], c[3] + 1)
                    }
                    for c in (a, b)
                )
                # boxes of visible pixels: one may be partly covered by the other
                assert len(first & second) < 0.12 * min(len(first), len(second))
    assert several > 20


def test_photographs_and_garments_of_the_splits_are_apart(tmp_path):
    names = {
        split: {path.name for path in photographs(split)} for split in ('train', 'test')
    }
    assert not names['train'] & names['test']
    for split, label in (('train', 3), ('t10k', 7)):
        for kind, array in (
            ('images-idx3', np.full((5, 28, 28), 200)),
            ('labels-idx1', np.full(5, label)),
        ):
            head = bytes([0, 0, 8, array.ndim]) + b''.join(
                n.to_bytes(4, 'big') for n in array.shape
            )
            (tmp_path / f'{split}-{kind}-ubyte').write_bytes(
                head + array.astype(np.uint8).tobytes()
            )
    made = make_set(tmp_path / 'set', 'coco', 4, 3, tmp_path)
    for split, label in zip(made, (3, 7)):
        assert split.objects[label] == sum(split.objects) >= split.images
    about = json.loads((tmp_path / 'set' / 'set.json').read_text())
    for split, files in about['photographs'].items():
        assert {*files} == names[split]
    assert len(about['objects']['sha256']) == 4


def test_the_same_arguments_give_the_same_bytes(sets, tmp_path):
    for kind in ('voc', 'coco'):
        make_set(tmp_path / kind, kind, objects=DEMO, **COUNTS)
        assert files_of(tmp_path / kind) == files_of(sets / kind)
    # a larger set starts with the same images; another seed has others
    before = files_of(sets / 'voc')
    make_set(tmp_path / 'more', 'voc', 12, 8, DEMO)
    more = files_of(tmp_path / 'more')
    make_set(tmp_path / 'seed', 'voc', 9, 6, DEMO, seed=1)
    other = files_of(tmp_path / 'seed')
    for name, content in before.items():
        if name.endswith(('.jpg', '.xml')):
            assert more[name] == content != other[name]


def test_names_become_the_classes_in_their_order(tmp_path):
    names = [f'class {i}' for i in range(12)]
    make_set(
        tmp_path / 'set', 'coco', 3, 2, DEMO, size=64, names=names, photos='sklearn'
    )
    content = COCO(tmp_path / 'set/annotations/instances_val2017.json')
    assert [c['name'] for c in content.loadCats(content.getCatIds())] == names
    data = CocoDataset(
        data_root=str(tmp_path / 'set'),
        metainfo=dict(classes=names),
        ann_file='annotations/instances_train2017.json',
        pipeline=[],
        data_prefix=dict(img='train2017'),
    )
    assert len(data) == 3 and data[0]['width'] == 64


def test_run_lengths_are_pycocotools():
    from pycocotools import mask as reference

    rng = np.random.default_rng(0)
    for mask in (
        rng.random((7, 5)) < 0.5,
        np.ones((3, 4), bool),
        np.zeros((3, 4), bool),
    ):
        lengths = run_lengths(mask)
        assert sum(lengths['counts']) == mask.size
        assert np.array_equal(
            reference.decode(reference.frPyObjects(lengths, *lengths['size'])), mask
        )


@pytest.mark.parametrize(
    'change, words',
    [
        (dict(kind='yolo'), "kind is 'voc' or 'coco', not 'yolo'"),
        (dict(train=1), 'voc needs at least 2'),
        (dict(test=0), '0 test images'),
        (dict(size=8), 'size 8'),
        (dict(seed=-1), 'seed -1'),
        (dict(names=['a'] * 10), '10 names: use at least ten, all different'),
        (dict(photos='web'), "not 'web'"),
        (dict(objects='nowhere'), "IDX file 'nowhere"),
    ],
)
def test_invalid_arguments_are_one_line_errors(tmp_path, change, words):
    args = dict(out=tmp_path / 'set', kind='voc', train=2, test=1, objects=DEMO)
    with pytest.raises(InputError, match=words) as caught:
        make_set(**{**args, **change})
    assert '\n' not in str(caught.value) and not any(tmp_path.iterdir())


def test_nothing_is_overwritten_or_left_in_half(tmp_path, monkeypatch):
    (tmp_path / 'set').mkdir()
    make_set(tmp_path / 'set', 'voc', 2, 1, DEMO)  # an empty folder is fine
    before = files_of(tmp_path)
    with pytest.raises(InputError, match="set' is not empty"):
        make_set(tmp_path / 'set', 'voc', 2, 1, DEMO)

    def full(*args, **kwargs):
        raise OSError('No space left')

    monkeypatch.setattr(Image.Image, 'save', full)
    with pytest.raises(InputError, match='No space left'):
        make_set(tmp_path / 'other', 'voc', 2, 1, DEMO)
    assert files_of(tmp_path) == before
    assert [path.name for path in tmp_path.iterdir()] == ['set']


def test_without_scikit_image_two_photographs_are_left(tmp_path, monkeypatch):
    find = module.find_spec
    monkeypatch.setattr(
        module, 'find_spec', lambda name: None if name == 'skimage' else find(name)
    )
    with pytest.raises(MissingFileError, match='pip install scikit-image'):
        make_set(tmp_path / 'set', 'voc', 2, 1, DEMO)
    assert [
        path.name
        for split in ('train', 'test')
        for path in photographs(split, 'sklearn')
    ] == ['china.jpg', 'flower.jpg']
    make_set(tmp_path / 'set', 'voc', 2, 1, DEMO, photos='sklearn')


def test_the_tool_reports_the_set(tmp_path, fails):
    options = [
        'tools/make_detection_set.py',
        '--kind',
        'coco',
        '--train',
        6,
        '--test',
        3,
        '--out',
        tmp_path / 'set',
    ]
    rows = [line.split() for line in run('python', *options).stdout.splitlines()]
    table = {' '.join(row[:-2]): [*map(int, row[-2:])] for row in rows[-11:]}
    assert table.pop('images') == [6, 3] and [*table] == [*FASHION_NAMES]
    for column, year in enumerate(('train2017', 'val2017')):
        content = COCO(tmp_path / f'set/annotations/instances_{year}.json')
        for label, row in enumerate(table.values(), 1):
            assert row[column] == len(content.getAnnIds(catIds=label))
    assert 'is not empty' in fails(*options)
