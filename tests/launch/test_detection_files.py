"""Annotation files are checked before anything is built."""

import shutil

import pytest
from mmengine.config import Config

from mmdisco.errors import InputError, MissingFileError
from mmdisco.launch import check_detection_files
from mmdisco.launch.student import classes_of


@pytest.fixture
def cfg(tmp_path):
    """Return configs of a data set in each form that configs have."""
    for name in ('a/train.json', 'a/val.json', 'a/one.txt', 'a/two.txt'):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text('')
    root = f'{tmp_path}/a/'
    return Config(
        dict(
            train_dataloader=dict(
                dataset=dict(
                    type='ConcatDataset',
                    datasets=[
                        dict(type='VOCDataset', data_root=root, ann_file=name)
                        for name in ('one.txt', 'two.txt')
                    ],
                )
            ),
            val_dataloader=dict(
                dataset=dict(type='CocoDataset', data_root=root, ann_file='val.json')
            ),
            val_evaluator=[
                dict(type='VOCAPMetric'),
                dict(type='CocoMetric', ann_file=f'{root}val.json'),
            ],
            test_dataloader=None,
        )
    )


def test_existing_files_pass(cfg):
    check_detection_files(cfg, 'train', 'val', 'test')
    cfg.val_dataloader.dataset.update(data_root='s3://bucket/')
    cfg.val_evaluator[1].ann_file = None
    check_detection_files(cfg, 'val')


@pytest.mark.parametrize(
    'file, name', [('two.txt', 'train_dataloader'), ('val.json', 'val_dataloader')]
)
def test_a_missing_file_is_named_with_its_option(cfg, tmp_path, file, name):
    (tmp_path / 'a' / file).unlink()
    with pytest.raises(
        MissingFileError,
        match=f"annotations '{tmp_path}/a/{file}' of {name} not found: .* data_root=",
    ):
        check_detection_files(cfg, 'train', 'val', 'test')


def test_a_missing_file_of_an_evaluator_is_named(cfg, tmp_path):
    cfg.val_dataloader.dataset.data_root = str(
        shutil.move(tmp_path / 'a', tmp_path / 'b')
    )
    with pytest.raises(MissingFileError, match='a/val.json. of val_evaluator'):
        check_detection_files(cfg, 'val')


def test_classes_are_names_or_a_file_of_them(cfg, tmp_path):
    dataset = cfg.val_dataloader.dataset
    assert classes_of(dataset) is None
    (tmp_path / 'names.txt').write_text('bag\nankle boot\n')
    for given, names in (
        (['bag'], ('bag',)),
        (str(tmp_path / 'names.txt'), ('bag', 'ankle boot')),
    ):
        dataset.metainfo = dict(classes=given)
        assert classes_of(dataset) == names
        check_detection_files(cfg, 'val')
    dataset.metainfo = dict(classes='bag')
    with pytest.raises(InputError, match=r"the string 'bag': write \('bag', \)"):
        check_detection_files(cfg, 'val')
