"""DINO (https://arxiv.org/abs/2104.14294)."""

from itertools import groupby

import torch
from mmcv.cnn.bricks import DropPath
from mmpretrain.models import BaseSelfSupervisor
from mmpretrain.registry import MODELS
from torch import Tensor, nn

from mmdisco.errors import InputError
from mmdisco.models.tap import embed_dim
from .ema import ForeachEMA


@MODELS.register_module()
class DINO(BaseSelfSupervisor):
    """Self-distillation of a student and its momentum encoder.

    `DINO <https://arxiv.org/abs/2104.14294>`_: the student's output for each
    crop is compared with the momentum encoder's output for each other global
    crop. The paper calls the momentum encoder the teacher. mmpretrain's DINO
    in ``projects`` is not used: it never updates its momentum encoder and does
    not expose the bottleneck.

    Args:
        backbone (dict): The student's backbone. The momentum encoder has no
            drop path.
        neck (dict): The projection head up to its bottleneck, for example
            :class:`DINONeck`.
        head (dict): The last layer and the loss, for example
            :class:`DINOHead`.
        global_crops (int): Number of global crops, of one size. They are the
            first views. Defaults to 2.
        base_momentum (float): Share of the student in each update of the
            momentum encoder at the start of training, 1 - m of the paper.
            :class:`MomentumHook` lowers it. Defaults to 0.004.
        pretrained (str, optional): Checkpoint. Defaults to None.
        data_preprocessor (dict, optional): Defaults to None.
        init_cfg (dict or list[dict], optional): Defaults to None.
    """

    def __init__(
        self,
        backbone: dict,
        neck: dict,
        head: dict,
        global_crops: int = 2,
        base_momentum: float = 0.004,
        pretrained: str | None = None,
        data_preprocessor: dict | None = None,
        init_cfg: list[dict] | dict | None = None,
    ) -> None:
        super().__init__(
            backbone=backbone,
            neck=neck,
            head=head,
            pretrained=pretrained,
            data_preprocessor=data_preprocessor,
            init_cfg=init_cfg,
        )
        width, in_channels = embed_dim(self.neck), self.head.last_layer.in_features
        if width != in_channels:
            raise InputError(
                f'the neck gives {width}-d embeddings, head.in_channels is '
                f'{in_channels}: set it to {width}'
            )
        self.global_crops = global_crops
        self.momentum_encoder = ForeachEMA(self._network(), base_momentum)
        for module in self.momentum_encoder.modules():
            if isinstance(module, DropPath):
                module.drop_prob = 0.0

    def loss(
        self, inputs: list[Tensor], data_samples: list | None = None
    ) -> dict[str, Tensor]:
        """The forward function in training.

        Args:
            inputs (list[Tensor]): Crops, [N, 3, H, W] each, the global ones
                first.
            data_samples (list, optional): Not used.

        Returns:
            dict[str, Tensor]: ``loss``.
        """
        if len(inputs) < max(self.global_crops, 2):
            raise InputError(
                f'DINO compares a global crop with other crops: '
                f'{len(inputs)} views, global_crops={self.global_crops}'
            )
        sizes = groupby(inputs, key=lambda view: view.shape[2:])
        embeds = torch.cat(
            [  # [V * N, D], a pass for each size
                self.neck(self.backbone(torch.cat(list(views))))[0]
                for _, views in sizes
            ]
        )
        logits = self.head(embeds).chunk(len(inputs))  # V of [N, K]
        targets = self._encode(inputs[: self.global_crops])  # of [N, K]
        return dict(loss=self.head.loss(logits, targets))

    @torch.no_grad()
    def _encode(self, views: list[Tensor]) -> list[Tensor]:
        self.momentum_encoder.update_parameters(self._network())
        backbone, neck, last_layer = self.momentum_encoder.module
        embeds = neck(backbone(torch.cat(views)))[0]
        return last_layer(embeds).chunk(len(views))

    def _network(self) -> nn.Sequential:
        return nn.Sequential(self.backbone, self.neck, self.head.last_layer)
