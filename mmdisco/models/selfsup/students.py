"""Students that learn from the teacher alone."""

from collections.abc import Sequence

import torch
from mmpretrain.models import BaseSelfSupervisor
from mmpretrain.registry import MODELS
from torch import Tensor, nn

from mmdisco.errors import InputError
from ..tap import unwrap
from .ema import ForeachEMA


@MODELS.register_module()
class PlainStudent(BaseSelfSupervisor):
    """A student without a task of its own.

    It only embeds views, so it learns from distillation alone, for example by
    `SEED <https://arxiv.org/abs/2101.04731>`_, and spends no time on a momentum
    encoder, queue or head.

    Args:
        backbone (dict): The student's backbone.
        neck (dict): The student's projection head.
        views (Sequence[int]): Views that it embeds. Defaults to (0, ).
        data_preprocessor (dict, optional): Defaults to None.
        init_cfg (dict or list[dict], optional): Defaults to None.
    """

    def __init__(
        self,
        backbone: dict,
        neck: dict,
        views: Sequence[int] = (0,),
        data_preprocessor: dict | None = None,
        init_cfg: list[dict] | dict | None = None,
    ) -> None:
        super().__init__(
            backbone=backbone,
            neck=neck,
            data_preprocessor=data_preprocessor,
            init_cfg=init_cfg,
        )
        self.views = tuple(views)

    def loss(
        self, inputs: list[Tensor], data_samples: list | None = None
    ) -> dict[str, Tensor]:
        """Embed the views.

        Args:
            inputs (list[Tensor]): Views, [N, 3, H, W] each.
            data_samples (list, optional): Not used.

        Returns:
            dict[str, Tensor]: Empty.
        """
        if max(self.views) >= len(inputs):
            raise InputError(
                f'{type(self).__name__} embeds the views {list(self.views)}, '
                f'the data give {len(inputs)}: set model.ssl.views, or '
                'num_views of the pipeline (BINGO needs a dataset of type Bags)'
            )
        for view in self.views:
            self.neck(self.backbone(inputs[view]))
        return {}


@MODELS.register_module()
class MomentumStudent(PlainStudent):
    """A student without a task of its own, and its moving average.

    For `CompRess <https://arxiv.org/abs/2010.14713>`_ with two memories, which
    compares the student with its momentum encoder's features of earlier
    images. Batch norm of the momentum encoder uses the statistics of the
    batch, as in the released code.

    Args:
        backbone (dict): The student's backbone.
        neck (dict): The student's projection head, or a pooling.
        views (Sequence[int]): Views that it embeds. Defaults to (0, ).
        momentum (float): Share of the student in each update of the momentum
            encoder, 1 - m of the paper. Defaults to .001.
        data_preprocessor (dict, optional): Defaults to None.
        init_cfg (dict or list[dict], optional): Defaults to None.

    Attributes:
        keys (dict[int, Tensor]): The momentum encoder's embeddings [N, D] of
            the last step by view.
    """

    def __init__(
        self,
        backbone: dict,
        neck: dict,
        views: Sequence[int] = (0,),
        momentum: float = 0.001,
        data_preprocessor: dict | None = None,
        init_cfg: list[dict] | dict | None = None,
    ) -> None:
        super().__init__(backbone, neck, views, data_preprocessor, init_cfg)
        self.momentum_encoder = ForeachEMA(self._network(), momentum)
        self.keys: dict[int, Tensor] = {}

    def loss(
        self, inputs: list[Tensor], data_samples: list | None = None
    ) -> dict[str, Tensor]:
        """Embed the views with the student and with its moving average.

        Args:
            inputs (list[Tensor]): Views, [N, 3, H, W] each.
            data_samples (list, optional): Not used.

        Returns:
            dict[str, Tensor]: Empty.
        """
        super().loss(inputs)
        with torch.no_grad():
            self.momentum_encoder.update_parameters(self._network())
            self.keys = {
                view: unwrap(self.momentum_encoder(inputs[view])) for view in self.views
            }  # [N, D] each
        return {}

    def _network(self) -> nn.Sequential:
        return nn.Sequential(self.backbone, self.neck)
