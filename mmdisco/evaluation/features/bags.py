import torch
from mmengine.config import Config
from mmengine.device import get_device
from mmengine.runner import Runner
from mmpretrain.registry import DATASETS, MODELS
from torch import Tensor

from mmdisco.datasets.decode import WHITE
from mmdisco.errors import InputError
from mmdisco.models.tap import unwrap
from .neighbours import nearest_neighbours


def plain_images(cfg: Config) -> dict:
    """The training images of a config, each as an evaluation sees it.

    Args:
        cfg (Config): Its data set may be ``Bags``, whose file of neighbours
            need not exist.

    Returns:
        dict: Config of the data set; a folder of images gets mmpretrain's
        transforms of an evaluation.
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
        # which gives RGB; the data preprocessor expects the same here
        pipeline.append(dict(type='NumpyToPIL', to_rgb=True))
    return dict(dataset, pipeline=[*pipeline, dict(type='PackInputs')])


@torch.no_grad()
def embed_images(cfg: Config, batch_size: int) -> tuple[Tensor, Tensor]:
    """Embed each training image of a DisCo config once by its teacher.

    Args:
        cfg (Config): The config.
        batch_size (int): Images at once.

    Returns:
        Tensor: The pooled features of the teacher's backbone, in eval mode,
        in whose space BINGO's release looks for neighbours, [N, D].
        Tensor: The image that each is of, [N]: another one than its place
        tells where that can't be read.
    """
    device = get_device()
    # in the order in which mmengine and DisCo ask them for it
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
    loader = Runner.build_dataloader(
        dict(
            dataset=DATASETS.build(plain_images(cfg)),
            batch_size=batch_size,
            num_workers=cfg.train_dataloader.get('num_workers', 0),
            sampler=dict(type='DefaultSampler', shuffle=False),
            collate_fn=dict(type='default_collate'),
        ),
        seed=0,
    )
    embeds, shown = [], []
    for batch in loader:
        samples = batch.get('data_samples')
        first = len(shown)
        shown += (
            [s.sample_idx for s in samples]
            if samples
            else range(first, first + len(batch['inputs']))
        )
        images = teacher.renormalize(preprocessor(batch)['inputs'])
        feats = unwrap(teacher.backbone(images)).float()
        embeds.append(feats.mean((2, 3)) if feats.dim() == 4 else feats)
    return torch.cat(embeds), torch.tensor(shown, device=device)


def make_bags(cfg: Config, k: int = 5, batch_size: int = 256) -> Tensor:
    """Find the nearest neighbours of each training image.

    Args:
        cfg (Config): A DisCo config.
        k (int): Neighbours of each. Defaults to 5, as `BINGO
            <https://arxiv.org/abs/2107.01691>`_ has.
        batch_size (int): Images at once. Defaults to 256.

    Returns:
        Tensor: Their indices, [N, k]. An image that can't be read is no
        neighbour; it has those of the image that took its place.

    Raises:
        InputError: If the config has no teacher, or too few images.
    """
    if 'teacher' not in cfg.model:
        raise InputError(
            'the config has no model.teacher, whose space bags '
            'are made in: name a config of DisCo'
        )
    embeds, shown = embed_images(cfg, batch_size)  # [N, D], [N]
    readable = (
        (shown == torch.arange(len(shown), device=shown.device)).nonzero().squeeze(1)
    )  # [M]
    nearest = nearest_neighbours(embeds[readable], k)  # [M, k], of M
    bags = shown.new_zeros(len(shown), k)
    bags[readable] = readable[nearest]
    return bags[shown]
