"""Runner of --speed, atomic checkpoints and DDP on CPUs."""

import inspect
import logging
from pathlib import Path

from mmengine.device import get_device
from mmengine.dist import broadcast
from mmengine.fileio import LocalBackend, register_backend
from mmengine.logging import print_log
from mmengine.model import (
    BaseModel,
    MMDistributedDataParallel,
    revert_sync_batchnorm,
)
from mmengine.registry import MODEL_WRAPPERS
from mmengine.runner import Runner
from mmpretrain.registry import RUNNERS
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from mmdisco.launch.speed import set_up_process
from mmdisco.models.fast.student import speed_up_student
from mmdisco.utils import atomic_write


class AtomicBackend(LocalBackend):
    """Local file backend with atomic writes.

    mmengine writes checkpoints in place: if the run is killed meanwhile, the
    newest file is broken. ``CheckpointHook(backend_args=dict(backend='atomic'))``
    writes a temporary file and renames it.
    """

    def put(self, obj: bytes, filepath: str | Path) -> None:
        """Write bytes to ``filepath``.

        Args:
            obj (bytes): The content.
            filepath (str or Path): The file; missing folders are created.
        """
        with atomic_write(filepath) as temporary:
            super().put(obj, temporary)


register_backend('atomic', AtomicBackend, force=True)


def buffer_options(broadcast: bool = False) -> dict[str, bool]:
    """DDP's option to broadcast buffers at each forward pass.

    Newer versions of torch deprecate ``broadcast_buffers`` in favour of
    ``forward_sync_buffers``, which broadcasts them once when False. mmengine's
    runner does so, too.

    Args:
        broadcast (bool): The option. Defaults to False.

    Returns:
        dict[str, bool]: The option under its name in the installed torch.
    """
    name = 'forward_sync_buffers'
    if name not in inspect.signature(DistributedDataParallel).parameters:
        name = 'broadcast_buffers'
    return {name: broadcast}


@MODEL_WRAPPERS.register_module()
class GlooDistributedDataParallel(MMDistributedDataParallel):
    """DistributedDataParallel on CPUs, which lack SyncBN.

    Args:
        module (nn.Module): The model; its SyncBN becomes BN, with a warning.
        device_ids (None): Set by mmengine; None on CPUs. Defaults to None.
        broadcast_buffers (bool): As in DDP. Defaults to False.
        find_unused_parameters (bool): As in DDP. Defaults to False.
        static_graph (bool): As in DDP. Defaults to False.
        gradient_as_bucket_view (bool): As in DDP. Defaults to False.
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
                'SyncBN needs a GPU: batch statistics are per process here',
                logger='current',
                level=logging.WARNING,
            )
            module = revert_sync_batchnorm(module)
        super().__init__(
            module,
            device_ids=device_ids,
            **buffer_options(broadcast_buffers),
            find_unused_parameters=find_unused_parameters,
            static_graph=static_graph,
            gradient_as_bucket_view=gradient_as_bucket_view,
        )


@RUNNERS.register_module()
class FastRunner(Runner):
    """mmengine's runner, which speeds up the model after building it.

    The config's ``speed`` has the arguments ``channels_last`` and ``compile`` of
    :func:`speed_up_student`, and the process settings of :func:`set_up_process`.
    ``tools/train.py --speed`` sets all of them.
    """

    def wrap_model(self, model_wrapper_cfg: dict | None, model: BaseModel) -> nn.Module:
        """Speed up the model, then wrap it for distributed training.

        Args:
            model_wrapper_cfg (dict, optional): Config of the wrapper.
            model (BaseModel): The model as built.

        Returns:
            nn.Module: The wrapped model, or the model itself.
        """
        speed = self.cfg.speed
        set_up_process(speed)
        model = model.to(get_device())
        if hasattr(model, 'init_weights'):
            # first: random numbers fill a tensor in its memory order
            model.init_weights()
        speed_up_student(model, speed.channels_last, speed.compile)
        ddp = 'MMDistributedDataParallel'
        if model_wrapper_cfg and model_wrapper_cfg.get('type', ddp) == ddp:
            cfg = dict(model_wrapper_cfg)
            if 'broadcast_buffers' in cfg:
                cfg.update(buffer_options(cfg.pop('broadcast_buffers')))
            model_wrapper_cfg = cfg
        return super().wrap_model(model_wrapper_cfg, model)

    def _init_model_weights(self) -> None:
        """Broadcast the weights, which are already initialised."""
        for value in self.model.state_dict().values():
            broadcast(value)
