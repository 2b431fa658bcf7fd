from collections.abc import Sequence

from mmdisco.errors import InputError
from .fast import DTYPES


def check_options(
    norm_mode: str,
    dtype: str,
    fuse: bool,
    mean: Sequence[float] | None,
    std: Sequence[float] | None,
) -> None:
    """Check what does not depend on a teacher's networks.

    Args:
        norm_mode (str): 'eval' or 'batch'.
        dtype (str): 'fp32', 'bf16' or 'fp16'.
        fuse (bool): Whether BN is to be folded.
        mean (Sequence[float], optional): Channel means.
        std (Sequence[float], optional): Channel deviations.

    Raises:
        ValueError: If an option is unknown, or two contradict each other.
    """
    if norm_mode not in ('eval', 'batch'):
        raise InputError(
            f"norm_mode of the teacher is 'eval' or 'batch', got {norm_mode!r}"
        )
    if dtype not in DTYPES:
        raise InputError(
            f'dtype of the teacher is one of {", ".join(DTYPES)}, got {dtype!r}'
        )
    if fuse and norm_mode == 'batch':
        raise InputError(
            'fuse=True folds the running statistics of BN, norm_mode='
            "'batch' does not use them: set one or the other"
        )
    if (mean is None) != (std is None):
        raise InputError(
            f'the teacher has mean={mean}, std={std}: give both, or none of them'
        )
    if mean is not None and not (len(mean) == len(std) in (1, 3) and min(std) > 0):
        raise InputError(
            f'the teacher has mean={list(mean)}, '
            f'std={list(std)}: both want one value for each of '
            'three channels, and std values above 0'
        )
