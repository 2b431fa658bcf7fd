"""Shares of a step's time with a simulated clock."""

from types import SimpleNamespace
from unittest.mock import MagicMock

import pytest
import torch
from mmengine.logging import MessageHub
from torch import nn

from mmdisco.engine import StepShareHook
from mmdisco.engine.hooks import timing as step_share_hook


class Model(nn.Module):
    def __init__(self, clock):
        super().__init__()
        self.teacher = nn.Module()
        self.teacher.forward = lambda: clock.tick(3.0)
        self.weight = nn.Parameter(torch.ones(1))
        self.clock = clock

    def forward(self):
        self.clock.tick(1.0)  # student
        self.teacher()
        self.clock.tick(1.0)  # losses
        return self.weight.sum()


class Clock:
    now = 0.0

    def tick(self, seconds):
        self.now += seconds


def run(hook, waits, workers=2, teacher=True, call=True):
    """Run steps of 10 s plus waiting; return message hub and logger."""
    clock = Clock()
    model = Model(clock)
    if not teacher:
        del model.teacher
        model.forward = lambda: (clock.tick(5.0), model.weight.sum())[1]
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    runner = SimpleNamespace(
        model=model,
        iter=0,
        logger=MagicMock(),
        message_hub=MessageHub.get_instance(f'share{id(clock)}'),
        optim_wrapper=SimpleNamespace(optimizer=optimizer),
        train_dataloader=SimpleNamespace(num_workers=workers),
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            step_share_hook, 'time', SimpleNamespace(perf_counter=lambda: clock.now)
        )
        late = []
        runner.register_hook = late.append
        hook.before_train(runner)
        late[0].before_train_epoch(runner)
        for runner.iter, wait in enumerate(waits):
            clock.tick(wait)
            hook.before_train_iter(runner, runner.iter)
            clock.tick(1.0)  # preparing
            loss = model() if call else model.forward()
            loss.backward()
            clock.tick(2.0)
            optimizer.step()
            clock.tick(1.0)  # optimizer
            hook.after_train_iter(runner, runner.iter)
            clock.tick(1.0)  # log, checkpoint
            late[0].after_train_iter(runner, runner.iter)
    return runner


def shares(runner):
    return {
        name: round(runner.message_hub.get_scalar(f'train/{name}').current(), 3)
        for name in step_share_hook.SHARES
    }


def test_the_shares_are_those_of_the_clock_and_sum_up():
    runner = run(StepShareHook(), [99.0, 10.0, 10.0])  # the first is a warm-up
    assert shares(runner) == dict(
        data_wait=50.0, teacher=15.0, student=20.0, other=15.0
    )


def test_time_between_epochs_belongs_to_no_step():
    hook, runner = StepShareHook(), SimpleNamespace()
    clock, late = Clock(), []
    model = Model(clock)
    runner.model, runner.register_hook = model, late.append
    runner.optim_wrapper, runner.iter = SimpleNamespace(), 0
    runner.message_hub = MessageHub.get_instance('between_epochs')
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            step_share_hook, 'time', SimpleNamespace(perf_counter=lambda: clock.now)
        )
        hook.before_train(runner)
        for _ in range(3):
            clock.tick(77.0)  # validation
            late[0].before_train_epoch(runner)
            clock.tick(5.0)
            hook.before_train_iter(runner, 0)
            model()
            hook.after_train_iter(runner, 0)
            late[0].after_train_iter(runner, 0)
    assert shares(runner) == dict(data_wait=50.0, teacher=30.0, student=20.0, other=0.0)


def test_without_a_teacher_it_has_no_share():
    runner = run(StepShareHook(), [0.0, 0.0, 0.0], teacher=False)
    assert shares(runner) == dict(data_wait=0.0, teacher=0.0, student=70.0, other=30.0)


def test_a_model_that_is_not_called_counts_as_other():
    runner = run(StepShareHook(), [0.0, 0.0, 0.0], teacher=False, call=False)
    assert shares(runner) == dict(data_wait=0.0, teacher=0.0, student=0.0, other=100.0)


def test_advice_about_waiting_is_logged_once():
    runner = run(StepShareHook(window=2), [0.0, *[10.0] * 9])
    assert runner.logger.warning.call_count == 1
    words = runner.logger.warning.call_args[0][0]
    assert '50 % of the time' in words and 'now 2' in words
    runner = run(StepShareHook(window=2), [0.0, *[2.0] * 9])  # 17 %
    assert not runner.logger.warning.called
