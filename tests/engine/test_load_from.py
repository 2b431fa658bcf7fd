"""A training starts from the weights of load_from."""

import pytest
import torch

from mmdisco.errors import InputError
from tests.engine.toy_runs import train


def still(options):
    return {
        'optim_wrapper.optimizer.lr': 0.0,
        'train_cfg.max_epochs': 1,
        'optim_wrapper.optimizer.weight_decay': 0.0,
        **options,
    }


@pytest.mark.parametrize('resume', [None, 'auto'])
def test_all_weights_are_loaded_and_nothing_else(tmp_path, resume):
    first = train(tmp_path / 'a')
    path = str(tmp_path / 'a' / 'epoch_4.pth')
    runner = train(
        tmp_path / 'b',
        still(dict(load_from=path, custom_hooks=[dict(type='EMAHook')])),
        resume,
    )
    averaged = next(
        h.ema_model.module for h in runner.hooks if type(h).__name__ == 'EMAHook'
    ).state_dict()
    for key, value in first.model.state_dict().items():
        assert torch.equal(runner.model.state_dict()[key], value), key
        assert torch.equal(averaged[key], value), key
    assert runner.iter == 5  # of one epoch: neither step nor optimizer


@pytest.mark.parametrize(
    'change, words',
    [
        (lambda s: s.pop('layer.bias'), 'missing'),
        (lambda s: s.update(more=torch.zeros(1)), 'more'),
        (lambda s: s.update({'layer.bias': torch.zeros(9)}), 'shape'),
        (lambda s: s.clear(), 'not a checkpoint of any'),
    ],
)
def test_weights_that_do_not_fit_are_an_error(tmp_path, change, words):
    train(tmp_path / 'a', {'train_cfg.max_epochs': 1})
    path = tmp_path / 'a' / 'epoch_1.pth'
    saved = torch.load(path, weights_only=False)
    change(saved['state_dict'])
    torch.save(saved, path)
    with pytest.raises(InputError, match=words):
        train(tmp_path / 'b', dict(load_from=str(path)))
    assert not list((tmp_path / 'b').glob('*.pth'))
