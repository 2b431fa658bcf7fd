"""Checkpoints of students whose features differ between images."""

import runpy
import sys

import torch
from mmengine.registry import init_default_scope
from mmpretrain.registry import MODELS
from torch import nn

from mmdisco.checkpoints import arch_config
from mmdisco.utils import quiet_init
from tests.tools import ROOT


def trained(arch, size=64):
    """Backbone and neck of an arch, with BN statistics of a batch."""
    init_default_scope('mmpretrain')
    torch.manual_seed(0)
    config = arch_config(arch)
    parts = [MODELS.build(config.backbone), MODELS.build(config.neck)]
    with quiet_init():
        for part in parts:
            part.init_weights()
    for module in parts[0].modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = None  # statistics of this batch only
            nn.init.uniform_(module.weight, 0.8, 1.2)
            nn.init.normal_(module.bias, std=0.1)
    with torch.no_grad():
        parts[0](torch.randn(8, 3, size, size))
    for part in parts:
        part.eval()
    return parts


def tensors(backbone, neck=None, prefix=''):
    parts = dict(backbone=backbone, neck=neck)
    return {
        f'{prefix}{name}.{key}': value
        for name, part in parts.items()
        if part is not None
        for key, value in part.state_dict().items()
    }


def pooled(backbone, images):
    """Reference: the class token, or the mean over all positions."""
    with torch.no_grad():
        last = backbone(images)[-1]
    return last if last.dim() == 2 else last.flatten(2).mean(-1)


def call(monkeypatch, tool, *args):
    """Run a tool that succeeds, in this process."""
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr(sys, 'argv', [tool, *map(str, args)])
    runpy.run_path(tool, run_name='__main__')
