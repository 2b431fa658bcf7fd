import torch
from mmengine.dist import all_reduce
from mmengine.hooks import Hook
from mmengine.runner import IterBasedTrainLoop
from mmengine.runner.utils import calc_dynamic_intervals
from mmpretrain.registry import HOOKS
from scipy.stats import binom
from torch import Tensor

from mmdisco.errors import InputError
from mmdisco.evaluation import alignment, rank_me, uniformity
from mmdisco.utils import pooled, unwrapped
from .loop import OnlineLoop, SampleFeatures
from .sample import draw_samples
from .undisturbed import undisturbed


@HOOKS.register_module()
class OnlineKNNHook(Hook):
    """Classifies a few images by the student's features, again and again.

    The score of the k nearest neighbours (see :func:`knn_scores`) is logged
    as ``val/knn_top1``, and
    ``default_hooks.checkpoint.save_best='knn_top1'`` keeps the best
    checkpoint by it. The samples are drawn once, of all classes alike; each
    rank computes its part. The training goes on bit by bit as without it.

    Args:
        train (dict, optional): Data set of the neighbours, with labels and a
            pipeline that gives one image. Defaults to None: both samples
            are of the training's own data set; if that has no labels, the
            hook says so and stays off.
        test (dict, optional): Data set of the images that are classified.
            Defaults to None.
        num_train (int): Neighbours, at most. Defaults to 4000.
        num_test (int): Images that are classified, at most. Defaults to 1000.
        interval (int): Epochs from one time to the next, or iterations if
            the training counts these; 0 turns it off. Defaults to 1.
        k (int): Neighbours that vote. Defaults to 20.
        temperature (float): Of the votes. Defaults to 0.07.
        batch_size (int): Images of a rank at once. Defaults to 250.
        num_workers (int): Processes of a rank that load images. Defaults
            to 0.
        seed (int): Of the draw. Defaults to 0.

    Raises:
        InputError: If only one of ``train`` and ``test`` is given, or a
            number is not positive.
    """

    priority = 'ABOVE_NORMAL'  # before those that score the same features

    def __init__(
        self,
        train: dict | None = None,
        test: dict | None = None,
        num_train: int = 4000,
        num_test: int = 1000,
        interval: int = 1,
        k: int = 20,
        temperature: float = 0.07,
        batch_size: int = 250,
        num_workers: int = 0,
        seed: int = 0,
    ) -> None:
        if (train is None) != (test is None):
            raise InputError(
                'OnlineKNNHook has only one of train and test: set both, or none'
            )
        low = min(num_train, num_test, k, batch_size, temperature)
        if low <= 0 or interval < 0:
            raise InputError(
                f'OnlineKNNHook(num_train={num_train}, num_test={num_test}, '
                f'interval={interval}, k={k}, temperature={temperature}, '
                f'batch_size={batch_size}): a number is too low'
            )
        self.train, self.test = train, test
        self.sizes = num_train, num_test
        self.interval = interval
        self.k, self.temperature = k, temperature
        self.batch_size, self.num_workers = batch_size, num_workers
        self.seed = seed

    def before_train(self, runner) -> None:
        """Draw the samples, and give the runner a validation loop.

        Raises:
            InputError: If it has one, or a data set can't be used.
        """
        if not self.interval:
            return
        if runner.val_loop is not None:
            raise InputError(
                'OnlineKNNHook is for a training without '
                'evaluation, the config has val_cfg: set '
                'interval of the hook to 0, or leave out val_*'
            )
        samples = draw_samples(
            runner.train_dataloader.dataset,
            self.train,
            self.test,
            self.sizes,
            self.seed,
            self.batch_size,
            self.num_workers,
        )
        if samples is None:
            runner.logger.info(
                'OnlineKNNHook is off: the training images '
                'have no labels, and it has no others'
            )
            return
        loop = runner.train_loop
        loop.val_interval = self.interval
        loop.dynamic_milestones, loop.dynamic_intervals = calc_dynamic_intervals(
            self.interval
        )
        runner._val_loop = OnlineLoop(runner, *samples, self.k, self.temperature)

    def after_val_epoch(self, runner, metrics: dict[str, float] | None = None) -> None:
        """Say the score and what it took."""
        loop = runner.val_loop
        if isinstance(loop, OnlineLoop) and 'knn_top1' in (metrics or {}):
            at = (
                f'iteration {runner.iter}'
                if isinstance(runner.train_loop, IterBasedTrainLoop)
                else f'epoch {runner.epoch}'
            )
            runner.logger.info(
                f'online {loop}: {metrics["knn_top1"]:.2f} % at {at}; '
                f'{loop.seconds:.2f} s, {loop.share:.1f} % of the time'
            )


@HOOKS.register_module()
class FeatureQualityHook(Hook):
    """Logs what can be said of the student's features without labels.

    Whenever :class:`OnlineKNNHook` scores them: ``val/rank_me``, their
    effective rank (`RankMe <https://arxiv.org/abs/2210.02885>`_), and
    ``val/uniformity`` (`Wang & Isola <https://arxiv.org/abs/2005.10242>`_),
    both of its sample, and ``val/alignment``, of two new views of the last
    batch. They are of the backbone, in eval mode. Methods of one view have
    no alignment.

    Args:
        num (int): Images at most. Defaults to 2000.
        num_pairs (int): Pairs of views at most, of each rank. Defaults to
            128.
    """

    def __init__(self, num: int = 2000, num_pairs: int = 128) -> None:
        self.num, self.num_pairs = num, num_pairs
        self._batch: dict | None = None

    def before_train(self, runner) -> None:
        """Wait for the features."""
        self._runner = runner
        if isinstance(runner.val_loop, OnlineLoop):
            runner.val_loop.scorers.append(self.score)

    def after_train_iter(
        self, runner, batch_idx: int, data_batch=None, outputs=None
    ) -> None:
        """Keep the last batch before the features are scored."""
        loop = runner.train_loop
        if self.is_last_train_iter(runner) or (
            self.every_n_train_iters(runner, loop.val_interval)
            if isinstance(loop, IterBasedTrainLoop)
            else self.end_of_epoch(runner.train_dataloader, batch_idx)
        ):
            self._batch = data_batch

    def score(self, features: SampleFeatures) -> dict[str, float]:
        """Score them.

        Args:
            features (SampleFeatures): Of the samples.

        Returns:
            dict[str, float]: ``rank_me``, ``uniformity``, and ``alignment``
            if there are two views.
        """
        part = features.train[: self.num]  # [N, D]
        scores = dict(rank_me=rank_me(part), uniformity=uniformity(part))
        batch, self._batch = self._batch, None
        pair = [] if batch is None else self._pair(batch)
        if pair:
            apart = part.new_tensor(alignment(*pair))
            all_reduce(apart, 'mean')
            scores['alignment'] = float(apart)
        return scores

    def _pair(self, batch: dict) -> list[Tensor]:
        """Features of two new views of a batch; none if it has not two."""
        model = unwrapped(self._runner.model)
        with undisturbed(model.backbone):
            # draws random numbers
            views = model.data_preprocessor(batch, True)['inputs']
            if (
                torch.is_tensor(views)
                or len(views) < 2
                or (views[0].shape != views[1].shape)
            ):
                return []
            return [
                pooled(model.backbone(view[: self.num_pairs])) for view in views[:2]
            ]


@HOOKS.register_module()
class TeacherKNNHook(Hook):
    """Tells at the start whether the teacher is worth distilling.

    The teacher's backbone, BN with its running statistics, classifies the
    samples of :class:`OnlineKNNHook`, once. The score stays in the log beside
    the student's, as ``val/teacher_knn_top1``. A teacher that is not above
    chance, the share of the largest class, is a warning. Without a teacher
    or :class:`OnlineKNNHook` nothing is done, nor in a resumed run.

    Args:
        level (float): Warn if chance alone scores as high with a larger
            probability, by the binomial distribution. Defaults to 0.001.
    """

    def __init__(self, level: float = 1e-3) -> None:
        self.level = level

    def before_train(self, runner) -> None:
        """Score it."""
        teacher = getattr(unwrapped(runner.model), 'teacher', None)
        loop = runner.val_loop
        if teacher is None or runner._resume or not isinstance(loop, OnlineLoop):
            return
        features = loop.features(
            teacher, lambda x: teacher.backbone(teacher.renormalize(x))
        )
        score = loop.knn_top1(features)
        runner.message_hub.update_scalar('val/teacher_knn_top1', score)
        num = len(features.test_labels)
        chance = int(features.test_labels.bincount().max()) / num
        told = f'teacher {loop}: {score:.2f} %, chance is {100 * chance:.2f} %'
        luck = binom.sf(round(score * num / 100) - 1, num, chance)
        if luck > self.level > chance**num:  # else too few images to tell
            runner.logger.warning(
                f'{told}. THE TEACHER IS NO BETTER THAN CHANCE, and nothing '
                'can be learned from it: check model.teacher.checkpoint, its '
                'mean, std and to_rgb, and the size of the images'
            )
        else:
            runner.logger.info(told)
        loop.restart_clock()
