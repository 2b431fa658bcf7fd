"""Files in the public checkpoint layouts, filled by the goldens' recipe."""

import json
import zlib
from argparse import Namespace
from pathlib import Path

import numpy as np
import torch

DATA = Path(__file__).parent / 'data'
LAYOUTS = DATA / 'layouts'


def filled(key, shape, dtype, gain, se_gain):
    """A tensor that depends on its key alone, by the first rule that fits."""
    leaf = key.rsplit('.', 1)[-1]
    random = np.random.RandomState(zlib.crc32(key.encode()))
    if dtype == 'int64':
        return torch.zeros(shape, dtype=torch.long)
    if leaf == 'running_var':
        return torch.from_numpy(
            np.asarray(0.5 + random.random_sample(shape), np.float32)
        )
    if leaf == 'weight_g':
        return torch.ones(shape)
    value = random.standard_normal(shape)
    if leaf in ('pos_embed', 'cls_token'):
        value *= 0.5
    elif leaf == 'temperature':
        value = 1 + 0.1 * value
    elif leaf != 'running_mean' and len(shape) >= 2:
        se = '.se.' in key or '_se_' in key
        value *= np.sqrt((se_gain if se else gain) / np.prod(shape[1:]))
    elif leaf == 'weight' or leaf.startswith('gamma'):
        value = 1 + 0.1 * value
    else:
        value *= 0.1
    return torch.from_numpy(np.asarray(value, np.float32))


# What is not part of an output may hold anything; so it costs no time.
def _blank(shape, dtype):
    return torch.zeros(shape, dtype=getattr(torch, dtype))


def public_content(name, counts):
    """Content of a file of a public layout, and the tensors that count.

    Args:
        name (str): Of the layout.
        counts (tuple): Group and prefix of the part that outputs are
            computed from.
    """
    layout = json.loads((LAYOUTS / f'{name}.json').read_text())
    content, counted = {}, {}
    for group in layout['groups']:
        path = group['path'][0] if group['path'] else ''
        tensors = {}
        for key, shape, dtype in group['entries']:
            if (path, True) == (counts[0], key.startswith(counts[1])):
                tensors[key] = counted[key] = filled(
                    key, shape, dtype, layout['gain'], layout['se_gain']
                )
            else:
                tensors[key] = _blank(shape, dtype)
        content.update({path: tensors} if path else tensors)
    stored = layout['top_level']
    if 'epoch' in stored:
        content.update(epoch=200, optimizer=dict(state={}, param_groups=[]))
    if 'args' in stored:
        content.update(args=Namespace(lr=0.03, arch='vit_small'))
    return content, counted


def write_public_file(name, path, counts):
    """Write such a file; returns the tensors that count."""
    content, counted = public_content(name, counts)
    torch.save(content, path)
    return counted
