"""The tools of tools/eval against scikit-learn, run like a user runs them."""

import runpy
import shutil
import sys

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import (
    accuracy_score,
    average_precision_score,
    confusion_matrix,
    log_loss,
)
from sklearn.metrics.pairwise import cosine_similarity
from sklearn.neighbors import KNeighborsClassifier
from sklearn.preprocessing import StandardScaler, normalize

from mmdisco.evaluation import sgd_probe
from mmdisco.evaluation.features.cache import read_features
from mmdisco.evaluation.probes.choice import (
    held_out_rows,
    rows_of_fraction,
    rows_per_class,
)
from mmdisco.evaluation.protocols.few import _cross_validated
from tests.evaluation.tiny import (
    MEAN,
    STD,
    checkpoint,
    idx_folder,
    pictures,
    plain_features,
    report_of,
    write_idx,
)
from tests.tools import ROOT, run


@pytest.fixture(scope='module')
def tiny(tmp_path_factory):
    """Checkpoint, data, and features of both splits from a plain loop."""
    root = tmp_path_factory.mktemp('tiny')
    backbone = checkpoint(root / 'model.pth')
    idx_folder(root / 'data')
    kept = [
        (plain_features(backbone, images).double().numpy(), labels.numpy())
        for images, labels in map(pictures, ('train', 'test'))
    ]
    return root, *kept[0], *kept[1]


def evaluated(tool, root, *words):
    """Report of a tool that prints its summary last."""
    out = root / f'{tool}.json'
    done = run(
        'python',
        f'tools/eval/{tool}.py',
        root / 'model.pth',
        '--data',
        root / 'data',
        '--features',
        root / 'features',
        '--workers',
        0,
        '--out',
        out,
        *words,
    )
    found = report_of(out)
    assert done.stdout.splitlines()[-1] == found['summary']
    assert found['summary'].startswith(f'{root / "model.pth"}: ')
    assert found['images'] == [60, 40]
    assert found['classes'] == ['0', '1', '2']
    assert found['normalisation'] == [[MEAN] * 3, [STD] * 3]
    return found


def of_logistic_regression(x, y, test_x, strength):
    scaler = StandardScaler().fit(x)
    model = LogisticRegression(C=strength, tol=1e-9, max_iter=9999)
    return model.fit(scaler.transform(x), y), scaler.transform(test_x)


def test_knn(tiny):
    root, x, y, test_x, test_y = tiny
    found = evaluated('knn', root, '--k', 20, 3, 60, '--temperature', 0.07, 0.5)
    assert [(row['k'], row['temperature']) for row in found['scores']] == [
        (k, t) for k in (20, 3, 60) for t in (0.07, 0.5)
    ]
    for row in found['scores']:
        model = KNeighborsClassifier(
            row['k'],
            metric='cosine',
            algorithm='brute',
            weights=lambda d, t=row['temperature']: np.exp((1 - d) / t),
        )
        assert row['top1'] == pytest.approx(100 * model.fit(x, y).score(test_x, test_y))
        assert row['top5'] == 100  # of three classes
    assert f'{found["scores"][0]["top1"]:.2f} % top-1' in found['summary']
    torch.testing.assert_close(
        read_features(root / 'features/test').plain.double(),
        torch.from_numpy(test_x),
        rtol=1e-4,
        atol=1e-5,
    )


def test_linear(tiny):
    root, x, y, test_x, test_y = tiny
    found = evaluated(
        'linear',
        root,
        '--held-out',
        0.2,
        '--strength',
        0.001,
        0.1,
        '--rates',
        0.5,
        2,
        '--epochs',
        20,
        '--milestones',
        10,
        '--sgd-batch-size',
        16,
        '--seed',
        2,
    )
    fit, val = held_out_rows(torch.from_numpy(y), 12, 2)
    for strength, share in found['lbfgs']['validation'].items():
        model, scaled = of_logistic_regression(x[fit], y[fit], x[val], float(strength))
        assert share == pytest.approx(100 * model.score(scaled, y[val]))
    model, scaled = of_logistic_regression(x, y, test_x, found['lbfgs']['strength'])
    probe = sgd_probe(
        torch.from_numpy(x).float()[None],
        torch.from_numpy(y),
        3,
        [found['sgd']['rate']],
        20,
        16,
        (10,),
        seed=2,
    )
    logits = probe.logits(torch.from_numpy(test_x), 0).double()
    for key, shares in (
        ('lbfgs', model.predict_proba(scaled)),
        ('sgd', logits.softmax(1).numpy()),
    ):
        score, guess = found[key], shares.argmax(1)
        assert score['top1'] == pytest.approx(100 * accuracy_score(test_y, guess))
        assert score['confusion'] == confusion_matrix(test_y, guess).tolist()
        assert score['nll'] == pytest.approx(log_loss(test_y, shares), abs=1e-3)
        assert f'{score["top1"]:.2f} % by ' in found['summary']
        assert (root / f'linear.{key}.png').read_bytes()[1:4] == b'PNG'


def test_semi(tiny):
    root, x, y, test_x, test_y = tiny
    found = evaluated('semi', root, '--percent', 20, '--repeats', 2)
    kept = read_features(root / 'features/train')
    scores = []
    for seed in range(2):
        rows = rows_of_fraction(kept.labels, 3, '20', seed)
        model, scaled = of_logistic_regression(
            x[rows], y[rows], test_x, _cross_validated(kept, rows, 'cpu')
        )
        scores.append(100 * model.score(scaled, test_y))
    score = found['percent']['20']
    assert score['images'] == 12
    assert score['repeats'] == pytest.approx(scores)
    assert (
        f'{np.mean(scores):.2f} ± {score["interval"]:.2f} % with 20 % of the labels'
    ) in found['summary']


def test_few_shot(tiny):
    root, x, y, test_x, test_y = tiny
    found = evaluated('few_shot', root, '--k', 1, 5, '--repeats', 3)
    for k in (1, 5):
        scores = []
        for seed in range(3):
            rows = rows_per_class(torch.from_numpy(y), 3, k, seed)
            model = LogisticRegression(tol=1e-9).fit(normalize(x[rows]), y[rows])
            scores.append(100 * model.score(normalize(test_x), test_y))
        score = found['k'][str(k)]
        assert score['images'] == 3 * k
        assert score['repeats'] == pytest.approx(scores)
        assert (
            f'{np.mean(scores):.2f} ± {score["interval"]:.2f} % with {k}'
            in found['summary']
        )


def test_retrieval(tiny):
    root, x, y, test_x, test_y = tiny
    found = evaluated('retrieval', root)
    each = np.array(
        [
            100 * average_precision_score(y == label, row)
            for row, label in zip(cosine_similarity(test_x, x), test_y)
        ]
    )
    # of 2400 cosines a few differ by less than the precision of fp32
    assert found['mean'] == pytest.approx(each.mean(), abs=0.02)
    assert found['per_class'] == pytest.approx(
        [each[test_y == c].mean() for c in range(3)], abs=0.05
    )
    assert f'mAP {found["mean"]:.2f} %' in found['summary']


def test_where_things_go_by_default(tiny, tmp_path, monkeypatch, capsys):
    root, *_ = tiny
    (tmp_path / 'run').mkdir()
    shutil.copy(root / 'model.pth', tmp_path / 'run/epoch_1.pth')
    tool = str(ROOT / 'tools/eval/retrieval.py')
    said = []
    for _ in range(2):
        monkeypatch.chdir(tmp_path)
        monkeypatch.setattr(
            sys, 'argv', [tool, 'run/epoch_1.pth', '--data', str(root / 'data')]
        )
        runpy.run_path(tool, run_name='__main__')
        said.append(capsys.readouterr().out)
    folders = [*(tmp_path / 'work_dirs/features').glob('run_epoch_1-*/*')]
    assert sorted(folder.name for folder in folders) == ['test', 'train']
    written = 'features written to work_dirs/features/'
    found = 'features found in work_dirs/features/'
    assert (said[0].count(written), said[0].count(found)) == (2, 0)
    assert (said[1].count(written), said[1].count(found)) == (0, 2)
    report = tmp_path / 'work_dirs/eval/run_epoch_1/retrieval.json'
    assert report_of(report)['summary'] == said[1].splitlines()[-1]


def refused(fails, tiny, tool, *words, model=None, data=None):
    """The line of a tool in this process; it leaves nothing behind."""
    root, *_ = tiny
    before = {*root.rglob('*')}
    line = fails(
        f'tools/eval/{tool}.py',
        model or root / 'model.pth',
        '--data',
        data or root / 'data',
        '--workers',
        0,
        '--out',
        root / 'none.json',
        *words,
    )
    assert not (root / 'none.json').exists()
    assert not [p for p in {*root.rglob('*')} - before if 'half' in p.name]
    return line


def test_fewer_images_than_wanted(tiny, fails, tmp_path):
    features = '--features', tmp_path
    assert 'k=61 neighbours of 60 training features' in refused(
        fails, tiny, 'knn', '--k', 1, 61, *features
    )
    fewest = int(np.bincount(tiny[2]).min())
    assert f'has {fewest} training images, but 40 per class are requested' in refused(
        fails, tiny, 'few_shot', '--k', 40, *features
    )
    assert '1 % of 60 images leaves class 0 without one' in refused(
        fails, tiny, 'semi', '--percent', 1, *features
    )
    assert "'some' is not a percentage" in refused(
        fails, tiny, 'semi', '--percent', 'some', *features
    )
    assert '0 of 60 training images are held out' in refused(
        fails, tiny, 'linear', '--held-out', 0.001, *features
    )


def test_fewer_images_than_wanted_are_told_before_the_work(tiny, fails, tmp_path):
    """Nothing is embedded, nor even loaded."""
    for tool, words in (
        ('knn', ['--k', 61]),
        ('few_shot', ['--k', 40]),
        ('semi', ['--percent', 1]),
        ('linear', ['--held-out', 0.001]),
    ):
        refused(fails, tiny, tool, *words, '--features', tmp_path / 'none')
        assert 'file' not in refused(fails, tiny, tool, *words, model='nowhere.pth')
    assert not (tmp_path / 'none').exists()


def test_data_that_can_not_be_evaluated(tiny, fails, tmp_path):
    assert "'nowhere' not found" in refused(fails, tiny, 'knn', data='nowhere')
    (tmp_path / 'empty').mkdir()
    assert 'has no train images: looked for' in refused(
        fails, tiny, 'retrieval', data=tmp_path / 'empty'
    )
    for name, labels, said in (
        ('outside', dict(t10k=[0] * 39 + [3]), "only in test: '3'"),
        ('gap', dict(train=[0, 1, 3] * 20), "classes, e.g. '2'"),
        ('short', dict(train=[0] * 59), '60 train images and 59 labels'),
    ):
        data = idx_folder(tmp_path / name)
        for prefix, values in labels.items():
            write_idx(data / f'{prefix}-labels-idx1-ubyte', values)
        assert said in refused(fails, tiny, 'knn', data=data)


def test_models_that_can_not_be_evaluated(tiny, fails, tmp_path):
    assert "'resnet19' is neither a file nor the name of a model" in refused(
        fails, tiny, 'knn', model='resnet19'
    )
    (tmp_path / 'junk.pth').write_bytes(b'junk')
    assert f"'{tmp_path}/junk.pth'" in refused(
        fails, tiny, 'linear', model=tmp_path / 'junk.pth'
    )
    assert "but --arch says 'r18'" in refused(
        fails, tiny, 'semi', '--arch', 'r18', '--percent', 20
    )
    assert 'is a checkpoint: --checkpoint is for' in refused(
        fails, tiny, 'few_shot', '--checkpoint', tiny[0] / 'model.pth'
    )
    assert '--mean and --std go together' in refused(
        fails, tiny, 'knn', '--mean', 1, 2, 3
    )


def test_a_report_that_can_not_be_written(tiny, fails, tmp_path):
    """It is said before anything is computed."""
    line = fails(
        'tools/eval/knn.py',
        tiny[0] / 'model.pth',
        '--data',
        tiny[0] / 'data',
        '--features',
        tmp_path / 'features',
        '--out',
        tmp_path,
    )
    assert f"'{tmp_path}' is a folder" in line
    assert not (tmp_path / 'features').exists()


def test_a_process_that_no_launcher_started(tiny, fails, monkeypatch):
    monkeypatch.delenv('RANK', raising=False)
    assert '--launcher pytorch is for processes started by it' in (
        refused(fails, tiny, 'knn', '--launcher', 'pytorch')
    )


@pytest.mark.parametrize(
    'tool, words',
    [
        ('knn', ['--k', '0']),
        ('knn', ['--temperature', '0']),
        ('few_shot', ['--k', '-1']),
        ('few_shot', ['--repeats', '0']),
        ('semi', ['--repeats', '0']),
        ('linear', ['--strength', '0']),
        ('linear', ['--rates', '-1']),
        ('linear', ['--views', '-1']),
        ('linear', ['--held-out', '1']),
        ('linear', ['--gamma', 'nan']),
        ('linear', ['--weight-decay', '-1']),
        ('linear', ['--milestones', '-3']),
        ('knn', ['--workers', '-1']),
        ('retrieval', ['--batch-size', '0']),
        ('retrieval', ['--std', '1', '0', '1']),
    ],
)
def test_options_out_of_range(tiny, monkeypatch, capsys, tool, words):
    """argparse says which one, before anything is read."""
    path = str(ROOT / f'tools/eval/{tool}.py')
    monkeypatch.setattr(
        sys, 'argv', [path, str(tiny[0] / 'model.pth'), '--data', 'none', *words]
    )
    with pytest.raises(SystemExit) as stop:
        runpy.run_path(path, run_name='__main__')
    last = capsys.readouterr().err.splitlines()[-1]
    assert stop.value.code == 2 and f'error: argument {words[0]}: ' in last
