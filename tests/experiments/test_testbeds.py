"""Runs, statistics and report of the testbeds."""

import csv
import io
import json
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from mmdisco.experiments.stats import csv_text, read_rows
from mmdisco.experiments.testbeds import (
    ARMS,
    COLUMNS,
    best_rate,
    job,
    markdown,
    scores_of,
    splits,
    statistics,
    table,
    without_gain,
)
from mmdisco.launch import read_config
from tests.tools import ROOT

SOURCE = dict(seconds=1.5, command='python x', commit='abc', machine='m')
LINEAR = dict(
    a=dict(none=[50.0, 52.0, 57.0], DisCo=[60.0, 63.0, 66.0]),
    b=dict(none=[50.0, 52.0, 57.0], DisCo=[52.0, 49.0, 60.0]),
)


def rows(linear=LINEAR):
    return [
        dict(
            method=method, distill=arm, seed=seed, knn=value / 2, linear=value, **SOURCE
        )
        for method, arms in linear.items()
        for arm in ARMS
        for seed, value in enumerate(arms[arm])
    ]


def test_the_csv_has_its_columns_and_values():
    lines = list(csv.reader(io.StringIO(csv_text(rows(), COLUMNS))))
    assert tuple(lines[0]) == COLUMNS and len(lines) == 1 + 12
    assert lines[1] == ['a', 'none', '0', '25.0', '50.0', '1.5', 'python x', 'abc', 'm']


def test_differences_are_paired_by_seed():
    shuffled = rows()[::-1]
    for method, metrics in statistics(shuffled).items():
        alone, disco = (np.array(LINEAR[method][arm]) for arm in ARMS)
        stats = metrics['linear']
        assert stats['mean']['none'] == pytest.approx(alone.mean())
        assert stats['std']['DisCo'] == pytest.approx(disco.std(ddof=1))
        gain = disco - alone
        assert stats['gain']['mean'] == pytest.approx(gain.mean())
        assert stats['gain']['standard_error'] == pytest.approx(
            gain.std(ddof=1) / np.sqrt(3), abs=1e-3
        )
        assert metrics['knn']['mean']['none'] == pytest.approx(alone.mean() / 2)
    assert without_gain(statistics(shuffled)) == ['b']
    half = [r for r in rows() if (r['method'], r['distill']) != ('b', 'DisCo')]
    assert list(statistics(half)) == ['a']  # the other one is incomplete


def test_the_table_says_where_disco_does_not_help():
    grids = {'a none': {0.1: 40.0, 0.2: 41.0}, 'a DisCo': {0.1: 42.0, 0.2: 42.0}}
    text = markdown(rows(), grids, 640, 2)
    assert '640 training images, 2 epochs, 3 seeds' in text
    assert '| a | linear probe | 53.00 ± 3.61 | 63.00 ± 3.00 | +10.00' in text
    assert 'linear probe gains at most two standard errors on: b\n' in text
    assert '- a none: 0.1: 40.00, **0.2: 41.00**' in text
    assert '- a DisCo: **0.1: 42.00**, 0.2: 42.00' in text
    assert '`python x` at commit abc, on m.' in text
    assert 'gains more than two standard errors on each method' in markdown(
        rows(dict(a=LINEAR['a'])), {}, 640, 2
    )
    assert best_rate({0.3: 2.0, 0.1: 2.0, 0.2: 1.0}) == 0.1


def test_the_rate_is_chosen_on_images_outside_training_and_test():
    run = job('mocov2', 'DisCo', 0.1, 100, {}, Path('x'))
    cfg = read_config(run.config)
    learned, held_out = splits(cfg, 100, search=True)
    train, test = splits(cfg, 100, search=False)
    assert [len(p) for p in (learned, held_out, train, test)] == [80, 20, 100, 10000]
    assert (train.images[:80] == learned.images).all()
    assert (train.images[80:] == held_out.images).all()
    assert run.options['optim_wrapper.optimizer.lr'] == 0.1
    assert run.config.endswith('testbeds/disco_mocov2.py')


def test_scores_are_cached_with_their_run(tmp_path):
    run = job('simclr', 'none', 0.1, 0, {}, tmp_path)
    run.work_dir.mkdir()
    run = replace(run, options={'train_cfg.max_epochs': 3})
    (run.work_dir / 'epoch_3.pth').touch()
    (run.work_dir / 'scores.json').write_text(json.dumps(dict(knn=1.0)))
    assert scores_of(run, 100, False, {}) == dict(knn=1.0)
    later = (run.work_dir / 'scores.json').stat().st_mtime + 9
    os.utime(run.work_dir / 'epoch_3.pth', (later, later))  # run again
    with pytest.raises(ValueError, match='epoch_3.pth'):
        scores_of(run, 100, False, {})


def test_the_documents_have_the_values_of_the_csv():
    folder = ROOT / 'benchmarks'
    measured = read_rows(folder / 'testbeds.csv')
    lines = table(measured)
    assert len(lines) == 2 + 2 * 5
    for document in (folder / 'testbeds.md', ROOT / 'docs/testbeds.md'):
        assert '\n'.join(lines) in document.read_text()
    assert without_gain(statistics(measured)) == []
