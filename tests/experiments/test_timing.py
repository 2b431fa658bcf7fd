"""Timing of variants that take turns, with steps of known cost."""

import os
import time
from concurrent.futures import ThreadPoolExecutor
from multiprocessing import get_context

import pytest
import torch

from mmdisco.experiments import timing
from mmdisco.experiments.timing import peak_memory, take_turns
from tests.forkserver import START

MIB = 2**20


def sleeper(seconds, log):
    def step():
        with open(log, 'a') as file:
            file.write(f'{os.getpid()} {seconds}\n')
        time.sleep(seconds)

    return step


def holder(mib):
    def step():
        torch.ones(mib * MIB // 4).sum()

    return step


def broken():
    raise ZeroDivisionError('a step that fails')


@pytest.fixture
def warm(monkeypatch):
    """Processes that have already imported torch and mmpretrain."""
    monkeypatch.setattr(timing, 'get_context', lambda method: get_context(START))


def test_variants_take_turns_in_their_processes(warm, tmp_path):
    log = tmp_path / 'log'
    rows = take_turns(
        [
            dict(short=(sleeper, (0.01, log)), long=(sleeper, (0.06, log))),
            dict(other=(sleeper, (0.03, log))),
        ],
        rounds=3,
    )
    assert list(rows) == ['short', 'long', 'other']
    for name, seconds in (('short', 0.01), ('long', 0.06), ('other', 0.03)):
        assert len(rows[name]['all']) == 3
        assert seconds <= rows[name]['seconds'] < seconds + 0.5
    lines = [line.split() for line in log.read_text().splitlines()]
    assert [s for _, s in lines] == ['0.01', '0.06', '0.03'] * 4  # one warms up
    processes = {s: pid for pid, s in lines}
    assert processes['0.01'] == processes['0.06'] != processes['0.03']


def test_no_round_starts_after_the_budget(warm, tmp_path):
    rows = take_turns([dict(one=(sleeper, (0.01, tmp_path / 'log')))], 9, 0.0)
    assert len(rows['one']['all']) == 1


def test_peak_memory_is_that_of_the_variant():
    """Spawned as in a benchmark: a forked process inherits the peak on Linux."""
    with ThreadPoolExecutor() as both:
        small, large = both.map(
            lambda mib: peak_memory('a', (holder, (mib,))), (100, 400)
        )
    assert large - small == pytest.approx(300, abs=40)


def test_a_variant_that_fails_is_named(warm, capfd):
    with pytest.raises(ValueError, match='bad: a step that fails'):
        take_turns([dict(bad=(broken, ()))], 1)
