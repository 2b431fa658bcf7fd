"""Benchmarks: what they compare, on small sizes."""

import copy
import json
import runpy
from pathlib import Path

import numpy as np
import pytest
import torch
from mmpretrain.registry import MODELS

from mmdisco.checkpoints import sha256_of
from mmdisco.datasets import IDXImages
from mmdisco.evaluation import knn_scores
from mmdisco.utils import quiet_init
from tests.evaluation import tiny
from tests.tools import ROOT, run

FOLDER = Path(__file__).parents[1] / 'tools' / 'benchmarks'


@pytest.fixture
def tool(monkeypatch):
    """Names of a benchmark, without running it."""
    monkeypatch.syspath_prepend(str(FOLDER))
    with quiet_init():  # it silences the log of its process for good
        yield lambda name: runpy.run_path(str(FOLDER / f'{name}.py'))


@pytest.fixture
def teacher(tool, tmp_path):
    train_step = tool('train_step')
    path = tmp_path / 'teacher.pth'
    cfg = train_step['config']('mbv3', str(path), 64)
    train_step['save_random'](cfg.model.teacher, path)
    return str(path)


def test_a_checkpoint_is_no_larger_than_what_learns(tool, teacher):
    sizes = tool('memory')['checkpoint_mib']('mbv3', teacher, 65536)
    assert sizes['queue'] == pytest.approx(128 * 65536 * 4 / 2**20, rel=0.01)
    assert sizes['ratio'] <= 1.02
    # the R-50 teacher alone would be 107 MiB
    assert sizes['checkpoint'] < 150


def test_plain_steps_give_the_losses_of_ours(tool, teacher):
    """Two steps of the same weights, queue and views."""
    train_step, queue_len = tool('train_step'), 16
    cfg = train_step['config']('mbv3', teacher, queue_len)
    cfg.data_preprocessor = None
    ours = MODELS.build(cfg.model)
    ours.init_weights()
    ours.train()
    torch.manual_seed(7)
    ours.ssl.queue.copy_(
        torch.nn.functional.normalize(torch.randn(128, queue_len), dim=0)
    )
    for part, owner in ((cfg.model.ssl, ours), (cfg.model.teacher, ours.teacher)):
        part.backbone, part.neck = map(copy.deepcopy, (owner.backbone, owner.neck))
    torch.manual_seed(7)
    step = train_step['plain'](cfg, 4, 64, False)
    optimizer = torch.optim.SGD(
        [*ours.backbone.parameters(), *ours.neck.parameters()],
        0.03,
        momentum=0.9,
        weight_decay=1e-4,
    )
    views = [v.float() / 255 for v in train_step['two_views'](4, 64)]
    for _ in range(2):
        losses = ours.loss(views)
        total = losses['loss_ssl'] + losses['loss_distill']
        optimizer.zero_grad()
        total.backward()
        optimizer.step()
        assert step() == pytest.approx(total.item(), rel=1e-3)


def test_the_loader_benchmark_writes_table_json_and_figure(tmp_path):
    done = run(
        'python',
        FOLDER / 'loader.py',
        '--images',
        2,
        '--rounds',
        1,
        '--batch-size',
        2,
        '--json',
        tmp_path / 'loader.json',
    )
    values = json.loads((tmp_path / 'loader.json').read_text())
    assert "mmpretrain's pipeline" in done.stdout
    assert len(values['loader']) == 6 and values['machine']['cores']
    for row in values['loader'].values():
        assert row['images_per_s'] == pytest.approx(1 / row['seconds'])
    assert (tmp_path / 'loader.png').read_bytes().startswith(b'\x89PNG')


def test_the_benchmark_of_packed_images_writes_its_figures(tmp_path):
    done = run(
        'python',
        FOLDER / 'packed.py',
        *('--images', 2, '--rounds', 1, '--size', 300),
        *('--json', tmp_path / 'packed.json'),
    )
    values = json.loads((tmp_path / 'packed.json').read_text())
    assert len(values['packed']) == 6 and values['machine']['cores']
    base = values['packed']["mmpretrain's pipeline, folder"]['cpu_seconds']
    for name, row in values['packed'].items():
        assert name in done.stdout
        assert row['ratio'] == pytest.approx(base / row['cpu_seconds'])
    assert values['megabytes']['packed'] < values['megabytes']['plain']


@pytest.mark.slow
def test_the_step_benchmark_writes_what_it_promises(tmp_path):
    done = run(
        'python',
        FOLDER / 'train_step.py',
        '--student',
        'mbv3',
        '--batch-size',
        4,
        '--size',
        64,
        '--rounds',
        1,
        '--queue-len',
        64,
        '--json',
        tmp_path / 'step.json',
    )
    values = json.loads((tmp_path / 'step.json').read_text())
    names = 'plain plain_eval exact auto bare_exact bare_auto stored bare_stored'
    for name in names.split():
        assert values[name]['seconds'] > 0
        assert values[name]['peak_memory_mib'] > 100
        assert name in done.stdout
    assert (tmp_path / 'step.png').is_file()


def test_the_testbeds_benchmark_writes_its_table_and_goes_on(tmp_path):
    command = [
        'python',
        FOLDER / 'testbeds.py',
        '--methods',
        'simclr',
        '--seeds',
        1,
        '--lr-factors',
        1,
        '--epochs',
        1,
        '--images',
        640,
        '--work-dir',
        tmp_path / 'runs',
        '--out-dir',
        tmp_path,
    ]
    first = run(*command)
    table = (tmp_path / 'testbeds.csv').read_text()
    lines = table.splitlines()
    assert [line.split(',')[:3] for line in lines] == [
        ['method', 'distill', 'seed'],
        ['simclr', 'none', '0'],
        ['simclr', 'DisCo', '0'],
    ]
    assert (tmp_path / 'testbeds.png').read_bytes().startswith(b'\x89PNG')
    assert '| simclr | kNN |' in first.stdout
    again = run(*command)
    assert 'Epoch(train)' in first.stdout and 'Epoch' not in again.stdout
    assert (tmp_path / 'testbeds.csv').read_text() == table


def test_all_protocols_score_a_student_once(tmp_path, tool):
    """A second call scores what is new alone."""
    runs, out = tmp_path / 'runs', tmp_path / 'evaluation.csv'
    tiny.checkpoint(runs / 'mocov2' / 'seed0' / 'epoch_2.pth')
    tiny.checkpoint(runs / 'mocov2' / 'seed0' / 'epoch_1.pth', seed=5)
    data, labels = tmp_path / 'data', []
    data.mkdir()
    for split, name, num in (('train', 'train', 700), ('test', 't10k', 40)):
        whole = IDXImages(str(ROOT / 'demo/fashion_mnist'), split)
        rows = (whole.labels < 3).nonzero().flatten()[:num]
        labels.append(whole.labels[rows])
        tiny.write_idx(data / f'{name}-images-idx3-ubyte', whole.images[rows, 0])
        tiny.write_idx(data / f'{name}-labels-idx1-ubyte', labels[-1])
    command = [
        'python',
        'tools/benchmarks/evaluation.py',
        '--runs',
        runs,
        '--data',
        data,
        '--work-dir',
        tmp_path / 'work',
        '--out',
        out,
    ]
    done = run(*command)
    names = tool('evaluation')['PROTOCOLS']
    assert done.stdout.count('mocov2 seed 0, ') == len(names) == 9
    before = out.read_text()
    tiny.checkpoint(runs / 'disco' / 'seed0' / 'epoch_2.pth', seed=1)
    done = run(*command)
    assert done.stdout.count('mocov2 seed 0, ') == 0
    assert done.stdout.count('disco seed 0, ') == 9
    assert out.read_text().startswith(before)
    sha256 = sha256_of(str(runs / 'mocov2' / 'seed0' / 'epoch_2.pth'))
    train, test = (
        torch.from_numpy(
            np.load(tmp_path / 'work' / sha256[:12] / split / 'features.npy')[0]
        )
        for split in ('train', 'test')
    )
    votes = knn_scores(train, labels[0], test, 3)
    top1 = 100 * float((votes.argmax(1) == labels[1]).double().mean())
    assert f'mocov2,0,"kNN, k = 20",{top1:.2f},' in before


def test_the_search_at_scale_reports_itself(tmp_path):
    out = tmp_path / 'knn.json'
    run(
        'python',
        'tools/benchmarks/knn.py',
        '--train',
        3000,
        '--test',
        50,
        '--dim',
        8,
        '--classes',
        5,
        '--rounds',
        1,
        '--out',
        out,
    )
    found = json.loads(out.read_text())
    assert found['throughput'] == pytest.approx(
        found['matrix_product']['seconds'] / found['knn']['seconds']
    )
    assert found['peak_mib'] > 100 and found['machine']['cpu']
