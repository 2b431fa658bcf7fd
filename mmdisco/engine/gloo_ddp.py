import logging

from mmengine.logging import print_log
from mmengine.model import MMDistributedDataParallel, revert_sync_batchnorm
from mmengine.registry import MODEL_WRAPPERS
from torch import nn


@MODEL_WRAPPERS.register_module()
class GlooDistributedDataParallel(MMDistributedDataParallel):
    """DistributedDataParallel on CPUs, where there is no SyncBN.

    Args:
        module (nn.Module): The model; its SyncBN becomes BN, which is said.
        device_ids (None): There are none; mmengine sets it.
        broadcast_buffers (bool): Defaults to False.
        find_unused_parameters (bool): Defaults to False.
        static_graph (bool): Defaults to False.
        gradient_as_bucket_view (bool): Defaults to False.
    """

    def __init__(
        self,
        module: nn.Module,
        device_ids: None = None,
        broadcast_buffers: bool = False,
        find_unused_parameters: bool = False,
        static_graph: bool = False,
        gradient_as_bucket_view: bool = False,
    ) -> None:
        if any(isinstance(m, nn.SyncBatchNorm) for m in module.modules()):
            print_log(
                'SyncBN needs a GPU: here batch statistics are those of each process',
                logger='current',
                level=logging.WARNING,
            )
            module = revert_sync_batchnorm(module)
        super().__init__(
            module,
            device_ids=device_ids,
            broadcast_buffers=broadcast_buffers,
            find_unused_parameters=find_unused_parameters,
            static_graph=static_graph,
            gradient_as_bucket_view=gradient_as_bucket_view,
        )
