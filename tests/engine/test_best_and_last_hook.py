"""Best and last epoch, also of an interrupted run."""

import json
from types import SimpleNamespace
from unittest.mock import MagicMock

from mmdisco.engine import BestAndLastHook


def train(work_dir, scores, start=0, resume=False):
    """Run epochs with these scores; return the log messages at the end."""
    runner = SimpleNamespace(
        work_dir=str(work_dir), _resume=resume, epoch=start, logger=MagicMock()
    )
    hook = BestAndLastHook()
    hook.before_train(runner)
    for score in scores:
        runner.epoch += 1
        hook.after_val_epoch(runner, {'accuracy/top1': score, 'accuracy/top5': 99.0})
    hook.after_train(runner)
    return [call[0][0] for call in runner.logger.info.call_args_list]


def test_best_and_last_are_logged_once(tmp_path):
    (line,) = train(tmp_path, [50.0, 61.24, 61.24, 61.0])
    assert line.startswith(
        'accuracy/top1: best 61.24 at epoch 2, last 61.00 at epoch 4.'
    )
    written = json.loads((tmp_path / 'scores.json').read_text())
    assert written == dict(
        metric='accuracy/top1',
        best=dict(epoch=2, score=61.24),
        last=dict(epoch=4, score=61.0),
        scores={'1': 50.0, '2': 61.24, '3': 61.24, '4': 61.0},
    )


def test_a_resumed_run_knows_the_epochs_before(tmp_path):
    train(tmp_path, [50.0, 70.0, 60.0, 99.0])
    # resumed from epoch 3; epoch 4 is repeated
    (line,) = train(tmp_path, [65.0, 66.0], start=3, resume=True)
    assert 'best 70.00 at epoch 2, last 66.00 at epoch 5' in line
    (line,) = train(tmp_path, [30.0, 20.0])  # a new run in the same folder
    assert 'best 30.00 at epoch 1, last 20.00 at epoch 2' in line


def test_without_an_evaluation_nothing_is_logged(tmp_path):
    assert train(tmp_path, []) == []
    hook = BestAndLastHook('accuracy/top5')
    runner = SimpleNamespace(work_dir=str(tmp_path), epoch=1)
    hook.after_val_epoch(runner, None)
    hook.after_val_epoch(runner, {'single-label/f1': 1.0})
    assert not (tmp_path / 'scores.json').exists()
