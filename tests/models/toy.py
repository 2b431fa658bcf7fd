"""The small encoder of the goldens, and its weights."""

import zlib

import numpy as np
import torch
from torch import nn


class ToyBackbone(nn.Module):
    """Two strided convolutions with BN and ReLU."""

    def __init__(self, width1, width2):
        super().__init__()
        self.conv1 = nn.Conv2d(3, width1, 3, 2, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width1)
        self.conv2 = nn.Conv2d(width1, width2, 3, 2, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(width2)

    def forward(self, x):
        x = self.bn1(self.conv1(x)).relu()
        return (self.bn2(self.conv2(x)).relu(),)


def recipe(key, shape, gain=2.0):
    """One tensor by the golden README's recipe (rules 7 to 9)."""
    normal = np.random.RandomState(zlib.crc32(key.encode())).standard_normal(shape)
    if len(shape) >= 2:
        normal *= np.sqrt(gain / np.prod(shape[1:]))
    elif key.endswith('weight'):
        normal = 1 + 0.1 * normal
    else:
        normal *= 0.1
    return torch.from_numpy(np.asarray(normal)).float()


def fill(backbone, neck, name):
    """Fill parameters; the goldens call the neck's linear layers fc.*."""
    with torch.no_grad():
        for key, param in backbone.named_parameters():
            param.copy_(recipe(f'{name}.{key}', tuple(param.shape)))
        for key, param in neck.named_parameters():
            key = key.replace('mlp.', 'fc.')
            param.copy_(recipe(f'{name}.{key}', tuple(param.shape)))
