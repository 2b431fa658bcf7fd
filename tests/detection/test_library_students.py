"""Students of timm and torchvision as backbones of a detector."""

from types import SimpleNamespace
from unittest.mock import MagicMock

import pytest
import torch
from mmdet.registry import MODELS
from mmdet.testing import demo_mm_inputs
from mmengine.config import Config
from mmengine.registry import init_default_scope

from mmdisco.detection import DetectionStudentHook
from mmdisco.errors import InputError
from mmdisco.models import TimmMaps, TimmNetwork, TorchvisionNetwork
from tests.models.test_timm_network import randomise
from tests.tools import ROOT

CONFIG = ROOT / 'configs/detection/voc/retinanet_mobilenetv4_conv_small-fpn_1x.py'


@pytest.fixture(autouse=True)
def mmdet_scope(scope):
    init_default_scope('mmdet')


def save(path, network, **config):
    weights = {f'backbone.{k}': v for k, v in network.state_dict().items()}
    config = dict(type=type(network).__name__, name=network.name, **config)
    torch.save(dict(state_dict=weights, meta=dict(backbone=config)), path)
    return str(path)


def load(model, path, **options):
    runner = SimpleNamespace(model=model, _resume=False, logger=MagicMock())
    DetectionStudentHook(path, **options).before_train(runner)
    return runner.logger.info.call_args.args[0]


@pytest.mark.parametrize(
    'student, kind, behind',
    [
        (lambda: TimmNetwork('mobilenetv4_conv_small_035'), 'TimmMaps', 'conv_head'),
        (lambda: TorchvisionNetwork('shufflenet_v2_x0_5'), 'TorchvisionMaps', None),
    ],
)
def test_a_student_is_loaded_and_gives_its_maps(student, kind, behind, tmp_path):
    student = randomise(student()).eval()
    backbone = MODELS.build(dict(type=kind, name=student.name)).eval()
    line = load(
        SimpleNamespace(backbone=backbone), save(tmp_path / 'student.pth', student)
    )
    own = backbone.state_dict()
    assert f'loaded {len(own)}/{len(own)} tensors of backbone' in line
    assert all(torch.equal(own[k], student.state_dict()[k]) for k in own)
    left = len(student.state_dict()) - len(own)
    if behind:
        assert f'{left} of the file are not used by the maps: network.{behind}' in line
    else:
        assert not left and 'not used' not in line


def test_another_network_is_refused(tmp_path):
    student = TimmNetwork('tf_efficientnet_lite0')  # all shapes are the same
    backbone = TimmMaps('efficientnet_lite0')
    with pytest.raises(
        InputError, match="network 'tf_efficientnet_lite0', the backbone is 'efficien"
    ):
        load(SimpleNamespace(backbone=backbone), save(tmp_path / 's.pth', student))
    resnet = save(tmp_path / 'r.pth', TimmNetwork('test_resnet'))
    with pytest.raises(InputError, match="the network 'test_resnet', the backbone is"):
        load(SimpleNamespace(backbone=backbone), resnet)


def test_the_config_has_the_networks_widths():
    cfg = Config.fromfile(str(CONFIG))
    backbone = MODELS.build(cfg.model.backbone)
    assert cfg.model.neck.in_channels == backbone.channels


def test_a_detector_with_a_network_of_timm_learns():
    cfg = Config.fromfile(str(CONFIG)).model
    cfg.backbone.name = 'test_resnet'
    cfg.neck.in_channels = [32, 48, 192, 96]
    model = MODELS.build(cfg)
    model.init_weights()
    model.train()
    data = demo_mm_inputs(2, (3, 64, 96), num_items=[2, 2], num_classes=20)
    data = model.data_preprocessor(data, training=True)
    losses = model.loss(data['inputs'], data['data_samples'])
    sum(sum(value) for value in losses.values()).backward()
    for name, tensor in model.backbone.named_parameters():
        assert tensor.grad is not None, (
            name
        )  # zero behind timm's zero-initialised norms
