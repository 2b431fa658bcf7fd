"""Class folders: labels, and errors for folders that do not fit."""

import numpy as np
import pytest
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmpretrain.datasets import ImageNet
from mmpretrain.registry import DATASETS
from PIL import Image
from torch._utils import ExceptionWrapper
from torchvision.datasets import ImageFolder

from mmdisco.datasets import LabelledPhotos
from mmdisco.launch.smoke import few_images, photo_tiles
from tests.tools import ROOT

PIPELINE = [dict(type='LoadPhoto'), dict(type='PackInputs')]
# in no order, and sorted neither by case nor by number
NAMES = [
    'n10/n10_1.JPEG',
    'n9/n9_2.png',
    'Zoo/Zoo_1.jpg',
    'n9/deep/n9_3.webp',
    'hot_dog/hot_dog_7.tiff',
    'n10/n10_0.jpg',
]


@pytest.fixture
def root(tmp_path):
    """Folders of four classes, and other folders."""
    for i, name in enumerate(NAMES):
        path = tmp_path / 'train' / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((8, 6, 3), 40 * i, np.uint8)).save(path)
    (tmp_path / 'train/notes.txt').write_text('no class')
    return tmp_path


def build(root, **kwargs):
    return LabelledPhotos(str(root), 'train', pipeline=PIPELINE, **kwargs)


def labels_of(data):
    return {
        data.get_data_info(i)['img_path']: data.get_data_info(i)['gt_label']
        for i in range(len(data))
    }


def test_labels_are_those_of_torchvision(root):
    data = build(root, num_classes=4)
    reference = ImageFolder(root / 'train')
    assert labels_of(data) == dict(reference.imgs) and len(data) == len(NAMES)
    assert len(build(root, num_images=6)) == 6
    assert list(data.metainfo['classes']) == reference.classes
    # a notebook's hidden folder is not a class
    (root / 'train/.ipynb_checkpoints').mkdir()
    assert labels_of(build(root, num_classes=4)) == dict(reference.imgs)


def test_an_item_has_its_image_and_its_label(root):
    data = build(root)
    item = data[[*labels_of(data)].index(str(root / 'train/n10/n10_1.JPEG'))]
    assert item['inputs'].shape == (3, 8, 6) and not item['inputs'].any()
    assert item['data_samples'].gt_label.tolist() == [2]
    assert data.get_gt_labels().tolist() == [0, 1, 2, 2, 3, 3]


def test_an_unreadable_image_is_named_in_one_line(root):
    path = root / 'train' / NAMES[0]
    noise = np.random.default_rng(0).integers(0, 255, (40, 30, 3), np.uint8)
    Image.fromarray(noise).save(path)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    data = build(root)
    index = [*labels_of(data)].index(str(path))
    with pytest.raises(ValueError, match='n10_1.JPEG.*runcated') as error:
        data[index]
    assert '\n' not in str(error.value)
    path.write_text('<html>')
    try:
        data[index]
    except ValueError:
        handed = ExceptionWrapper(where='in a worker')  # as in a DataLoader
    with pytest.raises(ValueError) as error:
        handed.reraise()
    # the line that tools print
    last = str(error.value).strip().split('\n')[-1]
    assert "n10_1.JPEG' can't be read" in last


def test_a_defect_of_the_pipeline_is_not_taken_for_a_bad_image(root):
    data = LabelledPhotos(str(root), 'train', pipeline=[lambda _: 1 / 0])
    with pytest.raises(ZeroDivisionError):
        data[0]


@pytest.mark.parametrize(
    'text',
    [
        'n9/deep/n9_3.webp\nhot_dog/hot_dog_7.tiff\n',
        'n9/deep/n9_3.webp 3\r\n\nhot_dog/hot_dog_7.tiff 1',
    ],
)
def test_a_list_of_some_images(root, text):
    (root / 'few.txt').write_text(text)
    assert labels_of(build(root, ann_file='few.txt', num_classes=4)) == {
        str(root / 'train/n9/deep/n9_3.webp'): 3,
        str(root / 'train/hot_dog/hot_dog_7.tiff'): 1,
    }


def test_simclrs_list_names_classes_in_the_file_names(root):
    (root / 'few.txt').write_text('n10_1.JPEG\nhot_dog_7.tiff\n')
    data = build(root, ann_file=str(root / 'few.txt'))
    assert labels_of(data) == {
        str(root / 'train/n10/n10_1.JPEG'): 2,
        str(root / 'train/hot_dog/hot_dog_7.tiff'): 1,
    }
    assert data[0]['inputs'].shape == (3, 8, 6)


def test_labels_of_a_list_need_no_folders(tmp_path):
    Image.new('RGB', (6, 8)).save(tmp_path / 'my cat.png')
    (tmp_path / 'val.txt').write_text('my cat.png 17')
    data = LabelledPhotos(str(tmp_path), ann_file='val.txt', num_classes=18)
    assert labels_of(data) == {str(tmp_path / 'my cat.png'): 17}
    with pytest.raises(ValueError, match="my cat.png 17', num_classes is 17"):
        LabelledPhotos(str(tmp_path), ann_file='val.txt', num_classes=17)


def test_errors_are_one_line(root):
    (root / 'empty.txt').write_text('\n')
    (root / 'other.txt').write_text('ILSVRC2012_val_00000001.JPEG')
    (root / 'one.txt').write_text('n10_1.JPEG\n')
    (root / 'flat').mkdir()
    (root / 'one/x').mkdir(parents=True)
    for prefix, kwargs, words in (
        ('nowhere', {}, "nowhere' not found: set data_root"),
        ('flat', {}, "flat' has 0 class folders: set data_root"),
        (
            'one',
            dict(num_classes=1000),
            "one' has 1 class folder, num_classes is 1000: ",
        ),
        ('train', dict(num_classes=5), '4 class folders, num_classes is 5'),
        ('one', {}, "without an image, 1 of 1, e.g. 'x'"),
        ('train', dict(ann_file='no.txt'), "no.txt' not found: set ann_"),
        ('train', dict(ann_file='empty.txt'), "empty.txt' is empty"),
        (
            'train',
            dict(num_images=7),
            "train' has 6 images, num_images of the dataset is 7: ",
        ),
        (
            'train',
            dict(ann_file='one.txt', num_images=2),
            "one.txt' has 1 image, num_images of the dataset is 2: ",
        ),
        ('train', dict(ann_file='other.txt'), "no class folder 'ILSVRC2012_val'"),
        (
            'train',
            dict(ann_file='other.txt', num_classes=5),
            '4 class folders, num_classes is 5',
        ),
    ):
        with pytest.raises(ValueError, match=words) as error:
            LabelledPhotos(str(root), prefix, **kwargs)
        assert '\n' not in str(error.value)
        assert isinstance(error.value, FileNotFoundError) == ('not found' in words)


@pytest.mark.parametrize('split', ['train', 'val'])
def test_linear_evaluation_has_the_labels_of_mmpretrain(tmp_path, split):
    init_default_scope('mmpretrain')
    cfg = Config.fromfile(ROOT / 'configs/_base_/datasets/imagenet_linear.py')
    loader = cfg[f'{split}_dataloader']
    for i in range(1000):
        folder = tmp_path / split / f'n{i:08}'
        folder.mkdir(parents=True)
        (folder / 'x.JPEG').touch()  # not opened here
    data = DATASETS.build(dict(loader.dataset, data_root=str(tmp_path)))
    reference = ImageNet(str(tmp_path), split)
    assert labels_of(data) == labels_of(reference) and len(data) == 1000
    assert data.get_gt_labels().tolist() == [*range(1000)]

    photo_tiles(tmp_path / 'smoke', 4)
    few_images(loader, 4, tmp_path / 'smoke')
    data = DATASETS.build(loader.dataset)
    item = data[3]
    assert item['inputs'].shape == (3, 224, 224)
    assert item['data_samples'].gt_label.item() == 1
