from pathlib import Path
from typing import List
from uuid import uuid4

import torch
from mmengine.config import Config
from mmpretrain.registry import MODELS
from PIL import Image

from mmdisco.models import DINOHead
from .quiet import quiet_init
from .schedule import losses_of, schedulers_of

BATCH, BATCHES, EPOCHS = 4, 2, 2
DEMO = Path(__file__).resolve().parents[2] / 'demo' / 'fashion_mnist'


def photo_tiles(folder: Path, num: int, size: int = 96) -> None:
    """Cut scikit-learn's two photographs into small JPEG files.

    Args:
        folder (Path): Made if need be; files of two sub-folders.
        num (int): How many tiles.
        size (int): Their side in pixels. Defaults to 96.
    """
    # takes most of a second, and every tool imports this module
    from sklearn.datasets import load_sample_images
    photos = load_sample_images().images  # two, [427, 640, 3]
    rows, columns = (side // size for side in photos[0].shape[:2])
    for i in range(num):
        row, column = divmod(i // 2 % (columns * rows), columns)
        tile = photos[i % 2][row * size:(row + 1) * size,
                             column * size:(column + 1) * size]
        path = folder / f'photo{i % 2}' / f'{i:03}.jpg'
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(tile).save(path)


def shrink(cfg: Config, world_size: int, main: bool) -> List[str]:
    """Shrink a config to a few iterations on any machine.

    The networks stay as they are; the teacher's weights are random. Tiny
    batches of bundled images; log and checkpoint go to the work dir as in a
    real run.

    Args:
        cfg (Config): The config, with its ``work_dir``, changed in place.
        world_size (int): Number of ranks.
        main (bool): Whether this process writes the files.

    Returns:
        list[str]: What the log must say loudly.
    """
    work_dir = Path(cfg.work_dir)
    images = BATCH * BATCHES * world_size
    loader = cfg.train_dataloader
    loader.update(batch_size=BATCH, num_workers=0, persistent_workers=False)
    loader.pop('prefetch_factor', None)
    if loader.dataset.type == 'IDXImages':
        loader.dataset.update(data_root=str(DEMO), start=0, stop=images)
    else:
        if main:
            photo_tiles(work_dir / 'smoke_images', images)
        loader.dataset.update(
            data_root=str(work_dir / 'smoke_images'), data_prefix='')
    cfg.train_cfg = dict(by_epoch=True, max_epochs=EPOCHS)
    for scheduler in schedulers_of(cfg):
        if scheduler.get('by_epoch', True):  # a warm-up ends before the run
            scheduler.update({edge: min(scheduler[edge], EPOCHS - 1)
                              for edge in scheduler.keys() & {'begin', 'end'}})
    cfg.default_hooks.logger.interval = 1

    ssl = cfg.model.get('ssl', cfg.model)
    if 'queue_len' in ssl:
        ssl.queue_len = BATCH * world_size
    if 'teacher' in cfg.model:
        path = work_dir / 'smoke_teacher.pth'
        if main:
            save_random(cfg.model.teacher, path)
        cfg.model.teacher.checkpoint = str(path)
        # DINO's last layer, and heads that are the teacher's
        for part in (*losses_of(cfg), ssl.get('neck', {})):
            if 'checkpoint' in part:
                part.checkpoint = str(path)
        return ['SMOKE TEST: the teacher has RANDOM weights. This run shows '
                'that the config works, and nothing else']
    return ['SMOKE TEST: this run shows that the config works, nothing else']


def save_random(teacher: dict, path: Path, seed: int = 0) -> None:
    """Save a teacher with random weights as a teacher checkpoint.

    Args:
        teacher (dict): Config of a :class:`FrozenTeacher`.
        path (Path): The file.
        seed (int): Seed of the weights. Defaults to 0.
    """
    state_dict = {}
    with torch.random.fork_rng(), quiet_init():
        torch.manual_seed(seed)
        for part in ('backbone', 'neck'):
            module = MODELS.build(teacher[part])
            if hasattr(module, 'init_weights'):
                module.init_weights()
            for key, value in module.state_dict().items():
                state_dict[f'{part}.{key}'] = value
    if teacher['neck']['type'] == 'DINONeck':
        head = DINOHead(teacher['neck'].get('out_channels', 256), 16)
        for key, value in head.state_dict().items():
            state_dict[f'head.{key}'] = value
    path.parent.mkdir(parents=True, exist_ok=True)
    # a name of its own: several nodes may write to one disk
    half = path.with_name(f'{path.name}.{uuid4().hex}.half')
    with half.open('wb') as file:
        torch.save(dict(state_dict=state_dict, meta=dict(random=seed)), file)
    half.replace(path)
