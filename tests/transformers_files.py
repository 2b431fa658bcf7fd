"""Tiny files in the names of transformers, and timm's networks for them.

tools/dev/make_transformers_outputs.py writes what transformers computes with the
same weights; without transformers, tests/checkpoints/test_transformers_layouts.py
compares timm's networks with it.
"""

import json
import zlib

import numpy as np
import timm
import torch

from tests.layouts import DATA

OUTPUTS = DATA / 'transformers_outputs.npz'
STRIDE = 5  # every fifth patch token is stored
_SMALL = dict(embed_dim=32, depth=2, num_heads=2)
# timm's function with the settings of the family, made smaller
NETWORKS = dict(
    dinov2=('vit_small_patch14_dinov2', dict(_SMALL, img_size=182)),
    dinov2_registers=('vit_small_patch14_reg4_dinov2', dict(_SMALL, img_size=182)),
    dinov2_swiglu=(
        'vit_giant_patch14_dinov2',
        dict(_SMALL, img_size=182, mlp_ratio=5.5),
    ),
    dinov3=('vit_small_patch16_dinov3', _SMALL),
    dinov3_biases=('vit_small_patch16_dinov3_qkvb', _SMALL),
    dinov3_gated=('vit_small_plus_patch16_dinov3', _SMALL),
    dinov3_convnext=(
        'convnext_tiny',
        dict(depths=(1, 1, 2, 1), dims=(8, 16, 24, 32)),
    ),
    siglip=('vit_base_patch16_siglip_224', _SMALL),
)
# of images; the first is that of the position embeddings
SIZES = dict.fromkeys(NETWORKS, ((224, 224), (256, 256), (96, 160))) | dict.fromkeys(
    ('dinov2', 'dinov2_registers', 'dinov2_swiglu'), ((182, 182), (224, 224), (98, 154))
)


def network_of(family, **options):
    """timm's network of a family, in eval mode."""
    name, small = NETWORKS[family]
    dynamic = {} if 'convnext' in family else dict(dynamic_img_size=True)
    options = {**dynamic, **small, **options}
    return timm.create_model(name, num_classes=0, **options).eval(), name


def filled(family, shapes):
    """Weights that depend on their keys alone, for which each layer matters."""
    weights = {}
    for key, shape in sorted(shapes.items()):
        random = np.random.RandomState(zlib.crc32(key.encode()))
        value = random.standard_normal(shape)
        if key.endswith(('weight', 'gamma', 'lambda1')) and len(shape) == 1:
            value = 1 + 0.2 * value
        elif len(shape) > 1 and 'embedding.weight' not in key:
            value *= 1 / np.sqrt(np.prod(shape[1:]))
        else:
            value *= 0.2
        weights[key] = torch.from_numpy(np.asarray(value, np.float32))
    if family in ('dinov3', 'dinov3_gated'):
        # zero in the published files, and timm's networks have none
        for key, value in weights.items():
            if key.endswith(('q_proj.bias', 'v_proj.bias')):
                value.zero_()
    return weights


def images(height, width):
    """One normalised image."""
    random = np.random.RandomState(height * 1000 + width)
    return torch.from_numpy(
        random.standard_normal((1, 3, height, width)).astype(np.float32)
    )


def stored():
    """The stored outputs, and the shapes of each file by family and key."""
    with np.load(OUTPUTS) as file:
        outputs = dict(file)
    return outputs, json.loads(str(outputs.pop('shapes')))
