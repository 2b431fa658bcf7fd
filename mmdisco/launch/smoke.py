from pathlib import Path
from shutil import rmtree

import torch
from mmengine.config import Config, ConfigDict
from mmpretrain.registry import MODELS

from mmdisco.models import DINOHead
from mmdisco.utils import atomic_write, quiet_init
from .few_images import BATCH, few_images, photo_tiles
from .schedule import losses_of, schedulers_of

BATCHES, EPOCHS = 2, 2


def shrink(cfg: Config, world_size: int, main: bool) -> list[str]:
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
    cfg.smoke = True  # a dumped config says so, too
    work_dir = Path(cfg.work_dir)
    images = BATCH * BATCHES * world_size
    loaders = [cfg.train_dataloader, cfg.get('val_dataloader')]
    kinds = [
        few_images(loader, images, work_dir / 'smoke_images')
        for loader in filter(None, loaders)
    ]
    online = cfg.default_hooks.get('online_knn') or {}
    for name in ('train', 'test'):
        if online.get(name):
            loader = ConfigDict(dataset=online[name])
            kinds.append(few_images(loader, images, work_dir / 'smoke_images'))
            online.update({name: loader.dataset, 'num_workers': 0})
    if main and set(kinds) != {'IDXImages'}:
        # of an earlier run, perhaps with other ranks
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
        # DINO's last layer, and heads that are the teacher's
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
            '. This run shows that the config works, and nothing else'
        ]
    return ['SMOKE TEST: this run shows that the config works, nothing else']


def save_random(teacher: dict, path: Path, seed: int = 0) -> None:
    """Save a network with random weights as a checkpoint.

    Args:
        teacher (dict): Config of a :class:`FrozenTeacher`, a
            :class:`FrozenClassifier`, or of a backbone alone.
        path (Path): The file.
        seed (int): Seed of the weights. Defaults to 0.
    """
    state_dict = {}
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
    save_whole(dict(state_dict=state_dict, meta=dict(random=seed)), path)


def save_whole(content: dict, path: Path) -> None:
    """Save a file that several nodes may write to one disk at once."""
    with atomic_write(path) as half, half.open('wb') as file:
        torch.save(content, file)
