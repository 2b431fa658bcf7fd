"""Initial weights of a detector's config must load completely."""

import pytest
import torch
from mmdet.registry import MODELS
from mmengine.registry import init_default_scope

import mmdisco.detection  # noqa: F401
from mmdisco.errors import InputError


def backbone(depth=18, **options):
    init_default_scope('mmdet')
    return MODELS.build(dict(type='ResNet', depth=depth, **options))


def test_init_cfg_is_strict_in_the_scope_of_detectors(tmp_path):
    path, expected = tmp_path / 'r18.pth', backbone().state_dict()
    torch.save(
        dict(state_dict={f'backbone.{key}': value for key, value in expected.items()}),
        path,
    )
    for prefix in ('backbone.', None):
        settings = dict(type='Pretrained', checkpoint=str(path), prefix=prefix)
        module = backbone(init_cfg=settings)
        module.init_weights()
        for key, value in module.state_dict().items():
            assert torch.equal(value, expected[key]), key
        with pytest.raises(InputError, match='does not fit'):
            backbone(34, init_cfg=settings).init_weights()
