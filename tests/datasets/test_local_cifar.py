"""CIFAR from a folder: images, labels, size 224, and errors without it."""

import pickle

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmpretrain.registry import DATASETS, MODELS
from PIL import Image

from mmdisco.datasets import LocalCIFAR10, LocalCIFAR100
from mmdisco.launch.smoke import few_images, photo_tiles
from tests.tools import ROOT

CLASSES = {10: LocalCIFAR10, 100: LocalCIFAR100}


def config(classes):
    init_default_scope('mmpretrain')
    return Config.fromfile(ROOT / f'configs/_base_/datasets/cifar{classes}_224.py')


@pytest.fixture(params=[10, 100])
def written(request, tmp_path, monkeypatch):
    """Three images in each split, and the number of classes."""
    cls, key = CLASSES[request.param], {10: 'labels', 100: 'fine_labels'}
    images = {}
    for split in ('train', 'test'):
        pixels = np.random.default_rng(len(split)).integers(
            0, 256, (3, 3, 32, 32), np.uint8
        )  # channels first, as published
        images[split] = pixels.transpose(0, 2, 3, 1)
        monkeypatch.setattr(cls, f'{split}_list', [[split, None]])  # no md5
        path = tmp_path / cls.base_folder / split
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(
            pickle.dumps({'data': pixels.reshape(3, -1), key[request.param]: [7, 0, 3]})
        )
    return tmp_path, request.param, images


def test_an_image_of_the_test_is_enlarged_as_pil_does(written):
    root, classes, images = written
    cfg = config(classes)
    data = DATASETS.build(dict(cfg.val_dataloader.dataset, data_root=str(root)))
    assert len(data) == 3 and data.get_gt_labels().tolist() == [7, 0, 3]
    item = data[1]
    large = np.asarray(
        Image.fromarray(images['test'][1]).resize((224, 224), Image.BICUBIC)
    )
    assert np.array_equal(item['inputs'].numpy().transpose(1, 2, 0), large)
    batch = MODELS.build(cfg.data_preprocessor)(
        dict(inputs=[item['inputs']], data_samples=[item['data_samples']])
    )
    red = (torch.tensor(large[..., 0]).float() - 255 * 0.485) / (255 * 0.229)
    torch.testing.assert_close(batch['inputs'][0, 0], red, rtol=1e-4, atol=1e-4)


def test_an_image_of_training_is_a_crop_of_224(written):
    root, classes, _ = written
    data = DATASETS.build(
        dict(config(classes).train_dataloader.dataset, data_root=str(root))
    )
    item = data[0]
    assert item['inputs'].shape == (3, 224, 224)
    assert item['data_samples'].gt_label.item() == 7


@pytest.mark.parametrize('classes', CLASSES)
def test_missing_files_are_reported_in_one_line(tmp_path, classes):
    cls = CLASSES[classes]
    dataset = dict(config(classes).train_dataloader.dataset, data_root=str(tmp_path))
    for name in (None, *(name for name, _ in cls.train_list)):
        if name:  # other content than published
            path = tmp_path / cls.base_folder / name
            path.parent.mkdir(exist_ok=True)
            path.write_text('junk')
        with pytest.raises(FileNotFoundError, match='no complete') as error:
            DATASETS.build(dataset)
        assert f"'{cls.base_folder}': unpack {cls.url}" in str(error.value)
        assert '\n' not in str(error.value)


@pytest.mark.parametrize('classes', CLASSES)
def test_a_smoke_test_brings_its_own_images(tmp_path, classes):
    photo_tiles(tmp_path / 'smoke', 4)
    cfg = config(classes)
    for loader in (cfg.train_dataloader, cfg.val_dataloader):
        few_images(loader, 4, tmp_path / 'smoke')
        data = DATASETS.build(loader.dataset)
        assert len(data) == 4 and data[3]['inputs'].shape == (3, 224, 224)
