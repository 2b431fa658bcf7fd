import os

import torch
import torch.distributed as torch_dist
from mmengine.config import Config


def prepare_dist(cfg: Config, launcher: str) -> None:
    """Make several processes work without a GPU, too.

    mmengine sets a CUDA device whatever the backend is, and hands device ids
    to DDP; but it leaves a process group that exists as it is. So on a
    machine without CUDA, gloo is initialised here first.

    Args:
        cfg (Config): The config; ``model_wrapper_cfg`` is set where needed.
        launcher (str): 'none', 'pytorch', 'slurm' or 'mpi'.
    """
    if launcher == 'none' or torch.cuda.is_available():
        return
    if launcher == 'slurm':
        os.environ.setdefault('RANK', os.environ['SLURM_PROCID'])
        os.environ.setdefault('WORLD_SIZE', os.environ['SLURM_NTASKS'])
        os.environ.setdefault('LOCAL_RANK', os.environ['SLURM_LOCALID'])
        os.environ.setdefault('MASTER_ADDR', '127.0.0.1')
        os.environ.setdefault('MASTER_PORT', '29500')
    elif launcher == 'mpi':
        raise SystemExit('error: --launcher mpi needs CUDA; without a GPU use '
                         'tools/dist_train.sh')
    torch_dist.init_process_group('gloo')
    cfg.env_cfg.dist_cfg = dict(backend='gloo')
    cfg.model_wrapper_cfg = dict(
        type='MMDistributedDataParallel',
        device_ids=None,
        broadcast_buffers=False,
        find_unused_parameters=cfg.get('find_unused_parameters', False))
