import logging
from pathlib import Path
from typing import Any

from mmengine.device import get_device
from mmengine.dist import broadcast
from mmengine.fileio import LocalBackend, register_backend
from mmengine.logging import print_log
from mmengine.model import MMDistributedDataParallel, revert_sync_batchnorm
from mmengine.registry import MODEL_WRAPPERS
from mmengine.runner import Runner
from mmpretrain.registry import RUNNERS
from torch import nn

from mmdisco.launch.speed import set_up_process
from mmdisco.models.fast.student import speed_up_student
from mmdisco.utils import atomic_write


class AtomicBackend(LocalBackend):
    """Local files that are there in full or not at all.

    mmengine writes a checkpoint in place, so a kill meanwhile leaves a broken
    newest file. ``CheckpointHook(backend_args=dict(backend='atomic'))``
    writes beside it and renames.
    """

    def put(self, obj: bytes, filepath: str | Path) -> None:
        """Write bytes to ``filepath``.

        Args:
            obj (bytes): The content.
            filepath (str or Path): Where to; folders are made.
        """
        with atomic_write(filepath) as half:
            super().put(obj, half)


register_backend('atomic', AtomicBackend, force=True)


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


@RUNNERS.register_module()
class FastRunner(Runner):
    """mmengine's runner, whose model is rewritten for speed when it is built.

    The config's ``speed`` says how: the arguments ``channels_last`` and
    ``compile`` of :func:`speed_up_student`, and what
    :func:`set_up_process` does to the process. ``tools/train.py --speed``
    sets all.
    """

    def wrap_model(self, model_wrapper_cfg: dict | None, model: nn.Module) -> nn.Module:
        """Rewrite the model, then wrap it for several processes.

        Args:
            model_wrapper_cfg (dict, optional): Of the wrapper.
            model (nn.Module): As it was built.

        Returns:
            nn.Module: The wrapped model, or the model itself.
        """
        speed = self.cfg.speed
        set_up_process(speed)
        model = model.to(get_device())
        init_weights: Any = getattr(model, 'init_weights', None)
        if init_weights:
            # before: random numbers fill a tensor in the order of its memory
            init_weights()
        speed_up_student(model, speed.channels_last, speed.compile)
        return super().wrap_model(model_wrapper_cfg, model)

    def _init_model_weights(self) -> None:
        """Have all ranks start alike; the weights are initialised already."""
        for value in self.model.state_dict().values():
            broadcast(value)
