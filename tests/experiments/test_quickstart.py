import json

import matplotlib
import numpy as np
import pytest
import torch

from mmdisco.checkpoints import sha256_of
from mmdisco.experiments.jobs import Job
from mmdisco.experiments.quickstart import (
    LABELS,
    load_backbone,
    score,
    summarise,
    table,
    untrained_teacher,
    write_summary,
)
from mmdisco.experiments.stats import paired, provenance

ROW = dict(params=10, seconds=1.0)


def results():
    values = dict(mocov2=[70, 72, 80], disco=[73, 74, 81])
    return {
        kind: [
            dict(seed=i, knn=v - 5, linear=float(v), **ROW)
            for i, v in enumerate(values.get(kind, [60, 61, 62]))
        ]
        for kind in LABELS
    }


def test_paired_differences_and_their_standard_error():
    gain = paired([73, 74, 81], [70, 72, 80])
    assert gain['differences'] == [3, 2, 1]
    assert gain['mean'] == 2
    assert gain['standard_error'] == pytest.approx(
        np.std([3, 2, 1], ddof=1) / np.sqrt(3)
    )
    assert paired([2.0], [1.0])['standard_error'] is None


def test_a_summary_holds_medians_all_runs_and_their_origin(tmp_path, capsys):
    summary = summarise(results(), seeds=3)
    assert summary['disco']['linear'] == 74 and summary['disco']['knn'] == 69
    assert [r['linear'] for r in summary['runs']['mocov2']] == [70, 72, 80]
    assert summary['disco_minus_mocov2']['linear']['mean'] == 2
    assert summary['seeds'] == [0, 1, 2]
    assert summary['versions']['torch'] == torch.__version__.split('+')[0]
    assert summary['machine']['cores'] >= 1 and summary['commit']

    job = Job('disco seed 0', 'none', tmp_path / 'job')
    log = tmp_path / 'job' / 'x' / 'vis_data' / 'scalars.json'
    log.parent.mkdir(parents=True)
    log.write_text(
        '\n'.join(
            json.dumps(dict(epoch=e, loss=3.0, loss_ssl=2.0, cosine=0.1 * e, time=1.0))
            for e in range(1, 4)
        )
    )
    write_summary(summary, [job], tmp_path)
    assert json.loads((tmp_path / 'summary.json').read_text()) == summary
    picture = matplotlib.image.imread(tmp_path / 'summary.png')
    assert picture.shape[0] > 500 and picture.std() > 0.1  # not blank
    out = capsys.readouterr().out
    assert 'mean +2.00 ± 0.58' in out


def test_the_table_has_a_row_for_each_kind():
    lines = table(summarise(results(), 3)).splitlines()
    assert len(lines) == 1 + len(LABELS) + 2
    assert [line.split('  ')[0] for line in lines[1 : 1 + len(LABELS)]] == list(
        LABELS.values()
    )
    assert '74.00' in lines[1 + list(LABELS).index('disco')]


def test_provenance_names_the_machine():
    assert set(provenance()) == {'commit', 'versions', 'machine'}


def test_an_untrained_backbone_depends_on_its_seed_alone():
    cfg = dict(type='ResNet', depth=18, stem_channels=4, base_channels=4)
    a, b, c = (load_backbone(dict(cfg), None, seed).conv1.weight for seed in (0, 0, 1))
    assert torch.equal(a, b) and not torch.equal(a, c)


def test_scores_of_perfect_features_are_perfect():
    class Split:
        def __init__(self, n):
            self.labels = torch.arange(n) % 10
            self.images = (
                (20 * self.labels).byte().view(-1, 1, 1, 1).expand(-1, 3, 2, 2)
            )

    class OneHot(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = torch.nn.Parameter(torch.zeros(7))

        def forward(self, x):
            hot = torch.eye(10)[(x[:, 0, 0, 0] / 20).long()]
            return (hot[:, :, None, None].expand(-1, -1, 2, 2),)

    result = score(
        OneHot(),
        lambda data: dict(inputs=data['inputs'].float()),
        Split(2500),
        Split(100),
    )
    assert result == dict(knn=100.0, linear=100.0, params=7)


def test_the_untrained_teacher_is_always_the_same_file(tmp_path):
    first, second = (
        untrained_teacher('configs/quickstart/disco.py', tmp_path / name)
        for name in 'ab'
    )
    assert sha256_of(str(first)) == sha256_of(str(second))
    half = [path for path in first.parent.iterdir() if path != first]
    assert not half  # nothing half-written is left
