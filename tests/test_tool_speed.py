"""tools/train.py --speed and --amp, as a user runs them."""

import pytest
import torch

from tests.tools import losses, run

CONFIG = 'configs/quickstart/disco.py'


@pytest.fixture(scope='module')
def plain(tmp_path_factory):
    """Losses of four steps in plain fp32, and the checkpoint's folder."""
    work_dir = tmp_path_factory.mktemp('plain')
    return losses(
        run('python', 'tools/train.py', CONFIG, '--smoke', '--work-dir', work_dir)
    ), work_dir


def test_exact_equals_plain(cxx, plain, tmp_path):
    """Compiled: the one test that waits for the compiler."""
    expected, folder = plain
    done = run(
        'python',
        'tools/train.py',
        CONFIG,
        '--smoke',
        '--speed',
        'exact',
        '--work-dir',
        tmp_path,
    )
    assert 'speed exact: fp32, channels last, compiled' in done.stdout
    assert losses(done) == pytest.approx(expected, rel=2e-3)
    assert 'BN folded, channels last, compiled' in done.stdout
    first, second = (
        torch.load(d / 'epoch_2.pth', weights_only=False) for d in (folder, tmp_path)
    )
    assert first['state_dict'].keys() == second['state_dict'].keys()
    for key, value in first['state_dict'].items():
        # four steps of four images at a high rate amplify rounding
        other = second['state_dict'][key]
        error = (other.double() - value.double()).norm()
        assert error <= 0.05 * value.double().norm() + 1e-2, key


def test_auto_without_a_compiler_goes_on_in_two_ranks(plain, tmp_path, free_port):
    done = run(
        'bash',
        'tools/dist_train.sh',
        CONFIG,
        2,
        '--smoke',
        '--speed',
        'auto',
        '--work-dir',
        tmp_path,
        '--cfg-options',
        'model.ssl.queue_len=8',
        env=dict(
            PORT=str(free_port),
            CXX='no-such-compiler',
            TORCHINDUCTOR_CACHE_DIR=str(tmp_path / 'cache'),
        ),
    )
    assert 'not compiled (' in done.stdout
    assert len(losses(done)) == 4
    assert losses(done)[-1] < losses(done)[0]


def test_amp_on_a_cpu_is_bf16(plain, tmp_path):
    expected, _ = plain
    done = run(
        'python', 'tools/train.py', CONFIG, '--smoke', '--amp', '--work-dir', tmp_path
    )
    found = losses(done)
    assert found != expected
    assert found[0] == pytest.approx(expected[0], rel=2e-2)


def test_a_run_goes_on_with_another_speed(plain, tmp_path):
    """Weights, queue and optimizer are the same files."""
    expected, folder = plain
    for before, now in (('off', 'exact'), ('exact', 'off')):
        done = run(
            'python',
            'tools/train.py',
            CONFIG,
            '--smoke',
            '--speed',
            now,
            '--resume',
            folder / 'epoch_1.pth',
            '--work-dir',
            tmp_path / now,
            env=dict(
                CXX='no-such-compiler', TORCHINDUCTOR_CACHE_DIR=str(tmp_path / 'cache')
            ),
        )
        assert losses(done) == pytest.approx(expected[2:], rel=2e-3)
        folder = tmp_path / 'whole'
        if before == 'off':  # the same run at the other speed
            run(
                'python',
                'tools/train.py',
                CONFIG,
                '--smoke',
                '--speed',
                'exact',
                '--work-dir',
                folder,
                env=dict(
                    CXX='no-such-compiler',
                    TORCHINDUCTOR_CACHE_DIR=str(tmp_path / 'cache'),
                ),
            )
