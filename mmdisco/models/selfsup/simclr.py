from mmengine.dist import get_world_size
from mmpretrain.models import SimCLR
from mmpretrain.registry import MODELS
from torch import Tensor


@MODELS.register_module()
class GlobalSimCLR(SimCLR):
    """SimCLR whose gradient is the same on any number of ranks.

    `SimCLR <https://arxiv.org/abs/2002.05709>`_ with mmpretrain's arguments,
    keys and loss. There each rank has the loss of all images, but a gradient
    to its own embeddings only, and DDP takes the mean of what is to be summed:
    next to another loss that is a weight of one in as many as there are ranks.
    """

    def loss(
        self, inputs: list[Tensor], data_samples: list | None = None
    ) -> dict[str, Tensor]:
        """Forward in training.

        Args:
            inputs (list[Tensor]): Two views, [N, 3, H, W] each.
            data_samples (list, optional): Not used.

        Returns:
            dict[str, Tensor]: ``loss``, whose gradient is that of one process
            on the images of all ranks once DDP has averaged.
        """
        loss = super().loss(inputs, data_samples)['loss']
        others = get_world_size() - 1
        return dict(loss=loss + others * (loss - loss.detach()))
