from mmengine.dataset import InfiniteSampler
from mmengine.hooks import Hook
from mmpretrain.registry import HOOKS
from torch.utils.data import DataLoader

from mmdisco.errors import InputError
from mmdisco.launch.loaders import batch_size_of
from mmdisco.models.losses.feature_queue import FeatureQueue
from mmdisco.utils import unwrapped


@HOOKS.register_module()
class QueueCheckHook(Hook):
    """Checks batch and queue against the number of images, before training.

    A queue longer than the data set holds keys of the query's own image, and
    one that is not a multiple of the global batch can't be filled (MoCo
    stops with an assertion when it reaches the end), nor can it if the last
    batch of an epoch is smaller. Queues of distillation losses wrap around, and
    need only be short enough.
    """

    def before_train(self, runner) -> None:
        """Check.

        Raises:
            InputError: If a batch can't be filled, or the queue does not fit.
        """
        images = len(runner.train_dataloader.dataset)
        loader = runner.train_dataloader
        batch = runner.world_size * batch_size_of(loader)
        if images < batch:
            raise InputError(
                f'{images} images are too few for one batch of {batch} '
                f'({runner.world_size} ranks): lower '
                'train_dataloader.batch_size, or add images'
            )
        model = unwrapped(runner.model)
        prefix = 'model.ssl.' if hasattr(model, 'ssl') else 'model.'
        for name, module in model.named_modules():
            if isinstance(module, FeatureQueue) and len(module.rows) > images:
                raise InputError(
                    f'model.{name} of {len(module.rows)} features is longer '
                    f'than the data set of {images} images: set queue_len of '
                    f'model.{name.rpartition(".")[0]} to {images} or less'
                )
        length = getattr(getattr(model, 'ssl', model), 'queue_len', None)
        if length is None:
            return
        fitting = min(length, images) // batch * batch
        if length > images:
            raise InputError(
                f'a queue of {length} keys is longer than the data set of '
                f'{images} images: set {prefix}queue_len to {fitting} or less'
            )
        if length % batch:
            raise InputError(
                f'a queue of {length} keys is no multiple of the global batch '
                f'of {batch}: set {prefix}queue_len to {fitting or batch}'
            )
        last = _last_batch(loader)
        if last:  # after which no batch fits the end of the queue
            raise InputError(
                f'the last batch of an epoch has {last} images, not '
                f'{batch // runner.world_size}, and a queue takes whole '
                'batches: set train_dataloader.drop_last=True'
            )


def _last_batch(loader: DataLoader) -> int:
    """Images of a rank that make no whole batch and are not left out."""
    batches = loader.batch_sampler
    if batches.drop_last or isinstance(loader.sampler, InfiniteSampler):
        return 0
    return len(loader.sampler) % batches.batch_size
