import gc
import os

import torch
import torch.distributed as torch_dist
from mmengine.config import Config
from mmengine.dist import init_dist

from mmdisco.errors import InputError
from .scope import scoped_name

# Environment variables set by each launcher.
_GIVEN = dict(
    pytorch=('RANK', 'WORLD_SIZE', 'MASTER_ADDR', 'MASTER_PORT'),
    slurm=('SLURM_PROCID', 'SLURM_NTASKS', 'SLURM_LOCALID'),
)


def local_rank() -> int:
    """Rank of this process on its node, from torchrun or Slurm."""
    return int(os.environ.get('LOCAL_RANK', os.environ.get('SLURM_LOCALID', 0)))


def prepare_dist(cfg: Config, launcher: str) -> None:
    """Support several processes without a GPU.

    mmengine sets a CUDA device for every backend and passes device ids to DDP,
    but it does not change an existing process group. On a machine without CUDA,
    gloo is therefore initialised here first.

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
    """Create a process group for tools without a runner, with nccl or gloo.

    Args:
        launcher (str): 'none', 'pytorch' or 'slurm'.

    Raises:
        InputError: If this process was not started by the launcher.
    """
    if not _init_without_cuda(launcher) and launcher != 'none':
        init_dist(launcher, backend='nccl')


def _init_without_cuda(launcher: str) -> bool:
    """Create a gloo group if there is a launcher but no CUDA."""
    missing = [name for name in _GIVEN.get(launcher, ()) if name not in os.environ]
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
    torch_dist.init_process_group('gloo')
    return True


def leave_group() -> None:
    """Destroy the process group, if any, after all collectives.

    gloo's threads may still free a tensor, for which they need the interpreter:
    if it exits meanwhile, the process aborts ('terminate called without an
    active exception'). The threads end with the last reference to the group,
    so the runner and its DDP must be garbage by now.
    """
    if torch_dist.is_initialized():
        torch_dist.destroy_process_group()
        gc.collect()
