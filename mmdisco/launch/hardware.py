"""What the hardware and the system offer."""

import ctypes
import platform

import torch

from .dist import local_rank

_TRIM_THRESHOLD, _MMAP_MAX = -1, -4  # of glibc's mallopt


def bf16_pays() -> bool:
    """Whether processor or GPU computes in bf16, rather than emulate it.

    Returns:
        bool: AVX-512 bf16 or AMX on a CPU; Ampere or later on a GPU.
    """
    if torch.cuda.is_available():
        return torch.cuda.is_bf16_supported(including_emulation=False)
    return any(
        getattr(torch.cpu, name, bool)()
        for name in ('_is_avx512_bf16_supported', '_is_amx_tile_supported')
    )


def why_no_compiler() -> str | None:
    """Try ``torch.compile`` on a line of code.

    Returns:
        str, optional: Why it does not work, None if it does.
    """
    # not the first GPU for each rank of a node
    gpu = torch.cuda.is_available()
    device = f'cuda:{local_rank()}' if gpu else 'cpu'
    try:
        torch.compile(torch.neg)(torch.ones(2, device=device))
    except Exception as error:  # whatever the compiler raises
        return str(error).strip().split('\n')[0]
    return None


def can_keep_freed_memory() -> bool:
    """Whether :func:`keep_freed_memory` does anything here."""
    return platform.libc_ver()[0] == 'glibc'


def keep_freed_memory() -> None:
    """Have the C library keep what is freed for the next step (Linux, glibc).

    A tensor of some MiB else goes back to the system as soon as it is freed,
    and each page of the next one costs a fault: a fifth of a step on a CPU.
    """
    if can_keep_freed_memory():
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(_MMAP_MAX, 0)
        mallopt(_TRIM_THRESHOLD, 2**31 - 1)


def draw_as_eager() -> None:
    """Have compiled code draw the random numbers of eager code."""
    import torch._inductor.config as inductor

    inductor.fallback_random = True


def save_activations_sparingly() -> None:
    """Have ``torch.compile`` keep less for the backward pass.

    What is cheap is computed again, up to three tenths of the memory.
    """
    import torch._functorch.config as functorch

    functorch.activation_memory_budget = 0.7


def set_up_process(speed: dict) -> None:
    """Do what ``speed`` of a config says of the whole process.

    Args:
        speed (dict): Of :func:`apply_speed`; keys that it lacks are off.
    """
    if speed.get('draw_as_eager'):
        draw_as_eager()
    if speed.get('spare_activations'):
        save_activations_sparingly()
    if speed.get('keep_memory'):
        keep_freed_memory()
