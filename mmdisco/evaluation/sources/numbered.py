from collections.abc import Sequence

import torch

from mmdisco.errors import InputError


def numbered_classes(
    labels: Sequence[int], num_classes: int | None, where: str
) -> list[str]:
    """Names of classes that have numbers only.

    Args:
        labels (Sequence[int]): Of all images, [N].
        num_classes (int, optional): How many there are; None for as many as
            the largest label tells.
        where (str): The files, for the message.

    Returns:
        List[str]: '0', '1' and so on.

    Raises:
        InputError: If a label is outside the classes.
    """
    largest = int(torch.as_tensor(labels).max())
    if num_classes is not None and largest >= num_classes:
        raise InputError(
            f"'{where}' has label {largest}, outside the "
            f'classes: num_classes is {num_classes}, labels '
            'begin with 0'
        )
    return [str(i) for i in range(num_classes or largest + 1)]
