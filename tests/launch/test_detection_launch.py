"""Processing of detectors' configs by tools/train.py and tools/test.py."""

import pytest
from mmengine.config import Config

from mmdisco.errors import InputError, MissingFileError
from mmdisco.launch import (
    apply_overrides,
    apply_speed,
    is_detector,
    read_config,
    scoped_name,
)
from mmdisco.launch.student import check_student, set_student
from tests.tools import ROOT

COCO = str(ROOT / 'configs/detection/coco/mask-rcnn_r18-c4_180k.py')
VOC = str(ROOT / 'configs/detection/voc/faster-rcnn_r18-c4_48k.py')
LINEAR = str(ROOT / 'configs/benchmarks/linear_r18.py')


def test_data_root_moves_images_and_the_evaluators_annotations():
    cfg = read_config(COCO)
    apply_overrides(cfg, dict(data_root='/elsewhere'))
    for loader in (cfg.train_dataloader, cfg.val_dataloader, cfg.test_dataloader):
        assert loader.dataset.data_root == '/elsewhere'
    for evaluator in (cfg.val_evaluator, cfg.test_evaluator):
        assert evaluator.ann_file == ('/elsewhere/annotations/instances_val2017.json')
    cfg = read_config(VOC)
    apply_overrides(cfg, dict(data_root='/elsewhere'))
    assert [part.data_root for part in cfg.train_dataloader.dataset.datasets] == [
        '/elsewhere'
    ] * 2


def test_typos_in_detectors_options_are_errors():
    cfg = read_config(VOC)
    # an argument of one of mmdet's classes that the config does not mention
    apply_overrides(cfg, {'model.rpn_head.num_convs': 2})
    assert cfg.model.rpn_head.num_convs == 2
    with pytest.raises(InputError, match="did you mean 'num_convs'"):
        apply_overrides(cfg, {'model.rpn_head.num_conv': 2})
    # the key suggested instead of a template can be set
    with pytest.raises(InputError, match='template') as error:
        apply_overrides(cfg, {'train_pipeline.3.scales': [(64, 48)]})
    keys = str(error.value).split("override '")[1].rstrip("'").split(' and ')
    apply_overrides(cfg, {key: [(64, 48)] for key in keys})
    for part in cfg.train_dataloader.dataset.datasets:
        resize = part.pipeline[3]
        assert resize.type == 'RandomChoiceResize'
        assert resize.scales == [(64, 48)]


def test_a_student_is_set_and_checked_and_may_be_random(tmp_path):
    cfg = read_config(VOC)
    with pytest.raises(InputError, match='pass --student CKPT'):
        check_student(cfg)
    with pytest.raises(MissingFileError, match="'none.pth' not found"):
        set_student(cfg, 'none.pth')
    set_student(cfg, 'random')
    check_student(cfg)
    assert cfg.custom_hooks[0].checkpoint == 'random'
    # a linear evaluation needs a student
    with pytest.raises(MissingFileError, match="'random' not found"):
        set_student(Config.fromfile(LINEAR), 'random')


def test_classes_of_this_project_have_their_scope():
    detector, linear = read_config(VOC), read_config(LINEAR)
    assert is_detector(detector) and not is_detector(linear)
    assert scoped_name(detector, 'BF16OptimWrapper') == 'mmpretrain.BF16OptimWrapper'
    assert scoped_name(linear, 'BF16OptimWrapper') == 'BF16OptimWrapper'
    with pytest.raises(InputError, match='detectors take --amp'):
        apply_speed(detector, 'auto')


def test_without_mmdet_one_line_says_what_to_install(monkeypatch):
    from mmdisco.detection import requirements

    monkeypatch.setattr(requirements, 'find_spec', lambda name: None)
    with pytest.raises(InputError, match='mmdet is not installed: .*onedl-mmdet'):
        requirements.check_detection()
    monkeypatch.setattr('mmdisco.launch.overrides.find_spec', lambda name: None)

    def fromfile(path):
        raise ModuleNotFoundError("No module named 'mmdet'")

    monkeypatch.setattr(Config, 'fromfile', fromfile)
    with pytest.raises(InputError, match='needs mmdet: run .pip install onedl'):
        read_config(VOC)
