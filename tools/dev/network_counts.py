"""Sizes of networks, as counted in OpenMMLab's metafiles."""

import json
from functools import cache

from mmengine.registry import init_default_scope
from mmpretrain.registry import MODELS
from torch import nn

from mmdisco.deploy.complexity import multiply_adds


def _params(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


@cache
def _head(neck: str) -> int:
    return _params(MODELS.build(json.loads(neck)))


@cache
def _backbone(config: str, size: int) -> tuple:
    backbone = MODELS.build(json.loads(config))
    return _params(backbone), multiply_adds(backbone, size)


def counts(backbone: dict, neck: dict, size: int) -> dict:
    """Parameters and FLOPs of a network; each part is built once.

    Args:
        backbone (dict): Config of the backbone.
        neck (dict): Config of the projection head.
        size (int): Side of the image in pixels.

    Returns:
        dict: Parameters of the backbone alone and with the head; FLOPs of the
        backbone in eval mode for one image: multiply-adds, one each.
    """
    init_default_scope('mmpretrain')
    params, flops = _backbone(json.dumps(backbone), size)
    return {
        'Parameters': params,
        'Parameters with Head': params + _head(json.dumps(neck)),
        'FLOPs': flops,
    }
