"""From a checkpoint, a name or a config to a frozen encoder of raw images."""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import cast

import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope
from torch import Tensor, nn

from mmdisco.checkpoints import (
    check_settings,
    load_strictly,
    read_conversion,
    sha256_of,
)
from mmdisco.checkpoints.config_text import normalisation_of
from mmdisco.checkpoints.student import built, load_student
from mmdisco.errors import InputError, MissingFileError
from mmdisco.launch import read_config
from mmdisco.models.outputs import Pooled
from mmdisco.zoo import find, get_model, list_models

Normalisation = tuple[list, list]
IMAGENET = ([123.675, 116.28, 103.53], [58.395, 57.12, 57.375])


class Encoder(nn.Module):
    """A frozen backbone whose input is unnormalised images.

    Args:
        backbone (nn.Module): Backbone; the last element of its output is used.
        name (str): Name given by the user.
        sha256 (str): SHA-256 of the file of its weights.
        mean (Sequence[float]): Means of the RGB channels, 0 to 255.
        std (Sequence[float]): Their standard deviations.
        size (int): Height and width of the images that it was trained with, in
            pixels. Defaults to 224.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        backbone: nn.Module,
        name: str,
        sha256: str,
        mean: Sequence[float],
        std: Sequence[float],
        size: int = 224,
    ) -> None:
        super().__init__()
        self.name, self.sha256, self.size = name, sha256, size
        self.weights = _digest(backbone)
        self.normalisation = [*map(float, mean)], [*map(float, std)]
        self.pooled = Pooled(backbone).requires_grad_(False)
        for key, values in zip(('mean', 'std'), self.normalisation):
            self.register_buffer(
                key, torch.tensor(values).view(-1, 1, 1), persistent=False
            )
        self.eval()

    @torch.inference_mode()
    def forward(self, images: Tensor) -> Tensor:
        """Embed images.

        Args:
            images (Tensor): uint8, RGB, [N, 3, H, W].

        Returns:
            Tensor: Means over positions, or class tokens, fp32, [N, D].
        """
        normalised = (images.float() - self.mean) / self.std
        return self.pooled(normalised)[0].float()


def open_encoder(
    model: str,
    checkpoint: str | None = None,
    arch: str | None = None,
    normalisation: Normalisation | None = None,
) -> Encoder:
    """Load the backbone of a checkpoint, a named model or a config.

    Args:
        model (str): A checkpoint in any supported layout; a model name of the
            zoo or of mmpretrain; or a config of either library.
        checkpoint (str, optional): Weights of a config or of a named model.
            Without, the weights of a named model are downloaded.
        arch (str, optional): Network of a checkpoint that does not name it.
        normalisation (tuple[list, list], optional): Means and standard
            deviations of RGB, 0 to 255. Defaults to None: those in the config
            or the checkpoint, else ImageNet's.

    Returns:
        Encoder: In eval mode, without gradients.

    Raises:
        MissingFileError: If the file or model does not exist.
        InputError: If the file does not fit the model.
    """
    init_default_scope('mmpretrain')
    stated = None  # normalisation in the config or the checkpoint
    size = 224
    if arch and (Path(model).suffix == '.py' or not Path(model).is_file()):
        raise InputError(f"--arch is for checkpoints: '{model}' names its network")
    if Path(model).suffix == '.py':
        backbone, stated = _of_config(model, checkpoint)
    elif Path(model).is_file():
        if checkpoint:
            raise InputError(
                f"'{model}' is a checkpoint: --checkpoint is for "
                'a config or a named model'
            )
        checkpoint = model
        student = load_student(model, arch)
        backbone, size = student.backbone, student.size
        try:
            stated = normalisation_of(student.meta)
        except InputError as error:
            raise InputError(f"'{model}': {error}") from error
    elif model in list_models():
        entry = find(model)
        network = get_model(model, checkpoint or True)
        backbone = getattr(network, 'backbone', network)  # of a teacher
        checkpoint = checkpoint or str(Path('checkpoints', cast(str, entry.file)))
        stated = _of_teacher(network) or _normalisation_of(read_config(entry.config))
    else:
        backbone, stated = _of_mmpretrain(model, checkpoint)
    sha256 = sha256_of(checkpoint) if checkpoint else 'as published'
    mean, std = normalisation or stated or IMAGENET
    return Encoder(backbone, model, sha256, mean, std, size)


def _of_mmpretrain(
    name: str, checkpoint: str | None
) -> tuple[nn.Module, Normalisation | None]:
    """Backbone and normalisation of a model of mmpretrain's zoo."""
    # slow: it imports transformers and more
    from mmpretrain.apis import get_model as get_other
    from mmpretrain.apis import list_models as list_others

    if name not in list_others():
        raise MissingFileError(
            f"'{name}' is neither a file nor the name of a model: see "
            'mmdisco.zoo.list_models() and mmpretrain.list_models()'
        )
    model = get_other(name, pretrained=not checkpoint)
    if checkpoint:  # mmpretrain itself does not load strictly
        conversion = read_conversion(checkpoint)
        load_strictly(model.backbone, conversion.part('backbone'), f"'{checkpoint}'")
        check_settings(
            conversion, model.backbone, f"'{checkpoint}'", f"{name}'s backbone"
        )
    processor = model.data_preprocessor
    if not getattr(processor, '_channel_conversion', True):
        raise InputError(f"'{name}' expects BGR images; only RGB is supported")
    normalisation = (
        (processor.mean.flatten().tolist(), processor.std.flatten().tolist())
        if hasattr(processor, 'mean')
        else None
    )
    return model.backbone, normalisation


def _of_config(
    config: str, checkpoint: str | None
) -> tuple[nn.Module, Normalisation | None]:
    """Backbone and normalisation of a config."""
    cfg = read_config(config)
    if not checkpoint:
        raise InputError(f"config '{config}' has no weights: add --checkpoint")
    model = cfg.get('model', {})
    backbone = model.get('ssl', model).get('backbone')
    if backbone is None:
        raise InputError(f"config '{config}' has no model.backbone")
    conversion = read_conversion(checkpoint)
    network = built(
        {**backbone, **conversion.overrides},
        conversion.part('backbone'),
        f"'{checkpoint}'",
    )
    check_settings(conversion, network, f"'{checkpoint}'", 'model.backbone')
    return network, _normalisation_of(cfg)


def _digest(network: nn.Module) -> str:
    """SHA-256 of a network's layers and tensors."""
    digest = hashlib.sha256(repr(network).encode())
    for key, value in network.state_dict().items():
        digest.update(key.encode())
        digest.update(
            value.detach()
            .cpu()
            .contiguous()
            .view(-1)
            .view(torch.uint8)
            .numpy()
            .tobytes()
            if value.numel()
            else b''
        )
    return digest.hexdigest()


def _of_teacher(network: nn.Module) -> Normalisation | None:
    """Means and standard deviations of a teacher, if it has its own."""
    renormalize = getattr(network, 'renormalize', None)
    if renormalize is None or renormalize.mean is None:
        return None
    return list(renormalize.mean), list(renormalize.std)


def _normalisation_of(cfg: Config) -> Normalisation | None:
    """Means and standard deviations in a config, if it has any."""
    processor = (
        cfg.get('data_preprocessor')
        or cfg.get('model', {}).get('data_preprocessor')
        or {}
    )
    if processor.get('to_rgb') is False:
        raise InputError(
            'its images are BGR (to_rgb=False in the config); only RGB is supported'
        )
    if processor.get('mean') and processor.get('std'):
        return processor['mean'], processor['std']
    return None
