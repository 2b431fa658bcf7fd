"""Checks of incomplete or invalid VOC and COCO folders."""

import io
import json
import shutil
import tarfile
import zipfile

import pytest

from mmdisco.datasets.detection.synthetic import make_set
from mmdisco.datasets.detection.verify import (
    COCO_FOLDERS,
    VOC_CLASSES,
    check_coco,
    check_voc,
    unpack,
)
from mmdisco.errors import InputError, MissingFileError
from tests.tools import ROOT, run

XML = 'VOC2007/Annotations/000002.xml'
JSON = 'annotations/instances_val2017.json'


@pytest.fixture(scope='module')
def whole(tmp_path_factory):
    """Small sets in the layouts of VOC and COCO."""
    folder = tmp_path_factory.mktemp('whole')
    for kind in ('voc', 'coco'):
        make_set(
            folder / kind,
            kind,
            4,
            2,
            ROOT / 'demo/fashion_mnist',
            size=64,
            names=VOC_CLASSES[:10],
        )
    return folder


@pytest.fixture
def voc(whole, tmp_path):
    return shutil.copytree(whole / 'voc', tmp_path / 'voc')


@pytest.fixture
def coco(whole, tmp_path):
    return shutil.copytree(whole / 'coco', tmp_path / 'coco')


def change(path, old, new):
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


def change_json(root, change):
    content = json.loads((root / JSON).read_text())
    change(content)
    (root / JSON).write_text(json.dumps(content))


def test_whole_sets_are_good(whole):
    report = check_voc(whole / 'voc', counts='any', images=True)
    objects = whole / 'voc/VOC2007/Annotations'
    count = sum(
        path.read_text().count('<object>')
        for path in map(objects.joinpath, ('000002.xml', '000004.xml'))
    )
    assert not (report.faults + report.warnings + report.notes)
    assert [line.split(': ')[0] for line in report.good] == [
        'VOC2007 trainval',
        'VOC2007 test',
        'VOC2012 trainval',
    ]
    assert f'2 images, {count} objects' in report.good[1]
    report = check_coco(whole / 'coco', counts='any', images=True)
    content = json.loads((whole / 'coco' / JSON).read_text())
    assert not (report.faults + report.warnings + report.notes)
    assert (
        f'val2017: 2 images, {len(content["annotations"])} objects' in report.good[1]
        and len(report.good) == 2
    )


def test_another_number_of_images_is_a_warning(whole):
    report = check_voc(whole / 'voc')
    assert [line.split(' (')[0] for line in report.warnings] == [
        'VOC2007 trainval: 2 images, the official set has 5011',
        'VOC2007 test: 2 images, the official set has 4952',
        'VOC2012 trainval: 2 images, the official set has 11540',
    ]
    report = check_coco(whole / 'coco')
    assert [line.split(' (')[0] for line in report.warnings] == [
        'train2017: 4 images, the official set has 118287',
        'val2017: 2 images, the official set has 5000',
    ]


def replace_box(text):
    """Return a function that changes the corners of the first box in the XML."""

    def damage(root):
        content = (root / XML).read_text()
        head, rest = content.split('<bndbox>', 1)
        tail = rest.split('</bndbox>', 1)[1]
        corners = zip(('xmin', 'ymin', 'xmax', 'ymax'), text.split())
        (root / XML).write_text(
            head
            + '<bndbox>'
            + ''.join(f'<{k}>{v}</{k}>' for k, v in corners)
            + '</bndbox>'
            + tail
        )

    return damage


@pytest.mark.parametrize(
    'damage, words',
    [
        (lambda root: change(root / XML, '</size>', ''), f"{XML}' is not XML: "),
        (lambda root: (root / XML).write_bytes(b''), f"{XML}' is not XML: no elem"),
        (lambda root: (root / XML).unlink(), f"no annotation '*{XML}'"),
        (
            lambda root: (root / 'VOC2007/JPEGImages/000001.jpg').unlink(),
            "no image '*VOC2007/JPEGImages/000001.jpg'",
        ),
        (
            lambda root: change(root / XML, '<name>', '<name>air'),
            f"{XML}': object 1 is of an unknown class 'air",
        ),
        (
            lambda root: change(root / XML, '<width>64', '<width>0'),
            f"{XML}' has no size",
        ),
        (
            lambda root: change(root / XML, '<difficult>0', '<difficult>no'),
            "object 1 has difficult 'no'",
        ),
        (replace_box('5 5 5 9'), 'object 1 has the box 5 5 5 9 in an image'),
        (replace_box('5 5 65 9'), 'has the box 5 5 65 9'),
        (replace_box('-1 5 6 9'), 'has the box -1 5 6 9'),
        (replace_box('5 nine 6 9'), 'has the box 5 nan 6 9'),
        (replace_box('5 5 6'), 'has the box 5 5 6 nan'),
        (
            lambda root: shutil.rmtree(root / 'VOC2012/JPEGImages'),
            "no folder '*VOC2012/JPEGImages'",
        ),
        (
            lambda root: (root / 'VOC2012/ImageSets/Main/trainval.txt').unlink(),
            "no list of images '*VOC2012/ImageSets/Main/trainval.txt'",
        ),
        (
            lambda root: (root / 'VOC2007/ImageSets/Main/test.txt').write_text(''),
            "VOC2007/ImageSets/Main/test.txt' lists no image",
        ),
        (
            lambda root: (root / 'VOC2007/ImageSets/Main/test.txt').write_text(
                '000002\n000002\n'
            ),
            "test.txt' lists an image twice",
        ),
        (
            lambda root: (root / 'VOC2007/ImageSets/Main/test.txt').write_text(
                '000002 \n000004\n'
            ),
            "test.txt': line 1 is '000002 ': mmdet needs",
        ),
        (
            lambda root: (root / 'VOC2007/ImageSets/Main/test.txt').write_text(
                '000002\n000004 -1\n'
            ),
            "test.txt': line 2 is '000004 -1': mmdet",
        ),
        (
            lambda root: (root / 'VOC2007/ImageSets/Main/test.txt').write_text(
                '000002\n000004\n\n'
            ),
            "test.txt': line 3 is '': mmdet needs",
        ),
        (
            lambda root: (root / 'VOC2007/ImageSets/Main/test.txt').write_text(
                '\ufeff000002\n'
            ),
            "test.txt': line 1 is '\\ufeff000002': mmdet",
        ),
        (
            lambda root: change(root / XML, '<width>64', '<width>128'),
            "000002.jpg' has 64x64 pixels, but 128x64 in its annotation",
        ),
        (
            lambda root: change(root / XML, '<width>64', '<width>64.0'),
            f"{XML}' has no size",
        ),
        (
            lambda root: change(root / XML, '<difficult>0', '<difficult>'),
            "object 1 has difficult ''",
        ),
        (
            lambda root: (root / 'VOC2007/JPEGImages/000002.jpg').write_text('?'),
            "VOC2007/JPEGImages/000002.jpg' is not a readable image: cannot identify",
        ),
    ],
)
def test_each_fault_of_voc_is_one_line(voc, damage, words):
    damage(voc)
    report = check_voc(voc, counts='any', images=True)
    [fault] = report.faults
    assert words.replace('*', f'{voc}/') in fault and '\n' not in fault
    assert len(report.good) == 2


def without_size(root):
    text = (root / XML).read_text()
    (root / XML).write_text(text.split('<size>')[0] + text.split('</size>')[1])


@pytest.mark.parametrize(
    'damage',
    [
        without_size,  # mmdet then reads the image
        lambda root: change(root / XML, '<difficult>0</difficult>', ''),
        lambda root: change(root / XML, '<difficult>0', '<difficult> 1 '),
        replace_box('1 1 64 64'),
        replace_box('1.2 1.9 45.70000076 9.5'),
        lambda root: (root / 'VOC2007/ImageSets/Main/test.txt').write_bytes(
            b'000002\r\n000004\r\n'
        ),
        lambda root: (root / 'VOC2007/ImageSets/Main/test.txt').write_bytes(
            b'000002\n000004'
        ),
    ],
)
def test_voc_files_that_mmdet_reads_have_no_fault(voc, damage):
    damage(voc)
    report = check_voc(voc, counts='any')
    assert not report.faults + report.warnings and len(report.good) == 3


def test_boxes_that_count_from_0_are_a_warning(voc):
    replace_box('0 5 6 9')(voc)
    report = check_voc(voc, counts='any')
    assert not report.faults
    assert report.warnings[0].startswith('VOC2007 test: 1 objects start at 0')


def test_a_box_is_compared_with_the_image_if_its_size_is_not_there(voc):
    without_size(voc)
    replace_box('5 5 65 9')(voc)
    [fault] = check_voc(voc, counts='any').faults
    assert 'has the box 5 5 65 9 in an image of 64x64' in fault


def test_another_case_of_a_class_is_named(voc):
    name = (voc / XML).read_text().split('<name>')[1].split('<')[0]
    change(voc / XML, f'<name>{name}', f'<name>{name.title()}')
    [fault] = check_voc(voc, counts='any').faults
    assert fault.endswith(f"unknown class '{name.title()}': did you mean '{name}'?")


def test_test_images_among_those_of_training_are_a_warning(voc):
    with (voc / 'VOC2007/ImageSets/Main/trainval.txt').open('a') as file:
        file.write('000004\n')
    report = check_voc(voc, counts='any')
    assert not report.faults
    assert '1 images are in trainval and in test' in report.warnings[0]
    assert report.warnings[0].endswith('000004')


def first(key, name, value):
    """Return a function that changes an entry of the JSON file."""
    return lambda root: change_json(
        root, lambda content: content[key][0].update({name: value})
    )


@pytest.mark.parametrize(
    'damage, words',
    [
        (lambda root: change(root / JSON, '{', '{{'), f"{JSON}' is not JSON: "),
        (lambda root: (root / JSON).write_text('[1]'), 'has no list of images'),
        (
            lambda root: change_json(root, lambda c: c.pop('categories')),
            'has no list of categories',
        ),
        (lambda root: (root / JSON).unlink(), f"no annotations '*{JSON}'"),
        (
            lambda root: (root / 'val2017/000000000002.jpg').unlink(),
            "no image '*val2017/000000000002.jpg'",
        ),
        (lambda root: shutil.rmtree(root / 'val2017'), "no folder '*val2017'"),
        (first('images', 'file_name', 'x.jpg'), "no image '*val2017/x.jpg'"),
        (first('images', 'width', None), f"{JSON}': image 1 has no size"),
        (first('images', 'id', None), 'image at position 0 has no id'),
        (first('images', 'id', 2), 'two times image 2'),
        (first('annotations', 'id', 2), 'two times annotation 2'),
        (
            first('annotations', 'image_id', 9),
            'annotation 1 is of image 9, which the file does not list',
        ),
        (
            first('annotations', 'image_id', [1]),
            'annotation 1 is of image [1], which the file does not list',
        ),
        (
            first('annotations', 'category_id', 99),
            'annotation 1 is of category 99, which',
        ),
        (first('annotations', 'bbox', [1, 2, 3]), 'has the box [1, 2, 3], not'),
        (first('annotations', 'bbox', [1, 2, 3, float('nan')]), 'nan], not four'),
        (first('annotations', 'bbox', 5), 'has the box 5, not four numbers'),
        (first('annotations', 'area', None), 'annotation 1 has no area'),
        (first('annotations', 'segmentation', []), 'annotation 1 has no segmentation'),
        (
            lambda root: (root / 'val2017/000000000001.jpg').write_text('?'),
            "val2017/000000000001.jpg' is not a readable image: cannot identify",
        ),
    ],
)
def test_each_fault_of_coco_is_one_line(coco, damage, words):
    damage(coco)
    report = check_coco(coco, counts='any', images=True)
    [fault] = report.faults
    assert words.replace('*', f'{coco}/') in fault and '\n' not in fault
    assert len(report.good) == 1


def test_objects_that_mmdet_drops_are_notes(coco):
    change_json(
        coco, lambda content: content['annotations'][0].update(bbox=[1, 2, 0.5, 5])
    )
    report = check_coco(coco, counts='any')
    assert not report.faults and len(report.good) == 2
    assert f"{JSON}': 1 objects are under a pixel" in report.notes[0]


def test_images_may_be_in_sub_folders(coco):
    (coco / 'val2017/deep').mkdir()
    (coco / 'val2017/000000000001.jpg').rename(coco / 'val2017/deep/1.jpg')
    first('images', 'file_name', 'deep/1.jpg')(coco)
    assert not check_coco(coco, counts='any', images=True).faults


def test_the_tools_tell_twenty_faults_and_exit_1(voc, coco, tmp_path):
    for path in (voc / 'VOC2007/Annotations').glob('*.xml'):
        name = 'x' * 3
        path.write_text(
            '<annotation><size><width>64</width><height>64'
            '</height></size>' + f'<object><name>{name}</name><bndbox/>'
            '</object>' * 3 + '</annotation>'
        )
    done = run('python', 'tools/prepare_voc.py', '--root', voc, check=False)
    lines = done.stdout.splitlines()
    assert done.returncode == 1 and 'Traceback' not in done.stderr
    assert sum(line.startswith('fault: ') for line in lines) == 20
    assert lines[-1] == 'and 4 more faults'  # 4 files of 3 objects of 2 each
    done = run('python', 'tools/prepare_coco.py', '--root', coco, '--counts', 'any')
    assert [line[-6:] for line in done.stdout.splitlines()[-2:]] == [': good'] * 2


def test_no_folder_names_the_options(tmp_path, fails):
    for tool in ('voc', 'coco'):
        line = fails(f'tools/prepare_{tool}.py', '--root', tmp_path / 'no')
        assert "no' " not in line and '--root' in line and '--archives' in line


def tar_of(path, names, **special):
    """Write a tar file of names or of a folder."""
    with tarfile.open(path, 'w') as tar:
        if not isinstance(names, list):
            tar.add(names, 'VOCdevkit')
            return path
        for name in names:
            info = tarfile.TarInfo(name)
            info.size = 3
            for key, value in special.items():
                setattr(info, key, value)
            tar.addfile(info, io.BytesIO(b'abc'))
    return path


def zip_of(path, folder):
    with zipfile.ZipFile(path, 'w') as file:
        for item in sorted(folder.rglob('*')):
            file.write(item, item.relative_to(folder))
    return path


def files_of(folder):
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob('*')
        if path.is_file()
    }


def test_archives_are_unpacked_then_checked(whole, tmp_path):
    archives = []
    for year in ('VOC2007', 'VOC2012'):  # as VOC's, each has a part
        shutil.copytree(whole / 'voc' / year, tmp_path / year / year)
        archives.append(tar_of(tmp_path / f'{year}.tar', tmp_path / year))
    root = tmp_path / 'data' / 'devkit'
    done = run(
        'python',
        'tools/prepare_voc.py',
        '--root',
        root,
        '--archives',
        *archives,
        '--counts',
        'any',
    )
    assert done.stdout.count(': good') == 3
    expected = files_of(whole / 'voc')
    del expected['set.json']
    assert files_of(root) == expected
    # after an interruption, existing files of the right size are kept
    (root / XML).unlink()
    (root / 'VOC2007/JPEGImages/000001.jpg').write_bytes(b'cut')
    assert unpack(archives[0], root, inside='VOCdevkit').written == 2
    assert files_of(root) == expected

    parts = []
    for part in COCO_FOLDERS:
        shutil.copytree(whole / 'coco' / part, tmp_path / 'c' / part / part)
        parts.append(zip_of(tmp_path / f'{part}.zip', tmp_path / 'c' / part))
    done = run(
        'python',
        'tools/prepare_coco.py',
        '--root',
        tmp_path / 'coco',
        '--archives',
        *parts,
        '--counts',
        'any',
    )
    assert done.stdout.count(': good') == 2


def test_files_added_by_macos_or_other_tools_are_left_out(whole, tmp_path):
    added = {
        '__MACOSX/._train2017': b'x',
        '__MACOSX/val2017/._1.jpg': b'x',
        '.DS_Store': b'x',
        'val2017/.DS_Store': b'x',
        'val2017/._000000000001.jpg': b'x',
        'README.txt': b'x',
        'test2017/1.jpg': b'x',
    }
    file = zip_of(tmp_path / 'a.zip', whole / 'coco')
    with zipfile.ZipFile(file, 'a') as zipped:
        for name, content in added.items():
            zipped.writestr(name, content)
    done = unpack(file, tmp_path / 'coco', tops=COCO_FOLDERS)
    expected = files_of(whole / 'coco')
    del expected['set.json']
    assert files_of(tmp_path / 'coco') == expected
    assert done.written == len(expected)
    assert {*done.left_out} == {*added, 'set.json'}
    # an archive without any expected file is an error
    with zipfile.ZipFile(tmp_path / 'b.zip', 'w') as zipped:
        for name in ('README.txt', '__MACOSX/train2017/1.jpg', 'train2017'):
            zipped.writestr(name, b'x')
    with pytest.raises(InputError, match="'README.txt', not train2017/"):
        unpack(tmp_path / 'b.zip', tmp_path / 'other', tops=COCO_FOLDERS)
    assert not (tmp_path / 'other').exists()


def test_archives_cut_short_are_named_and_nothing_is_unpacked(whole, tmp_path):
    content = tar_of(tmp_path / 'a.tar', whole / 'voc').read_bytes()
    with tarfile.open(tmp_path / 'a.tar') as tar:
        member = tar.getmembers()[-1]
    cuts = {
        'between': member.offset,
        'header': member.offset + 100,
        'content': member.offset_data + member.size // 2,
    }
    tars = [tmp_path / f'{name}.tar' for name in cuts]
    for tar, cut in zip(tars, cuts.values()):
        tar.write_bytes(content[:cut])
    file = zip_of(tmp_path / 'a.zip', whole / 'coco')
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    page = tmp_path / 'page.tar'
    page.write_text('<html>')
    for archive in (*tars, file, page):
        with pytest.raises(
            InputError, match=f"'{archive}' is damaged or truncated"
        ) as caught:
            unpack(archive, tmp_path / 'root')
        assert '\n' not in str(caught.value)
    with pytest.raises(MissingFileError, match='archive .* not found'):
        unpack(tmp_path / 'none.tar', tmp_path / 'root')
    assert not (tmp_path / 'root').exists()


def test_a_damaged_member_is_not_left_in_half(whole, tmp_path):
    file = zip_of(tmp_path / 'a.zip', whole / 'coco')
    image = (whole / 'coco/val2017/000000000001.jpg').read_bytes()
    content = file.read_bytes()
    at = content.index(image) + len(image) // 2
    file.write_bytes(content[:at] + bytes([content[at] ^ 255]) + content[at + 1 :])
    with pytest.raises(InputError, match="a.zip' is damaged"):
        unpack(file, tmp_path / 'root')
    left = files_of(tmp_path / 'root')
    assert left and not any('half' in name for name in left)
    assert 'val2017/000000000001.jpg' not in left


@pytest.mark.parametrize(
    'name',
    ['../evil', 'VOCdevkit/../../evil', '/evil', 'VOCdevkit/..\\..\\evil', 'C:/evil'],
)
def test_no_archive_leaves_its_folder(tmp_path, name):
    tar = tar_of(tmp_path / 'a.tar', ['VOCdevkit/good', name])
    with zipfile.ZipFile(tmp_path / 'a.zip', 'w') as file:
        file.writestr('VOCdevkit/good', b'abc')
        file.writestr(zipfile.ZipInfo(name), b'abc')
    for archive in (tar, tmp_path / 'a.zip'):
        with pytest.raises(InputError, match='which leaves the folder'):
            unpack(archive, tmp_path / 'root', inside='VOCdevkit')
    assert {path.name for path in tmp_path.iterdir()} == {'a.tar', 'a.zip'}


def test_links_and_other_archives_are_refused(tmp_path):
    for kind in (tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE):
        tar = tar_of(
            tmp_path / 'a.tar',
            ['VOCdevkit/link'],
            type=kind,
            size=0,
            linkname='/etc/passwd',
        )
        with pytest.raises(InputError, match='which is not a regular file'):
            unpack(tar, tmp_path / 'root', inside='VOCdevkit')
    tar = tar_of(tmp_path / 'a.tar', ['ImageNet/n01.jpg'])
    with pytest.raises(InputError, match="'ImageNet/n01.jpg', not VOCde"):
        unpack(tar, tmp_path / 'root', inside='VOCdevkit')
    with pytest.raises(InputError, match='not train2017/... or val2017/...'):
        unpack(tar, tmp_path / 'root', tops=COCO_FOLDERS)
    assert not (tmp_path / 'root').exists()
