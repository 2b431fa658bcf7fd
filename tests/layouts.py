"""Files in the public checkpoint layouts, filled by the goldens' recipe."""
import json
import zlib
from pathlib import Path

import numpy as np
import torch

DATA = Path(__file__).parent / 'data'


def filled(key, shape, dtype, gain):
    """A tensor that depends on its key alone: rules 1, 2, 4, 7, 8 and 9."""
    leaf = key.rsplit('.', 1)[-1]
    random = np.random.RandomState(zlib.crc32(key.encode()))
    if dtype == 'int64':
        return torch.zeros(shape, dtype=torch.long)
    if leaf == 'running_var':
        return torch.from_numpy(
            np.asarray(.5 + random.random_sample(shape), np.float32))
    value = random.standard_normal(shape)
    if leaf != 'running_mean' and len(shape) >= 2:
        value *= np.sqrt(gain / np.prod(shape[1:]))
    elif leaf == 'weight':
        value = 1 + .1 * value
    else:
        value *= .1
    return torch.from_numpy(np.asarray(value, np.float32))


def write_public_file(name, path):
    """Write a file of a public layout, with what else such files hold."""
    layout = json.loads((DATA / f'{name}.json').read_text())
    [group] = layout['groups']
    tensors = {
        key: filled(key, shape, dtype, layout['gain'])
        for key, shape, dtype in group['entries']
    }
    content = tensors
    for part in reversed(group['path']):
        content = {part: content, 'epoch': 200, 'arch': 'resnet50'}
    torch.save(content, path)
    return tensors
