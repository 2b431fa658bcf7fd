from mmengine.hooks import Hook, LoggerHook
from mmpretrain.registry import HOOKS
from torch import Tensor

from mmdisco.errors import InputError
from mmdisco.utils import unwrapped
from ..online import (
    FirstView,
    OnlineLoop,
    Probe,
    SampleFeatures,
    innermost,
    labels_of,
    labels_of_batch,
    top1,
)

_KEY = 'online_probe'


@HOOKS.register_module()
class OnlineProbeHook(Hook):
    """Teaches a linear classifier the student's features as they come.

    Features of the first view, detached: the student never learns of it, and
    has the same weights as without. Logged are ``train/probe_top1``, of what
    this rank has seen in the epoch, and, if there is
    :class:`OnlineKNNHook`, ``val/probe_top1`` of its test sample.

    It needs labels of the training images: ``label`` or ``gt_label`` of
    ``data_samples`` in a batch. Without, it says so and stays off.

    Args:
        num_classes (int, optional): Defaults to None: as many as the data
            set's labels.
        lr (float): Learning rate. Defaults to 0.1.
    """

    def __init__(self, num_classes: int | None = None, lr: float = 0.1) -> None:
        self.num_classes, self.lr = num_classes, lr
        self._saved: dict | None = None

    def before_train(self, runner) -> None:
        """Watch the student, if there are labels."""
        self._probe: Probe | None = None
        self._watch: FirstView | None = None
        classes = self.num_classes
        if classes is None:
            labels = labels_of(innermost(runner.train_dataloader.dataset))
            classes = 0 if labels is None else int(labels.max()) + 1
        if not classes:
            self._off(runner, 'the training images have no labels')
            return
        self._classes = classes
        self._intervals = [
            hook.interval for hook in runner.hooks if isinstance(hook, LoggerHook)
        ]
        self._watch = FirstView(unwrapped(runner.model))
        if isinstance(runner.val_loop, OnlineLoop):
            runner.val_loop.scorers.append(self.score)
        self.before_train_epoch(runner)

    def before_train_epoch(self, runner) -> None:
        """Count anew."""
        self._hits, self._seen = 0, 0

    def after_train_iter(
        self, runner, batch_idx: int, data_batch=None, outputs=None
    ) -> None:
        """Learn of the batch."""
        if self._watch is None:
            return
        features = self._watch.take()
        labels = labels_of_batch(data_batch)
        if features is None or labels is None:
            self._off(
                runner,
                'no batch has labels'
                if labels is None
                else 'the student sees no whole first view',
            )
            return
        self._hits = self._hits + self._probe_of(features).learn(
            features, labels.to(features.device)
        )
        self._seen += len(labels)
        if (
            any(
                self.every_n_inner_iters(batch_idx, n)
                or self.every_n_train_iters(runner, n)
                for n in self._intervals
            )
            or self.end_of_epoch(runner.train_dataloader, batch_idx)
            or self.is_last_train_iter(runner)
        ):  # the log is written
            runner.message_hub.update_scalar(
                'train/probe_top1', 100 * float(self._hits) / self._seen
            )

    def score(self, features: SampleFeatures) -> dict[str, float]:
        """Score the test sample.

        Args:
            features (SampleFeatures): Of the samples.

        Returns:
            dict[str, float]: ``probe_top1`` in per cent.
        """
        if self._probe is None:
            return {}
        return dict(
            probe_top1=top1(self._probe.logits(features.test), features.test_labels)
        )

    def after_train(self, runner) -> None:
        """Let go of the student."""
        if self._watch is not None:
            self._watch.remove()

    def before_save_checkpoint(self, runner, checkpoint: dict) -> None:
        """Put the classifier in."""
        if self._probe is not None:
            checkpoint[_KEY] = self._probe.state_dict()

    def after_load_checkpoint(self, runner, checkpoint: dict) -> None:
        """Take it out, if this run is a resumed one."""
        if runner._resume:
            self._saved = checkpoint.get(_KEY)

    def _probe_of(self, features: Tensor) -> Probe:
        if self._probe is None:
            width = features.size(1)
            self._probe = Probe(width, self._classes, self.lr, features.device)
            if self._saved is not None:
                shape = Probe.shape_of(self._saved)
                if shape != (self._classes, width):
                    raise InputError(
                        f'OnlineProbeHook: the checkpoint has a classifier of '
                        f'{shape[1]} features and {shape[0]} classes, here '
                        f'are {width} and {self._classes}: resume with the '
                        'same data set'
                    )
                self._probe.load_state_dict(self._saved)
                self._saved = None
        return self._probe

    def _off(self, runner, reason: str) -> None:
        runner.logger.info(f'OnlineProbeHook is off: {reason}')
        if self._watch is not None:
            self._watch.remove()
            self._watch = None
