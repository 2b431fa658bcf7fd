"""What is in a folder of photos: counts, sizes, unreadable and duplicate ones."""

import hashlib
import json
import logging
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.logging import MMLogger
from mmengine.registry import init_default_scope
from mmpretrain.registry import MODELS
from PIL import Image
from rich.progress import track
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from mmdisco.errors import InputError
from mmdisco.evaluation.features.encoder import Encoder, open_encoder
from mmdisco.evaluation.features.extract import embed
from mmdisco.evaluation.features.neighbours import nearest
from mmdisco.evaluation.features.views import Crop, ImageViews
from mmdisco.utils import atomic_write, available_cores, worker_start_method
from mmdisco.zoo import teacher_config
from .distillation import obtain_teacher
from .photos import SkippingPhotos

SMALL = 64  # pixels: a shorter edge below this is reported
SHOWN = 5  # names or groups that are printed
NEIGHBOURS = 10  # nearest photos that may be duplicates of one


@dataclass
class Audit:
    """Report on a folder of photos.

    Attributes:
        folder (str): The folder.
        files (int): Files found.
        images (int): Readable images.
        left_out (dict[str, int]): Files that are not used, by reason.
        unreadable (list[str]): Images that can't be read.
        width (list[int]): Smallest, median and largest width in pixels.
        height (list[int]): The same of the height.
        small (list[str]): Images with an edge below 64 pixels.
        copies (list[list[str]]): Groups of files with the same content.
        near (list[list[str]], optional): Groups of images whose features have at
            least :attr:`threshold` as cosine with another one of the group,
            without those in :attr:`copies`. None without a model.
        threshold (float): The cosine.
        features (str): Model of the features.
    """

    folder: str
    files: int
    images: int
    left_out: dict[str, int]
    unreadable: list[str]
    width: list[int]
    height: list[int]
    small: list[str]
    copies: list[list[str]]
    near: list[list[str]] | None
    threshold: float
    features: str

    def __str__(self) -> str:
        """Describe it in lines."""
        reasons = ', '.join(f'{count} {why}' for why, count in self.left_out.items())
        lines = [
            f'files       {self.files} in {self.folder}'
            + (f'; left out: {reasons}' if reasons else ''),
            f'images      {self.images} readable',
            f'unreadable  {len(self.unreadable)}{_some(self.unreadable)}',
            *(
                f'{name:11} {{}} to {{}} pixels, median {{}}'.format(*_range(sizes))
                for name, sizes in (('width', self.width), ('height', self.height))
                if self.images
            ),
            f'small       {len(self.small)} with an edge below {SMALL} pixels'
            + _some(self.small),
            f'copies      {_groups(self.copies, "the same content")}',
        ]
        if self.near is None:
            lines.append(
                'near        not searched: add --teacher or --model for near duplicates'
            )
        else:
            near = f'a cosine of {self.threshold:g} or more by {self.features}'
            lines.append(f'near        {_groups(self.near, near)}')
        return '\n'.join(lines)

    def write(self, path: Path) -> None:
        """Write all values as JSON.

        Args:
            path (Path): The file.
        """
        with atomic_write(path) as half:
            half.write_text(json.dumps(asdict(self), indent=1) + '\n')


def _range(values: Sequence[int]) -> tuple[int, int, int]:
    low, median, high = values
    return low, high, median


def _some(names: Sequence[str]) -> str:
    if not names:
        return ''
    more = len(names) - SHOWN
    return f': {", ".join(names[:SHOWN])}' + (f' and {more} more' if more > 0 else '')


def _groups(groups: Sequence[Sequence[str]], what: str) -> str:
    if not groups:
        return f'0 images with {what}'
    spare = sum(len(group) - 1 for group in groups)
    shown = ''.join(f'\n            {_some(group)[2:]}' for group in groups[:SHOWN])
    more = len(groups) - SHOWN
    return (
        f'{len(groups)} groups with {what}; one of each left, {spare} fewer:{shown}'
        + (f'\n            and {more} groups more' if more > 0 else '')
    )


class _Facts(Dataset):
    """Size and digest of each photo; a size of 0 if it can't be read."""

    def __init__(self, photos: SkippingPhotos) -> None:
        self.photos = photos

    def __len__(self) -> int:
        return len(self.photos)

    def __getitem__(self, index: int) -> tuple[int, int, str]:
        try:
            digest = hashlib.sha256(self.photos.read(index)).hexdigest()
        except OSError:  # read again and counted below
            digest = f'unread {index}'
        image: Image.Image = self.photos[index]
        if self.photos.unreadable[index]:
            return 0, 0, digest
        return *image.size, digest


class TeacherEncoder(nn.Module):
    """A frozen teacher whose input is unnormalised images.

    Args:
        teacher (nn.Module): A :class:`FrozenTeacher` with ``mean`` and ``std``.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, teacher: nn.Module, mean: list, std: list) -> None:
        super().__init__()
        self.teacher = teacher
        for name, values in (('mean', mean), ('std', std)):
            self.register_buffer(name, torch.tensor(values).view(-1, 1, 1))

    @torch.inference_mode()
    def forward(self, images: Tensor) -> Tensor:
        """Embed images, uint8, RGB, [N, 3, H, W], to [N, D]."""
        return self.teacher((images.float() - self.mean) / self.std).float()


def _teacher(name: str, checkpoint: str | None) -> TeacherEncoder:
    init_default_scope('mmpretrain')
    config: dict[str, Any] = teacher_config(name)
    if checkpoint:
        config['checkpoint'] = checkpoint
    obtain_teacher(name, config, checkpoint)
    teacher = MODELS.build(config)
    mean, std = teacher.renormalize.mean, teacher.renormalize.std
    teacher.renormalize = nn.Identity()
    if mean is None:
        mean, std = [123.675, 116.28, 103.53], [58.395, 57.12, 57.375]
    return TeacherEncoder(teacher, mean, std).eval()


def audit(
    folder: str,
    model: str | None = None,
    teacher: str | None = None,
    teacher_checkpoint: str | None = None,
    threshold: float = 0.95,
    batch_size: int = 32,
) -> Audit:
    """Read all photos of a folder and report what is there.

    Args:
        folder (str): The folder; photos at any depth.
        model (str, optional): Network of the features that near duplicates are
            searched by: a checkpoint or a name, as in ``mmdisco embed``. Defaults
            to None.
        teacher (str, optional): A teacher for the same purpose. Defaults to None.
        teacher_checkpoint (str, optional): Its file. Defaults to None.
        threshold (float): Cosine from which two photos are near duplicates.
            Defaults to .95.
        batch_size (int): Images per forward pass. Defaults to 32.

    Returns:
        Audit: The report.

    Raises:
        MissingFileError: If the folder or a file of weights does not exist.
        InputError: If the folder has no image, or a model is unknown.
    """
    if model and teacher:
        raise InputError(
            '--model and --teacher both give features for near duplicates: use one'
        )
    if teacher_checkpoint and not teacher:
        raise InputError(
            '--teacher-checkpoint needs --teacher, the name of its network'
        )
    encoder: Encoder | TeacherEncoder | None = None
    logger = MMLogger.get_current_instance()
    level = logger.level
    logger.setLevel(logging.ERROR)  # the report counts the files
    try:
        if teacher:
            encoder = _teacher(teacher, teacher_checkpoint)
        elif model:
            encoder = open_encoder(model)
        photos = SkippingPhotos(folder)
    finally:
        logger.setLevel(level)
    workers = available_cores()
    loader = DataLoader(
        _Facts(photos),
        batch_size=None,
        num_workers=workers,
        multiprocessing_context=worker_start_method(workers),
    )
    facts = [*track(loader, 'photos', total=len(photos), transient=True)]
    sizes = np.array([fact[:2] for fact in facts])  # [N, 2]
    readable = sizes[:, 0] > 0
    names = photos.names
    copies = _copies([fact[2] for fact in facts], names)
    near = None
    if encoder is not None and readable.sum() > 1:
        near = _near(encoder, photos, np.flatnonzero(readable), threshold, batch_size)
        known = [set(group) for group in copies]
        near = [g for g in near if not any(set(g) <= group for group in known)]
    seen = sizes[readable] if readable.any() else np.zeros((1, 2), int)
    return Audit(
        folder=folder,
        files=photos.tally.found,
        images=int(readable.sum()),
        left_out={k: v for k, v in photos.tally.left_out.most_common() if v},
        unreadable=[names[i] for i in np.flatnonzero(~readable)],
        width=_summary(seen[:, 0]),
        height=_summary(seen[:, 1]),
        small=[names[i] for i in np.flatnonzero(readable & (sizes.min(1) < SMALL))],
        copies=copies,
        near=near,
        threshold=threshold,
        features=teacher or model or '',
    )


def _summary(values: np.ndarray) -> list[int]:
    return [int(values.min()), int(np.median(values)), int(values.max())]


def _copies(digests: Sequence[str], names: Sequence[str]) -> list[list[str]]:
    """Groups of names with the same digest."""
    groups: dict[str, list[str]] = {}
    for digest, name in zip(digests, names):
        groups.setdefault(digest, []).append(name)
    return [group for group in groups.values() if len(group) > 1]


def _near(
    encoder: nn.Module,
    photos: SkippingPhotos,
    rows: np.ndarray,
    threshold: float,
    batch_size: int,
) -> list[list[str]]:
    """Groups of photos that are linked by cosines above the threshold."""
    device = 'cuda' if torch.cuda.is_available() else 'cpu'
    batches = torch.from_numpy(rows).split(batch_size)
    features = np.concatenate(
        [
            feats
            for _, feats in embed(
                encoder.to(device),  # type: ignore[arg-type]
                ImageViews(photos, Crop()),
                batches,
                available_cores(),
                'features',
            )
        ]
    )  # [N, D]
    unit = torch.from_numpy(features)
    # itself is among them
    cosines, neighbours = nearest(unit, unit, min(NEIGHBOURS + 1, len(unit)))
    first, place = (cosines >= threshold).nonzero(as_tuple=True)
    second = neighbours[first, place]
    links = coo_matrix(
        (np.ones(len(first)), (first.numpy(), second.numpy())), (len(unit), len(unit))
    )
    _, labels = connected_components(links, directed=False)
    groups: dict[int, list[str]] = {}
    for row, label in zip(rows, labels):
        groups.setdefault(int(label), []).append(photos.names[row])
    return [group for group in groups.values() if len(group) > 1]
