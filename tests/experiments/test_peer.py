"""Trainings in turns: what is timed, what stands still, what is reported."""

import json
import os
import subprocess
import sys
import time

import pytest
import timm
import torch

from mmdisco.errors import InputError
from mmdisco.experiments.peer import (
    PEER,
    Training,
    build_training,
    markdown,
    ratios,
    take_turns,
)
from mmdisco.experiments.timing import write_photos
from tests.tools import ROOT

STEPS = """
import subprocess, sys, time
from pathlib import Path
if sys.argv[1] != 'loader':  # as a process that loads images
    subprocess.Popen([sys.executable, __file__, 'loader', sys.argv[2] + '.loader'])
file = open(sys.argv[2], 'a', buffering=1)
while True:
    time.sleep(.02)
    file.write(f'{time.monotonic()}\\n')
"""


@pytest.fixture
def training(tmp_path):
    script = tmp_path / 'steps.py'
    script.write_text(STEPS)
    log = tmp_path / 'log'
    log.write_text('1\n2\n')  # of an earlier run
    command = [sys.executable, str(script), 'main', str(log)]
    training = Training('toy', command, log, tmp_path / 'output')
    yield training
    training.end()


def test_only_its_turn_counts_and_all_its_processes_stand_still(training, tmp_path):
    training.wait(3)
    loader = tmp_path / 'log.loader'
    stopped = training.times(), loader.stat().st_size
    time.sleep(0.3)
    assert (training.times(), loader.stat().st_size) == stopped
    seconds = training.turn(5)
    times = training.times()
    first = len(stopped[0])
    # from the end of the step that was interrupted to that of the fifth after it
    assert seconds == times[first + 5] - times[first]
    assert 0.1 <= seconds < 0.3
    assert times[first] - times[first - 1] > 0.3
    process = training._process.pid
    training.end()
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:  # the group ends with its last process
        try:
            os.killpg(process, 0)
        except ProcessLookupError:
            break
        time.sleep(0.02)
    else:
        pytest.fail('a process is left')


def test_turns_alternate(training, capsys):
    training.wait(1)
    rows = take_turns([training, training], rounds=2, steps=2)
    assert [row['round'] for row in rows] == [0, 0, 1, 1]
    assert all(row['training'] == 'toy' and row['seconds'] > 0.03 for row in rows)
    assert capsys.readouterr().out.count('toy, round 1: ') == 2


def test_a_training_that_ends_is_reported_with_its_last_line(tmp_path):
    command = [sys.executable, '-c', "print('start'); raise SystemExit('no memory')"]
    training = Training('toy', command, tmp_path / 'log', tmp_path / 'output')
    with pytest.raises(InputError, match='toy has ended: no memory'):
        training.wait(1)
    training.end()


def test_each_optimizer_step_is_logged(tmp_path):
    """In a process of its own, since the hook stays."""
    code = f"""
import torch
from mmdisco.experiments.peer import log_steps
log_steps({str(tmp_path / 'log')!r})
weight = torch.nn.Parameter(torch.ones(1))
for kind in (torch.optim.SGD, torch.optim.AdamW):
    weight.grad = torch.ones(1)
    kind([weight], lr=.1).step()
"""
    subprocess.run([sys.executable, '-W', 'ignore', '-c', code], check=True, cwd=ROOT)
    first, second = map(float, (tmp_path / 'log').read_text().split())
    assert first <= second <= time.monotonic()


def rows_of(**rates):
    return [
        dict(
            training=name.replace('_', ' ').replace('lightly', PEER),
            round=str(turn),  # as from a file
            images_per_s=str(rate),
            images='128',
            load='2.0',
            versions='v',
            command='c',
            commit='d',
            machine='m',
        )
        for name, values in rates.items()
        for turn, rate in enumerate(values)
    ]


def test_ratios_are_those_within_a_round():
    rows = rows_of(lightly_fp32=(10, 5, 8), ours=(30, 20, 16))
    assert ratios(rows, f'{PEER} fp32')['ours'] == [3, 4, 2]
    report = markdown(rows)
    assert '| ours | 20.0 | 3.00 (2.00 to 4.00) |' in report
    assert f'| {PEER} fp32 | 8.0 | 1 |' in report
    assert 'medians of 3 rounds' in report and '128 images each' in report


def test_the_training_is_that_of_the_command(tmp_path):
    photos = tmp_path / 'photos'
    photos.mkdir()
    write_photos(photos, 4)
    torch.manual_seed(3)
    network = timm.create_model('resnet50')
    teacher = tmp_path / 'teacher.pth'
    torch.save(network.state_dict(), teacher)
    runner = build_training(
        dict(
            data=str(photos),
            teacher=str(teacher),
            batch_size=2,
            workers=0,
            queue_len=4,
            speed='off',
            compile=False,
            out=str(tmp_path / 'run'),
        )
    )
    model = runner.model
    torch.testing.assert_close(
        model.teacher.backbone.network.layer4[2].conv3.weight,
        network.layer4[2].conv3.weight,
    )
    assert model.mixup == 1 and [*model.distill[0].queue.state_dict()]
    assert max(v.numel() for v in model.distill[0].state_dict().values()) == 4 * 2048
    assert sum(p.numel() for p in model.backbone.parameters()) == 11_176_512
    # one linear layer to the teacher's feature
    assert [tuple(p.shape) for p in model.neck.parameters()] == [(2048, 512), (2048,)]
    assert not any('Checkpoint' in type(h).__name__ for h in runner.hooks)


def test_the_other_projects_function_is_called_as_described(tmp_path):
    """A stand-in records its arguments, and takes a step."""
    (tmp_path / 'lightly_train.py').write_text("""
import json, os, torch
EVENTS = os.environ['LIGHTLY_TRAIN_EVENTS_DISABLED']
def pretrain(**arguments):
    weight = torch.nn.Parameter(torch.ones(1))
    weight.grad = torch.ones(1)
    torch.optim.SGD([weight], lr=.1).step()
    print(json.dumps(dict(arguments, events=EVENTS, n=torch.get_num_threads())))
""")
    settings = dict(
        data='photos',
        teacher='teacher.pth',
        teacher_name='resnet50',
        student='resnet18',
        batch_size=32,
        threads=1,
        workers=1,
        queue_len=64,
        precision='bf16-mixed',
        log=str(tmp_path / 'log'),
        out='run',
    )
    script = ROOT / 'tools/benchmarks/lightly_side.py'
    done = subprocess.run(
        [sys.executable, '-W', 'ignore', '-P', script, json.dumps(settings)],
        env=dict(os.environ, PYTHONPATH=str(tmp_path)),
        capture_output=True,
        text=True,
        check=True,
    )
    seen = json.loads(done.stdout)
    assert seen.pop('events') == '1' and seen.pop('n') == 1
    assert seen.pop('method_args') == dict(
        teacher='timm/resnet50',
        teacher_weights='teacher.pth',
        loss_local_weight=0,
        queue_size=64,
    )
    assert seen['method'] == 'distillationv3' and seen['precision'] == 'bf16-mixed'
    assert seen['model'] == 'torchvision/resnet18' and seen['accelerator'] == 'cpu'
    assert (seen['batch_size'], seen['num_workers']) == (32, 1)
    assert 0 < float((tmp_path / 'log').read_text()) <= time.monotonic()
