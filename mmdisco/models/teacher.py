from collections.abc import Sequence

import torch
from mmengine.logging import print_log
from mmengine.model import revert_sync_batchnorm
from mmpretrain.registry import MODELS
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from mmdisco.checkpoints import load_strictly, read_teacher, sha256_of
from mmdisco.errors import InputError
from .fast.teacher import DTYPES, Encoder, speed_up
from .tap import MapRecorder, Pass


class Renormalize(nn.Module):
    """Turns images normalised for one network into those another learned of.

    Args:
        mean (Sequence[float], optional): Channel means that the other network
            wants, 0 to 255. None leaves images as they are.
        std (Sequence[float], optional): Its channel deviations, 0 to 255.
    """

    def __init__(
        self,
        mean: Sequence[float] | None = None,
        std: Sequence[float] | None = None,
    ) -> None:
        super().__init__()
        self.mean, self.std = mean, std
        for name in ('scale', 'shift'):
            self.register_buffer(name, None, persistent=False)

    def take_images_of(self, preprocessor: nn.Module | None) -> None:
        """Note how images are normalised that will come.

        Args:
            preprocessor (nn.Module, optional): Its ``mean`` and ``std`` are
                meant.

        Raises:
            ValueError: If this wants other images, and it has none.
        """
        if self.mean is None:
            return
        if not hasattr(preprocessor, 'mean'):
            raise InputError(
                f'the teacher wants images of mean {list(self.mean)}, but the '
                "student's data preprocessor normalises none: set "
                'data_preprocessor.mean and .std'
            )
        own_mean, own_std = (
            torch.tensor(v, dtype=torch.float32).view(-1, 1, 1)
            for v in (self.mean, self.std)
        )  # [3, 1, 1]
        mean, std = preprocessor.mean.cpu(), preprocessor.std.cpu()
        scale, shift = std / own_std, (mean - own_mean) / own_std
        alike = torch.allclose(scale, torch.ones(1)) and torch.allclose(
            shift, torch.zeros(1)
        )
        self.scale, self.shift = (None, None) if alike else (scale, shift)

    def forward(self, images: Tensor) -> Tensor:
        """Turn normalised images, [N, 3, H, W]."""
        if self.scale is None:
            return images
        return torch.addcmul(self.shift, images.float(), self.scale)


def check_options(
    norm_mode: str,
    dtype: str,
    fuse: bool,
    mean: Sequence[float] | None,
    std: Sequence[float] | None,
) -> None:
    """Check what does not depend on a teacher's networks.

    Args:
        norm_mode (str): 'eval' or 'batch'.
        dtype (str): 'fp32', 'bf16' or 'fp16'.
        fuse (bool): Whether BN is to be folded.
        mean (Sequence[float], optional): Channel means.
        std (Sequence[float], optional): Channel deviations.

    Raises:
        ValueError: If an option is unknown, or two contradict each other.
    """
    if norm_mode not in ('eval', 'batch'):
        raise InputError(
            f"norm_mode of the teacher is 'eval' or 'batch', got {norm_mode!r}"
        )
    if dtype not in DTYPES:
        raise InputError(
            f'dtype of the teacher is one of {", ".join(DTYPES)}, got {dtype!r}'
        )
    if fuse and norm_mode == 'batch':
        raise InputError(
            'fuse=True folds the running statistics of BN, norm_mode='
            "'batch' does not use them: set one or the other"
        )
    if (mean is None) != (std is None):
        raise InputError(
            f'the teacher has mean={mean}, std={std}: give both, or none of them'
        )
    if mean is not None and not (len(mean) == len(std) in (1, 3) and min(std) > 0):
        raise InputError(
            f'the teacher has mean={list(mean)}, '
            f'std={list(std)}: both want one value for each of '
            'three channels, and std values above 0'
        )


@MODELS.register_module()
class FrozenTeacher(nn.Module):
    """A self-supervised network with its projection head, frozen.

    Weights are loaded here and strictly: there is no teacher with random
    weights by accident.

    Args:
        backbone (dict or nn.Module): The backbone.
        neck (dict or nn.Module): The projection head, since DisCo distils
            the final embedding. Methods that distil the backbone's feature
            give one without parameters, ``GlobalAveragePooling``.
        checkpoint (str, optional): A local file that holds both. It may be
            None only if both are built modules. Defaults to None.
        url (str, optional): Where that file is published. Nothing is
            downloaded: it is told if the file is not there. Defaults to None.
        norm_mode (str): 'eval' uses the running statistics of BN. 'batch'
            uses those of the batch in every BN, the head's included, and
            leaves the running ones alone: that is what the released code of
            `DisCo <https://arxiv.org/abs/2104.09124>`_ does. Defaults to
            'eval'.
        mean (Sequence[float], optional): Channel means of the images that it
            learned of, 0 to 255. Defaults to None: those of the student.
        std (Sequence[float], optional): Their channel deviations.
        fuse (bool): Fold BN into convolutions and linear layers, which
            needs ``norm_mode='eval'``. Defaults to False.
        dtype (str): 'fp32', 'bf16' or 'fp16', in which it computes.
            Embeddings are fp32. Defaults to 'fp32'.
        channels_last (bool): Lay out weights and images so. Defaults to
            False.
        compile (bool): ``torch.compile`` it. Defaults to False.

    The last four are for speed. The network so rewritten is compared with the
    plain one on the first batch, and is not used if it differs. With any of
    them ``dtype`` holds under autocast, too.

    Raises:
        FileNotFoundError: If ``checkpoint`` does not exist.
        ValueError: If it is None or no checkpoint, has no projection head,
            or does not fit the networks; or an option is unknown.
    """

    def __init__(
        self,
        backbone: dict | nn.Module,
        neck: dict | nn.Module,
        checkpoint: str | None = None,
        url: str | None = None,
        norm_mode: str = 'eval',
        mean: Sequence[float] | None = None,
        std: Sequence[float] | None = None,
        fuse: bool = False,
        dtype: str = 'fp32',
        channels_last: bool = False,
        compile: bool = False,
    ) -> None:
        super().__init__()
        check_options(norm_mode, dtype, fuse, mean, std)
        built = [isinstance(part, nn.Module) for part in (backbone, neck)]
        if checkpoint is None and not all(built):
            raise InputError('the teacher has no weights: set model.teacher.checkpoint')
        parts = [
            part if ready else MODELS.build(part)
            for part, ready in zip((backbone, neck), built)
        ]
        # mmengine reverts SyncBN of a model that is not distributed, but the
        # teacher is invisible to it.
        self.backbone, self.neck = map(revert_sync_batchnorm, parts)
        self.norm_mode = norm_mode
        self.renormalize = Renormalize(mean, std)
        self._wishes = dict(
            fuse=fuse, dtype=dtype, channels_last=channels_last, compile=compile
        )
        self._plain = dtype == 'fp32' and not (fuse or channels_last or compile)
        self._run = (Encoder(self.backbone, self.neck),)  # no submodule
        self.checkpoint = checkpoint
        self.sha256 = None
        if checkpoint is not None:
            head = bool(list(self.neck.parameters()))
            self._load(checkpoint, read_teacher(checkpoint, self.backbone, url, head))
        self.requires_grad_(False)
        self.train(False)

    def _load(self, checkpoint: str, state_dict: dict) -> None:
        load_strictly(self, state_dict, f"teacher file '{checkpoint}'")
        self.sha256 = sha256_of(checkpoint)
        count = sum(p.numel() for p in self.parameters())
        print_log(
            f'Frozen teacher: {type(self.backbone).__name__}, {count:,} '
            f"parameters, BN mode '{self.norm_mode}', from '{checkpoint}' "
            f'(sha256 {self.sha256[:12]})',
            logger='current',
        )

    def train(self, mode: bool = True) -> 'FrozenTeacher':
        """Stay in eval mode for ever, but for BN if ``norm_mode='batch'``."""
        super().train(False)
        if self.norm_mode == 'batch':
            for module in self.modules():
                if isinstance(module, _BatchNorm):
                    # So it neither reads nor writes running statistics.
                    module.training, module.track_running_stats = True, False
        return self

    @torch.no_grad()
    def forward(self, x: Tensor | Sequence[Tensor]) -> Tensor | list[Tensor]:
        """Embed one view, or each of several.

        Args:
            x (Tensor or Sequence[Tensor]): Normalised images, [N, 3, H, W].

        Returns:
            Tensor or list[Tensor]: Embeddings, [N, D], not normalised.
        """
        if isinstance(x, Tensor):
            return self._embed(x)
        joint = self.norm_mode == 'eval' and len({v.shape for v in x}) == 1
        if joint:  # rows don't see each other
            return list(self._embed(torch.cat(list(x))).split(len(x[0])))
        return [self._embed(view) for view in x]

    @torch.no_grad()
    def passes(self, batches: Sequence[Tensor], maps: bool = False) -> list[Pass]:
        """Embed batches of images.

        Args:
            batches (Sequence[Tensor]): Normalised images, [M, 3, H, W].
            maps (bool): Whether to record feature maps, too. Defaults to
                False.

        Returns:
            list[Pass]: Of each batch.
        """
        if not maps:
            return [
                Pass(images, (), embeds)
                for images, embeds in zip(batches, self(batches))
            ]
        if self._wishes is not None and not self._plain:
            self._embed(batches[0])  # by which the backbone is rewritten
        with MapRecorder(self.backbone) as recorder:
            found = []
            for images in batches:
                embeds = self._embed(images, compiled=False)
                found.append(
                    Pass(images, tuple(m.float() for m in recorder.take()), embeds)
                )
        return found

    def take_images_of(self, preprocessor: nn.Module | None) -> None:
        """Expect images as a data preprocessor normalises them."""
        self.renormalize.take_images_of(preprocessor)

    def _embed(self, images: Tensor, compiled: bool = True) -> Tensor:
        images = self.renormalize(images)
        if self._plain:
            return self._run[0](images)
        with torch.autocast(images.device.type, enabled=False):
            if self._wishes is not None:
                self._speed_up(images)
            run = self._run[0]
            # hooks don't reach into what is compiled
            return (run if compiled else getattr(run, '_orig_mod', run))(images)

    def _speed_up(self, images: Tensor) -> None:
        wishes, self._wishes = self._wishes, None
        faster = speed_up(self._run[0], images, **wishes)
        if faster is not None:
            encoder, run = faster
            self.backbone, self.neck = encoder.backbone, encoder.neck
            self._run = (run,)
