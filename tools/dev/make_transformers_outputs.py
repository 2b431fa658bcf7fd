"""Write what transformers computes with small files in its names, for tests.

Run in an environment with transformers; the tests do without it.
"""

import json
import sys
import tempfile
from pathlib import Path

import numpy as np
import torch
import transformers
from safetensors.torch import load_file, save_file

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))

from tests.transformers_files import (  # noqa: E402
    OUTPUTS,
    SIZES,
    STRIDE,
    filled,
    images,
)

_SMALL = dict(hidden_size=32, num_hidden_layers=2, num_attention_heads=2)
_DINOV2 = dict(_SMALL, image_size=182, patch_size=14)
_DINOV3 = dict(_SMALL, num_register_tokens=4, patch_size=16)
# class, settings, tokens before the patches
MODELS = dict(
    dinov2=('Dinov2', _DINOV2, 1),
    dinov2_registers=('Dinov2WithRegisters', dict(_DINOV2, num_register_tokens=4), 5),
    dinov2_swiglu=('Dinov2', dict(_DINOV2, use_swiglu_ffn=True), 1),
    dinov3=('DINOv3ViT', dict(_DINOV3, intermediate_size=128), 5),
    dinov3_biases=('DINOv3ViT', dict(_DINOV3, intermediate_size=128), 5),
    dinov3_gated=(
        'DINOv3ViT',
        dict(_DINOV3, intermediate_size=128, use_gated_mlp=True, hidden_act='silu'),
        5,
    ),
    dinov3_convnext=(
        'DINOv3ConvNext',
        dict(hidden_sizes=[8, 16, 24, 32], depths=[1, 1, 2, 1]),
        1,
    ),
    siglip=(
        'SiglipVision',
        dict(_SMALL, intermediate_size=128, image_size=224, patch_size=16),
        0,
    ),
)


def model_of(family: str) -> tuple[torch.nn.Module, dict]:
    """A model that was saved, filled and read again, and the shapes of its file."""
    kind, settings, _ = MODELS[family]
    config = getattr(transformers, f'{kind}Config')(**settings)
    model = getattr(transformers, f'{kind}Model')(config)
    with tempfile.TemporaryDirectory() as folder:
        model.save_pretrained(folder)
        path = Path(folder, 'model.safetensors')
        shapes = {key: list(value.shape) for key, value in load_file(path).items()}
        save_file(filled(family, shapes), path, metadata=dict(format='pt'))
        model = type(model).from_pretrained(folder, attn_implementation='eager')
    return model.eval(), shapes


def main() -> None:
    outputs, shapes = {}, {}
    for family, (_, _, before) in MODELS.items():
        model, shapes[family] = model_of(family)
        for size in SIZES[family]:
            options = {}
            if family == 'siglip':
                options['interpolate_pos_encoding'] = True
            with torch.no_grad():
                out = model(images(*size), **options)
            key = f'{family}_{size[0]}x{size[1]}'
            outputs[f'{key}_pooled'] = out.pooler_output[0].numpy()
            tokens = out.last_hidden_state[0].numpy()
            if before:
                outputs[f'{key}_class'] = tokens[0]
            outputs[f'{key}_patches'] = tokens[before::STRIDE]
    np.savez_compressed(OUTPUTS, shapes=json.dumps(shapes), **outputs)
    print(f'{OUTPUTS}: transformers {transformers.__version__}')


if __name__ == '__main__':
    main()
