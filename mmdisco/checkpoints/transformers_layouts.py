"""Names of Hugging Face transformers' vision models, in those of timm."""

import re
from collections.abc import Callable, Mapping
from typing import NamedTuple

import torch
from torch import Tensor

from mmdisco.errors import InputError


class Renamed(NamedTuple):
    """Tensors of a file under timm's names, and an account of the rest."""

    layout: str  # the class of transformers
    tensors: dict[str, Tensor]
    keys: dict[str, str]  # name -> key of the file, of the first if several
    left_out: dict[str, list[str]]  # reason -> keys of the file
    note: str  # what was computed instead of copied


class _Layout(NamedTuple):
    """A family: names by regular expressions, in this order, the first that fits."""

    name: str
    mark: str  # a key that only this family has
    rows: tuple[tuple[str, str], ...]  # pattern of the whole key, timm's name
    # pattern of the whole key, reason
    left_out: tuple[tuple[str, str], ...] = ()
    # what renaming alone does not do
    finish: Callable[[dict[str, Tensor], Mapping[str, Tensor]], str] | None = None


_MASK_TOKEN = 'mask token, used in pre-training only'
_END = r'(\.weight|\.bias)'
_HEADS = ('query', 'key', 'value')


def _join(tensors: dict[str, Tensor]) -> None:
    """Join queries, keys and values, '{block}.attn.{q,k,v}.*', as timm has them."""
    for key in [key for key in tensors if re.search(r'\.attn\.q\.', key)]:
        parts = [key.replace('.attn.q.', f'.attn.{x}.') for x in 'qkv']
        if all(part in tensors for part in parts):
            joined = torch.cat([tensors.pop(part) for part in parts])
            tensors[key.replace('.attn.q.', '.attn.qkv.')] = joined


def _finish_dinov2(tensors: dict[str, Tensor], expected: Mapping[str, Tensor]) -> str:
    _join(tensors)
    positions = tensors.get('pos_embed')
    if positions is None or 'reg_token' not in expected or positions.dim() != 3:
        return ''
    # timm's network has positions of patches only
    if 'cls_token' in tensors:
        tensors['cls_token'] = tensors['cls_token'] + positions[:, :1]
    tensors['pos_embed'] = positions[:, 1:]
    return 'the position of the class token is added to it'


def _finish_dinov3(tensors: dict[str, Tensor], expected: Mapping[str, Tensor]) -> str:
    """Biases are zero in published files; timm's networks with 'qkvb' have them."""
    zero = 0
    for key in [key for key in tensors if re.fullmatch(r'.*\.attn\.[qv]\.bias', key)]:
        bias = tensors.pop(key)
        name = re.sub(r'([qv])\.bias$', r'\1_bias', key)
        if name in expected:
            tensors[name] = bias
        elif bias.count_nonzero() == 0:
            zero += 1
        else:
            tensors[name] = bias  # unexpected: a fault
    _join(tensors)
    return f'{zero} biases of zeros dropped' if zero else ''


def _finish_siglip(tensors: dict[str, Tensor], expected: Mapping[str, Tensor]) -> str:
    _join(tensors)
    if 'pos_embed' in tensors:
        tensors['pos_embed'] = tensors['pos_embed'][None]  # [L, C] -> [1, L, C]
    for leaf in ('weight', 'bias'):
        joined = tensors.pop(f'attn_pool.qkv.{leaf}', None)
        if joined is not None:
            width = len(joined) // 3
            tensors[f'attn_pool.q.{leaf}'] = joined[:width].clone()
            tensors[f'attn_pool.kv.{leaf}'] = joined[width:].clone()
    return ''


_DINOV2 = _Layout(
    'Dinov2Model',
    r'encoder\.layer\.0\.attention\.attention\.query\.weight',
    (
        (r'embeddings\.cls_token', 'cls_token'),
        (r'embeddings\.register_tokens', 'reg_token'),
        (r'embeddings\.position_embeddings', 'pos_embed'),
        (rf'embeddings\.patch_embeddings\.projection{_END}', r'patch_embed.proj\1'),
        *(
            (
                rf'encoder\.layer\.(\d+)\.attention\.attention\.{name}{_END}',
                rf'blocks.\1.attn.{name[0]}\2',
            )
            for name in _HEADS
        ),
        (
            rf'encoder\.layer\.(\d+)\.attention\.output\.dense{_END}',
            r'blocks.\1.attn.proj\2',
        ),
        (
            r'encoder\.layer\.(\d+)\.layer_scale(\d)\.lambda1',
            r'blocks.\1.ls\2.gamma',
        ),
        (rf'encoder\.layer\.(\d+)\.mlp\.weights_in{_END}', r'blocks.\1.mlp.fc1\2'),
        (rf'encoder\.layer\.(\d+)\.mlp\.weights_out{_END}', r'blocks.\1.mlp.fc2\2'),
        (
            rf'encoder\.layer\.(\d+)\.(norm\d|mlp\.fc\d){_END}',
            r'blocks.\1.\2\3',
        ),
        (rf'layernorm{_END}', r'norm\1'),
    ),
    ((r'embeddings\.mask_token', _MASK_TOKEN), (rf'classifier{_END}', 'classifier')),
    _finish_dinov2,
)
_DINOV3 = _Layout(
    'DINOv3ViTModel',
    r'layer\.0\.attention\.q_proj\.weight',
    (
        (r'embeddings\.cls_token', 'cls_token'),
        (r'embeddings\.register_tokens', 'reg_token'),
        (rf'embeddings\.patch_embeddings{_END}', r'patch_embed.proj\1'),
        (rf'layer\.(\d+)\.attention\.([qkv])_proj{_END}', r'blocks.\1.attn.\2\3'),
        (rf'layer\.(\d+)\.attention\.o_proj{_END}', r'blocks.\1.attn.proj\2'),
        (r'layer\.(\d+)\.layer_scale(\d)\.lambda1', r'blocks.\1.gamma_\2'),
        (rf'layer\.(\d+)\.mlp\.gate_proj{_END}', r'blocks.\1.mlp.fc1_g\2'),
        (rf'layer\.(\d+)\.mlp\.up_proj{_END}', r'blocks.\1.mlp.fc1\2'),
        (rf'layer\.(\d+)\.mlp\.down_proj{_END}', r'blocks.\1.mlp.fc2\2'),
        (rf'layer\.(\d+)\.(norm\d){_END}', r'blocks.\1.\2\3'),
        (rf'norm{_END}', r'norm\1'),
    ),
    ((r'embeddings\.mask_token', _MASK_TOKEN),),
    _finish_dinov3,
)
_DINOV3_CONVNEXT = _Layout(
    'DINOv3ConvNextModel',
    r'stages\.0\.layers\.0\.depthwise_conv\.weight',
    (
        (rf'stages\.0\.downsample_layers\.(\d){_END}', r'stem.\1\2'),
        (
            rf'stages\.(\d+)\.downsample_layers\.(\d){_END}',
            r'stages.\1.downsample.\2\3',
        ),
        (r'stages\.(\d+)\.layers\.(\d+)\.gamma', r'stages.\1.blocks.\2.gamma'),
        *(
            (
                rf'stages\.(\d+)\.layers\.(\d+)\.{name}{_END}',
                rf'stages.\1.blocks.\2.{target}\3',
            )
            for name, target in (
                ('depthwise_conv', 'conv_dw'),
                ('layer_norm', 'norm'),
                ('pointwise_conv1', 'mlp.fc1'),
                ('pointwise_conv2', 'mlp.fc2'),
            )
        ),
        (rf'layer_norm{_END}', r'head.norm\1'),
    ),
)
_SIGLIP = _Layout(
    'SiglipVisionModel',
    r'(vision_model\.)?encoder\.layers\.0\.self_attn\.q_proj\.weight',
    tuple(
        (rf'(?:vision_model\.)?{pattern}', name)
        for pattern, name in (
            (rf'embeddings\.patch_embedding{_END}', r'patch_embed.proj\1'),
            (r'embeddings\.position_embedding\.weight', 'pos_embed'),
            (
                rf'encoder\.layers\.(\d+)\.self_attn\.([qkv])_proj{_END}',
                r'blocks.\1.attn.\2\3',
            ),
            (
                rf'encoder\.layers\.(\d+)\.self_attn\.out_proj{_END}',
                r'blocks.\1.attn.proj\2',
            ),
            (rf'encoder\.layers\.(\d+)\.layer_norm(\d){_END}', r'blocks.\1.norm\2\3'),
            (rf'encoder\.layers\.(\d+)\.mlp\.(fc\d){_END}', r'blocks.\1.mlp.\2\3'),
            (rf'post_layernorm{_END}', r'norm\1'),
            (r'head\.probe', 'attn_pool.latent'),
            (r'head\.attention\.in_proj_(weight|bias)', r'attn_pool.qkv.\1'),
            (rf'head\.attention\.out_proj{_END}', r'attn_pool.proj\1'),
            (rf'head\.layernorm{_END}', r'attn_pool.norm\1'),
            (rf'head\.mlp\.(fc\d){_END}', r'attn_pool.mlp.\1\2'),
        )
    ),
    (
        (r'text_model\..*', 'text tower'),
        (r'logit_(scale|bias)', 'temperature of the pairs of image and text'),
        (r'(vision_model\.)?embeddings\.position_ids', 'numbers of the positions'),
    ),
    _finish_siglip,
)
_LAYOUTS = (_DINOV2, _DINOV3, _DINOV3_CONVNEXT, _SIGLIP)
# of a model for a task, e.g. Dinov2ForImageClassification
_PREFIXES = ('dinov2_with_registers.', 'dinov2.', 'model.')


def transformers_names(
    tensors: Mapping[str, Tensor], expected: Mapping[str, Tensor]
) -> Renamed | None:
    """Rename the tensors of a file of transformers for a network of timm.

    Args:
        tensors (dict): Tensors of the file.
        expected (dict): Tensors of the network.

    Returns:
        Renamed, optional: None if these are not the names of a supported model of
        transformers. Keys without a name in timm are kept.

    Raises:
        InputError: If two tensors get the same name.
    """
    prefixes = {key: _without_prefix(key) for key in tensors}
    layout = next(
        (
            layout
            for layout in _LAYOUTS
            if any(re.fullmatch(layout.mark, key) for key in prefixes.values())
        ),
        None,
    )
    if layout is None:
        return None
    renamed = Renamed(layout.name, {}, {}, {}, '')
    for key, value in tensors.items():
        bare = prefixes[key]
        reason = _first(layout.left_out, bare)
        if reason is not None:
            renamed.left_out.setdefault(reason, []).append(key)
            continue
        name = _first(layout.rows, bare, expand=True) or key
        if name in renamed.tensors:
            raise InputError(
                f"'{key}' and '{renamed.keys[name]}' are both timm's '{name}'"
            )
        renamed.tensors[name], renamed.keys[name] = value, key
    if layout is _DINOV3 and any('fc1_g' in name for name in renamed.tensors):
        # gated: timm's fc1 is in two halves
        for name in [n for n in renamed.tensors if re.search(r'\.mlp\.fc1\.', n)]:
            half = name.replace('.fc1.', '.fc1_x.')
            renamed.tensors[half] = renamed.tensors.pop(name)
            renamed.keys[half] = renamed.keys.pop(name)
    note = layout.finish(renamed.tensors, expected) if layout.finish else ''
    return renamed._replace(note=note)


def _without_prefix(key: str) -> str:
    """Key without the name of the backbone in a model for a task."""
    for prefix in _PREFIXES:
        key = key.removeprefix(prefix)
    return key


def _first(rows: tuple, key: str, expand: bool = False) -> str | None:
    """Value of the first row that fits, with groups of the key if ``expand``."""
    for pattern, value in rows:
        match = re.fullmatch(pattern, key)
        if match:
            return match.expand(value) if expand else value
    return None
