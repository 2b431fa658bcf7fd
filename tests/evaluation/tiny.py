"""A tiny data set and checkpoint for evaluations."""

import json
import struct
from functools import cache

import numpy as np
import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmpretrain.registry import MODELS

from mmdisco.datasets import IDXImages
from mmdisco.evaluation.features.encoder import open_encoder
from mmdisco.evaluation.features.extract import extract_split
from mmdisco.evaluation.features.views import Crop
from mmdisco.evaluation.sources import open_source
from tests.tools import ROOT

CONFIG = ROOT / 'configs/quickstart/mocov2.py'
MEAN, STD = 72.94, 90.02  # of its data_preprocessor
SIZES = dict(train=60, test=40)


@cache
def pictures(split):
    """Pictures of the first three classes of Fashion-MNIST, and labels."""
    data = IDXImages(str(ROOT / 'demo/fashion_mnist'), split)
    rows = (data.labels < 3).nonzero().flatten()[: SIZES[split]]
    return data.images[rows], data.labels[rows]  # [N, 1, 28, 28]


def write_idx(path, array):
    array = np.uint8(array)
    header = struct.pack(f'>HBB{array.ndim}i', 0, 8, array.ndim, *array.shape)
    path.write_bytes(header + array.tobytes())


def idx_folder(root, train=slice(None), test=slice(None)):
    """IDX files of some of the pictures."""
    root.mkdir(parents=True, exist_ok=True)
    for split, prefix, rows in (('train', 'train', train), ('test', 't10k', test)):
        images, labels = pictures(split)
        write_idx(root / f'{prefix}-images-idx3-ubyte', images[rows, 0])
        write_idx(root / f'{prefix}-labels-idx1-ubyte', labels[rows])
    return root


def random_backbone(config, seed):
    """Of the quickstart, whose buffers are not those of a new network."""
    init_default_scope('mmpretrain')
    torch.manual_seed(seed)
    backbone = MODELS.build(config.model.backbone)
    for key, value in backbone.state_dict().items():
        if key.endswith('running_mean'):
            value.normal_(0, 0.1)
        elif key.endswith('running_var'):
            value.uniform_(0.5, 1.5)
    backbone.eval()  # returns None
    return backbone


def checkpoint(path, seed=0):
    """As mmengine saves it after pre-training; gives its backbone."""
    config = Config.fromfile(CONFIG)
    backbone = random_backbone(config, seed)
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save(
        dict(
            state_dict={f'backbone.{k}': v for k, v in backbone.state_dict().items()},
            meta=dict(cfg=config.pretty_text, epoch=1, iter=1),
        ),
        path,
    )
    return backbone


@torch.no_grad()
def plain_features(backbone, images, mean=MEAN, std=STD):
    """Features of grey images, [N, D], one at a time."""
    rows = []
    for image in images:
        colours = image.float().expand(1, 3, -1, -1)
        rows.append(backbone((colours - mean) / std)[-1].mean((2, 3))[0])
    return torch.stack(rows)


def extracted(model, data, folder, split='train', crop=Crop(None, None), **options):
    """Features that this process extracts."""
    return extract_split(
        open_encoder(str(model)),
        open_source(str(data), split),
        crop,
        folder / split,
        **{'num_workers': 0, **options},
    )


def report_of(path):
    return json.loads(path.read_text())
