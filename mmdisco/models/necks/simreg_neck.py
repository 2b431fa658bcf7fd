"""Prediction head of SimReg (https://arxiv.org/abs/2201.05131)."""

from mmengine.model import BaseModule
from mmpretrain.registry import MODELS
from torch import Tensor, nn


@MODELS.register_module()
class SimRegNeck(BaseModule):
    """Head that predicts the features of the teacher's backbone.

    `SimReg <https://arxiv.org/abs/2201.05131>`_: four linear layers, C to 2C,
    to C, to 2C, to the teacher's width D; batch norm and ReLU after the first
    and the third. Nothing is between the second and the third, as in the
    released code, where two heads meet. It is discarded after training.

    Args:
        in_channels (int): Width of the student's feature, C.
        out_channels (int): Width of the teacher's feature, D.
        init_cfg (dict, optional): Initialization config. Defaults to None,
            torch's initialization.
    """

    def __init__(
        self, in_channels: int, out_channels: int, init_cfg: dict | None = None
    ) -> None:
        super().__init__(init_cfg)
        wide = 2 * in_channels
        self.mlp = nn.Sequential(
            nn.Linear(in_channels, wide),
            nn.BatchNorm1d(wide),
            nn.ReLU(inplace=True),
            nn.Linear(wide, in_channels),
            nn.Linear(in_channels, wide),
            nn.BatchNorm1d(wide),
            nn.ReLU(inplace=True),
            nn.Linear(wide, out_channels),
        )

    def forward(self, x: tuple[Tensor]) -> tuple[Tensor]:
        """Predict from the features of the backbone.

        Args:
            x (tuple[Tensor]): The last is a feature map, [N, C, H, W], which
                is averaged over positions, or a feature, [N, C].

        Returns:
            tuple[Tensor]: Predictions, [N, D], of any norm.
        """
        feat = x[-1] if x[-1].dim() == 2 else x[-1].mean((2, 3))  # [N, C]
        return (self.mlp(feat),)
