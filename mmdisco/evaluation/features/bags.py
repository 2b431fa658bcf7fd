"""Bags of nearest neighbours in the teacher's space, for BINGO."""

import torch
from mmengine.config import Config
from mmengine.device import get_device
from mmengine.runner import Runner
from mmpretrain.registry import DATASETS, MODELS
from torch import Tensor

from mmdisco.datasets.decode import WHITE
from mmdisco.errors import InputError
from mmdisco.models.tap import unwrap
from mmdisco.utils import worker_start_method
from .neighbours import nearest_neighbours


def plain_images(cfg: Config) -> dict:
    """Config of the training images with the transforms of an evaluation.

    Args:
        cfg (Config): Config of a training. Its data set may be ``Bags``, whose
            file of neighbours need not exist.

    Returns:
        dict: Config of the data set; a folder of images gets mmpretrain's
        evaluation transforms.
    """
    dataset = cfg.train_dataloader.dataset
    if dataset.type == 'Bags':
        dataset = dataset.dataset
    if 'pipeline' not in dataset:
        return dataset
    background = dataset.pipeline[0].get('background', WHITE)
    pipeline = [
        dict(type='LoadPhoto', background=background),
        dict(type='ResizeEdge', scale=256, edge='short', backend='pillow'),
        dict(type='CenterCrop', crop_size=224),
    ]
    if dataset.pipeline[0].type == 'LoadCrops':
        # LoadCrops gives RGB, and the data preprocessor expects it
        pipeline.append(dict(type='NumpyToPIL', to_rgb=True))
    return dict(dataset, pipeline=[*pipeline, dict(type='PackInputs')])


@torch.no_grad()
def embed_images(cfg: Config, batch_size: int) -> tuple[Tensor, Tensor]:
    """Embed the training images of a DisCo config with its teacher.

    Args:
        cfg (Config): The config.
        batch_size (int): Images per forward pass.

    Returns:
        tuple[Tensor, Tensor]: Pooled features of the teacher's backbone in eval
        mode, [N, D], the space of BINGO's release; and the index of the image
        that was read for each, [N], which differs where an image is
        unreadable.
    """
    device = get_device()
    # in the order of mmengine and DisCo
    preprocessor = MODELS.build(
        next(
            filter(
                None,
                (
                    part.get('data_preprocessor')
                    for part in (cfg.model, cfg, cfg.model.get('ssl', {}))
                ),
            )
        )
    ).to(device)
    pooled = dict(type='GlobalAveragePooling')
    teacher = MODELS.build(dict(cfg.model.teacher, neck=pooled, norm_mode='eval')).to(
        device
    )
    teacher.match_normalisation(preprocessor)
    workers = cfg.train_dataloader.get('num_workers', 0)
    loader = Runner.build_dataloader(
        dict(
            dataset=DATASETS.build(plain_images(cfg)),
            batch_size=batch_size,
            num_workers=workers,
            multiprocessing_context=worker_start_method(workers),
            sampler=dict(type='DefaultSampler', shuffle=False),
            collate_fn=dict(type='default_collate'),
        ),
        seed=0,
    )
    embeds: list[Tensor] = []
    read: list[int] = []
    for batch in loader:
        samples = batch.get('data_samples')
        first = len(read)
        read += (
            [s.sample_idx for s in samples]
            if samples
            else range(first, first + len(batch['inputs']))
        )
        images = teacher.renormalize(preprocessor(batch)['inputs'])
        feats = unwrap(teacher.backbone(images)).float()
        embeds.append(feats.mean((2, 3)) if feats.dim() == 4 else feats)
    return torch.cat(embeds), torch.tensor(read, device=device)


def make_bags(cfg: Config, k: int = 5, batch_size: int = 256) -> Tensor:
    """Nearest neighbours of each training image, in the teacher's space.

    Args:
        cfg (Config): A DisCo config.
        k (int): Number of neighbours. Defaults to 5, as in `BINGO
            <https://arxiv.org/abs/2107.01691>`_.
        batch_size (int): Images per forward pass. Defaults to 256.

    Returns:
        Tensor: Indices, [N, k]. An unreadable image is not a neighbour, and
        gets the neighbours of the image read instead.

    Raises:
        InputError: If the config has no teacher, or too few images.
    """
    if 'teacher' not in cfg.model:
        raise InputError(
            'the config has no model.teacher to embed the images with: give a '
            'config of DisCo'
        )
    embeds, read = embed_images(cfg, batch_size)  # [N, D], [N]
    readable = (
        (read == torch.arange(len(read), device=read.device)).nonzero().squeeze(1)
    )  # [M]
    nearest = nearest_neighbours(embeds[readable], k)  # [M, k], of M
    bags = read.new_zeros(len(read), k)
    bags[readable] = readable[nearest]
    return bags[read]
