"""Warning about collapsed embeddings."""

from mmengine.hooks import Hook
from mmengine.model import BaseModel
from mmpretrain.registry import HOOKS

from mmdisco.models.tap import embed_dim
from mmdisco.utils import unwrapped


@HOOKS.register_module()
class CollapseHook(Hook):
    r"""Warn when the student's embeddings of all images are nearly the same.

    Unit embeddings spread over the sphere have a standard deviation of
    :math:`1/\sqrt{D}` (0.088 at 128-d), collapsed ones 0 (`SimSiam
    <https://arxiv.org/abs/2011.10566>`_, Fig. 2).

    Args:
        threshold (float): Warn below this fraction of :math:`1/\sqrt{D}`.
            Defaults to 0.1.
        interval (int): Iterations between two checks. Defaults to 50.
    """

    def __init__(self, threshold: float = 0.1, interval: int = 50) -> None:
        self.threshold = threshold
        self.interval = interval

    def after_train_iter(
        self, runner, batch_idx: int, data_batch=None, outputs=None
    ) -> None:
        """Compare ``embed_std`` with the threshold."""
        if not self.every_n_train_iters(runner, self.interval) or 'embed_std' not in (
            outputs or ()
        ):
            return
        model: BaseModel = unwrapped(runner.model)
        full = (embed_dim(model.neck) or 128) ** -0.5
        std = float(outputs['embed_std'])
        if std < self.threshold * full:
            runner.logger.warning(
                f'Student embeddings collapse: standard deviation {std:.4f}, '
                f'{full:.4f} if spread over the sphere. Lower the learning rate, '
                'or check the images and the teacher'
            )
