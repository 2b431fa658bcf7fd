"""Runs of an experiment: kept, resumed or started again; time and memory."""

import subprocess
import sys

import pytest

from mmdisco.errors import InputError
from mmdisco.experiments.jobs import Job, keep_peak, read_peak, run_jobs

CONFIG = """
train_cfg = dict(max_epochs=2)
value = 1
"""


def test_jobs_are_kept_resumed_or_started_again(tmp_path, monkeypatch, capsys):
    """A stand-in for the training tool writes the checkpoints."""
    tool = tmp_path / 'tool.py'
    tool.write_text("""
import pathlib, sys
folder = pathlib.Path(sys.argv[sys.argv.index('--work-dir') + 1])
if 'value=13' in sys.argv:
    sys.exit('error: 13 is not a value')
(folder / 'runs').open('a').write('run ' + ' '.join(sys.argv[-1:]) + chr(10))
(folder / 'epoch_2.pth').write_text('done')
print('x - Epoch(train) [2][1/1] loss: 1')
""")
    monkeypatch.setattr('mmdisco.experiments.jobs.TRAIN', tool)
    config = tmp_path / 'config.py'
    config.write_text(CONFIG)
    jobs = [
        Job(f'job {i}', str(config), tmp_path / str(i), dict(value=i)) for i in range(3)
    ]
    run_jobs(jobs)
    run_jobs(jobs)
    for i in range(3):
        runs = (tmp_path / str(i) / 'runs').read_text().split('\n')
        assert runs == [f'run value={i}', '']
    out = capsys.readouterr().out
    assert out.count('Epoch(train)') == 3
    assert out.count('is finished') == 3
    (tmp_path / '1' / 'epoch_2.pth').unlink()  # interrupted
    jobs[2].options['value'] = 5  # changed
    run_jobs(jobs)
    assert (tmp_path / '0' / 'runs').read_text().count('run') == 1
    assert (tmp_path / '1' / 'runs').read_text().count('run') == 2
    assert (tmp_path / '2' / 'runs').read_text() == 'run value=5\n'
    jobs[0].options['value'] = 13
    with pytest.raises(InputError, match='job 0 failed: error: 13 is not a val'):
        run_jobs(jobs)


def test_job_time_is_the_sum_over_epochs_of_all_attempts(tmp_path):
    for attempt, lines in (('a', [(1, 0.5), (2, 0.5)]), ('b', [(2, 0.7), (3, 0.1)])):
        # ten steps per epoch; the second attempt resumes in epoch 2
        folder = tmp_path / attempt / 'vis_data'
        folder.mkdir(parents=True)
        folder.joinpath('scalars.json').write_text(
            '\n'.join(
                f'{{"epoch": {e}, "iter": {10 * e}, "time": {t}}}' for e, t in lines
            )
        )
    job = Job('x', 'none', tmp_path)
    assert [row['epoch'] for row in job.log()] == [1, 2, 3]
    assert job.seconds() == pytest.approx(10 * (0.5 + 0.7 + 0.1))


def test_the_highest_peak_of_a_process_is_kept(tmp_path):
    size = 64 * 2**20
    code = f'x = bytearray({size}); del x; print("done", flush=True); input()'
    process = subprocess.Popen(
        [sys.executable, '-c', code],
        text=True,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    process.stdout.readline()
    keep_peak(process.pid, tmp_path)
    peak = read_peak(tmp_path)
    assert 64 < peak < 64 + 60  # including the interpreter
    (tmp_path / 'peak_memory_mib.txt').write_text('5000')
    keep_peak(process.pid, tmp_path)
    process.communicate('\n')
    keep_peak(process.pid, tmp_path)  # the process has ended
    assert read_peak(tmp_path) == 5000
    assert read_peak(tmp_path / 'none') == 0
