"""prepare_coco reports exactly the faults that break pycocotools."""

import json
import runpy
import shutil
import sys
from contextlib import redirect_stdout
from io import StringIO
from itertools import accumulate
from time import process_time

import numpy as np
import pytest
from PIL import Image
from pycocotools import mask as rle
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from mmdisco.datasets.detection.synthetic import make_set
from mmdisco.datasets.detection.verify import Wanted, check_coco
from mmdisco.datasets.detection.verify.coco_file import check_content, mask_fault
from mmdisco.datasets.detection.verify.headers import SAMPLE
from mmdisco.datasets.detection.verify.report import Report
from tests.tools import ROOT

TRAIN = 'annotations/instances_train2017.json'
VAL = 'annotations/instances_val2017.json'


@pytest.fixture(scope='module')
def whole(tmp_path_factory):
    folder = tmp_path_factory.mktemp('coco') / 'coco'
    make_set(folder, 'coco', 4, 2, ROOT / 'demo/fashion_mnist', size=64)
    return folder


@pytest.fixture
def coco(whole, tmp_path):
    return shutil.copytree(whole, tmp_path / 'coco')


def edit(root, change, *files):
    """Change the content of annotation files."""
    for file in files or (TRAIN, VAL):
        content = json.loads((root / file).read_text())
        change(content)
        (root / file).write_text(json.dumps(content))


def each(key, **values):
    """A change of every entry; a function gets the entry."""

    def change(content):
        for entry in content[key]:
            entry.update(
                {
                    name: value(entry) if callable(value) else value
                    for name, value in values.items()
                }
            )

    return change


def first(key, **values):
    return lambda content: content[key][0].update(values)


def without(key, name):
    def change(content):
        for entry in content[key]:
            del entry[name]

    return change


def corners(content):
    for entry in content['annotations']:
        x, y, w, h = entry['bbox']
        entry['bbox'] = [x, y, x + w, y + h]


def average_precision(root, detected, kind='bbox'):
    """AP by pycocotools of a detector that finds the objects in ``detected``."""
    truth = COCO(str(root / VAL))
    ids = {c['name']: c['id'] for c in truth.dataset['categories']}
    names = {c['id']: c['name'] for c in detected['categories']}
    images = [image['id'] for image in truth.dataset['images']]
    order = {i['id']: n for n, i in enumerate(detected['images'])}
    results = [
        dict(
            image_id=images[order[o['image_id']]],
            score=0.9,
            category_id=ids[names[o['category_id']]],
            **(
                {'bbox': o['bbox']}
                if kind == 'bbox'
                else {'segmentation': packed(o['segmentation'])}
            ),
        )
        for o in detected['annotations']
    ]
    evaluation = COCOeval(truth, truth.loadRes(results), kind)
    evaluation.evaluate()
    evaluation.accumulate()
    evaluation.summarize()
    return evaluation.stats[0]


def packed(mask):
    """Run lengths in the form of a detector's output."""
    return rle.frPyObjects(mask, *mask['size'])


EVALUATION = {
    'id 0': (first('annotations', id=0), 'an annotation has the id 0'),
    'all ids from 0': (
        each('annotations', id=lambda o: o['id'] - 1),
        'an annotation has the id 0',
    ),
    'texts for ids': (
        each('annotations', id=lambda o: f'a{o["id"]}'),
        "annotation 'a1' has an id that is not an integer",
    ),
    'no iscrowd': (
        without('annotations', 'iscrowd'),
        'annotation 1 has iscrowd None, not 0 or 1',
    ),
    'iscrowd in words': (
        first('annotations', iscrowd='0'),
        "annotation 1 has iscrowd '0', not 0 or 1",
    ),
    'no area': (without('annotations', 'area'), 'annotation 1 has no area'),
    'negative area': (first('annotations', area=-5), 'annotation 1 has the area -5'),
    'huge area': (first('annotations', area=1e11), 'annotation 1 has the area 1e+11'),
    'no width': (
        first('annotations', bbox=[5, 5, 0, 9]),
        'has the box 5 5 0 9: without width',
    ),
    'negative width': (
        first('annotations', bbox=[9, 5, -4, 9]),
        'has the box 9 5 -4 9: without width',
    ),
    'corners': (corners, "outside the image of 64x64: COCO's are"),
    'of two images': (
        lambda c: c['images'][0].update(id=str(c['images'][0]['id'])),
        'the ids of images are both numbers',
    ),
}


@pytest.mark.parametrize('name', EVALUATION)
def test_entries_that_break_the_evaluation_are_faults(coco, name):
    before = json.loads((coco / VAL).read_text())
    assert average_precision(coco, before) == pytest.approx(1)
    change, words = EVALUATION[name]
    edit(coco, change, VAL)
    report = check_coco(coco, counts='any')
    assert words in report.faults[0] and f"'{coco / VAL}': " in report.faults[0]
    assert len(report.good) == 1  # train
    # pycocotools ignores or misses an object, or raises
    try:
        truth = json.loads((coco / VAL).read_text())
        ignored = COCO(str(coco / VAL))
        score = average_precision(coco, before)
        kept = [
            o
            for o in ignored.dataset['annotations']
            if not o.get('iscrowd') and 0 <= o['area'] <= 1e10
        ]
        assert score < 0.99 or len(kept) < len(truth['annotations'])
    except (KeyError, TypeError, ValueError):
        pass


@pytest.mark.parametrize(
    'box, fault',
    [
        ([30, 40, 60, 20], False),  # 34 of its 60 columns are inside
        ([40, 40, 60, 20], True),
    ],
)
def test_a_box_that_leaves_its_image_is_a_fault_if_no_more_is_inside(coco, box, fault):
    edit(coco, first('annotations', bbox=box, area=1200), VAL)
    x, y, width, height = box
    inside = (min(x + width, 64) - x) / width
    assert (inside < 0.5) == fault
    report = check_coco(coco, counts='any')
    if fault:
        assert 'more than half of it outside the image of 64x64' in report.faults[0]
    else:
        assert not report.faults
        assert f"'{coco / VAL}': 1 of " in report.warnings[0]
        assert average_precision(
            coco, json.loads((coco / VAL).read_text())
        ) == pytest.approx(1)


def test_boxes_that_leave_their_image_as_corners_do_are_a_fault():
    """Each box is more than half inside, but many leave their image."""
    boxes = [[8, 8, 60, 60]] * 2 + [[4, 4, 8, 8]] * 18
    content = dict(
        images=[dict(id=1, width=64, height=64)],
        categories=[dict(id=1, name='a')],
        annotations=[
            dict(
                id=i,
                image_id=1,
                category_id=1,
                bbox=box,
                area=box[2] * box[3],
                iscrowd=0,
            )
            for i, box in enumerate(boxes, 1)
        ],
    )
    report = Report()
    check_content(report, 'a.json', content, True)
    assert report.faults == [
        'a.json: 2 of 20 boxes leave their image by more than 2 pixels: '
        "COCO's are left, top, width and height, not corners"
    ]
    content['annotations'] = content['annotations'][1:]
    content['annotations'] += [
        dict(content['annotations'][-1], id=i) for i in range(21, 24)
    ]
    report = Report()
    check_content(report, 'a.json', content, True)
    assert not report.faults
    assert '1 of 22 boxes leave' in report.warnings[0]


def test_ignore_is_a_fault_where_it_is_evaluated(coco):
    """It is overwritten by pycocotools: the object counts like any other."""
    before = json.loads((coco / VAL).read_text())
    edit(coco, first('annotations', ignore=1), VAL)
    detected = dict(before, annotations=before['annotations'][1:])
    assert average_precision(coco, detected) < 0.99
    [fault] = check_coco(coco, counts='any').faults
    assert 'annotation 1 has ignore 1, which pycocotools overwrites' in fault
    # as pycocotools requires
    edit(coco, first('annotations', iscrowd=1), VAL)
    assert not check_coco(coco, counts='any').faults
    assert average_precision(coco, detected) == pytest.approx(1)


GOOD = {
    'as it is': lambda c: None,
    'numbers with a point': lambda c: (
        each('images', id=lambda i: float(i['id']))(c),
        each('annotations', image_id=lambda o: float(o['image_id']))(c),
    ),
    'texts for images': lambda c: (
        each('images', id=lambda i: f'x{i["id"]}')(c),
        each('annotations', image_id=lambda o: f'x{o["image_id"]}')(c),
    ),
    'image 0': lambda c: (
        each('images', id=lambda i: i['id'] - 1)(c),
        each('annotations', image_id=lambda o: o['image_id'] - 1)(c),
    ),
    'category 0': lambda c: (
        each('categories', id=lambda i: i['id'] - 1)(c),
        each('annotations', category_id=lambda o: o['category_id'] - 1)(c),
    ),
    'negative ids': each('annotations', id=lambda o: -o['id']),
    'a crowd': first('annotations', iscrowd=True),
    'boxes alone': without('annotations', 'segmentation'),
    'empty masks': each('annotations', segmentation=[]),
    'an image without objects': lambda c: c['images'].append(
        dict(c['images'][0], id=99)
    ),
    'no info': lambda c: (c.pop('info'), c.pop('licenses')),
    'a pixel beyond': lambda c: c['annotations'][0].update(bbox=[40, 40, 24.9, 24.6]),
    'more keys': each('annotations', score=1, attributes={'occluded': False}),
    'no ignore': each('annotations', ignore=0),
}


@pytest.mark.parametrize('name', GOOD)
def test_entries_valid_for_the_evaluation_are_not_faults(coco, name):
    edit(coco, GOOD[name])
    report = check_coco(coco, counts='any')
    assert report.faults == [] and len(report.good) == 2
    detected = json.loads((coco / VAL).read_text())
    assert average_precision(coco, detected) == pytest.approx(1)


def test_requirements_of_the_evaluation_do_not_apply_to_training(coco):
    for change in (
        each('annotations', id=lambda o: o['id'] - 1),
        without('annotations', 'iscrowd'),
        first('annotations', ignore=1),
    ):
        edit(coco, change, TRAIN)
        assert not check_coco(coco, counts='any').faults
    assert '1 objects have ignore' in check_coco(coco, counts='any').notes[0]


@pytest.mark.parametrize(
    'change, masks, words',
    [
        (lambda c: None, True, None),
        (lambda c: None, None, None),
        (
            without('annotations', 'segmentation'),
            True,
            'annotation 1 has no segmentation',
        ),
        (without('annotations', 'segmentation'), False, None),
        (
            first('annotations', segmentation=[]),
            None,
            'annotation 1 has no segmentation',
        ),
        (first('annotations', segmentation=[]), False, None),
        (
            first('annotations', segmentation=[[1, 2, 3, 4]]),
            None,
            'annotation 1 has a polygon of 4 numbers',
        ),
        (
            first('annotations', segmentation=[1, 2, 3, 4]),
            None,
            'annotation 1 has a segmentation that is not a list of lists',
        ),
        (first('annotations', segmentation=[[1, 2, 3, 4]]), False, None),
        (
            first('annotations', segmentation=[[1, 2, 9, 2, 9]]),
            None,
            'annotation 1 has no polygon of at least three points',
        ),
        (
            first('annotations', segmentation=[[1, 2, 9, 2, float('nan'), 9]]),
            None,
            'annotation 1 has a polygon with a number that is not finite',
        ),
        (
            first('annotations', segmentation=[['1', '2', '9', '2', '9', '9']]),
            None,
            'is not a list of lists of numbers',
        ),
        (
            first('annotations', segmentation=dict(size=[32, 32], counts=[1024])),
            None,
            'has a mask of the size [32, 32], in an image of [64, 64]',
        ),
        (
            first('annotations', segmentation=dict(size=[64, 64], counts=[4000])),
            None,
            'has run lengths of 4000 pixels, in an image of 4096',
        ),
        (
            first('annotations', segmentation=dict(size=[64, 64], counts='?? ')),
            None,
            'has run lengths that are not counts',
        ),
        (
            first('annotations', segmentation=dict(size=[64, 64])),
            None,
            'has run lengths that are not counts',
        ),
        (each('images', width=64.0), None, 'image 1 has the size (64.0, 64)'),
        (each('images', width=64.0), False, None),
    ],
)
def test_masks_are_checked_where_they_are_wanted(coco, change, masks, words):
    edit(coco, change, VAL)
    report = check_coco(coco, 'any', wanted=Wanted(masks=masks))
    if words is None:
        assert not report.faults and len(report.good) == 2
    else:
        assert words in report.faults[0] and VAL in report.faults[0]


def test_masks_in_each_form_are_good_and_evaluated(coco):
    """Run lengths, compressed run lengths and polygons."""
    before = json.loads((coco / VAL).read_text())

    def compressed(o):
        return dict(
            size=o['segmentation']['size'],
            counts=packed(o['segmentation'])['counts'].decode(),
        )

    def polygons(o):
        x, y, w, h = o['bbox']
        # the second polygon has two points: left out in training
        return [[x, y, x + w, y, x + w, y + h, x, y + h], [x, y, x + 1, y]]

    assert average_precision(coco, before, 'segm') == pytest.approx(1)
    edit(coco, each('annotations', segmentation=compressed))
    report = check_coco(coco, 'any', wanted=Wanted(masks=True))
    assert not report.faults + report.notes + report.warnings
    assert average_precision(coco, before, 'segm') == pytest.approx(1)
    shutil.copy(coco / VAL, coco / 'compressed.json')
    edit(coco, lambda c: c.update(before), VAL)
    edit(coco, each('annotations', segmentation=polygons))
    report = check_coco(coco, 'any', wanted=Wanted(masks=True))
    assert not report.faults
    assert 'objects have a polygon with fewer than three points' in report.notes[0]


def test_masks_of_another_size_are_missed(coco):
    before = json.loads((coco / VAL).read_text())
    edit(
        coco,
        first('annotations', segmentation=dict(size=[128, 32], counts=[10, 4086])),
        VAL,
    )
    assert average_precision(coco, before, 'segm') < 0.99
    assert check_coco(coco, counts='any').faults


def test_compressed_run_lengths_are_read_as_pycocotools_writes_them():
    generator = np.random.default_rng(0)
    for share in (0, 0.001, 0.1, 0.5, 1):
        mask = np.asfortranarray(generator.random((300, 401)) < share)
        text = rle.encode(mask.view(np.uint8))['counts'].decode()
        good = dict(size=[300, 401], counts=text)
        assert mask_fault(good, 401, 300) is None
        assert 'has a mask of the size' in mask_fault(good, 300, 401)
        lengths = np.diff(
            [0, *np.flatnonzero(np.diff(mask.ravel('F'), prepend=False)), mask.size]
        )
        assert (
            mask_fault(dict(size=[300, 401], counts=lengths.tolist()), 401, 300) is None
        )


def names_of(root, file):
    return [c['name'] for c in json.loads((root / file).read_text())['categories']]


@pytest.mark.parametrize(
    'change, words',
    [
        (
            lambda c: c['categories'].reverse(),
            "lists its categories in another order: 'ankle boot' is in place 0, where "
            "the classes have 't-shirt'",
        ),
        (
            lambda c: c['categories'].sort(key=lambda x: x['name']),
            'lists its categories in another order',
        ),
        (
            lambda c: c.update(
                categories=c['categories'][1:],
                annotations=[o for o in c['annotations'] if o['category_id'] > 1],
            ),
            "has no category 't-shirt': mmdet",
        ),
        (
            lambda c: c['categories'][0].update(name='T-Shirt'),
            "has no category 't-shirt', but 'T-Shirt': mmdet",
        ),
        (
            lambda c: c['categories'][9].update(name='ankle-boot '),
            "has no category 'ankle boot', but 'ankle-boot ': mmdet",
        ),
        (
            lambda c: c['categories'][0].update(name='trouser'),
            "two categories are named 'trouser'",
        ),
        (lambda c: c['categories'][0].pop('name'), 'category 1 has no name'),
    ],
)
def test_categories_are_those_of_training_in_its_order(coco, change, words):
    edit(coco, change, VAL)
    report = check_coco(coco, counts='any')
    assert any(words in fault and VAL in fault for fault in report.faults)
    # with given classes the file of train is compared, too
    classes = names_of(coco, TRAIN)
    edit(coco, change, TRAIN)
    report = check_coco(coco, 'any', wanted=Wanted(classes))
    assert any(words in fault and TRAIN in fault for fault in report.faults)


def test_categories_in_one_other_order_are_no_fault(coco):
    """Without given classes, other categories are allowed."""
    edit(coco, lambda c: c['categories'].sort(key=lambda x: x['name']))
    report = check_coco(coco, counts='any')
    assert not report.faults
    assert 'ids of its categories do not ascend' in report.warnings[0]
    assert (
        check_coco(coco, 'any', wanted=Wanted(sorted(names_of(coco, VAL)))).faults == []
    )


def test_other_categories_are_a_note_if_classes_are_given(coco):
    classes = names_of(coco, VAL)[2:5]
    report = check_coco(coco, 'any', wanted=Wanted(classes))
    assert not report.faults
    assert '7 other categories are left out' in report.notes[0]
    edit(coco, lambda c: c['categories'].append(dict(id=11, name='hat')), VAL)
    [fault] = check_coco(coco, counts='any').faults
    assert "1 other categories are left out: 'hat'" in fault


@pytest.mark.parametrize(
    'change',
    [
        each('annotations', area=0),
        each('annotations', iscrowd=1),
        each('annotations', bbox=lambda o: [v / 64 for v in o['bbox']]),
    ],
)
def test_a_class_that_cant_be_learned_is_a_fault(coco, change):
    edit(coco, change, TRAIN)
    report = check_coco(coco, counts='any')
    there = {
        o['category_id'] for o in json.loads((coco / TRAIN).read_text())['annotations']
    }
    assert len(report.faults) == len(there)
    assert 'objects of category' in report.faults[0]


def test_areas_are_compared_with_boxes(coco):
    edit(coco, first('annotations', area=64 * 64), VAL)
    report = check_coco(coco, counts='any')
    assert not report.faults
    assert '1 objects have a larger area than their box' in report.warnings[0]
    edit(coco, first('annotations', area=0), VAL)
    report = check_coco(coco, counts='any')
    assert '1 objects have the area 0, but a box' in report.warnings[0]


def turned(path, orientation):
    image = Image.open(path)
    exif = image.getexif()
    exif[0x0112] = orientation
    image.resize((64, 48)).save(path, exif=exif)


@pytest.mark.parametrize(
    'orientation, size, good',
    [
        (1, (64, 48), True),
        (1, (48, 64), False),
        (3, (64, 48), True),
        (6, (48, 64), True),
        (6, (64, 48), False),
        (8, (48, 64), True),
    ],
)
def test_sizes_are_those_of_the_turned_image(coco, orientation, size, good):
    """Sizes are those of OpenCV's reader, which mmcv uses."""
    import cv2

    path = coco / 'val2017/000000000001.jpg'
    turned(path, orientation)
    assert (cv2.imread(str(path)).shape[1::-1] == size) is good
    edit(
        coco,
        lambda c: (
            c['images'][0].update(width=size[0], height=size[1]),
            each('annotations', bbox=[1, 1, 20, 20], area=400)(c),
        ),
        VAL,
    )
    for images in (False, True):
        report = check_coco(coco, 'any', images, Wanted(masks=False))
        if good:
            assert not report.faults
        else:
            assert len(report.faults) == 1
            assert f'but {size[0]}x{size[1]} in its annotation' in report.faults[0]
            assert ('EXIF' in report.faults[0]) is (orientation == 6)


@pytest.mark.parametrize(
    'kind, good',
    [
        ('PNG', True),
        ('BMP', True),
        ('TIFF', True),
        ('WEBP', True),
        ('ICO', False),
        ('TGA', False),
    ],
)
def test_images_are_of_a_format_that_mmcv_reads(coco, kind, good):
    import cv2

    path = coco / 'val2017/000000000001.jpg'
    Image.open(path).save(path, format=kind)
    assert (cv2.imread(str(path)) is not None) is good
    report = check_coco(coco, counts='any')
    if good:
        assert not report.faults
    else:
        assert f"000001.jpg' is a {kind}, which mmcv" in report.faults[0]


def test_truncated_images_are_found_if_all_are_decoded(coco):
    path = coco / 'val2017/000000000001.jpg'
    path.write_bytes(path.read_bytes()[:-300])
    [fault] = check_coco(coco, 'any', images=True).faults
    assert "000001.jpg' is not a readable image: image file is trunc" in fault


def test_a_sample_of_headers_is_spread_over_the_split(coco, monkeypatch):
    count = 3 * SAMPLE
    image = coco / 'val2017/000000000001.jpg'
    for number in range(count):
        (coco / f'val2017/{number}.jpg').symlink_to(image)
    edit(
        coco,
        lambda c: c.update(
            images=[
                *c['images'],
                *(
                    dict(
                        id=1000 + i,
                        file_name=f'{i}.jpg',
                        width=64,
                        height=64 + (i >= count // 2),
                    )
                    for i in range(count)
                ),
            ]
        ),
        VAL,
    )
    faults = check_coco(coco, counts='any').faults
    assert abs(len(faults) - SAMPLE / 2) <= 2
    assert len(check_coco(coco, 'any', images=True).faults) == count // 2


def test_a_file_that_pycocotools_cant_read_is_a_fault(coco):
    (coco / VAL).write_bytes(b'\xef\xbb\xbf' + (coco / VAL).read_bytes())
    with pytest.raises(ValueError):
        COCO(str(coco / VAL))
    assert "val2017.json' is not JSON: " in check_coco(coco, 'any').faults[0]


def test_checking_takes_about_as_long_as_reading():
    """COCO's 860 000 objects take seconds."""
    objects, images = 20000, 2750
    polygon = [[*accumulate(range(60))]]
    content = json.dumps(
        dict(
            images=[dict(id=i, width=640, height=480) for i in range(images)],
            categories=[dict(id=i, name=str(i)) for i in range(80)],
            annotations=[
                dict(
                    id=i + 1,
                    image_id=i % images,
                    category_id=i % 80,
                    iscrowd=0,
                    bbox=[i % 500, i % 400, 60.5, 40.5],
                    area=2000.5,
                    segmentation=polygon,
                )
                for i in range(objects)
            ],
        )
    )
    start = process_time()
    content = json.loads(content)
    read = process_time()
    report = Report()
    check_content(report, 'x', content, evaluated=True)
    assert not report.faults + report.warnings + report.notes
    assert process_time() - read < 3 * (read - start)


def call_tool(monkeypatch, root, *options):
    """Run the tool in this process; returns exit code and output."""
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr(
        sys,
        'argv',
        ['prepare_coco.py', '--root', str(root), '--counts', 'any', *options],
    )
    with redirect_stdout(StringIO()) as out, pytest.raises(SystemExit) as stop:
        runpy.run_path('tools/prepare_coco.py', run_name='__main__')
    return stop.value.code, out.getvalue()


def test_the_tool_takes_what_the_detector_needs(coco, monkeypatch):
    classes = names_of(coco, VAL)
    code, out = call_tool(monkeypatch, coco, '--classes', *classes)
    assert code == 0 and out.count(': good') == 2
    code, out = call_tool(monkeypatch, coco, '--classes', *reversed(classes))
    assert code == 1 and 'in another order' in out
    edit(coco, without('annotations', 'segmentation'))
    code, out = call_tool(monkeypatch, coco)
    assert code == 0 and out.count('has only boxes') == 2
    code, out = call_tool(monkeypatch, coco, '--masks', 'yes')
    assert code == 1 and 'has no segmentation' in out
