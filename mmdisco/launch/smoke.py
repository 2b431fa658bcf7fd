"""Smoke runs: a few iterations of a config on bundled images."""

from pathlib import Path
from shutil import rmtree

import numpy as np
import torch
from mmengine.config import Config, ConfigDict
from mmpretrain.registry import MODELS
from PIL import Image
from torch import Tensor

from mmdisco.models import DINOHead
from mmdisco.paths import project_root
from mmdisco.utils import atomic_write, quiet_init
from .schedule import losses_of, schedulers_of
from .scope import has_online_loop, hooks_of

NEIGHBOURS = 5


def write_bags(dataset: ConfigDict, path: Path, images: int) -> ConfigDict:
    """Write bags of consecutive images for a smoke run.

    Args:
        dataset (ConfigDict): Config of ``Bags``, changed in place.
        path (Path): The file; its folder is created.
        images (int): Number of images.

    Returns:
        ConfigDict: Config of the wrapped data set.
    """
    steps = 1 + np.arange(min(NEIGHBOURS, images - 1))
    with atomic_write(path, shared=True) as temporary, temporary.open('wb') as file:
        np.save(file, (np.arange(images)[:, None] + steps) % images)
    dataset['neighbours'] = str(path)
    return dataset['dataset']


BATCH = 4
DEMO = project_root() / 'demo' / 'fashion_mnist'


def photo_tiles(folder: Path, num: int, size: int = 96) -> None:
    """Cut scikit-learn's two photographs into small JPEG files.

    Args:
        folder (Path): Output folder; gets two sub-folders.
        num (int): Number of tiles.
        size (int): Width and height in pixels. Defaults to 96.
    """
    # slow import (most of a second), and every tool imports this module
    from sklearn.datasets import load_sample_images

    photos = load_sample_images().images  # two, [427, 640, 3]
    rows, columns = (side // size for side in photos[0].shape[:2])
    for i in range(num):
        row, column = divmod(i // 2 % (columns * rows), columns)
        tile = photos[i % 2][
            row * size : (row + 1) * size, column * size : (column + 1) * size
        ]
        path = folder / f'photo{i % 2}' / f'{i:03}.jpg'
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(tile).save(path)


def few_images(loader: ConfigDict, images: int, folder: Path) -> str:
    """Set a loader to small batches of a few bundled images.

    Args:
        loader (ConfigDict): Config of a loader, changed in place.
        images (int): Number of Fashion-MNIST images for a data set of IDX files.
        folder (Path): Folder of the photo tiles for other data sets.

    Returns:
        str: Type of its data set.
    """
    loader.update(batch_size=BATCH, num_workers=0, persistent_workers=False)
    loader.pop('prefetch_factor', None)
    dataset = loader.dataset
    if dataset.type == 'Bags':
        dataset = write_bags(dataset, folder.parent / 'smoke_bags.npy', images)
    kind = dataset.type
    if kind == 'IDXImages':
        dataset.update(data_root=str(DEMO), start=0, stop=images)
        return kind
    if kind == 'ImageNet':  # it requires a thousand folders
        dataset.type = 'CustomDataset'
        dataset.pop('split', None)
    elif 'CIFAR' in kind:  # its pipeline does not load files
        dataset.update(
            type='LabelledPhotos', pipeline=[dict(type='LoadPhoto'), *dataset.pipeline]
        )
        for key in ('split', 'download'):
            dataset.pop(key, None)
    if dataset.type == 'LabelledPhotos':  # the tiles have two classes
        dataset.update(num_classes=None, ann_file='', num_images=None)
    dataset.update(data_root=str(folder), data_prefix='')
    return kind


BATCHES, EPOCHS = 2, 2


def shrink(cfg: Config, world_size: int, main: bool) -> list[str]:
    """Shrink a config to a few iterations on any machine.

    The networks are unchanged, the teacher's weights random. Batches are tiny
    and of bundled images; log and checkpoints go to the work dir as in a real
    run.

    Args:
        cfg (Config): The config with its ``work_dir``, changed in place.
        world_size (int): Number of ranks.
        main (bool): Whether this process writes the files.

    Returns:
        list[str]: Warnings for the log.
    """
    cfg.smoke = True  # also in a dumped config
    work_dir = Path(cfg.work_dir)
    images = BATCH * BATCHES * world_size
    online = [hook for hook in hooks_of(cfg) if hook.get('type') == 'OnlineKNNHook']
    loaders = [cfg.train_dataloader]
    if has_online_loop(cfg):
        online.append(cfg.val_cfg)
        cfg.val_dataloader.num_workers = 0
    elif cfg.get('val_dataloader'):
        loaders.append(cfg.val_dataloader)
    kinds = [
        few_images(loader, images, work_dir / 'smoke_images') for loader in loaders
    ]
    for part in online:
        for name in ('train', 'test'):
            if part.get(name):
                loader = ConfigDict(dataset=part[name])
                kinds.append(few_images(loader, images, work_dir / 'smoke_images'))
                part[name] = loader.dataset
        if 'num_workers' in part:
            part.num_workers = 0
    if main and set(kinds) != {'IDXImages'}:
        # an earlier run may have had another number of ranks
        rmtree(work_dir / 'smoke_images', ignore_errors=True)
        photo_tiles(work_dir / 'smoke_images', images)
    cfg.train_cfg = dict(by_epoch=True, max_epochs=EPOCHS)
    for scheduler in schedulers_of(cfg):
        if scheduler.get('by_epoch', True):  # a warm-up ends before the run
            scheduler.update(
                {
                    edge: min(scheduler[edge], EPOCHS - 1)
                    for edge in scheduler.keys() & {'begin', 'end'}
                }
            )
    if cfg.default_hooks.get('logger'):
        cfg.default_hooks.logger.interval = 1

    ssl = cfg.model.get('ssl', cfg.model)
    if 'queue_len' in ssl:
        ssl.queue_len = BATCH * world_size
    for loss in losses_of(cfg):
        if 'queue_len' in loss:
            loss.queue_len = BATCH * world_size
    random = []
    if 'teacher' in cfg.model:
        random.append('teacher')
        path = work_dir / 'smoke_teacher.pth'
        if main:
            save_random(cfg.model.teacher, path)
        cfg.model.teacher.checkpoint = str(path)
        # DINO's last layer, and heads taken from the teacher
        for part in (*losses_of(cfg), ssl.get('neck', {})):
            if 'checkpoint' in part:
                part.checkpoint = str(path)
    for hook in cfg.get('custom_hooks') or ():
        if hook.type == 'StudentHook':
            random.append('student')
            path = work_dir / 'smoke_student.pth'
            if main:
                save_random(dict(backbone=cfg.model.backbone), path, seed=1)
            hook.checkpoint = str(path)
    if random:
        return [
            f'SMOKE TEST: RANDOM weights of the {" and the ".join(random)}'
            '. This run only shows that the config works'
        ]
    return ['SMOKE TEST: this run only shows that the config works']


def save_random(teacher: ConfigDict | dict, path: Path, seed: int = 0) -> None:
    """Save a network with random weights as a checkpoint.

    Args:
        teacher (dict): Config of a :class:`FrozenTeacher` or
            :class:`FrozenClassifier`, or a dict with only a backbone.
        path (Path): The file.
        seed (int): Seed of the weights. Defaults to 0.
    """
    state_dict: dict[str, Tensor] = {}
    with torch.random.fork_rng(), quiet_init():
        torch.manual_seed(seed)
        for part in ('backbone', 'neck', 'head'):
            if not teacher.get(part):
                continue
            module = MODELS.build(teacher[part])
            if hasattr(module, 'init_weights'):
                module.init_weights()
            for key, value in module.state_dict().items():
                state_dict[f'{part}.{key}'] = value
    if (teacher.get('neck') or {}).get('type') == 'DINONeck':
        head = DINOHead(teacher['neck'].get('out_channels', 256), 16)
        for key, value in head.state_dict().items():
            state_dict[f'head.{key}'] = value
    save_atomically(dict(state_dict=state_dict, meta=dict(random=seed)), path)


def save_atomically(content: dict, path: Path) -> None:
    """Save a file atomically, since several nodes may write to one disk."""
    with atomic_write(path, shared=True) as temporary, temporary.open('wb') as file:
        torch.save(content, file)
