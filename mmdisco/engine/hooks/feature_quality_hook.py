import torch
from mmengine.dist import all_reduce
from mmengine.hooks import Hook
from mmengine.runner import IterBasedTrainLoop
from mmpretrain.registry import HOOKS
from torch import Tensor

from mmdisco.evaluation import alignment, rank_me, uniformity
from mmdisco.utils import pooled, unwrapped
from ..online import OnlineLoop, SampleFeatures, undisturbed


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
