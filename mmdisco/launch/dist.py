"""Process groups, with or without GPUs."""

import gc
import os

import torch
import torch.distributed as torch_dist
from mmengine.config import Config
from mmengine.dist import init_dist

from mmdisco.errors import InputError
from .scope import scoped_name

# Environment variables that each launcher sets.
_VARIABLES = dict(
    pytorch=('RANK', 'WORLD_SIZE', 'MASTER_ADDR', 'MASTER_PORT'),
    slurm=('SLURM_PROCID', 'SLURM_NTASKS', 'SLURM_LOCALID'),
)


def local_rank() -> int:
    """Return this process's rank on its node, from torchrun or Slurm."""
    return int(os.environ.get('LOCAL_RANK', os.environ.get('SLURM_LOCALID', 0)))


def prepare_dist(cfg: Config, launcher: str) -> None:
    """Support distributed training without GPUs.

    mmengine sets a CUDA device for any backend and passes device ids to DDP, but
    keeps an existing process group. On a machine without CUDA, gloo is therefore
    initialised here first.

    Args:
        cfg (Config): The config; ``model_wrapper_cfg`` is set if needed.
        launcher (str): 'none', 'pytorch', 'slurm' or 'mpi'.

    Raises:
        InputError: If this process was not started by the launcher.
    """
    if not _init_without_cuda(launcher):
        return
    cfg.env_cfg.dist_cfg = dict(backend='gloo')
    cfg.model_wrapper_cfg = dict(
        type=scoped_name(cfg, 'GlooDistributedDataParallel'),
        device_ids=None,
        broadcast_buffers=False,
        find_unused_parameters=cfg.get('find_unused_parameters', False),
    )


def init_processes(launcher: str) -> None:
    """Initialise a process group, nccl or gloo, for tools without a runner.

    Args:
        launcher (str): 'none', 'pytorch' or 'slurm'.

    Raises:
        InputError: If this process was not started by the launcher.
    """
    if not _init_without_cuda(launcher) and launcher != 'none':
        init_dist(launcher, backend='nccl')


def _init_without_cuda(launcher: str) -> bool:
    """Initialise gloo if there is a launcher but no CUDA."""
    missing = [name for name in _VARIABLES.get(launcher, ()) if name not in os.environ]
    if missing:
        tool = dict(pytorch='dist', slurm='slurm')[launcher]
        raise InputError(
            f'--launcher {launcher} is for processes started by it '
            f'({", ".join(missing)} not set): use '
            f'tools/{tool}_train.sh, or {tool}_eval.sh for '
            'tools/eval'
        )
    if launcher == 'none' or torch.cuda.is_available():
        return False
    if launcher == 'slurm':
        os.environ.setdefault('RANK', os.environ['SLURM_PROCID'])
        os.environ.setdefault('WORLD_SIZE', os.environ['SLURM_NTASKS'])
        os.environ.setdefault('LOCAL_RANK', os.environ['SLURM_LOCALID'])
        os.environ.setdefault('MASTER_ADDR', '127.0.0.1')
        os.environ.setdefault('MASTER_PORT', '29500')
    elif launcher == 'mpi':
        raise InputError(
            '--launcher mpi needs CUDA; without a GPU use tools/dist_train.sh'
        )
    if not torch_dist.is_initialized():
        torch_dist.init_process_group('gloo')
    return True


def leave_group() -> None:
    """Destroy the process group, if any, after all collectives.

    gloo's threads may still need the interpreter to free tensors; if it exits
    meanwhile, the process aborts ('terminate called without an active
    exception'). The threads end with the last reference to the group, which a
    runner and its DDP hold: both must be garbage when this is called.
    """
    if torch_dist.is_initialized():
        torch_dist.destroy_process_group()
        gc.collect()
