"""The frozen teacher, its input normalisation, and how a model hides it."""

from collections.abc import Callable, Sequence

import torch
from mmengine.logging import print_log
from mmengine.model import revert_sync_batchnorm
from mmpretrain.models import GlobalAveragePooling
from mmpretrain.registry import MODELS
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from mmdisco.checkpoints import (
    check_teacher_file,
    licence_of,
    load_strictly,
    read_teacher,
    read_timm,
    read_torchvision,
)
from mmdisco.checkpoints.safe_load import safe_load, sha256_of
from mmdisco.errors import InputError
from .backbones import TimmNetwork, TorchvisionNetwork
from .backbones.torchvision_network import MEAN, STD
from .fast.teacher import DTYPES, Compiled, Encoder, SpeedOptions, speed_up
from .host import Part, build
from .necks import FeatureNeck
from .stored_teacher import StoredTeacher
from .tap import Batch, ForwardRecord, MapRecorder, Views, by_view


class Renormalize(nn.Module):
    """Re-normalises images from the student's statistics to the teacher's.

    Args:
        mean (Sequence[float], optional): The teacher's channel means, 0 to
            255. Defaults to None: images stay as they are.
        std (Sequence[float], optional): The teacher's channel deviations, 0 to
            255. Defaults to None.
    """

    scale: Tensor | None
    shift: Tensor | None

    def __init__(
        self,
        mean: Sequence[float] | None = None,
        std: Sequence[float] | None = None,
    ) -> None:
        super().__init__()
        self.mean, self.std = mean, std
        for name in ('scale', 'shift'):
            self.register_buffer(name, None, persistent=False)

    def match(self, preprocessor: nn.Module | None) -> None:
        """Set the statistics of the images to come.

        Args:
            preprocessor (nn.Module, optional): The student's data preprocessor,
                with ``mean`` and ``std``.

        Raises:
            InputError: If this has statistics and the preprocessor has none.
        """
        if self.mean is None or self.std is None:
            return
        mean, std = (getattr(preprocessor, name, None) for name in ('mean', 'std'))
        if mean is None or std is None:
            raise InputError(
                f'the teacher needs images of mean {list(self.mean)}, but the '
                "student's data preprocessor normalises none: set "
                'data_preprocessor.mean and .std'
            )
        own_mean, own_std = (
            torch.tensor(v, dtype=torch.float32).view(-1, 1, 1)
            for v in (self.mean, self.std)
        )  # [3, 1, 1]
        mean, std = mean.cpu(), std.cpu()
        scale, shift = std / own_std, (mean - own_mean) / own_std
        alike = torch.allclose(scale, torch.ones(1)) and torch.allclose(
            shift, torch.zeros(1)
        )
        self.scale, self.shift = (None, None) if alike else (scale, shift)

    def forward(self, images: Tensor) -> Tensor:
        """Re-normalise images, [N, 3, H, W]."""
        if self.scale is None or self.shift is None:
            return images
        return torch.addcmul(self.shift, images.float(), self.scale)


def check_options(
    norm_mode: str,
    dtype: str,
    fuse: bool,
    mean: Sequence[float] | None,
    std: Sequence[float] | None,
) -> None:
    """Check the options of a teacher that do not depend on its networks.

    Args:
        norm_mode (str): 'eval' or 'batch'.
        dtype (str): 'fp32', 'bf16' or 'fp16'.
        fuse (bool): Whether to fold BN.
        mean (Sequence[float], optional): Channel means.
        std (Sequence[float], optional): Channel deviations.

    Raises:
        InputError: If an option is unknown, or two contradict each other.
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
            f'the teacher has mean={mean}, std={std}: set both, or none of them'
        )
    if mean is None or std is None:
        return
    if not (len(mean) == len(std) in (1, 3) and min(std) > 0):
        raise InputError(
            f'the teacher has mean={list(mean)}, std={list(std)}: set one value '
            'for each of three channels, and std above 0'
        )


@MODELS.register_module()
class FrozenTeacher(nn.Module):
    """A frozen network with its projection head, or with a neck without weights.

    Every tensor must load, so a teacher never has random weights by accident.

    ``fuse``, ``dtype``, ``channels_last`` and ``compile`` are for speed. The
    rewritten network is compared with the plain one on the first batch and
    not used if it differs. With any of them, ``dtype`` overrides autocast.

    Args:
        backbone (dict or nn.Module): The backbone.
        neck (dict or nn.Module): The projection head, since DisCo distils
            the final embedding. For methods that distil the backbone's
            feature, a neck without parameters: ``GlobalAveragePooling``, or
            ``ClassTokenNeck``, ``PooledNeck`` or ``ClassAndPatchNeck`` for a
            :class:`TimmNetwork`; ``PooledNeck`` also for other backbones.
        checkpoint (str, optional): A local file with both. It may be None only
            if both are built modules. Defaults to None.
        url (str, optional): Address of that file. Never downloaded; shown in
            the error if the file is missing. Defaults to None.
        norm_mode (str): 'eval' uses the running statistics of BN. 'batch'
            uses the statistics of the batch in every BN, also in the head, and
            leaves the running statistics unchanged, as the released code of
            `DisCo <https://arxiv.org/abs/2104.09124>`_. Defaults to 'eval'.
        mean (Sequence[float], optional): Channel means of the teacher's
            images, 0 to 255. Defaults to None: as the student's, or those of
            the library's weights for a :class:`TimmNetwork` or a
            :class:`TorchvisionNetwork` without a head.
        std (Sequence[float], optional): Channel deviations of the teacher's
            images, 0 to 255. Defaults to None.
        fuse (bool): Whether to fold BN into convolutions and linear layers.
            Needs ``norm_mode='eval'``. Defaults to False.
        dtype (str): Precision of the network: 'fp32', 'bf16' or 'fp16'.
            Embeddings are fp32. Defaults to 'fp32'.
        channels_last (bool): Whether weights and images have the memory format
            channels-last. Defaults to False.
        compile (bool): Whether to ``torch.compile`` the network. Defaults to
            False.

    Raises:
        FileNotFoundError: If ``checkpoint`` does not exist.
        InputError: If ``checkpoint`` is None or not a checkpoint, has no
            projection head or does not fit the networks; or if an option is
            unknown.
    """

    def __init__(
        self,
        backbone: Part,
        neck: Part,
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
        built = isinstance(backbone, nn.Module) and isinstance(neck, nn.Module)
        if checkpoint is None and not built:
            raise InputError('the teacher has no weights: set model.teacher.checkpoint')
        # mmengine reverts SyncBN of a model that is not distributed, but it
        # does not see the teacher
        self.backbone = revert_sync_batchnorm(build(backbone, 'backbone'))
        self.neck = revert_sync_batchnorm(build(neck, 'neck'))
        timm = self.backbone if isinstance(self.backbone, TimmNetwork) else None
        if isinstance(self.neck, FeatureNeck):
            self.neck.check(self.backbone)
            # one with a head, or a classifier, was trained like the student
            if timm and mean is None:
                mean, std = timm.mean, timm.std
            elif isinstance(self.backbone, TorchvisionNetwork) and mean is None:
                mean, std = MEAN, STD
        elif timm and isinstance(self.neck, GlobalAveragePooling):
            raise InputError(
                'GlobalAveragePooling averages maps, TimmNetwork also returns pooled '
                'features: use PooledNeck'
            )
        self.norm_mode = norm_mode
        self.renormalize = Renormalize(mean, std)
        options = SpeedOptions(fuse, dtype, channels_last, compile)
        self._plain = options == SpeedOptions()
        # applied in the first step, then None
        self._options: SpeedOptions | None = options
        # in a tuple, it is not a submodule
        self._run: tuple[Callable[[Tensor], Tensor]] = (
            Encoder(self.backbone, self.neck),
        )
        self.checkpoint = checkpoint
        self.sha256: str | None = None
        if checkpoint is not None:
            self._load(checkpoint, self._read(checkpoint, url))
        self.requires_grad_(False)
        self.train(False)

    def _read(self, checkpoint: str, url: str | None) -> dict:
        """Tensors of the file, ``backbone.*`` and ``neck.*``."""
        head, backbone = bool(list(self.neck.parameters())), self.backbone
        if head or not isinstance(backbone, TimmNetwork | TorchvisionNetwork):
            return read_teacher(checkpoint, backbone, url, head)
        check_teacher_file(checkpoint, url)
        loaded = safe_load(checkpoint)
        content = loaded.get('state_dict') if isinstance(loaded, dict) else None
        if any('backbone.network.' in str(key) for key in content or ()):
            return read_teacher(checkpoint, backbone, url, head)
        name, network = backbone.name, backbone.network
        if isinstance(backbone, TimmNetwork):
            library, weights = 'timm', read_timm(loaded, checkpoint, network, name)
        else:
            library, weights = (
                'torchvision',
                read_torchvision(
                    loaded, checkpoint, network, name, backbone.classifier
                ),
            )
        mean, std = self.renormalize.mean, self.renormalize.std
        print_log(
            f"{library}'s '{name}': {weights.report()}; images of mean {mean} and std "
            f'{std}',
            logger='current',
        )
        return {f'backbone.network.{k}': v for k, v in weights.state_dict.items()}

    def _load(self, checkpoint: str, state_dict: dict) -> None:
        load_strictly(self, state_dict, f"teacher file '{checkpoint}'")
        self.sha256 = sha256_of(checkpoint)
        count = sum(p.numel() for p in self.parameters())
        print_log(
            f'Frozen teacher: {type(self.backbone).__name__}, {count:,} '
            f"parameters, BN mode '{self.norm_mode}', from '{checkpoint}' "
            f'(sha256 {self.sha256[:12]}), '
            f'{licence_of(checkpoint) or "licence unknown: not a file of the index"}',
            logger='current',
        )

    def train(self, mode: bool = True) -> 'FrozenTeacher':
        """Stay in eval mode, except BN if ``norm_mode='batch'``."""
        super().train(False)
        if self.norm_mode == 'batch':
            for module in self.modules():
                if isinstance(module, _BatchNorm):
                    # neither reads nor writes running statistics
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
        if joint:  # rows are independent
            return list(self._embed(torch.cat(list(x))).split(len(x[0])))
        return [self._embed(view) for view in x]

    @torch.no_grad()
    def views(
        self,
        batches: Sequence[Batch],
        maps: bool = False,
        stored: object = None,
    ) -> Views:
        """Embed views.

        Args:
            batches (Sequence[Batch]): Normalised images and the rows of each
                view.
            maps (bool): Whether to record feature maps, too. Defaults to
                False.
            stored (object): Not used; for :class:`StoredTeacher`.

        Returns:
            dict[int, ViewOutputs]: Outputs by index of the view.
        """
        images = [batch.images for batch in batches]
        records = (
            self._with_maps(images)
            if maps
            else [ForwardRecord(i, (), e) for i, e in zip(images, self(images))]
        )
        return by_view(batches, records)

    def _with_maps(self, batches: Sequence[Tensor]) -> list[ForwardRecord]:
        if self._options is not None and not self._plain:
            self._embed(batches[0])  # rewrites the backbone
        with MapRecorder(self.backbone) as recorder:
            records = []
            for images in batches:
                embeds = self._embed(images, compiled=False)
                maps = tuple(m.float() for m in recorder.take())
                records.append(ForwardRecord(images, maps, embeds))
        return records

    def match_normalisation(self, preprocessor: nn.Module | None) -> None:
        """Adapt to the student's input normalisation.

        Args:
            preprocessor (nn.Module, optional): The student's data preprocessor.

        Raises:
            InputError: If the teacher needs normalised images and there are
                none.
        """
        self.renormalize.match(preprocessor)

    def _embed(self, images: Tensor, compiled: bool = True) -> Tensor:
        images = self.renormalize(images)
        if self._plain:
            return self._run[0](images)
        with torch.autocast(images.device.type, enabled=False):
            self._speed_up(images)
            run = self._run[0]
            # hooks don't see inside a compiled network
            if isinstance(run, Compiled) and not compiled:
                run = run.plain
            return run(images)

    def _speed_up(self, images: Tensor) -> None:
        options, self._options = self._options, None
        if options is None:
            return
        plain = Encoder(self.backbone, self.neck)
        faster = speed_up(plain, images, *options)
        exact = options._replace(dtype='fp32')
        if faster is None and exact not in (options, SpeedOptions()):
            print_log('The teacher is rewritten in fp32 instead', logger='current')
            faster = speed_up(plain, images, *exact)
        if faster is not None:
            encoder, run = faster
            self.backbone, self.neck = encoder.backbone, encoder.neck
            self._run = (run,)


class TeacherMixin:
    """Holds a frozen teacher that is invisible to the model.

    In a tuple, the teacher is not a submodule: it is not in the state dict,
    the optimizer, DDP or ``init_weights``. It follows the model to its device
    and dtype all the same.
    """

    def hold_teacher(self, teacher: Part) -> None:
        """Set the teacher.

        Args:
            teacher (dict or nn.Module): A :class:`FrozenTeacher` or
                :class:`StoredTeacher`.

        Raises:
            TypeError: If it is neither a config dict nor a module.
            InputError: If it is another network.
        """
        built = build(teacher, 'teacher')
        if not isinstance(built, FrozenTeacher | StoredTeacher):
            raise InputError(
                f'the teacher is a {type(built).__name__}: set model.teacher.type to '
                'FrozenTeacher or FrozenClassifier'
            )
        self._teacher = (built,)

    @property
    def teacher(self) -> FrozenTeacher | StoredTeacher:
        """The frozen teacher."""
        return self._teacher[0]

    def _apply(self, fn: Callable, *args, **kwargs) -> nn.Module:
        self.teacher._apply(fn, *args, **kwargs)
        return super()._apply(fn, *args, **kwargs)  # type: ignore[misc]
