"""The detection benchmark: two iterations, and its table."""

import csv
import shutil
import statistics

import pytest

from mmdisco.experiments.detection import COLUMNS, draw, markdown
from tests.tools import ROOT, run

TOOL = 'tools/benchmarks/detection.py'


def command(tmp_path, objects=ROOT / 'demo/fashion_mnist'):
    """Return the command for two iterations of each detector from random weights."""
    return (
        TOOL,
        '--inits',
        'random',
        '--seeds',
        1,
        '--lr',
        '.03',
        '--epochs',
        1,
        '--train',
        16,
        '--test',
        4,
        '--objects',
        objects,
        '--work-dir',
        tmp_path / 'work',
        '--out',
        tmp_path / 'detection.csv',
    )


def rows_of(tmp_path):
    return list(csv.DictReader((tmp_path / 'detection.csv').open()))


def test_two_iterations_of_each_detector_make_a_table(tmp_path, fails):
    done = run('python', *command(tmp_path))
    rows = rows_of(tmp_path)
    assert tuple(rows[0]) == COLUMNS
    assert [row['detector'] for row in rows] == [
        'Faster R-CNN C4, AP of COCO',
        'Faster R-CNN C4, AP of VOC',
        'Mask R-CNN C4, boxes',
        'Mask R-CNN C4, masks',
    ]
    for row in rows:
        assert (row['init'], row['seed'], row['lr']) == ('random', '0', '0.03')
        assert 0 <= float(row['AP']) <= float(row['AP50']) <= 100
        assert row['command'].startswith('python tools/train.py configs/')
    assert '16 training images, 4 test images, 1 epochs' in done.stdout
    # a run killed during its evaluation has no score to report
    [log] = tmp_path.glob('work/mask*/*/vis_data/scalars.json')
    log.write_text('{"epoch": 1, "time": 0.1, "iter": 2, "loss": 3}\n{"coco/')
    again = run('python', *command(tmp_path))
    assert '[mask random seed 0 lr 0.03] has no evaluation' in again.stdout
    # finished runs are kept
    assert again.stdout.count('is finished') == 1
    for before, now in zip(rows, rows_of(tmp_path), strict=True):
        assert (now['AP'], now['AP50']) == (before['AP'], before['AP50'])
    # nor of other garments
    moved = shutil.copytree(ROOT / 'demo/fashion_mnist', tmp_path / 'moved')
    line = fails(*command(tmp_path, objects=moved))
    assert 'was made from the objects in' in line and f"not '{moved}'" in line


def test_without_students_one_line_says_how_to_make_them(tmp_path, fails):
    line = fails(
        TOOL,
        '--inits',
        'disco',
        '--runs',
        tmp_path / 'none',
        '--objects',
        ROOT / 'demo/fashion_mnist',
        '--train',
        2,
        '--test',
        1,
        '--work-dir',
        tmp_path,
        '--out',
        tmp_path / 'detection.csv',
    )
    assert 'run python tools/quickstart.py --seeds 3' in line


def test_the_table_pairs_seeds(tmp_path):
    scores = dict(
        random=[10.0, 12.0, 20.0], mocov2=[11.0, 14.0, 18.0], disco=[15.0, 13.0, 22.0]
    )
    rows = [
        dict(
            detector='D',
            lr='.1',
            init=init,
            seed=seed,
            AP=f'{ap:.2f}',
            AP50=f'{2 * ap:.2f}',
            seconds=str(60 + seed),
            command='c',
            commit='abc',
            machine='m',
        )
        for init, aps in scores.items()
        for seed, ap in enumerate(aps)
    ]
    other = [dict(row, lr='.2', AP='0.50') for row in rows]
    text = markdown([*rows[::-1], *other], 16, 4, 1)
    assert '| D | .2 | AP | 0.50 ± 0.00 |' in text
    cells = [
        cell.strip()
        for cell in next(
            line for line in text.splitlines() if line.startswith('| D | .1 | AP |')
        ).split('|')[4:-1]
    ]
    expected = [
        f'{statistics.mean(aps):.2f} ± {statistics.stdev(aps):.2f}'
        for aps in scores.values()
    ]
    for init in ('random', 'mocov2'):
        gains = [a - b for a, b in zip(scores['disco'], scores[init])]
        expected.append(
            f'{statistics.mean(gains):+.2f} ± {statistics.stdev(gains):.2f}'
        )
    assert cells == expected
    assert 'training time of a run: 61 s' in text
    draw(rows, tmp_path / 'figure.png')
    assert (tmp_path / 'figure.png').read_bytes()[1:4] == b'PNG'


@pytest.mark.parametrize('missing', ['disco', 'random'])
def test_a_table_of_fewer_initialisations(missing):
    rows = [
        dict(
            detector='D',
            lr='.1',
            init=init,
            seed=0,
            AP='1.00',
            AP50='2.00',
            seconds='1',
            command='c',
            commit='abc',
            machine='m',
        )
        for init in ('random', 'disco')
        if init != missing
    ]
    row = next(
        line
        for line in markdown(rows, 16, 4, 1).splitlines()
        if line.startswith('| D | .1 | AP |')
    )
    assert row.count('1.00') == 1 and '+' not in row
