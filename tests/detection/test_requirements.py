"""What mmdisco.detection provides for mmdet, and versions that it rejects."""

import re
import sys
from types import ModuleType

import pytest
from mmcv.cnn.bricks import transformer
from mmcv.ops.multi_scale_deform_attn import MultiScaleDeformableAttention
from mmdet.registry import MODELS
from mmpretrain.models.utils import res_layer_extra_norm

from mmdisco.detection import requirements
from mmdisco.errors import InputError


def test_mmcv_cnn_gets_the_attention_that_it_could_not_import(monkeypatch):
    name = 'MultiScaleDeformableAttention'
    monkeypatch.delattr(transformer, name, raising=False)
    requirements.check_detection()
    assert getattr(transformer, name) is MultiScaleDeformableAttention


def test_mmpretrain_gets_its_class_for_mmdet_whatever_came_first(monkeypatch):
    """Also where mmdet was imported after mmdisco and before mmdisco.detection."""
    name = 'ResLayerExtraNorm'
    monkeypatch.delitem(MODELS._module_dict, name, raising=False)
    monkeypatch.setattr(res_layer_extra_norm, name, None)
    requirements.check_detection()
    assert MODELS.module_dict[name] is getattr(res_layer_extra_norm, name)


def test_an_mmdet_imported_without_ops_is_refused_each_time(monkeypatch):
    def provide_ops():
        provided = 'mmcv._ext' not in sys.modules
        sys.modules.setdefault('mmcv._ext', ModuleType('mmcv._ext'))
        return provided

    monkeypatch.delitem(sys.modules, 'mmcv._ext')
    monkeypatch.setattr(requirements, 'provide_ops', provide_ops)
    for _ in range(2):
        with pytest.raises(InputError, match="write 'import mmdisco.detection' first"):
            requirements.check_detection()


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
