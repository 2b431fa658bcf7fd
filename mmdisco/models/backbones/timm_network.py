"""Any network of timm as a backbone."""

from collections.abc import Sequence
from typing import Any

from mmengine.model import BaseModule
from mmengine.utils import digit_version
from mmpretrain.registry import MODELS
from torch import Tensor, nn

from mmdisco.errors import InputError
from .nearest import nearest

OLDEST = '1.0.20'  # the first with DINOv3


def _timm() -> Any:
    """Import timm, an optional package."""
    remedy = f'pip install "timm>={OLDEST}"'
    try:
        import timm
    except ImportError as error:
        raise InputError(f'TimmNetwork needs timm: {remedy}') from error
    if digit_version(timm.__version__) < digit_version(OLDEST):
        raise InputError(f'TimmNetwork found timm {timm.__version__}: {remedy}')
    return timm


def _create(name: str, options: dict[str, Any]) -> Any:
    """Build a network of timm with random weights.

    Raises:
        InputError: If timm has no such network, or it has no such option.
    """
    timm = _timm()
    arch, _, tag = name.partition('.')
    if not timm.is_model(arch):  # an address, e.g. 'hf-hub:…', neither
        raise InputError(
            f"timm {timm.__version__} has no network '{name}'"
            f'{nearest(arch, timm.list_models())}: use one of timm.list_models()'
        )
    try:
        return timm.create_model(name, pretrained=False, num_classes=0, **options)
    except RuntimeError as error:  # an unknown tag
        raise InputError(f"timm's '{name}': {str(error).splitlines()[0]}") from error
    except TypeError as error:
        raise InputError(
            f"timm's '{name}' does not take {', '.join(options)}: leave it out"
        ) from error


def _pair(size: int | Sequence[int]) -> tuple[int, int]:
    height, width = (size, size) if isinstance(size, int) else size
    return height, width


@MODELS.register_module()
class TimmNetwork(BaseModule):
    """A network of timm by its name, with random weights.

    It goes through all layers that a user of timm's ``num_classes=0`` gets, e.g.
    the convolution behind the last map of MobileNetV4. As a teacher, it has a neck
    that selects what is distilled: :class:`ClassTokenNeck`, :class:`PooledNeck` or
    :class:`ClassAndPatchNeck`. As a student, it has ``pooled_only=True``.

    timm interpolates position embeddings bicubically with antialiasing, which
    differs a little from what the code of some families does, e.g. DINOv2's.

    Args:
        name (str): Name in timm, e.g. 'vit_small_patch14_dinov2', with a tag or
            without.
        img_size (int or Sequence[int], optional): Height and width for which
            position embeddings are built, in families that have this option.
            Defaults to None, that of the published weights.
        dynamic_img_size (bool, optional): Whether position embeddings are
            interpolated to the size of each batch. Defaults to None: in all
            families that can.
        pooled_only (bool): Return only the feature as timm pools it. It works for
            every network, also for those with several branches. Defaults to False.
        init_cfg (dict, optional): Not used: timm initialises its networks.
            Defaults to None.

    Attributes:
        options (dict): Arguments for ``timm.create_model`` beside the name and
            ``num_classes=0``.
        feat_channels (int): Width C of tokens and maps.
        pooled_channels (int): Width P of the pooled feature.
        has_class_token (bool): Whether the network has a class token.
        has_final_norm (bool): Whether tokens are normalised before they are
            pooled, False if the pooled feature is instead, e.g. BEiT's.
        mean (list[float]): Channel means, 0 to 255, for which timm's weights
            of this name were trained.
        std (list[float]): Channel deviations of the same.

    Raises:
        InputError: If timm is missing or too old, has no such network, or the
            network does not have an option.

    Example:
        >>> network = TimmNetwork('test_vit')
        >>> [x.shape[1] for x in network(torch.randn(1, 3, 160, 96))]
        [64, 64, 64]
    """

    def __init__(
        self,
        name: str,
        img_size: int | Sequence[int] | None = None,
        dynamic_img_size: bool | None = None,
        pooled_only: bool = False,
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(init_cfg)
        options: dict[str, Any] = {} if img_size is None else dict(img_size=img_size)
        if dynamic_img_size is not None:
            options['dynamic_img_size'] = dynamic_img_size
            network = _create(name, options)
        else:
            try:
                network = _create(name, dict(options, dynamic_img_size=True))
                options['dynamic_img_size'] = True
            except InputError:  # convolutional, for instance
                network = _create(name, options)
        self.name = name
        self.options = options
        self.network = network
        self.pooled_only = pooled_only
        self.feat_channels: int = network.num_features
        self.pooled_channels: int = getattr(
            network, 'head_hidden_size', self.feat_channels
        )
        token = getattr(network, 'cls_token', None)
        self.has_class_token = token is not None
        self._prefix: int = getattr(
            network,
            'num_prefix_tokens',
            getattr(network, 'num_tokens', int(self.has_class_token)),  # PiT's
        )
        self.has_final_norm = not isinstance(
            getattr(network, 'norm', None), nn.Identity
        )
        config = network.pretrained_cfg
        self.mean, self.std = (
            [255.0 * value for value in config[key]] for key in ('mean', 'std')
        )

    def init_weights(self) -> None:
        """Keep timm's initial weights."""

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """Compute features.

        Args:
            images (Tensor): Normalised images, [N, 3, H, W].

        Returns:
            tuple[Tensor]: The last map or the patch tokens as a map,
            [N, C, h, w]; the class token [N, C], if there is one; and the
            feature as timm pools it, [N, P]. With ``pooled_only``, the last alone.

        Raises:
            InputError: If the network does not take images of this size, or has
                several branches.
        """
        self.check_size(images.shape[2], images.shape[3])
        if self.pooled_only:
            return (self.network(images),)
        feats = self.network.forward_features(images)
        if not isinstance(feats, Tensor):  # e.g. CrossViT
            raise InputError(
                f"timm's '{self.name}' has several branches of features: set "
                'pooled_only=True, or use a network with one'
            )
        pooled = self.network.forward_head(feats, pre_logits=True)  # [N, P]
        if feats.dim() == 3:  # [N, L, C]
            grid = self._grid(images, feats.shape[1] - self._prefix)
            maps = feats[:, self._prefix :].transpose(1, 2).unflatten(2, grid)
            if self.has_class_token:
                return maps, feats[:, 0], pooled
            return maps, pooled
        if feats.shape[1] != self.feat_channels:  # [N, h, w, C], e.g. Swin
            feats = feats.permute(0, 3, 1, 2)
        return feats, pooled

    def _grid(self, images: Tensor, tokens: int) -> tuple[int, int]:
        """Height and width of the map of patch tokens."""
        embed: Any = getattr(self.network, 'patch_embed', None)
        if hasattr(embed, 'dynamic_feat_size'):
            height, width = embed.dynamic_feat_size(images.shape[2:])
            if height * width == tokens:
                return height, width
        height = max(round((tokens * images.shape[2] / images.shape[3]) ** 0.5), 1)
        return (height, tokens // height) if tokens % height == 0 else (1, tokens)

    def check_size(self, height: int, width: int) -> None:
        """Check that the network takes images of this size, before they are read.

        Args:
            height (int): In pixels.
            width (int): In pixels.

        Raises:
            InputError: If it does not.
        """
        embed = getattr(self.network, 'patch_embed', None)
        patch = getattr(embed, 'patch_size', None)
        if patch is None or getattr(embed, 'dynamic_img_pad', False):
            return
        rows, columns = _pair(patch)
        stride = getattr(getattr(embed, 'proj', None), 'stride', None)
        if stride is not None and _pair(stride) != (rows, columns):
            return  # overlapping patches take any size, e.g. PVT-v2's
        if height % rows or width % columns:
            fit = max(height // rows, 1) * rows, max(width // columns, 1) * columns
            raise InputError(
                f"timm's '{self.name}' has patches of {rows}x{columns} pixels, the "
                f'images have {height}x{width}: use a multiple, e.g. {fit[0]}x{fit[1]}'
            )
        size = getattr(embed, 'img_size', None)
        if size is None or not getattr(embed, 'strict_img_size', False):
            return
        if (height, width) != _pair(size):
            raise InputError(
                f"timm's '{self.name}' is built for images of {size[0]}x{size[1]} "
                f'pixels, these have {height}x{width}: set its img_size, or '
                'dynamic_img_size=True where the family has it'
            )
