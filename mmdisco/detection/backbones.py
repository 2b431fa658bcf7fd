"""Student backbones without the layers that only classifiers use.

mmpretrain always builds those layers. In a detector they get no gradient, which
DistributedDataParallel rejects. The remaining tensors keep their names.
"""

from collections.abc import Sequence

from mmdet.registry import MODELS
from mmpretrain.models import EfficientNet, MobileNetV3


@MODELS.register_module()
class TrimmedEfficientNet(EfficientNet):
    """EfficientNet that ends at its last output stage.

    Args:
        arch (str): Architecture of mmpretrain's EfficientNet. Defaults to 'b0'.
        drop_path_rate (float): Stochastic depth. Defaults to 0.
        out_indices (Sequence[int]): Stages to return, 0 to 6. Defaults to
            (2, 3, 4, 5), of strides 4, 8, 16 and 32.
        conv_cfg (dict, optional): Config of convolutions. Defaults to None,
            which pads as timm and the students do.
        norm_cfg (dict): Config of norms. Defaults to the students' BN,
            synchronised.
        norm_eval (bool): Keep BN in eval mode. Defaults to False.
        with_cp (bool): Use activation checkpointing. Defaults to False.

    Raises:
        ValueError: If an index is out of range.
    """

    def __init__(
        self,
        arch: str = 'b0',
        drop_path_rate: float = 0.0,
        out_indices: Sequence[int] = (2, 3, 4, 5),
        conv_cfg: dict | None = None,
        norm_cfg: dict = dict(type='SyncBN', eps=1e-5),
        norm_eval: bool = False,
        with_cp: bool = False,
    ):
        super().__init__(
            arch,
            drop_path_rate=drop_path_rate,
            out_indices=out_indices,
            conv_cfg=conv_cfg,
            norm_cfg=norm_cfg,
            norm_eval=norm_eval,
            with_cp=with_cp,
        )
        del self.layers[max(out_indices) + 1 :]


@MODELS.register_module()
class TrimmedMobileNetV3(MobileNetV3):
    """MobileNetV3-Large that ends at its last output stage.

    Args:
        out_indices (Sequence[int]): Stages to return, 0 to 16. Defaults to
            (3, 6, 12, 16), of strides 4, 8, 16 and 32. The last one widens
            160 channels to 960.
        norm_cfg (dict): Config of norms. Defaults to the students' BN,
            synchronised.
        norm_eval (bool): Keep BN in eval mode. Defaults to False.
        with_cp (bool): Use activation checkpointing. Defaults to False.
        init_cfg (dict or list[dict], optional): Initialisation. Defaults to
            None, kaiming-normal convolutions.

    Raises:
        ValueError: If an index is out of range.
    """

    def __init__(
        self,
        out_indices: Sequence[int] = (3, 6, 12, 16),
        norm_cfg: dict = dict(type='SyncBN', eps=1e-5, momentum=0.1),
        norm_eval: bool = False,
        with_cp: bool = False,
        init_cfg: dict | Sequence[dict] | None = None,
    ):
        super().__init__(
            'large',
            out_indices=out_indices,
            norm_cfg=norm_cfg,
            norm_eval=norm_eval,
            with_cp=with_cp,
            init_cfg=init_cfg
            or dict(type='Kaiming', layer='Conv2d', nonlinearity='relu'),
        )
        for name in self.layers[max(out_indices) + 1 :]:
            delattr(self, name)
        del self.layers[max(out_indices) + 1 :]
