"""The loop that scores the student during its pre-training, and what a scorer is."""

from collections.abc import Callable
from time import perf_counter
from typing import Any, NamedTuple

from mmengine.hooks import Hook
from mmengine.runner import BaseLoop, Runner
from mmpretrain.registry import HOOKS, LOOPS
from torch import Tensor, nn

from mmdisco.errors import InputError
from mmdisco.utils import pooled, unwrapped
from .sample import check_draw, draw_samples
from .undisturbed import same_random_states, undisturbed


class SampleFeatures(NamedTuple):
    """Features of both samples, the same on all ranks."""

    train: Tensor  # [M, D]
    train_labels: Tensor  # [M]
    test: Tensor  # [N, D]
    test_labels: Tensor  # [N]


class Scorer(Hook):
    """A hook with a score of the student's features, for :class:`OnlineLoop`.

    As a hook it may follow the training, e.g. train a probe on its batches. The
    loop finds it among the hooks of the runner, in any order.
    """

    def before_train(self, runner: Runner) -> None:
        """Exclude the preparation from the time between two evaluations."""
        loop = online_loop(runner)
        if loop is not None:
            loop.restart_clock()

    def score(self, features: SampleFeatures) -> dict[str, float]:
        """Score the features of both samples.

        Args:
            features (SampleFeatures): The student's, all finite.

        Returns:
            dict[str, float]: Scores by name, logged as ``val/NAME``.
        """
        raise NotImplementedError


@LOOPS.register_module()
class OnlineLoop(BaseLoop):
    """Scores the student's backbone during a pre-training.

    A validation loop, so scores are logged as ``val/...``, and
    ``default_hooks.checkpoint.save_best`` can choose a checkpoint by them.
    ``train_cfg.val_interval`` sets the epochs (or iterations) between two
    evaluations. Training is bit-for-bit unchanged.

    Two fixed samples of labelled images are drawn once, balanced over the
    classes; each rank embeds its part, with the backbone in eval mode::

        val_cfg = dict(type='OnlineLoop', scorers=[
            dict(type='KNNScorer'), dict(type='QualityScorer')])
        val_dataloader = dict(batch_size=250, num_workers=0)
        val_evaluator = []  # none: the scorers evaluate

    Without labels, the loop logs that it is off.

    Args:
        runner (Runner): The runner.
        dataloader (dict): ``batch_size`` and ``num_workers`` of each rank, by
            default 250 and 0.
        evaluator (list): Empty; mmengine requires the setting.
        scorers (list[dict]): Configs of :class:`Scorer`. Defaults to ().
        train (dict, optional): Labelled data set of the first sample, whose
            pipeline gives one image. Defaults to None: both samples are
            disjoint parts of the training images.
        test (dict, optional): Data set of the second sample, given if and
            only if ``train`` is.
        num_train (int): Maximum size of the first sample. Defaults to 4000.
        num_test (int): Maximum size of the second. Defaults to 1000.
        seed (int): Seed of the draw. Defaults to 0.

    Raises:
        InputError: If a setting is out of range, or a data set can't be used.
    """

    def __init__(
        self,
        runner: Runner,
        dataloader: dict,
        evaluator: list | None = None,
        scorers: list[dict] | tuple[dict, ...] = (),
        train: dict | None = None,
        test: dict | None = None,
        num_train: int = 4000,
        num_test: int = 1000,
        seed: int = 0,
    ) -> None:
        if evaluator or dataloader.get('dataset'):
            raise InputError(
                'OnlineLoop uses neither val_evaluator nor val_dataloader.dataset: '
                'set val_evaluator=[], and val_cfg.train and val_cfg.test'
            )
        batch_size = dataloader.get('batch_size', 250)
        check_draw(train, test, num_train, num_test, batch_size)
        with same_random_states():  # a pipeline may draw random numbers
            self.samples = draw_samples(
                runner.train_dataloader.dataset,
                train,
                test,
                (num_train, num_test),
                seed,
                batch_size,
                dataloader.get('num_workers', 0),
            )
        super().__init__(runner, self.samples[1].loader if self.samples else [])
        for config in scorers:
            scorer = HOOKS.build(config)
            if not isinstance(scorer, Scorer):
                raise InputError(
                    f'val_cfg.scorers: {type(scorer).__name__} is not a scorer, put '
                    'it into custom_hooks'
                )
            runner.register_hook(scorer)
        if not self.samples:
            runner.logger.info(
                'online scores are off: the training images have no labels, and '
                'no others are given'
            )
        self.seconds = self.share = 0.0
        self.restart_clock()

    @property
    def scorers(self) -> list[Scorer]:
        """Scorers of the config, and those among the runner's hooks."""
        return [hook for hook in self.runner.hooks if isinstance(hook, Scorer)]

    @property
    def sizes(self) -> list[int]:
        """Images of both samples."""
        return [len(sample) for sample in self.samples or ()]

    def restart_clock(self) -> None:
        """Start to count the time of training."""
        self._start = perf_counter()

    def run(self) -> dict[str, float]:
        """Score the student, and call the hooks of a validation.

        Returns:
            dict[str, float]: Scores of all scorers.
        """
        if not self.samples:
            return {}
        start = perf_counter()
        self.runner.call_hook('before_val')
        self.runner.call_hook('before_val_epoch')
        model: Any = unwrapped(self.runner.model)
        features = self.features(model.backbone, model.backbone)
        metrics: dict[str, float] = {}
        if bool(features.train.isfinite().all() and features.test.isfinite().all()):
            for scorer in self.scorers:
                metrics.update(scorer.score(features))
        else:
            self.runner.logger.warning(
                'The features of the student are not finite: lower the learning rate'
            )
        end = perf_counter()
        self.seconds = end - start
        self.share = 100 * self.seconds / (end - self._start)
        self.runner.call_hook('after_val_epoch', metrics=metrics)
        self.runner.call_hook('after_val')
        self.restart_clock()
        return metrics

    def features(
        self, network: nn.Module, encode: Callable[[Tensor], Tensor]
    ) -> SampleFeatures:
        """Features of both samples.

        Args:
            network (nn.Module): Network to put into eval mode meanwhile.
            encode (Callable): From normalised images [n, 3, H, W] to the
                output of a backbone.
        """
        model: Any = unwrapped(self.runner.model)
        prepare = model.data_preprocessor
        assert self.samples is not None, 'the loop is off'
        train, test = self.samples
        with undisturbed(network):
            train_features, test_features = (
                sample.features(
                    lambda batch: pooled(encode(prepare(batch, False)['inputs']))
                )
                for sample in (train, test)
            )  # [M, D], [N, D]
        return SampleFeatures(
            train_features,
            train.labels.to(train_features.device),
            test_features,
            test.labels.to(test_features.device),
        )


def online_loop(runner: Runner) -> OnlineLoop | None:
    """The runner's online loop, None if it has none or the loop is off."""
    loop = runner.val_loop
    return loop if isinstance(loop, OnlineLoop) and loop.samples else None
