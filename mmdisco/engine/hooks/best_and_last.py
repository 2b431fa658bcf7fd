"""Best and last validation score of a training."""

import json
from pathlib import Path

from mmengine.dist import master_only
from mmengine.hooks import Hook
from mmpretrain.registry import HOOKS

from mmdisco.utils import atomic_write

FILE = 'scores.json'


@HOOKS.register_module()
class BestAndLastHook(Hook):
    """Log the best and the last epoch when training ends.

    Papers report the best epoch, which is selected on the same images that it is
    scored on; the last epoch is not. ``scores.json`` in the work dir keeps the
    scores of all epochs, also across a resume.

    Args:
        metric (str): Metric of the evaluator; higher is better. Defaults to
            'accuracy/top1'.
    """

    def __init__(self, metric: str = 'accuracy/top1') -> None:
        self.metric = metric
        self.scores: dict[int, float] = {}

    def before_train(self, runner) -> None:
        """Start without scores, or with those of the epochs before a resume."""
        path = Path(runner.work_dir, FILE)
        self.scores = {}
        if runner._resume and path.is_file():
            before = json.loads(path.read_text())['scores']
            self.scores = {
                int(epoch): score
                for epoch, score in before.items()
                if int(epoch) <= runner.epoch
            }

    def after_val_epoch(self, runner, metrics: dict[str, float] | None = None) -> None:
        """Record the epoch's score."""
        if metrics and self.metric in metrics:
            self.scores[runner.epoch] = float(metrics[self.metric])
            self._write(Path(runner.work_dir, FILE))

    def after_train(self, runner) -> None:
        """Log the best and the last score."""
        if self.scores:
            best, last = self._best(), max(self.scores)
            runner.logger.info(
                f'{self.metric}: best {self.scores[best]:.2f} at epoch '
                f'{best}, last {self.scores[last]:.2f} at epoch {last}. The '
                'best epoch is selected on the same images that it is scored on'
            )

    def _best(self) -> int:
        """Return the best epoch, the first one on a tie."""
        return max(self.scores, key=lambda e: (self.scores[e], -e))

    @master_only
    def _write(self, path: Path) -> None:
        best, last = self._best(), max(self.scores)
        with atomic_write(path) as temporary:
            temporary.write_text(
                json.dumps(
                    dict(
                        metric=self.metric,
                        best=dict(epoch=best, score=self.scores[best]),
                        last=dict(epoch=last, score=self.scores[last]),
                        scores=self.scores,
                    ),
                    indent=1,
                )
                + '\n'
            )
