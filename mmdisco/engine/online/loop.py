from collections.abc import Callable
from time import perf_counter
from typing import NamedTuple

import torch
from mmengine.runner import BaseLoop
from torch import Tensor, nn

from mmdisco.evaluation import knn_scores
from mmdisco.utils import pooled, unwrapped
from .sample import Sample
from .undisturbed import undisturbed


class SampleFeatures(NamedTuple):
    """Features of both samples, the same on all ranks."""

    train: Tensor  # [M, D]
    train_labels: Tensor  # [M]
    test: Tensor  # [N, D]
    test_labels: Tensor  # [N]


class OnlineLoop(BaseLoop):
    """Scores the student's backbone amid a pre-training.

    It is mmengine's validation loop of a run that has none, so metrics go
    the way of any: into the log as ``val/…``, and to ``save_best`` of the
    checkpoint hook. The training goes on as it would have without.

    Args:
        runner (Runner): The runner.
        train (Sample): Neighbours.
        test (Sample): Images that are classified.
        k (int): Neighbours that vote; at most all.
        temperature (float): Of the votes.
    """

    def __init__(
        self, runner, train: Sample, test: Sample, k: int, temperature: float
    ) -> None:
        super().__init__(runner, test.loader)
        self.train, self.test = train, test
        self.k = min(k, len(train))
        self.temperature = temperature
        self.num_classes = 1 + int(max(sample.labels.max() for sample in (train, test)))
        # others that score the same features: hooks append theirs
        self.scorers: list[Callable[[SampleFeatures], dict[str, float]]] = []
        self.seconds = self.share = 0.0
        self.restart_clock()

    def restart_clock(self) -> None:
        """What was until now is no time of the training."""
        self._began = perf_counter()

    def run(self) -> dict[str, float]:
        """Score, and tell all hooks."""
        start = perf_counter()
        self.runner.call_hook('before_val')
        self.runner.call_hook('before_val_epoch')
        backbone = unwrapped(self.runner.model).backbone
        features = self.features(backbone, backbone)
        metrics = {}
        if bool(features.train.isfinite().all() and features.test.isfinite().all()):
            metrics['knn_top1'] = self.knn_top1(features)
            for scorer in self.scorers:
                metrics.update(scorer(features))
        else:
            self.runner.logger.warning(
                'The features of the student are not finite: lower the learning rate'
            )
        end = perf_counter()
        self.seconds = end - start
        self.share = 100 * self.seconds / (end - self._began)
        self.runner.call_hook('after_val_epoch', metrics=metrics)
        self.runner.call_hook('after_val')
        self.restart_clock()
        return metrics

    def features(
        self, network: nn.Module, encode: Callable[[Tensor], Tensor]
    ) -> SampleFeatures:
        """Features of both samples.

        Args:
            network (nn.Module): Is in eval mode meanwhile.
            encode (Callable): From normalised images [n, 3, H, W] to what a
                backbone gives.
        """
        prepare = unwrapped(self.runner.model).data_preprocessor
        with undisturbed(network):
            train, test = (
                sample.features(
                    lambda batch: pooled(encode(prepare(batch, False)['inputs']))
                )
                for sample in (self.train, self.test)
            )
        return SampleFeatures(
            train,
            self.train.labels.to(train.device),
            test,
            self.test.labels.to(test.device),
        )

    @torch.no_grad()
    def knn_top1(self, features: SampleFeatures) -> float:
        """Per cent of the test sample that its neighbours classify rightly."""
        votes = knn_scores(
            features.train,
            features.train_labels,
            features.test,
            self.num_classes,
            self.k,
            self.temperature,
        )  # [N, C]
        return top1(votes, features.test_labels)

    def __str__(self) -> str:
        return f'kNN (k={self.k}, {len(self.train)} train, {len(self.test)} test)'


def top1(scores: Tensor, labels: Tensor) -> float:
    """Per cent of rows [N, C] whose largest score is at their label [N]."""
    return 100 * float((scores.argmax(1) == labels).float().mean())
