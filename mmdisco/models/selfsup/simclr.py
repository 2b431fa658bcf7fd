"""SimCLR over the images of all ranks."""

from mmengine.dist import get_world_size
from mmpretrain.models import SimCLR
from mmpretrain.registry import MODELS
from torch import Tensor


@MODELS.register_module()
class GlobalSimCLR(SimCLR):
    """SimCLR with the same gradient on any number of ranks.

    `SimCLR <https://arxiv.org/abs/2002.05709>`_ with mmpretrain's arguments,
    state-dict keys and loss. In mmpretrain's SimCLR, each rank computes the
    loss of all images but the gradient of its own embeddings only. DDP averages
    these gradients although they should be summed. Beside another loss, this
    divides the weight of SimCLR's by the number of ranks.
    """

    def loss(
        self, inputs: list[Tensor], data_samples: list | None = None
    ) -> dict[str, Tensor]:
        """The forward function in training.

        Args:
            inputs (list[Tensor]): Two views, [N, 3, H, W] each.
            data_samples (list, optional): Not used.

        Returns:
            dict[str, Tensor]: ``loss``. After DDP has averaged, its gradient
            equals that of one process with the images of all ranks.
        """
        loss = super().loss(inputs, data_samples)['loss']
        others = get_world_size() - 1
        return dict(loss=loss + others * (loss - loss.detach()))
