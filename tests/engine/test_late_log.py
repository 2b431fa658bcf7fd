"""Deferred logging gives the same values as mmengine's."""

import weakref
from types import SimpleNamespace

import torch
from mmengine.hooks import LoggerHook, RuntimeInfoHook
from mmengine.logging import MessageHub

from mmdisco.engine import LateLogHook


class Loader:
    dataset = SimpleNamespace()

    def __len__(self):
        return 7


class Runner:
    """Runner of two epochs, seven iterations each."""

    max_epochs, max_iters, epoch = 2, 14, 0

    def __init__(self, name, interval):
        self.message_hub = MessageHub.get_instance(name)
        self.hooks = [LoggerHook(interval=interval)]
        self.iter = 0
        self.train_dataloader = Loader()


def history(hook, name, interval):
    runner, seen = Runner(name, interval), []
    hook.before_train(runner)
    for runner.iter in range(14):
        i = runner.iter % 7
        hook.after_train_iter(
            runner, i, None, dict(loss=torch.tensor(float(runner.iter)))
        )
        if (i + 1) % interval == 0 or i == 6:  # when the log is written
            buffer = runner.message_hub.get_scalar('train/loss')
            seen.append([buffer.current(), buffer.mean(3)])
    return seen


def test_late_is_the_same_when_the_log_is_written():
    expected = history(RuntimeInfoHook(), 'at_once', 3)
    assert history(LateLogHook(), 'late', 3) == expected
    assert expected[0] == [2.0, 1.0]


def test_nothing_is_read_between_logs():
    hook, runner = LateLogHook(), Runner('between', 5)
    hook.before_train(runner)
    loss = torch.ones(1, requires_grad=True) * 2
    graph = weakref.ref(loss)
    hook.after_train_iter(runner, 0, None, dict(loss=loss))
    assert 'train/loss' not in runner.message_hub.log_scalars
    del loss
    assert graph() is None  # only the number is kept, without its graph
