from torch import nn

from mmdisco.errors import InputError


def linear(adapter: dict | None) -> nn.Linear | None:
    """Build the adapter of a loss, from one embedding's width to another's.

    Args:
        adapter (dict, optional): ``in_features``, ``out_features``, ``bias``.

    Raises:
        ValueError: If it is anything else.
    """
    if adapter is None:
        return None
    try:
        return nn.Linear(**adapter)
    except TypeError as error:
        raise InputError(
            f'the adapter of a loss wants in_features and out_features, got {adapter!r}'
        ) from error
