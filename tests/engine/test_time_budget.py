"""The number of steps follows the pace."""

import copy
import time

import pytest
from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.runner import Runner

from mmdisco.apis.recipe import set_length
from mmdisco.engine import ResumeConfigHook, TimeBudgetHook
from tests.engine.toy_runs import CONFIG


class Clock(Hook):
    """A clock that goes on by some seconds in each step."""

    def __init__(self, monkeypatch, seconds):
        self.now, self.seconds = 0.0, seconds
        monkeypatch.setattr(time, 'monotonic', lambda: self.now)

    def after_train_iter(self, runner, *args, **kwargs):
        self.now += self.seconds(runner.iter)


def run(folder, steps, *hooks, load_from=None):
    """Train; returns the runner and the learning rate of each step."""
    cfg = Config(copy.deepcopy(CONFIG))
    cfg.train_dataloader.sampler = dict(type='InfiniteSampler')
    cfg.work_dir, cfg.load_from, cfg.resume = str(folder), load_from, bool(load_from)
    set_length(cfg, steps)
    runner = Runner.from_cfg(cfg)
    for hook in (ResumeConfigHook(), *hooks):
        runner.register_hook(hook)
    runner.train()
    record = next(h for h in runner.hooks if type(h).__name__ == 'Record')
    return runner, [step['lr'] for step in record.steps]


@pytest.mark.parametrize(
    'planned, pace, expected',
    [
        (200, lambda step: 2.0, 50),  # slower than it was thought
        (10, lambda step: 2.0, 50),  # faster
        (48, lambda step: 2.0, 48),  # as it was thought: nothing changes
        (50, lambda step: 30.0 if step == 0 else 2.0, 35),  # a slow start
        (200, lambda step: 1.0 if step < 40 else 4.0, 55),  # slower in the middle
        (200, lambda step: 60.0, 6),  # too slow to end in time
    ],
)
def test_a_training_ends_in_its_time(tmp_path, monkeypatch, planned, pace, expected):
    clock, lines, saved = Clock(monkeypatch, pace), [], []
    hook = TimeBudgetHook(100.0, set_length, saved.append, lines.append)
    runner, rates = run(tmp_path / 'a', planned, clock, hook)
    assert runner.iter == len(rates) == pytest.approx(expected, abs=2)
    if expected == planned:
        assert not lines and not saved
        return
    assert f'{runner.iter} steps instead of ' in lines[-1]
    assert saved[-1].train_cfg.max_iters == runner.iter
    # from the last change on as a training of this length
    _, straight = run(tmp_path / 'b', runner.iter)
    after = int(lines[-1].split()[1])
    assert rates[after:] == straight[after:]
    assert (tmp_path / f'a/iter_{runner.iter}.pth').is_file()


def test_a_training_that_was_changed_is_resumed_with_its_length(tmp_path, monkeypatch):
    lines = []
    hook = TimeBudgetHook(
        60.0, set_length, lambda cfg: None, lambda line: lines.append(line)
    )
    runner, rates = run(tmp_path, 60, Clock(monkeypatch, lambda step: 2.0), hook)
    steps = runner.iter
    assert len(lines) == 1 and steps == 30
    path = tmp_path / 'iter_27.pth'
    assert path.is_file()
    again = TimeBudgetHook(1.0, set_length, lambda cfg: None, lines.append)
    runner, rest = run(tmp_path, steps, again, load_from=str(path))
    assert rest == rates[27:] and runner.iter == steps
    assert len(lines) == 1
