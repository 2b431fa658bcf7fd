import json
from pathlib import Path

from mmengine.dist import master_only
from mmengine.hooks import Hook
from mmpretrain.registry import HOOKS

from mmdisco.utils import atomic_write

FILE = 'scores.json'


@HOOKS.register_module()
class BestAndLastHook(Hook):
    """Tells the best epoch and the last one when a training ends.

    The best epoch is what papers report, but it is chosen by the images that
    it is scored with; the last one is not. The scores of all epochs are kept
    in ``scores.json`` of the work dir, and so are there after a resume, too.

    Args:
        metric (str): Of the evaluator, higher is better. Defaults to
            'accuracy/top1'.
    """

    def __init__(self, metric: str = 'accuracy/top1') -> None:
        self.metric = metric
        self.scores: dict[int, float] = {}

    def before_train(self, runner) -> None:
        """Begin anew, or with the epochs before a resume."""
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
        """Note the epoch's score."""
        if metrics and self.metric in metrics:
            self.scores[runner.epoch] = float(metrics[self.metric])
            self._write(Path(runner.work_dir, FILE))

    def after_train(self, runner) -> None:
        """Log both."""
        if self.scores:
            best, last = self._best(), max(self.scores)
            runner.logger.info(
                f'{self.metric}: best {self.scores[best]:.2f} at epoch '
                f'{best}, last {self.scores[last]:.2f} at epoch {last}. The '
                'best is chosen by the very images that it is scored with'
            )

    def _best(self) -> int:
        """The first of the best epochs."""
        return max(self.scores, key=lambda e: (self.scores[e], -e))

    @master_only
    def _write(self, path: Path) -> None:
        best, last = self._best(), max(self.scores)
        with atomic_write(path) as half:
            half.write_text(
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
