from mmengine.config import Config
from mmpretrain.registry import DATASETS

from mmdisco.errors import InputError

LONGEST = 65536  # the paper's, for 1.28 million images


def fit_queue(cfg: Config, world_size: int) -> list[str]:
    """Replace ``queue_len='auto'`` by a length that fits the data set.

    Half of the images at most, so that a query rarely meets a key of its own
    image, in whole batches.

    Args:
        cfg (Config): The config, changed in place.
        world_size (int): Number of ranks.

    Returns:
        list[str]: What the log must say.

    Raises:
        InputError: If the images are too few for one batch.
    """
    ssl = cfg.model.get('ssl', cfg.model)
    if ssl.get('queue_len') != 'auto':
        return []
    images = len(DATASETS.build(cfg.train_dataloader.dataset))
    batch = cfg.train_dataloader.batch_size * world_size
    if images < batch:
        raise InputError(
            f'{images} images are too few for one batch of {batch}: lower '
            'train_dataloader.batch_size, or add images'
        )
    ssl.queue_len = max(min(images // 2, LONGEST) // batch, 1) * batch
    return [
        f'queue_len: {ssl.queue_len} keys for {images} images in batches of {batch}'
    ]
