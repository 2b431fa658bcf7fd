"""From a folder of photos and a few names to the config of a training."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from inspect import signature
from typing import Any, NamedTuple

import torch
from mmengine.config import Config, ConfigDict
from mmengine.registry import init_default_scope
from mmpretrain.models import GlobalAveragePooling
from mmpretrain.registry import MODELS

from mmdisco.checkpoints import licence_of
from mmdisco.datasets import Photos
from mmdisco.datasets.packed.remote import is_url
from mmdisco.datasets.stored import read_header
from mmdisco.errors import InputError
from mmdisco.launch import read_config
from mmdisco.launch.loaders import MAX_QUEUE
from mmdisco.launch.schedule import losses_of
from mmdisco.models import NamedNetwork, named_network
from mmdisco.models.necks import FeatureNeck
from mmdisco.models.standardizer import has_hadamard
from mmdisco.paths import configs_root
from mmdisco.utils import available_cores, quiet_init, without_weights
from mmdisco.zoo import TeacherInfo, list_teachers, teacher_config


class Method(NamedTuple):
    """A method of training, by a config.

    Attributes:
        name (str): Its name on the command line.
        config (str): Config below ``configs``.
        description (str): What it compares, in a few words.
        paper (str): arXiv number.
        teacher (bool): Whether it distils a teacher.
    """

    name: str
    config: str
    description: str
    paper: str
    teacher: bool = True


METHODS = {
    method.name: method
    for method in (
        Method(
            'disco',
            'distill/disco.py',
            'MoCo-v2 and the distance to the teacher, two views',
            '2104.09124',
        ),
        Method(
            'seed',
            'distill/seed.py',
            "similarities to a queue of the teacher's embeddings",
            '2101.04731',
        ),
        Method(
            'simreg',
            'distill/simreg.py',
            "regression of the teacher's feature by an MLP",
            '2201.05131',
        ),
        Method(
            'coss',
            'distill/coss.py',
            'cosine per image and per dimension, no queue',
            '2409.13939',
        ),
        Method(
            'queue_kl',
            'distill/queue_kl.py',
            'KL of similarities to a queue, linear head',
            '2101.04731',
        ),
        Method(
            'mocov2',
            'baselines/mocov2_r18.py',
            'contrast with a queue of keys, two views',
            '2003.04297',
            False,
        ),
        Method(
            'simclr',
            'baselines/simclr_r18.py',
            'contrast within the batch, two views',
            '2002.05709',
            False,
        ),
        Method(
            'byol',
            'baselines/byol_r18.py',
            "prediction of a moving average's embedding, two views",
            '2006.07733',
            False,
        ),
        Method(
            'barlowtwins',
            'baselines/barlowtwins_r18.py',
            'decorrelated dimensions, two views',
            '2103.03230',
            False,
        ),
    )
}
# Defaults. That for teachers without a head is measured: docs/comparators.md.
WITH_HEAD, HEADLESS, ALONE = 'disco', 'queue_kl', 'mocov2'

# Epochs by the number of images: fewer images are seen more often. Each row is
# the number of images from which the epochs hold.
EPOCHS = ((1_000_000, 100), (100_000, 200), (10_000, 300), (0, 400))
BATCH_GPU, BATCH_CPU = 256, 64
WARM_UP = 500  # steps, at most a twentieth of the training
CHECKPOINTS = 10  # written during a training, the last two are kept


@dataclass(frozen=True)
class Choices:
    """What the user may choose; None is chosen here.

    Args:
        method (str, optional): A name of :data:`METHODS`.
        epochs (float, optional): Passes over the images.
        batch_size (int, optional): Images per step and rank.
        size (int, optional): Height and width of the crops in pixels.
        lr (float, optional): Learning rate at this batch size.
        workers (int, optional): Processes that load images.
        seed (int): Defaults to 0.
        checkpoint (str, optional): File of the teacher.
    """

    method: str | None = None
    epochs: float | None = None
    batch_size: int | None = None
    size: int | None = None
    lr: float | None = None
    workers: int | None = None
    seed: int = 0
    checkpoint: str | None = None


class Recipe(NamedTuple):
    """A training and what was chosen for it.

    Attributes:
        cfg (Config): Its config.
        method (str): Its method.
        images (int): Number of images.
        student (NamedNetwork): The student.
        lines (list[tuple[str, str]]): Facts and choices, for the user.
    """

    cfg: Config
    method: str
    images: int
    student: NamedNetwork
    lines: list[tuple[str, str]]


def recipe_of(
    photos: str,
    student: str,
    teacher: str | None = None,
    choices: Choices = Choices(),
    world_size: int = 1,
) -> Recipe:
    """Choose the config of a training.

    Args:
        photos (str): Folder of images, at any depth.
        student (str): Name of the student, see
            :func:`~mmdisco.models.named_network`.
        teacher (str, optional): Name of the teacher, see
            :func:`~mmdisco.zoo.teacher_config`. Defaults to None, for methods
            without one.
        choices (Choices): What the user chose.
        world_size (int): Number of ranks. Defaults to 1.

    Returns:
        Recipe: The config, complete, of a loop by iterations.

    Raises:
        InputError: If a name is unknown, the method does not suit the teacher, or
            there are too few images.
    """
    init_default_scope('mmpretrain')
    given = teacher_config(teacher) if teacher else None
    if given and choices.checkpoint:
        given['checkpoint'] = choices.checkpoint
    method = _method(choices.method, teacher, given)
    cfg = read_config(str(configs_root() / method.config))
    network = named_network(student)
    images = len(Photos(photos))
    size = _size(choices.size, network)
    batch = _batch(choices.batch_size, images, world_size)
    workers = choices.workers
    if workers is None:
        workers = max(min(available_cores() - 1, 8), 1)

    _check_size(network.backbone, size)
    _set_student(cfg, network)
    if given:
        _check_size(given['backbone'], size)
        width = _width_of(str(teacher), given)
        _set_teacher(cfg, given, width)
    _set_data(cfg, photos, batch, workers, size)
    queue = _set_queues(cfg, images, batch * world_size)
    epochs = choices.epochs or next(e for n, e in EPOCHS if images >= n)
    lr = _set_rate(cfg, choices.lr, batch * world_size)
    set_length(cfg, max(round(epochs * images / (batch * world_size)), 1))
    cfg.randomness = dict(seed=choices.seed, deterministic=False)

    optimizer = cfg.optim_wrapper.optimizer.type
    lines = [('photos', f'{images} images in {photos}')]
    if given:
        lines.append(('teacher', _describe_teacher(str(teacher), given, width)))
    lines += [
        ('student', f'{network.name}, feature of {network.width}'),
        ('method', f'{method.name}: {method.description} (arXiv {method.paper})'),
        (
            'settings',
            f'crops of {size} pixels, batch {batch}'
            + (f' on {world_size} ranks' if world_size > 1 else '')
            + f', {optimizer} with learning rate {lr:g}, '
            + (f'queue of {queue}, ' if queue else '')
            + f'{workers} loading process{"" if workers == 1 else "es"}, '
            + ('GPU' if torch.cuda.is_available() else 'CPU'),
        ),
    ]
    if network.unused:
        cfg.find_unused_parameters = True  # DDP waits for all gradients otherwise
        lines.append(
            (
                'warning',
                f'the feature of {network.name} does not depend on '
                f'{len(network.unused)} parameters, e.g. {network.unused[0]}: they '
                'stay as initialised',
            )
        )
    return Recipe(cfg, method.name, images, network, lines)


def set_length(cfg: Config, steps: int) -> None:
    """Set the number of steps: loop, warm-up, cosine and checkpoints.

    Args:
        cfg (Config): Config of a recipe, changed in place.
        steps (int): Number of steps.
    """
    warm_up = min(WARM_UP, steps // 20)
    cfg.train_cfg = dict(type='IterBasedTrainLoop', max_iters=steps)
    cosine = dict(
        type='CosineAnnealingLR',
        by_epoch=False,
        begin=warm_up,
        end=steps,
        T_max=max(steps - warm_up, 1),
        eta_min_ratio=0.001,
    )
    rise = dict(
        type='LinearLR', start_factor=0.01, by_epoch=False, begin=0, end=warm_up
    )
    cfg.param_scheduler = [rise, cosine] if warm_up > 1 else [cosine]
    cfg.default_hooks.checkpoint.update(
        by_epoch=False, interval=max(steps // CHECKPOINTS, 1), max_keep_ckpts=2
    )


def _method(name: str | None, teacher: str | None, given: dict | None) -> Method:
    """The method that was named, or the default for this teacher."""
    if name is None:
        if given is None:
            name = ALONE
        else:
            name = HEADLESS if _is_headless(given) else WITH_HEAD
    fitting = [m.name for m in METHODS.values() if m.teacher == (given is not None)]
    if name not in fitting:
        how = 'with' if given else 'without'
        raise InputError(
            f"'{name}' is not a method {how} a teacher: use one of {', '.join(fitting)}"
        )
    return METHODS[name]


def _is_headless(teacher: dict) -> bool:
    """Whether a teacher has no projection head."""
    neck = MODELS.get(teacher['neck']['type'])
    return issubclass(neck, (FeatureNeck, GlobalAveragePooling))


def _size(size: int | None, network: NamedNetwork) -> int:
    """Size of the crops, which the student takes."""
    fixed = network.size[0] if network.size else None
    if size is None:
        return fixed or 224
    if fixed and size != fixed:
        raise InputError(
            f"'{network.name}' takes images of {fixed} pixels, --size is {size}: use "
            f'--size {fixed}, or another student'
        )
    return size


def _check_size(backbone: dict, size: int) -> None:
    """Check that a network of timm takes images of this size.

    It is checked before the teacher's file is downloaded.
    """
    if backbone['type'] == 'TimmNetwork':
        with quiet_init():
            network = without_weights(lambda: MODELS.build(dict(backbone)))
        network.check_size(size, size)


def _batch(batch: int | None, images: int, world_size: int) -> int:
    """Images per step and rank."""
    if batch is None:
        batch = BATCH_GPU if torch.cuda.is_available() else BATCH_CPU
        batch = min(batch, 2 ** int(math.log2(max(images // (4 * world_size), 2))))
    if batch < 2:
        raise InputError(
            '--batch-size 1: batch norm needs 2 images or more per process, set '
            '--batch-size 2'
        )
    if images < batch * world_size:
        remedy = 'lower --batch-size, or add images' if batch > 2 else 'add images'
        raise InputError(
            f'{images} images are too few for a batch of {batch * world_size}: {remedy}'
        )
    return batch


def _host(cfg: Config) -> ConfigDict:
    """Config of the self-supervised algorithm, alone or in DisCo."""
    return cfg.model.get('ssl', cfg.model)


def _set_student(cfg: Config, network: NamedNetwork) -> None:
    host = _host(cfg)
    host.backbone = ConfigDict(network.backbone)
    if host.neck.get('hid_channels') == host.neck.in_channels:  # as wide as it
        host.neck.hid_channels = network.width
    host.neck.in_channels = network.width
    if 'with_avg_pool' in signature(MODELS.get(host.neck.type)).parameters:
        host.neck.with_avg_pool = False  # the feature is pooled already


def _set_teacher(cfg: Config, teacher: dict, width: int) -> None:
    """Set the teacher and the widths that follow from it."""
    host = _host(cfg)
    cfg.model.teacher = ConfigDict(teacher)
    if not _is_headless(teacher):
        cfg.model.pop('standardize', None)  # as in the papers of these methods
    if 'standardize' in cfg.model and not has_hadamard(width):
        cfg.model.standardize.mode = 'mean-std'  # 'phi-s' needs such a matrix
    for loss in losses_of(cfg):
        if loss.get('adapter'):
            if host.neck.out_channels == width:
                loss.pop('adapter')
            else:
                loss.adapter.update(
                    in_features=host.neck.out_channels, out_features=width
                )
        else:
            host.neck.out_channels = width
        if 'embed_dim' in loss:
            loss.embed_dim = width


def _width_of(name: str, config: dict) -> int:
    """Width of a teacher's embeddings."""
    info = teacher_info(name)
    if info is not None:
        return info.width
    neck: dict[str, Any] = config['neck']
    return neck['in_channels'] * getattr(MODELS.get(neck['type']), 'parts', 1)


def _set_data(cfg: Config, photos: str, batch: int, workers: int, size: int) -> None:
    cfg.data_root = photos
    loader = cfg.train_dataloader
    loader.update(
        batch_size=batch,
        num_workers=workers,
        drop_last=True,
        persistent_workers=workers > 0,
        sampler=(
            dict(type='ShardSampler', infinite=True)  # fetches each shard once
            if is_url(photos)
            else dict(type='InfiniteSampler', shuffle=True)
        ),
    )
    loader.dataset.update(data_root=photos, data_prefix='')
    set_size(loader.dataset.pipeline, size)
    for name in ('train_pipeline', 'view_pipeline', 'teacher', 'student', 'neck'):
        cfg.pop(name, None)  # variables of the method's config, used above
    cfg.log_processor.by_epoch = False
    cfg.default_hooks.pop('sampler_seed', None)  # for samplers by epoch


def set_size(pipeline: Sequence[ConfigDict], size: int) -> None:
    """Set the size of the crops of all views.

    Args:
        pipeline (Sequence[ConfigDict]): Pipeline of a dataset, changed in place.
        size (int): In pixels.
    """
    for step in pipeline:
        if step.type == 'MultiView':
            for view in step.transforms:
                view[0].scale = size
        elif step.type == 'LoadCrops':
            step.size = size


def size_of(pipeline: Sequence[ConfigDict]) -> int:
    """Size of the crops of a pipeline."""
    if pipeline[0].type == 'StoredViews':
        return read_header(pipeline[0].store)['kinds'][0]['recipe']['size']
    step = next(s for s in pipeline if s.type in ('MultiView', 'LoadCrops'))
    return step.size if step.type == 'LoadCrops' else step.transforms[0][0].scale


def _set_queues(cfg: Config, images: int, batch: int) -> int:
    """Fit all queues to the images: half of them, a multiple of the batch."""
    queue = max(min(images // 2, MAX_QUEUE) // batch, 1) * batch
    parts = [part for part in (_host(cfg), *losses_of(cfg)) if 'queue_len' in part]
    for part in parts:
        part.queue_len = queue
    host = _host(cfg)
    if 'queue_len' in host and 'momentum' in host:
        host.momentum = 0.01  # a faster momentum encoder, for fewer steps
    return queue if parts else 0


def _set_rate(cfg: Config, lr: float | None, batch: int) -> float:
    """Set the learning rate by the batch: linear for SGD and LARS.

    That of AdamW grows by the root of the batch; small batches have the config's,
    since it was better there than a smaller one (docs/comparators.md).
    """
    optimizer = cfg.optim_wrapper.optimizer
    if lr is None:
        ratio = batch / cfg.auto_scale_lr.get('base_batch_size', 256)
        linear = optimizer.type in ('SGD', 'LARS')
        factor = ratio if linear else max(ratio, 1) ** 0.5
        lr = float(f'{optimizer.lr * factor:.2g}')
    optimizer.lr = lr
    cfg.auto_scale_lr = dict(base_batch_size=batch, enable=False)
    return lr


def teacher_info(name: str) -> TeacherInfo | None:
    """A teacher of the index by its name, None for another."""
    return next((info for info in list_teachers() if info.name == name), None)


def _describe_teacher(name: str, config: dict, width: int) -> str:
    info = teacher_info(name)
    if info is None:
        licence = licence_of(config['checkpoint']) or 'licence not known'
        return f'{name}, embedding of {width}; {licence}'
    use = {'yes': 'commercial use allowed', 'no': 'no commercial use'}
    allowed = use.get(info.commercial_use, f'commercial use {info.commercial_use}')
    known = 'supervised' in info.description
    kind = ', supervised' if info.supervised and not known else ''
    return (
        f'{name}: {info.description.rstrip(".")}{kind}; {info.embedding} of {width}; '
        f'licence {info.licence}, {allowed}'
    )
