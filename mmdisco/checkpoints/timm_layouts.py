"""Published files for networks of timm, read strictly."""

from collections.abc import Iterator, Mapping
from importlib import import_module
from typing import Any, NamedTuple

from torch import Tensor, nn

from mmdisco.errors import InputError
from .checkpoint import check_finite, check_fit
from .convert import tensors_of
from .efficientnet import LUKEMELAS, LUKEMELAS_FIRST, TIMM, TIMM_FIRST
from .families import FILE
from .naming import Naming, to_project
from .wrappers import bare_names

_POSITIONS = 'pos_embed'  # the only tensor that is resampled to another size
# tensors of a file that timm's own conversion drops, and why
_DROPPED = {'mask_token': 'mask token, used in pre-training only'}


class TimmWeights(NamedTuple):
    """Weights of a network of timm, and an account of the rest."""

    layout: str  # who names the tensors like the file
    state_dict: dict[str, Tensor]  # by timm's names
    left_out: dict[str, list[str]]  # reason -> keys of the file
    note: str = ''  # what was computed instead of copied

    def report(self) -> str:
        """One line for the log."""
        parts = [f'{len(self.state_dict)} tensors under the names of {self.layout}']
        parts += [
            f'left out {len(keys)}: {why} ({", ".join(keys[:2])}'
            f'{", …" if len(keys) > 2 else ""})'
            for why, keys in self.left_out.items()
        ]
        return '; '.join(parts + ([self.note] if self.note else []))


def _weights(loaded: Any) -> tuple[dict[str, Tensor], list[str]]:
    """Tensors of a file, and its other entries."""
    content = loaded if isinstance(loaded, Mapping) else {}
    for group in FILE:
        tensors = tensors_of(content.get(group) if group else content)
        if tensors:
            return tensors, [str(key) for key in content if group and key != group]
    return {}, []


def _classifier(network: Any) -> tuple[str, ...]:
    """Prefixes of the classifier, which a network of 0 classes does not have."""
    names = network.pretrained_cfg.get('classifier') or ()
    names = (names,) if isinstance(names, str) else names
    return tuple(f'{name}.' for name in names)


def _filter_of(network: nn.Module) -> Any:
    """Conversion of published files by timm itself, None if it has none."""
    module = import_module(type(network).__module__)
    return getattr(module, 'checkpoint_filter_fn', None)


def _efficientnet_rows(network: Any) -> Iterator[tuple[str, str]]:
    """Names of EfficientNet-PyTorch and timm's, for the depths of a network."""
    ends = dict(_conv_stem='conv_stem', _bn0='bn1', _conv_head='conv_head', _bn1='bn2')
    yield from ends.items()
    number = 0
    for stage, blocks in enumerate(network.blocks):
        sources, targets = (LUKEMELAS, TIMM) if stage else (LUKEMELAS_FIRST, TIMM_FIRST)
        for block in range(len(blocks)):
            for part, name in sources.items():
                target = f'blocks.{stage}.{block}.{targets[part]}'
                yield f'_blocks.{number}.{name}', target
            number += 1


def _efficientnet(
    tensors: dict[str, Tensor], network: nn.Module, name: str
) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Rename a file of EfficientNet-PyTorch or EfficientNet-Lite-PyTorch.

    Their networks pad as TensorFlow. timm's ``efficientnet_lite0`` has the same
    names and shapes and pads both sides alike.

    Raises:
        InputError: If the network is another one.
    """
    arch = name.split('.')[0]
    if not arch.startswith('tf_efficientnet_') or not hasattr(network, 'blocks'):
        raise InputError(
            f"its names are EfficientNet-PyTorch's, which pads as TensorFlow: timm's "
            f"'{name}' is another network, set name='tf_efficientnet_…'"
        )
    naming = Naming(
        'EfficientNet-PyTorch',
        tuple(_efficientnet_rows(network)),
        left_out={'_fc': 'classifier'},
    )
    renamed = to_project(naming, tensors)
    rest = {key: tensors[key] for key in renamed.unexpected}
    return {**renamed.state_dict, **rest}, renamed.left_out


def timm_weights(loaded: Any, network: nn.Module, name: str) -> TimmWeights:
    """Select a network's weights from a published file.

    The file has timm's names, those of EfficientNet-PyTorch, or names that timm
    itself converts, e.g. DINOv2's. Position embeddings are resampled by timm if
    the network is built for another size.

    Args:
        loaded (dict): Content of the file.
        network (nn.Module): The network of timm, with 0 classes.
        name (str): Its name in timm.

    Raises:
        InputError: If the file has no tensors, or is EfficientNet-PyTorch's and the
            network does not pad as TensorFlow.
    """
    published, beside = _weights(loaded)
    if not published:
        raise InputError('it has no tensors')
    tensors, keys = bare_names(published)
    left_out: dict[str, list[str]] = {}
    if beside:
        left_out['entries beside the weights'] = beside
    expected = network.state_dict()
    if '_conv_stem.weight' in tensors:
        weights, dropped = _efficientnet(tensors, network, name)
        for key, why in dropped.items():
            left_out.setdefault(why, []).append(keys[key])
        return TimmWeights('EfficientNet-PyTorch', weights, left_out)
    heads = [
        key
        for key in tensors
        if key not in expected and key.startswith(_classifier(network))
    ]
    if heads:
        left_out['classifier'] = sorted(keys[key] for key in heads)
    tensors = {key: value for key, value in tensors.items() if key not in heads}
    resampled = (
        _POSITIONS in expected
        and _POSITIONS in tensors
        and (tensors[_POSITIONS].shape != expected[_POSITIONS].shape)
    )
    if tensors.keys() == expected.keys() and not resampled:
        return TimmWeights('timm', tensors, left_out)
    convert = _filter_of(network)
    if convert is None:
        return TimmWeights('timm', tensors, left_out)
    return _by_timm(tensors, keys, expected, convert, network, left_out)


def _by_timm(
    tensors: dict[str, Tensor],
    keys: Mapping[str, str],
    expected: Mapping[str, Tensor],
    convert: Any,
    network: nn.Module,
    left_out: dict[str, list[str]],
) -> TimmWeights:
    """Convert by timm, and account for each tensor of the file."""
    # tensors of a file may be parts of one storage: each gets its own, by which it
    # is recognised in what timm returns
    tensors = {key: value.clone() for key, value in tensors.items()}
    weights = dict(convert(dict(tensors), network))
    used = {_storage(value) for value in weights.values()}
    computed = []
    for key, value in tensors.items():
        if key in weights:
            if value.shape != weights[key].shape and key != _POSITIONS:
                weights[key] = value  # e.g. other patches, resampled: a fault
            elif _storage(weights[key]) != _storage(value):
                computed.append(
                    f'{key} {list(value.shape)} -> {list(weights[key].shape)}'
                )
        elif _storage(value) not in used:
            if key in _DROPPED:
                left_out.setdefault(_DROPPED[key], []).append(keys[key])
            else:
                weights[key] = value  # unexpected: a fault
    return TimmWeights(
        'timm' if weights.keys() == tensors.keys() else 'its makers',
        weights,
        left_out,
        f'computed by timm: {", ".join(computed)}' if computed else '',
    )


def _storage(value: Tensor) -> int:
    return value.untyped_storage().data_ptr()


def read_timm(loaded: Any, path: str, network: nn.Module, name: str) -> TimmWeights:
    """Read weights for a network of timm; every tensor must fit.

    Args:
        loaded (dict): Content of the file.
        path (str): The file, for messages.
        network (nn.Module): The network of timm, with 0 classes.
        name (str): Its name in timm.

    Raises:
        InputError: If a tensor is missing, unexpected, of another shape or not
            finite.
    """
    try:
        weights = timm_weights(loaded, network, name)
    except InputError as error:
        raise InputError(f"'{path}': {error}") from error
    check_fit(network.state_dict(), weights.state_dict, f"'{path}' for timm's '{name}'")
    check_finite(weights.state_dict, f"'{path}'")
    return weights
