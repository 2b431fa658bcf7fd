from mmengine.hooks import Hook
from mmengine.runner import IterBasedTrainLoop
from mmengine.runner.utils import calc_dynamic_intervals
from mmpretrain.registry import HOOKS

from mmdisco.engine.online import OnlineLoop, draw_samples
from mmdisco.errors import InputError


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
