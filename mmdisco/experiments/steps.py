"""Models of the benchmarks of a training step, and their printed results."""

import torch
from mmengine.config import Config
from mmengine.logging import MMLogger
from mmengine.registry import init_default_scope
from mmpretrain.registry import MODELS
from torch import Tensor, nn

from mmdisco.launch import apply_speed, read_config
from mmdisco.launch.speed import set_up_process
from mmdisco.models.fast.student import speed_up_student
from mmdisco.paths import configs_root

DEVICE = 'cuda' if torch.cuda.is_available() else 'cpu'
METHODS = dict(disco='disco/r50_{}.py', seed='comparators/seed_r50_{}.py')
STUDENTS = ('effb0', 'effb1', 'mbv3', 'r18', 'r34')


def config(student: str, teacher: str, queue_len: int, method: str = 'disco') -> Config:
    """The config of a student and a method, from a teacher file.

    Args:
        student (str): As in ``configs/disco/r50_{student}.py``.
        teacher (str): Checkpoint of the R-50 teacher.
        queue_len (int): Length of the method's queue.
        method (str): 'disco' or 'seed'. Defaults to 'disco'.

    Returns:
        Config: The complete config.
    """
    init_default_scope('mmpretrain')
    MMLogger.get_current_instance().setLevel('WARNING')
    cfg = read_config(str(configs_root() / METHODS[method].format(student)))
    cfg.model.teacher.checkpoint = teacher
    queued = cfg.model.ssl if method == 'disco' else cfg.model.distill
    queued.queue_len = queue_len
    return cfg


def two_views(batch_size: int, size: int) -> list[Tensor]:
    """Two random views, always the same ones.

    Args:
        batch_size (int): Number of images N.
        size (int): Height H and width W.

    Returns:
        list[Tensor]: uint8, [N, 3, H, W] each.
    """
    torch.manual_seed(0)
    return [
        torch.randint(0, 256, (batch_size, 3, size, size), device=DEVICE).byte()
        for _ in range(2)
    ]


def fast_model(cfg: Config, level: str) -> nn.Module:
    """Build the model as ``tools/train.py --speed`` does.

    Args:
        cfg (Config): A DisCo config, changed in place.
        level (str): 'auto', 'exact' or 'off'.

    Returns:
        nn.Module: The model, in train mode.
    """
    apply_speed(cfg, level)
    set_up_process(cfg.get('speed', {}))
    model = MODELS.build(cfg.model)
    model.init_weights()
    if level != 'off':
        speed_up_student(model, cfg.speed.channels_last, cfg.speed.compile)
    return model.to(DEVICE).train()


def print_steps(rows: dict, base: str = 'plain') -> None:
    """Print seconds, ratio to a base and peak memory of timed steps.

    Args:
        rows (dict): ``seconds`` and ``peak_memory_mib`` by name.
        base (str): Row that the ratios refer to. Defaults to 'plain'.
    """
    width = max(map(len, rows))
    for name, row in rows.items():
        ratio = rows[base]['seconds'] / row['seconds']
        memory = row['peak_memory_mib'] / rows[base]['peak_memory_mib']
        print(
            f'{name:<{width}} {row["seconds"]:7.3f} s  {ratio:5.2f}x  '
            f'peak {row["peak_memory_mib"]:6.0f} MiB  {memory:5.2f}'
        )
    for level in ('exact', 'auto'):
        if f'bare_{level}' in rows:
            ratio = rows[level]['seconds'] / rows[f'bare_{level}']['seconds']
            print(f'{level} takes {ratio:.3f} of its bare passes')
