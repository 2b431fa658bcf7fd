"""The launchers, with stand-ins for srun and several nodes."""

import pytest

from tests.tools import run

SRUN = '#!/bin/sh\nprintf "%s\\n" "$@" > "$ARGUMENTS"\n'


@pytest.mark.parametrize(
    'script, words, program',
    [
        (
            'slurm_train.sh',
            ['CONFIG', 'WORK', '--amp'],
            [
                'tools/train.py',
                'CONFIG',
                '--work-dir=WORK',
                '--launcher=slurm',
                '--amp',
            ],
        ),
        (
            'slurm_eval.sh',
            ['tools/eval/knn.py', 'MODEL', '--data', 'DATA'],
            ['tools/eval/knn.py', '--launcher=slurm', 'MODEL', '--data', 'DATA'],
        ),
        (
            'slurm_test.sh',
            ['CONFIG', 'CHECKPOINT', '--out=X'],
            ['tools/test.py', 'CONFIG', 'CHECKPOINT', '--launcher=slurm', '--out=X'],
        ),
    ],
)
def test_slurm_gets_a_task_for_each_gpu(tmp_path, script, words, program):
    srun = tmp_path / 'srun'
    srun.write_text(SRUN)
    srun.chmod(0o755)
    run(
        'bash',
        f'tools/{script}',
        'gpus',
        'disco',
        *words,
        env=dict(
            PATH=f'{tmp_path}:/usr/bin:/bin',
            ARGUMENTS=str(tmp_path / 'passed'),
            GPUS='16',
            SRUN_ARGS='--quotatype=spot --exclusive',
        ),
    )
    passed = (tmp_path / 'passed').read_text().splitlines()
    assert passed[:2] == ['-p', 'gpus']
    assert {
        '--job-name=disco',
        '--gres=gpu:8',
        '--ntasks=16',
        '--ntasks-per-node=8',
        '--quotatype=spot',
        '--exclusive',
    } < set(passed)
    assert passed[-len(program)].endswith(program[0])
    assert passed[-len(program) + 1 :] == program[1:]


def test_dist_test_runs_on_two_ranks(tmp_path, free_port):
    """A pre-training config: both ranks stop, one line is printed."""
    checkpoint = tmp_path / 'epoch_1.pth'
    checkpoint.touch()
    done = run(
        'bash',
        'tools/dist_test.sh',
        'configs/quickstart/disco.py',
        checkpoint,
        '2',
        check=False,
        env=dict(PORT=str(free_port)),
    )
    assert done.returncode != 0
    assert done.stderr.count('error: a pre-training config has no test set') == 1
    assert 'Traceback' not in done.stderr


@pytest.mark.parametrize(
    'script',
    ['dist_train', 'dist_test', 'dist_eval', 'slurm_train', 'slurm_test', 'slurm_eval'],
)
def test_a_launcher_without_arguments_prints_its_usage(script):
    done = run('bash', f'tools/{script}.sh', check=False)
    assert done.returncode == 2 and done.stderr.startswith('usage: bash')
