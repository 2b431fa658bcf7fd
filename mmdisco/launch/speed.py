"""Settings of --speed for the hardware and the system."""

import ctypes
import platform

import torch
from mmengine.config import Config, ConfigDict
from mmpretrain.registry import MODELS
from torch import nn

from mmdisco.errors import InputError
from mmdisco.models import DistillLoss
from mmdisco.utils import without_weights
from .dist import local_rank
from .fast_views import use_fast_views
from .schedule import losses_of
from .scope import is_detector

_TRIM_THRESHOLD, _MMAP_MAX = -1, -4  # parameters of glibc's mallopt


def bf16_pays() -> bool:
    """Check whether the hardware supports bf16 without emulation.

    Returns:
        bool: True for a CPU with AVX-512 bf16 or AMX, and for a GPU from Ampere
        on.
    """
    if torch.cuda.is_available():
        return torch.cuda.is_bf16_supported(including_emulation=False)
    return any(
        getattr(torch.cpu, name, bool)()
        for name in ('_is_avx512_bf16_supported', '_is_amx_tile_supported')
    )


def why_no_compiler() -> str | None:
    """Try ``torch.compile`` on one operation.

    Returns:
        str or None: The reason why it does not work, None if it does.
    """
    # each rank of a node uses its own GPU
    gpu = torch.cuda.is_available()
    device = f'cuda:{local_rank()}' if gpu else 'cpu'
    try:
        torch.compile(torch.neg)(torch.ones(2, device=device))
    except Exception as error:  # whatever the compiler raises
        return str(error).strip().split('\n')[0]
    return None


def can_keep_freed_memory() -> bool:
    """Check whether :func:`keep_freed_memory` has an effect here."""
    return platform.libc_ver()[0] == 'glibc'


def keep_freed_memory() -> None:
    """Make the C library keep freed memory for the next step (Linux, glibc).

    Otherwise tensors of some MiB are returned to the system when freed, and
    every page of the next one costs a page fault: a fifth of a step on a CPU.
    """
    if can_keep_freed_memory():
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(_MMAP_MAX, 0)
        mallopt(_TRIM_THRESHOLD, 2**31 - 1)


def draw_as_eager() -> None:
    """Make compiled code draw the same random numbers as eager code."""
    import torch._inductor.config as inductor

    inductor.fallback_random = True


def save_activations_sparingly() -> None:
    """Make ``torch.compile`` save fewer activations for the backward pass.

    Cheap ones are recomputed, which saves up to 30 % of the memory.
    """
    import torch._functorch.config as functorch

    functorch.activation_memory_budget = 0.7


def set_up_process(speed: dict) -> None:
    """Apply the settings of a config's ``speed`` that affect the process.

    Args:
        speed (dict): Settings of :func:`apply_speed`; missing keys are off.
    """
    if speed.get('draw_as_eager'):
        draw_as_eager()
    if speed.get('spare_activations'):
        save_activations_sparingly()
    if speed.get('keep_memory'):
        keep_freed_memory()


LEVELS = ('auto', 'exact', 'off')
_FUSED = ('SGD', 'Adam', 'AdamW')  # optimizers with a fused kernel


def apply_speed(cfg: Config, level: str, compile: bool = True) -> list[str]:
    """Configure faster training.

    'exact' changes results only by rounding: fused layers in the frozen teacher,
    channels-last, ``torch.compile``, :class:`LeanMoCo`, a fused optimizer, DDP
    with a static graph. 'auto' adds bf16 if the hardware supports it, and a
    faster pipeline with the same distribution for views of MoCo-v2's kind.

    Args:
        cfg (Config): The config, changed in place.
        level (str): 'auto', 'exact' or 'off'.
        compile (bool): Whether to compile where a compiler works. Defaults to
            True.

    Returns:
        list[str]: Lines for the log.

    Raises:
        InputError: If the config has another runner, or is for a detector.
    """
    if level == 'off':
        return []
    if is_detector(cfg):
        raise InputError(f'--speed {level} is for pre-training; detectors take --amp')
    if cfg.get('runner_type', 'FastRunner') != 'FastRunner':
        raise InputError(
            f'--speed {level} needs the FastRunner, but the config '
            f'has runner_type={cfg.runner_type!r}: remove one of them'
        )
    gpu = torch.cuda.is_available()
    no_compiler = why_no_compiler() if compile else 'not asked for'
    half = level == 'auto' and bf16_pays()
    # in fp32, GPUs gain nothing from channels-last
    if any(_compares_maps(loss) for loss in losses_of(cfg)):
        no_compiler = no_compiler or 'feature maps are recorded'
    channels_last, compiled = half or not gpu, no_compiler is None
    cfg.runner_type = 'FastRunner'
    layout = dict(channels_last=channels_last, compile=compiled)
    # everything, so that a dumped config is as fast and draws the same numbers
    cfg.speed = dict(
        layout,
        draw_as_eager=level == 'exact',
        spare_activations=level == 'auto' and compiled,
        keep_memory=not gpu and can_keep_freed_memory(),
    )

    if 'teacher' in cfg.model and cfg.model.teacher.type != 'StoredTeacher':
        teacher = cfg.model.teacher
        teacher.update(layout)
        teacher.fuse = teacher.get('norm_mode', 'eval') == 'eval'
        # a ViT gains nothing on a CPU but bf16: docs/speed.md
        if compiled and not gpu and _is_vit(teacher):
            teacher.compile = False
        if half:
            teacher.dtype = 'bf16'
    _lean(cfg.model.get('ssl', cfg.model))
    wrapper = cfg.optim_wrapper
    if wrapper.optimizer.type in _FUSED and 'foreach' not in wrapper.optimizer:
        wrapper.optimizer.setdefault('fused', True)
    if half and wrapper.get('type', 'OptimWrapper') == 'OptimWrapper':
        wrapper.type = 'BF16OptimWrapper'
    _static_graph(cfg)
    cfg.default_hooks.runtime_info = dict(type='LateLogHook')
    views = level == 'auto' and use_fast_views(cfg, on_device=gpu)
    precision = dict(BF16OptimWrapper='bf16', AmpOptimWrapper='mixed precision').get(
        wrapper.get('type'), 'fp32'
    )
    if level == 'auto' and not half:
        precision += ' (bf16 would be emulated here)'
    settings = [
        precision,
        'channels last' if channels_last else '',
        'compiled' if compiled else f'not compiled ({no_compiler})',
        'freed memory kept' if cfg.speed.keep_memory else '',
        'fast views' if views else '',
    ]
    notes = [f'speed {level}: {", ".join(filter(None, settings))}']
    if compiled:
        notes.append(
            'speed: the first iteration waits for the compiler, some '
            'minutes for a large network; torch caches the compiled '
            'code for later runs'
        )
    return notes


def _is_vit(teacher: ConfigDict) -> bool:
    """Whether a network of timm has no convolution but that of its patches."""
    if teacher.backbone.get('type') != 'TimmNetwork':
        return False
    network = without_weights(lambda: MODELS.build(dict(teacher.backbone)))
    return sum(isinstance(m, nn.Conv2d) for m in network.modules()) == 1


def _compares_maps(loss: ConfigDict) -> bool:
    kind = MODELS.get(loss.type)
    return (
        isinstance(kind, type) and issubclass(kind, DistillLoss) and kind.on == 'feat'
    )


def _lean(ssl: ConfigDict) -> None:
    if ssl.type != 'MoCo':
        return
    ssl.type = 'LeanMoCo'
    loss = dict(type='ContrastiveHead', loss=dict(type='CrossEntropyLoss'))
    if {k: v for k, v in ssl.head.items() if k != 'temperature'} == loss:
        ssl.head = dict(
            type='InfoNCEHead', temperature=ssl.head.get('temperature', 0.1)
        )


def _static_graph(cfg: Config) -> None:
    """Set DDP to a static graph."""
    names = ('MMDistributedDataParallel', 'GlooDistributedDataParallel')
    ddp = {
        'type': names[0],
        'broadcast_buffers': False,
        **(cfg.get('model_wrapper_cfg') or {}),
    }
    varies = (
        cfg.get('find_unused_parameters', False)
        or ddp.get('find_unused_parameters', False)
        or (cfg.optim_wrapper.get('accumulative_counts', 1) > 1)
    )
    if cfg.get('launcher', 'none') == 'none' or varies or ddp['type'] not in names:
        return
    cfg.model_wrapper_cfg = dict(ddp, static_graph=True, gradient_as_bucket_view=True)
