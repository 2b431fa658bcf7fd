"""MoCo-v2 with fewer copies and synchronisations."""

import torch
import torch.nn.functional as F
from mmengine.dist import all_gather, get_world_size
from mmpretrain.models import MoCo
from mmpretrain.models.utils import batch_shuffle_ddp, batch_unshuffle_ddp
from mmpretrain.registry import MODELS
from torch import Tensor, nn

from mmdisco.errors import InputError
from .ema import ForeachEMA


@MODELS.register_module()
class LeanMoCo(MoCo):
    """mmpretrain's MoCo, faster.

    `MoCo <https://arxiv.org/abs/1911.05722>`_ with mmpretrain's arguments,
    state-dict keys and, up to rounding, results:

    - The queue is not cloned in each step: keys enter it in the backward pass,
      right after the gradient of the queries has been computed from it.
    - A single process does not shuffle its keys.
    - The momentum encoder is updated for all tensors at once.
    - Similarities are fp32 under autocast.
    - A single process never waits for the device.

    So one backward pass must follow each ``loss`` before the next one; without
    gradients keys enter at once. Set ``queue_ptr`` by loading a state dict.

    Args:
        backbone (dict): The student's backbone.
        neck (dict): The student's projection head.
        head (dict): Contrastive head: ``loss(pos, neg)``.
        queue_len (int): Keys in the queue, K. Defaults to 65536.
        feat_dim (int): Width of the embeddings, C. Defaults to 128.
        momentum (float): Share of the student in each update of the momentum
            encoder. Defaults to 0.001.
        pretrained (str, optional): Checkpoint. Defaults to None.
        data_preprocessor (dict, optional): Defaults to None.
        init_cfg (dict or list[dict], optional): Defaults to None.
    """

    _pointer: int | None = None  # ``queue_ptr`` on the host

    def __init__(
        self,
        backbone: dict,
        neck: dict,
        head: dict,
        queue_len: int = 65536,
        feat_dim: int = 128,
        momentum: float = 0.001,
        pretrained: str | None = None,
        data_preprocessor: dict | None = None,
        init_cfg: list[dict] | dict | None = None,
    ) -> None:
        super().__init__(
            backbone,
            neck,
            head,
            queue_len,
            feat_dim,
            momentum,
            pretrained,
            data_preprocessor,
            init_cfg,
        )
        self.encoder_k = ForeachEMA(nn.Sequential(self.backbone, self.neck), momentum)

    def loss(
        self, inputs: list[Tensor], data_samples: list | None = None
    ) -> dict[str, Tensor]:
        """The forward function in training.

        Args:
            inputs (list[Tensor]): The query's view and the key's, [N, 3, H, W]
                each.
            data_samples (list, optional): Not used.

        Returns:
            dict[str, Tensor]: ``loss``.
        """
        query = self.neck(self.backbone(inputs[0]))[0]
        query = F.normalize(query.float(), dim=1)  # [N, C]
        key = self._encode_keys(inputs[1])  # [N, C]

        with torch.autocast(query.device.type, enabled=False):
            positive = (query * key).sum(1, keepdim=True)  # [N, 1]
            negative = query @ self.queue  # [N, K]
            loss = self.head.loss(positive, negative)

        keys = torch.cat(all_gather(key))  # [N of all ranks, C]
        if query.requires_grad:  # the backward pass still needs the queue
            query.register_hook(lambda _: self._enqueue(keys))
        else:
            self._enqueue(keys)
        return dict(loss=loss)

    @torch.no_grad()
    def _encode_keys(self, images: Tensor) -> Tensor:
        self.encoder_k.update_parameters(nn.Sequential(self.backbone, self.neck))
        several = get_world_size() > 1
        if several:  # so that BN can't leak which key belongs to a query
            images, order = batch_shuffle_ddp(images)
        else:  # draw as MoCo does, so that later random numbers are the same
            torch.randperm(len(images))
        key = F.normalize(self.encoder_k(images)[0].float(), dim=1)
        return batch_unshuffle_ddp(key, order) if several else key

    @torch.no_grad()
    def _enqueue(self, keys: Tensor) -> None:
        if self._pointer is None:
            self._pointer = int(self.queue_ptr)
        start, end = self._pointer, self._pointer + len(keys)
        if self.queue_len % len(keys):
            raise InputError(
                f'a queue of {self.queue_len} keys is not a multiple of the '
                f'global batch of {len(keys)}: set queue_len to a multiple'
            )
        self.queue[:, start:end] = keys.T
        self._pointer = end % self.queue_len
        self.queue_ptr.fill_(self._pointer)

    def _load_from_state_dict(self, *args, **kwargs) -> None:
        super()._load_from_state_dict(*args, **kwargs)
        self._pointer = None
