"""Start of a training: a checkpoint, weights or neither."""

import pytest
import torch
from mmengine.config import Config

from mmdisco.errors import InputError
from mmdisco.launch import newest_checkpoint, set_start


def save(path, iteration=0, **meta):
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save(dict(state_dict={}, meta=dict(iter=iteration, **meta)), path)
    return str(path)


def started(work_dir, asked=None, **options):
    cfg = Config(dict(work_dir=str(work_dir), **options))
    notes = set_start(cfg, asked)
    return cfg, notes


def test_the_newest_checkpoint_is_one_that_exists(tmp_path):
    assert newest_checkpoint(tmp_path) is None
    for name in ('epoch_2.pth', 'epoch_10.pth', 'epoch_9.pth'):
        (tmp_path / name).touch()
    (tmp_path / 'last_checkpoint').write_text('epoch_11.pth')  # never written
    assert newest_checkpoint(tmp_path) == str(tmp_path / 'epoch_10.pth')


@pytest.mark.parametrize(
    'beside',
    [
        'epoch_3_student.pth',
        'epoch_best.pth',
        'epoch_3-1a2b3c4d.pth',
        'epoch_.pth',
        'epoch_3.pth.half',
        'my_epoch_3.pth',
        'epoch_3.pt',
        'best_knn_top1_epoch_3.pth',
        'epoch_-3.pth',
        'iter_best.pth',
        'last_checkpoint',
        'epoch_3xpth',
    ],
)
def test_other_files_are_ignored(tmp_path, beside):
    (tmp_path / beside).write_text(str(tmp_path / 'epoch_9.pth'))
    (tmp_path / 'epoch_4.pth').mkdir()
    assert newest_checkpoint(tmp_path) is None
    path = save(tmp_path / 'epoch_2.pth')
    save(tmp_path / 'epoch_1.pth')
    assert newest_checkpoint(tmp_path) == path


@pytest.mark.parametrize(
    'epochs, newest', [(150, 'epoch_4'), (90, 'iter_100'), (100, 'epoch_4')]
)
def test_checkpoints_by_epoch_and_by_iteration_are_compared(tmp_path, epochs, newest):
    save(tmp_path / 'epoch_4.pth', epochs)
    save(tmp_path / 'iter_100.pth', 100)
    save(tmp_path / 'iter_7.pth', 7)
    assert newest_checkpoint(tmp_path) == str(tmp_path / f'{newest}.pth')


def test_checkpoints_are_found_where_the_hook_writes_them(tmp_path):
    hook = dict(out_dir=str(tmp_path / 'disk'), filename_tmpl='e{}.pth')
    path = save(tmp_path / 'disk' / 'run' / 'e12.pth')
    save(tmp_path / 'disk' / 'run' / 'e9.pth')
    cfg, _ = started(
        tmp_path / 'here' / 'run', 'auto', default_hooks=dict(checkpoint=hook)
    )
    assert cfg.resume and cfg.load_from == path


def test_a_job_that_always_resumes_starts_from_its_weights(tmp_path):
    weights = save(tmp_path / 'weights.pth')
    work = tmp_path / 'work'
    cfg, notes = started(work, 'auto', load_from=weights)
    assert not cfg.resume and cfg.load_from == weights
    assert f"the run starts from load_from='{weights}'" in notes[0]
    path = save(work / 'epoch_1.pth')
    cfg, notes = started(work, 'auto', load_from=weights)
    assert cfg.resume and cfg.load_from == path and not notes


@pytest.mark.parametrize(
    'resume, options, expected',
    [
        (None, {}, (False, None)),
        (None, dict(load_from='w'), (False, 'w')),
        (None, dict(resume=True), (True, 'newest')),
        # the config of a resumed run
        (None, dict(resume=True, load_from='w'), (True, 'w')),
        ('auto', dict(resume=True, load_from='w'), (True, 'newest')),
        ('w', {}, (True, 'w')),
        ('w', dict(load_from='newest'), (True, 'w')),
    ],
)
def test_start_of_a_run(tmp_path, resume, options, expected):
    files = dict(
        w=save(tmp_path / 'other' / 'epoch_7.pth'),
        newest=save(tmp_path / 'work' / 'epoch_1.pth'),
    )
    options = {key: files.get(value, value) for key, value in options.items()}
    cfg, _ = started(tmp_path / 'work', files.get(resume, resume), **options)
    assert (cfg.resume, cfg.load_from) == (expected[0], files.get(expected[1]))


def test_nothing_to_resume_from(tmp_path):
    cfg, notes = started(tmp_path, 'auto', resume=True)
    assert (cfg.resume, cfg.load_from) == (False, None)
    assert notes == [f"--resume: no checkpoint in '{tmp_path}' yet, the run starts"]
    weights = save(tmp_path / 'other' / 'epoch_7.pth')
    cfg, _ = started(tmp_path, 'auto', resume=True, load_from=weights)
    assert (cfg.resume, cfg.load_from) == (True, weights)


def test_a_seed_that_was_drawn_is_kept(tmp_path):
    path = save(tmp_path / 'epoch_1.pth', seed=7)
    for given, kept in ((None, 7), (3, 3)):
        cfg, _ = started(tmp_path, path, randomness=dict(seed=given))
        assert cfg.randomness.seed == kept
    cfg, _ = started(tmp_path, path)
    assert cfg.randomness.seed == 7
    cfg, _ = started(tmp_path, None, load_from=path, randomness=dict(seed=None))
    assert cfg.randomness.seed is None  # another run


def test_unreadable_files_are_errors(tmp_path):
    (tmp_path / 'epoch_1.pth').write_text('junk')
    for resume, options in (
        ('auto', {}),
        (str(tmp_path / 'none.pth'), {}),
        (None, dict(load_from='none.pth')),
    ):
        with pytest.raises(InputError, match='not found|is not a PyTorch'):
            started(tmp_path, resume, **options)
