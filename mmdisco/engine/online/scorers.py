"""Scores of fixed samples: kNN, quality without labels, and the teacher itself."""

from typing import Any

import torch
from mmengine.dist import all_reduce
from mmengine.runner import IterBasedTrainLoop, Runner
from mmpretrain.registry import HOOKS
from scipy.stats import binom
from torch import Tensor

from mmdisco.errors import InputError
from mmdisco.evaluation import alignment, knn_scores, rank_me, uniformity
from mmdisco.models import StoredTeacher
from mmdisco.utils import pooled, unwrapped
from .loop import SampleFeatures, Scorer, online_loop
from .undisturbed import undisturbed


@HOOKS.register_module()
class KNNScorer(Scorer):
    """Top-1 of weighted kNN: the first sample classifies the second.

    Logged as ``val/knn_top1``, see :func:`knn_scores`.

    Args:
        k (int): Number of neighbours, at most the first sample. Defaults to
            20.
        temperature (float): Temperature of the votes. Defaults to 0.07.

    Raises:
        InputError: If a number is not positive.
    """

    priority = 'ABOVE_NORMAL'  # the first score of a log line

    def __init__(self, k: int = 20, temperature: float = 0.07) -> None:
        if k < 1 or temperature <= 0:
            raise InputError(
                f'{type(self).__name__}(k={k}, temperature={temperature}): must be '
                'at least 1 and above 0'
            )
        self.k, self.temperature = k, temperature

    def score(self, features: SampleFeatures) -> dict[str, float]:
        """Score the second sample.

        Args:
            features (SampleFeatures): The student's features.

        Returns:
            dict[str, float]: ``knn_top1`` in per cent.
        """
        return dict(knn_top1=self.top1(features))

    @torch.no_grad()
    def top1(self, features: SampleFeatures) -> float:
        """Accuracy on the second sample, in per cent.

        Args:
            features (SampleFeatures): Features of any network.
        """
        labels = features.train_labels, features.test_labels
        classes = 1 + max(int(each.max()) for each in labels)
        votes = knn_scores(
            features.train,
            features.train_labels,
            features.test,
            classes,
            min(self.k, len(features.train)),
            self.temperature,
        )  # [N, C]
        return top1(votes, features.test_labels)

    def describe(self, num_train: int, num_test: int) -> str:
        """Name of the score in the log."""
        k = min(self.k, num_train)
        return f'kNN (k={k}, {num_train} train, {num_test} test)'

    def after_val_epoch(
        self, runner: Runner, metrics: dict[str, float] | None = None
    ) -> None:
        """Log the score and its cost."""
        loop = online_loop(runner)
        if loop is None or not metrics or 'knn_top1' not in metrics:
            return
        at = (
            f'iteration {runner.iter}'
            if isinstance(runner.train_loop, IterBasedTrainLoop)
            else f'epoch {runner.epoch}'
        )
        runner.logger.info(
            f'online {self.describe(*loop.sizes)}: '
            f'{metrics["knn_top1"]:.2f} % at {at}; '
            f'{loop.seconds:.2f} s, {loop.share:.1f} % of the time'
        )


@HOOKS.register_module()
class QualityScorer(Scorer):
    """Quality of the student's features without labels.

    Logged are ``val/rank_me``, the effective rank (`RankMe
    <https://arxiv.org/abs/2210.02885>`_), and ``val/uniformity`` (`Wang & Isola
    <https://arxiv.org/abs/2005.10242>`_) of the first sample, and
    ``val/alignment`` of two new views of the last batch. The features are the
    backbone's in eval mode. Methods with a single view have no alignment.

    Args:
        num (int): Maximum number of images. Defaults to 2000.
        num_pairs (int): Maximum number of pairs of views, of each rank.
            Defaults to 128.
    """

    def __init__(self, num: int = 2000, num_pairs: int = 128) -> None:
        self.num, self.num_pairs = num, num_pairs
        self._batch: dict | None = None

    def before_train(self, runner: Runner) -> None:
        """Keep the runner, whose model gives the pairs of views."""
        self._runner = runner
        super().before_train(runner)

    def after_train_iter(
        self, runner: Runner, batch_idx: int, data_batch=None, outputs=None
    ) -> None:
        """Keep the last batch before an evaluation."""
        loop = runner.train_loop
        if online_loop(runner) is not None and (
            self.is_last_train_iter(runner)
            or (
                self.every_n_train_iters(runner, loop.val_interval)
                if isinstance(loop, IterBasedTrainLoop)
                else self.end_of_epoch(runner.train_dataloader, batch_idx)
            )
        ):
            self._batch = data_batch

    def score(self, features: SampleFeatures) -> dict[str, float]:
        """Score the first sample and the last batch.

        Args:
            features (SampleFeatures): The student's features.

        Returns:
            dict[str, float]: ``rank_me``, ``uniformity``, and ``alignment``
            if there are two views.
        """
        part = features.train[: self.num]  # [N, D]
        scores = dict(rank_me=rank_me(part), uniformity=uniformity(part))
        batch, self._batch = self._batch, None
        pair = None if batch is None else self._pair(batch)
        if pair:
            distance = part.new_tensor(alignment(*pair))
            all_reduce(distance, 'mean')
            scores['alignment'] = float(distance)
        return scores

    def _pair(self, batch: dict) -> tuple[Tensor, Tensor] | None:
        """Features of two new views of a batch, [n, D] each; None without two."""
        model: Any = unwrapped(self._runner.model)
        with undisturbed(model.backbone):
            # draws random numbers
            views = model.data_preprocessor(batch, True)['inputs']
            if (
                torch.is_tensor(views)
                or len(views) < 2
                or views[0].shape != views[1].shape
            ):
                return None
            first, second = (
                pooled(model.backbone(view[: self.num_pairs])) for view in views[:2]
            )
            return first, second


@HOOKS.register_module()
class TeacherKNNScorer(Scorer):
    """Compares the teacher's kNN accuracy with chance, once at the start.

    The teacher's backbone, BN with its running statistics, is scored by the
    run's :class:`KNNScorer`. The score stays in the log beside the student's, as
    ``val/teacher_knn_top1``. A teacher that is not above chance, the share of the
    largest class, is a warning. Nothing is done without a teacher's network or a
    :class:`KNNScorer`, nor in a resumed run.

    Args:
        level (float): Warn if the binomial probability of this score by chance
            is larger. Defaults to 0.001.
    """

    def __init__(self, level: float = 1e-3) -> None:
        self.level = level

    def before_train(self, runner: Runner) -> None:
        """Score the teacher."""
        teacher = getattr(unwrapped(runner.model), 'teacher', None)
        loop = online_loop(runner)
        stored = isinstance(teacher, StoredTeacher)  # its network is not here
        if teacher and not stored and loop is not None and not runner._resume:
            for scorer in loop.scorers:
                if isinstance(scorer, KNNScorer):
                    features = loop.features(
                        teacher, lambda x: teacher.backbone(teacher.renormalize(x))
                    )
                    self._compare(runner, scorer, features)
        super().before_train(runner)

    def score(self, features: SampleFeatures) -> dict[str, float]:
        """The student is not scored."""
        return {}

    def _compare(
        self, runner: Runner, scorer: KNNScorer, features: SampleFeatures
    ) -> None:
        score = scorer.top1(features)
        runner.message_hub.update_scalar('val/teacher_knn_top1', score)
        num = len(features.test_labels)
        chance = int(features.test_labels.bincount().max()) / num
        line = (
            f'teacher {scorer.describe(len(features.train_labels), num)}: '
            f'{score:.2f} %, chance is {100 * chance:.2f} %'
        )
        luck = binom.sf(round(score * num / 100) - 1, num, chance)
        if luck > self.level > chance**num:  # else too few images to decide
            runner.logger.warning(
                f'{line}. THE TEACHER IS NO BETTER THAN CHANCE, so there is nothing '
                'to distill: check model.teacher.checkpoint, its mean, std and '
                'to_rgb, and the size of the images'
            )
        else:
            runner.logger.info(line)


def top1(scores: Tensor, labels: Tensor) -> float:
    """Percentage of rows [N, C] whose largest score is at their label [N]."""
    return 100 * float((scores.argmax(1) == labels).float().mean())
