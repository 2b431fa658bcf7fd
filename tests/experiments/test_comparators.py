"""DisCo and related methods: runs, statistics and report."""

import csv
from pathlib import Path

import numpy as np
import pytest

from mmdisco.experiments.comparator_tables import (
    best,
    draw,
    markdown,
    sections,
    statistics,
    table,
    verdict,
)
from mmdisco.experiments.comparators import METHODS, Common
from mmdisco.experiments.stats import csv_text, read_rows
from mmdisco.experiments.testbeds import splits
from mmdisco.launch import apply_overrides, read_config
from tests.tools import ROOT

SOURCE = dict(command='python x', commit='abc', machine='m')
LINEAR = {
    'MoCo-v2': [50.0, 52.0, 57.0],
    'SEED': [60.0, 62.0, 67.0],
    'DisCo': [60.1, 61.9, 67.3],
    'KD': [49.0, 53.0, 58.0],
}


def rows():
    return [
        dict(
            method=m,
            distill='x',
            seed=s,
            linear=value,
            knn=None if m == 'KD' else value / 2,
            seconds=None if m == 'KD' else 10.0 + s,
            peak_memory_mib=None if m == 'KD' else 900 + s,
            **SOURCE,
        )
        for m, values in LINEAR.items()
        for s, value in enumerate(values)
    ]


@pytest.mark.parametrize('method', METHODS, ids=lambda m: m.name)
def test_a_method_has_four_settings_at_most_and_all_can_be_set(method):
    settings = method.settings()
    assert 1 < len(settings) <= 4
    assert len({str(s) for s in settings}) == len(settings)
    common = Common(Path('work'), 'demo/fashion_mnist', 100, 3)
    jobs = [common.job(method, setting, 1, 80) for setting in settings]
    assert len({job.work_dir for job in jobs}) == len(jobs)
    for job, setting in zip(jobs, settings):
        cfg = read_config(job.config)
        apply_overrides(cfg, dict(job.options))
        data = cfg.train_dataloader.dataset
        assert data.get('dataset', data).stop == 80
        assert (data.type == 'Bags') == method.bags
        for key, value in setting.items():
            node = cfg
            for part in key.split('.'):
                node = node[int(part) if part.isdigit() else part]
            assert node == value
        assert job.checkpoint.name == 'epoch_3.pth'
    learned, held_out = splits(cfg, 100, search=True)
    assert (len(learned), len(held_out)) == (80, 20)


def test_each_method_names_the_losses_of_its_config():
    distilled = {m.name: m.distill for m in METHODS}
    assert distilled['AT + DisCo'] == 'DisCo+AT'
    for method in METHODS:
        model = read_config(f'configs/quickstart/{method.config}').model
        losses = model.get('distill', [])
        losses = losses if isinstance(losses, list) else [losses]
        names = [loss.type.removesuffix('Loss') for loss in losses]
        assert method.distill == ('+'.join(names) or 'none')


def test_gains_are_paired_and_blank_where_nothing_was_measured():
    result = statistics(rows()[::-1])  # MoCo-v2 last
    assert result['KD']['knn'] is None
    alone = statistics([r for r in rows() if r['method'] != 'MoCo-v2'])
    assert alone['SEED']['linear']['gain'] is None
    base = np.array(LINEAR['MoCo-v2'])
    for method, values in LINEAR.items():
        gain = np.array(values) - base
        stats = result[method]['linear']
        assert stats['mean'] == pytest.approx(np.mean(values))
        assert stats['std'] == pytest.approx(np.std(values, ddof=1))
        assert stats['gain']['mean'] == pytest.approx(gain.mean(), abs=0.01)
        assert stats['gain']['standard_error'] == pytest.approx(
            gain.std(ddof=1) / 3**0.5, abs=0.01
        )
    assert result['SEED']['seconds'] == 11 and result['SEED']['memory'] == 901
    lines = table(rows())
    assert lines[2] == ('| MoCo-v2 | 53.00 ± 3.61 |  | 26.50 ± 1.80 |  | 11 | 901 |')
    assert lines[5] == '| KD | 53.33 ± 4.51 | +0.33 ± 0.67 |  |  |  |  |'


def test_the_best_methods_are_within_two_standard_errors():
    # DisCo leads SEED by .1, -.1, .3: not significant; MoCo-v2 by 10 ± .1
    assert best(rows()) == ['DisCo', 'SEED']
    text = markdown(
        rows(), {'SEED': [({'a.b.lr': 0.1}, 50.0), ({'a.b.lr': 0.2}, 51.0)]}, 100, 3
    )
    assert (
        'labels: **DisCo**. Not better by two standard errors of the paired d' in text
    )
    assert text.index('paired difference than: SEED.') and verdict(rows()) in text
    assert '- SEED: b.lr 0.1: 50.00; **b.lr 0.2: 51.00**\n' in text
    for best_of, edge in ((2, False), (3, True)):
        tried = [({'lr': lr}, float(lr == best_of)) for lr in (1, 2, 3)]
        text = markdown(rows(), {'SEED': tried}, 100, 3)
        assert (' (at the edge of its grid)\n' in text) == edge
    # one seed has no error: all methods are tied
    assert len(best([r for r in rows() if r['seed'] == 0])) == 4
    worse = [r for r in rows() if r['method'] != 'SEED']
    worse += [
        dict(r, method='SEED', linear=r['linear'] + 5)
        for r in rows()
        if r['method'] == 'SEED'
    ]
    assert best(worse) == ['SEED']
    text = markdown(worse, {}, 100, 3)
    assert 'Each other method is lower by more than two standard errors' in text
    assert 'DisCo is not among the best here' in text


def test_the_figure_is_written(tmp_path):
    draw(rows(), tmp_path / 'x.png')
    assert (tmp_path / 'x.png').read_bytes().startswith(b'\x89PNG')


def test_the_documents_have_the_values_of_the_csv():
    path = ROOT / 'benchmarks/comparators.csv'
    measured = read_rows(path)
    with path.open() as file:
        for row, cells in zip(measured, csv.DictReader(file), strict=True):
            assert row['seed'] == int(cells['seed']) and row['commit']
            assert (row['linear'], row['knn']) == tuple(
                float(cells[key]) if cells[key] else None for key in ('linear', 'knn')
            )
    columns = path.read_text().splitlines()[0]
    assert columns == (
        'method,distill,seed,knn,linear,seconds,peak_memory_mib,command,commit,machine'
    )
    assert csv_text([], columns.split(',')).strip() == columns
    parts = sections(measured)
    names = {key: {row['method'] for row in part} for key, part in parts.items()}
    assert {m.name for m in METHODS} <= names['methods']
    assert names['weights'] == {'MoCo-v2'} | {
        f'DisCo, weight {weight}' for weight in (1, 8, 32, 128)
    }
    assert names['kd'] - names['methods'] == {
        'KD, mean over classes',
        'KD, mean over classes + DisCo',
    }
    assert len(measured) == 3 * len(names['methods'] | names['weights'] | names['kd'])
    for document in ('benchmarks/comparators.md', 'docs/comparators.md'):
        text = (ROOT / document).read_text()
        for part in parts.values():
            assert '\n'.join(table(part)) in text
        assert f'labels: **{best(parts["methods"])[0]}**' in text
