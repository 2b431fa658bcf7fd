import hashlib
from collections.abc import Sequence
from pathlib import Path

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
    """A frozen backbone that takes images as they are stored.

    Args:
        backbone (nn.Module): Gives a tuple, of which the last one counts.
        name (str): What the user called it.
        sha256 (str): Of its weights' file.
        mean (Sequence[float]): Of the channels in RGB, 0 to 255.
        std (Sequence[float]): Their deviations.
    """

    def __init__(
        self,
        backbone: nn.Module,
        name: str,
        sha256: str,
        mean: Sequence[float],
        std: Sequence[float],
    ) -> None:
        super().__init__()
        self.name, self.sha256 = name, sha256
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
    """Load whatever has features.

    Args:
        model (str): A checkpoint of any layout that is known; a model of the
            zoo, or of mmpretrain's; or a config, of either library.
        checkpoint (str, optional): Weights of a config, or of a model that
            is named; without, a named model's are downloaded.
        arch (str, optional): Network of a checkpoint that does not tell.
        normalisation (tuple[list, list], optional): Means and deviations of
            RGB, 0 to 255. Defaults to None: those of the config, or those that
            the checkpoint says; ImageNet's if there are none.

    Returns:
        Encoder: In eval mode, without gradients.

    Raises:
        MissingFileError: If there is no such file.
        InputError: If there is no such model, or the file does not fit it.
    """
    init_default_scope('mmpretrain')
    told = None
    if arch and (Path(model).suffix == '.py' or not Path(model).is_file()):
        raise InputError(f"--arch is for a checkpoint, and '{model}' tells its network")
    if Path(model).suffix == '.py':
        backbone, told = _of_config(model, checkpoint)
    elif Path(model).is_file():
        if checkpoint:
            raise InputError(
                f"'{model}' is a checkpoint: --checkpoint is for "
                'a config or the name of a model'
            )
        checkpoint = model
        student = load_student(model, arch)
        backbone = student.backbone
        try:
            told = normalisation_of(student.meta)
        except InputError as error:
            raise InputError(f"'{model}': {error}") from error
    elif model in list_models():
        entry = find(model)
        found = get_model(model, checkpoint or True)
        backbone = getattr(found, 'backbone', found)  # of a teacher
        checkpoint = checkpoint or str(Path('checkpoints', entry.file))
        told = _normalisation_of(read_config(entry.config))
    else:
        backbone, told = _of_mmpretrain(model, checkpoint)
    sha256 = sha256_of(checkpoint) if checkpoint else 'as published'
    return Encoder(backbone, model, sha256, *(normalisation or told or IMAGENET))


def _of_mmpretrain(
    name: str, checkpoint: str | None
) -> tuple[nn.Module, Normalisation | None]:
    """Backbone and normalisation of a model of mmpretrain's zoo."""
    # imports transformers and more, for seconds
    from mmpretrain.apis import get_model as get_other
    from mmpretrain.apis import list_models as list_others

    if name not in list_others():
        raise MissingFileError(
            f"'{name}' is neither a file nor the name of a model: see "
            'mmdisco.zoo.list_models() and mmpretrain.list_models()'
        )
    found = get_other(name, pretrained=not checkpoint)
    if checkpoint:  # mmpretrain would load what fits, and leave the rest
        conversion = read_conversion(checkpoint)
        load_strictly(found.backbone, conversion.part('backbone'), f"'{checkpoint}'")
        check_settings(
            conversion, found.backbone, f"'{checkpoint}'", f"{name}'s backbone"
        )
    processor = found.data_preprocessor
    if not getattr(processor, '_channel_conversion', True):
        raise InputError(f"'{name}' takes BGR images; here they are RGB")
    told = (
        (processor.mean.flatten().tolist(), processor.std.flatten().tolist())
        if hasattr(processor, 'mean')
        else None
    )
    return found.backbone, told


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
    """SHA-256 of what a network computes: its layers and tensors."""
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


def _normalisation_of(cfg: Config) -> Normalisation | None:
    """Means and deviations of a config, if it tells."""
    processor = (
        cfg.get('data_preprocessor')
        or cfg.get('model', {}).get('data_preprocessor')
        or {}
    )
    if processor.get('to_rgb') is False:
        raise InputError(
            'its images are BGR (to_rgb=False of the config); here they are RGB'
        )
    if processor.get('mean') and processor.get('std'):
        return processor['mean'], processor['std']
    return None
