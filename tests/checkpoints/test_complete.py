"""tools/test.py loads all tensors of the model, or fails."""

import logging
from types import SimpleNamespace

import pytest
import torch
from mmengine.model import ExponentialMovingAverage
from torch import nn

from mmdisco.checkpoints import check_complete
from mmdisco.errors import InputError


def network():
    model = nn.Module()
    model.backbone = nn.Linear(3, 3)
    model.average = ExponentialMovingAverage(nn.Linear(2, 2))  # a wrapper
    return model


@pytest.mark.parametrize('prefix', ['', 'module.', '_orig_mod.', 'module._orig_mod.'])
def test_wrapped_names_are_loaded(tmp_path, prefix):
    saved, model = network(), network()
    path = str(tmp_path / 'a.pth')
    torch.save(
        dict(
            state_dict={
                f'{prefix}{key}': value for key, value in saved.state_dict().items()
            }
        ),
        path,
    )
    runner = SimpleNamespace(
        model=model, logger=logging.getLogger('whole'), _has_loaded=False
    )
    check_complete(runner, path)
    for key, value in model.state_dict().items():
        assert torch.equal(value, saved.state_dict()[key]), key
    assert runner._has_loaded == bool(prefix)  # without prefix mmengine loads it
    model.more = nn.Linear(1, 1)
    with pytest.raises(InputError, match='use a checkpoint of the whole model'):
        check_complete(runner, path)
