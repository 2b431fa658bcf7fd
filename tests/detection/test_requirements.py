"""What mmdisco.detection provides for mmdet, and versions that it rejects."""

import re
import sys
from types import ModuleType

import pytest
from mmcv.cnn.bricks import transformer
from mmcv.ops.multi_scale_deform_attn import MultiScaleDeformableAttention

from mmdisco.detection import requirements
from mmdisco.errors import InputError


def test_mmcv_cnn_gets_the_attention_that_it_could_not_import(monkeypatch):
    name = 'MultiScaleDeformableAttention'
    monkeypatch.delattr(transformer, name, raising=False)
    requirements.check_detection()
    assert getattr(transformer, name) is MultiScaleDeformableAttention


def test_a_reason_of_mmdet_is_repeated(monkeypatch):
    """As mmdet 3.3.0 rejects mmcv 2.2.0."""

    def refuse(name):
        if name == 'mmdet':
            raise AssertionError('MMCV==2.2.0 is used but incompatible.')
        return sys.modules[name]

    monkeypatch.setattr(requirements, 'import_module', refuse)
    line = 'mmdet does not work here (MMCV==2.2.0 is used but incompatible.): for'
    with pytest.raises(InputError, match=f'^{re.escape(line)}'):
        requirements.check_detection()


def test_an_old_mmdet_is_rejected(monkeypatch):
    old = ModuleType('mmdet')
    old.__version__ = '2.28.0'
    monkeypatch.setattr(requirements, 'import_module', lambda name: old)
    with pytest.raises(InputError, match='needs mmdet >=3.0.0, found 2.28.0'):
        requirements.check_detection()
