"""Online scores as hooks, for configs without ``val_cfg``.

Each is the scorer of the same arguments. :class:`OnlineKNNHook` adds the
:class:`OnlineLoop` that evaluates them; their order does not matter.
"""

from typing import Any

from mmengine.runner import BaseLoop, Runner
from mmengine.runner.utils import calc_dynamic_intervals
from mmpretrain.registry import HOOKS

from mmdisco.errors import InputError
from .loop import OnlineLoop
from .probe import ProbeScorer
from .sample import check_draw
from .scorers import KNNScorer, QualityScorer, TeacherKNNScorer


@HOOKS.register_module()
class OnlineKNNHook(KNNScorer):
    """:class:`KNNScorer` that adds :class:`OnlineLoop` to the run.

    Args:
        train (dict, optional): As of :class:`OnlineLoop`.
        test (dict, optional): As of :class:`OnlineLoop`.
        num_train (int): As of :class:`OnlineLoop`. Defaults to 4000.
        num_test (int): As of :class:`OnlineLoop`. Defaults to 1000.
        interval (int): Epochs between two evaluations, or iterations if the
            training counts these; 0 turns it off. Defaults to 1.
        k (int): As of :class:`KNNScorer`. Defaults to 20.
        temperature (float): As of :class:`KNNScorer`. Defaults to 0.07.
        batch_size (int): Images per forward pass of a rank. Defaults to 250.
        num_workers (int): Processes of a rank that load images. Defaults to 0.
        seed (int): As of :class:`OnlineLoop`. Defaults to 0.

    Raises:
        InputError: If a setting is out of range.
    """

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
        super().__init__(k, temperature)
        check_draw(train, test, num_train, num_test, batch_size)
        if interval < 0:
            raise InputError(f'OnlineKNNHook(interval={interval}): must be at least 0')
        self.interval = interval
        self.draw: dict[str, Any] = dict(
            train=train, test=test, num_train=num_train, num_test=num_test, seed=seed
        )
        self.loader = dict(batch_size=batch_size, num_workers=num_workers)
        self._loop: OnlineLoop | None = None

    def before_run(self, runner: Runner) -> None:
        """Add the loop to a training, before any hook looks for it.

        Raises:
            InputError: If the run has an evaluation already, or a data set
                can't be used.
        """
        training = isinstance(runner._train_loop, BaseLoop)  # else val or test
        if not self.interval or not training or self._loop is not None:
            return
        if runner.val_loop is not None:
            raise InputError(
                'OnlineKNNHook adds an evaluation, but the config has val_cfg: '
                'leave out the hook (None), or set its interval to 0'
            )
        self._loop = OnlineLoop(runner, self.loader, **self.draw)
        if self._loop.samples:
            loop = runner.train_loop
            loop.val_interval = self.interval
            loop.dynamic_milestones, loop.dynamic_intervals = calc_dynamic_intervals(
                self.interval
            )
            runner._val_loop = self._loop


@HOOKS.register_module()
class OnlineProbeHook(ProbeScorer):
    """:class:`ProbeScorer` among the hooks of a config."""


@HOOKS.register_module()
class FeatureQualityHook(QualityScorer):
    """:class:`QualityScorer` among the hooks of a config."""


@HOOKS.register_module()
class TeacherKNNHook(TeacherKNNScorer):
    """:class:`TeacherKNNScorer` among the hooks of a config."""
