"""Linear probe that trains beside the student, on the features of its own batches."""

from typing import Any

import torch
import torch.nn.functional as F
from mmengine.dist import all_reduce
from mmengine.hooks import LoggerHook
from mmengine.runner import Runner
from mmpretrain.registry import HOOKS
from torch import Tensor, nn

from mmdisco.errors import InputError
from mmdisco.utils import pooled, unwrapped
from .loop import SampleFeatures, Scorer
from .sample import innermost, labels_of, labels_of_batch
from .scorers import top1

_KEY = 'online_probe'  # of the checkpoint


class FirstView:
    """Records the student's features of the first view, in each step.

    A forward hook on the backbone records the algorithm's own forward pass, so
    none is added. The features are detached. Some algorithms concatenate the
    views (SwAV) or interleave them (SimCLR) in one batch; which of the two is
    determined in the first step.

    Args:
        model (nn.Module): Algorithm with a ``backbone``, whose ``inputs`` are
            the views.
    """

    def __init__(self, model: Any) -> None:
        self._view: Tensor | None = None
        self._features: Tensor | None = None
        self._rows: slice | None = None
        backbone: Any = model.backbone
        self._handles = [
            model.register_forward_pre_hook(self._step, with_kwargs=True),
            backbone.register_forward_hook(self._pass),
        ]

    def take(self) -> Tensor | None:
        """Return the features since the last call, [N, D], or None."""
        features, self._features, self._view = self._features, None, None
        return features

    def remove(self) -> None:
        """Remove the hooks from the model."""
        for handle in self._handles:
            handle.remove()

    def _step(self, model: nn.Module, args: tuple, kwargs: dict) -> None:
        inputs = args[0] if args else kwargs['inputs']
        self._view = inputs if torch.is_tensor(inputs) else inputs[0]

    def _pass(self, _, args: tuple, output) -> None:
        view, images = self._view, args[0]
        if view is None or self._features is not None:
            return
        if images is view:
            self._features = pooled(output)  # [N, D]
            return
        if self._rows is None:  # each comparison waits for the device
            self._rows = rows_of(view, images)
        if self._rows is not None:
            self._features = pooled(output)[self._rows]


def rows_of(view: Tensor, images: Tensor) -> slice | None:
    """Rows of a batch that hold a view, or None."""
    num = len(view)
    parts: list[slice] = [slice(0, num), slice(0, None, max(len(images) // num, 1))]
    for rows in parts:
        part = images[rows]
        if part.shape == view.shape and torch.equal(part, view):
            return rows
    return None


class Probe:
    """A linear classifier trained on a stream of features.

    Features are standardised by BN without weights, so that one learning rate
    suits any network. Weights start at zero: no random number is drawn. They
    are the same on all ranks.

    Args:
        dim (int): Width of the features.
        num_classes (int): Number of classes.
        lr (float): Learning rate of SGD with momentum 0.9.
        device (torch.device): Device of the features.
    """

    def __init__(
        self, dim: int, num_classes: int, lr: float, device: torch.device
    ) -> None:
        # no default initialisation, which would draw random numbers
        linear = nn.utils.skip_init(nn.Linear, dim, num_classes)
        for parameter in linear.parameters():
            nn.init.zeros_(parameter)
        self.network = nn.Sequential(nn.BatchNorm1d(dim, affine=False), linear).to(
            device
        )
        self.optimizer = torch.optim.SGD(self.network.parameters(), lr=lr, momentum=0.9)

    @torch.enable_grad()
    def step(self, features: Tensor, labels: Tensor) -> Tensor:
        """Take one step of SGD.

        Args:
            features (Tensor): Detached features, [N, D].
            labels (Tensor): Class indices, [N].

        Returns:
            Tensor: Number of correct predictions before the step, [].
        """
        self.network.train()
        logits = self.network(features)  # [N, C]
        self.optimizer.zero_grad()
        F.cross_entropy(logits, labels).backward()
        for parameter in self.network.parameters():
            all_reduce(parameter.grad, 'mean')
        self.optimizer.step()
        return (logits.argmax(1) == labels).sum()

    @torch.no_grad()
    def logits(self, features: Tensor) -> Tensor:
        """Classify features [N, D] with the mean BN statistics of all ranks."""
        norm = self.network[0]
        for statistic in (norm.running_mean, norm.running_var):
            all_reduce(statistic, 'mean')
        return self.network.eval()(features)  # [N, C]

    def state_dict(self) -> dict:
        """Weights and momentum."""
        return dict(
            network=self.network.state_dict(), optimizer=self.optimizer.state_dict()
        )

    def load_state_dict(self, state: dict) -> None:
        """Restore weights and momentum."""
        self.network.load_state_dict(state['network'])
        self.optimizer.load_state_dict(state['optimizer'])

    @staticmethod
    def shape_of(state: dict) -> tuple[int, int]:
        """Number of classes and width of the features of a state."""
        return tuple(state['network']['1.weight'].shape)


@HOOKS.register_module()
class ProbeScorer(Scorer):
    """Trains a linear classifier on the student's features during the training.

    Its input is the detached features of the first view, so the student's
    weights are those of a run without it. Logged are ``train/probe_top1``, the
    accuracy of this rank's batches so far in the epoch, and ``val/probe_top1``
    of the second sample of :class:`OnlineLoop`, if there is one.

    The batches need labels: ``label``, or ``gt_label`` of ``data_samples``.
    Without, the scorer logs that it is off.

    Args:
        num_classes (int, optional): Number of classes. Defaults to None: that
            of the training images.
        lr (float): Learning rate. Defaults to 0.1.
    """

    def __init__(self, num_classes: int | None = None, lr: float = 0.1) -> None:
        self.num_classes, self.lr = num_classes, lr
        self._saved: dict | None = None

    def before_train(self, runner: Runner) -> None:
        """Watch the student, if there are labels."""
        super().before_train(runner)
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
        self.before_train_epoch(runner)

    def before_train_epoch(self, runner: Runner) -> None:
        """Reset the counts."""
        self._hits: Tensor | int = 0
        self._seen = 0

    def after_train_iter(
        self, runner: Runner, batch_idx: int, data_batch=None, outputs=None
    ) -> None:
        """Train the classifier on the batch."""
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
        self._hits = self._hits + self._probe_of(features).step(
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
        """Score the second sample.

        Args:
            features (SampleFeatures): The student's features.

        Returns:
            dict[str, float]: ``probe_top1`` in per cent, if there are labels.
        """
        if self._probe is None:
            return {}
        return dict(
            probe_top1=top1(self._probe.logits(features.test), features.test_labels)
        )

    def after_train(self, runner: Runner) -> None:
        """Remove the hooks from the student."""
        if self._watch is not None:
            self._watch.remove()

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Add the classifier to the checkpoint."""
        if self._probe is not None:
            checkpoint[_KEY] = self._probe.state_dict()

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Read the classifier of a resumed run."""
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
                        f'online probe: the checkpoint has a classifier of '
                        f'{shape[1]} features and {shape[0]} classes, but this '
                        f'run has {width} and {self._classes}: resume with the '
                        'same data set'
                    )
                self._probe.load_state_dict(self._saved)
                self._saved = None
        return self._probe

    def _off(self, runner: Runner, reason: str) -> None:
        runner.logger.info(f'{type(self).__name__} is off: {reason}')
        if self._watch is not None:
            self._watch.remove()
            self._watch = None
