"""Reading of configs and application of --cfg-options."""

import inspect
import sys
from collections.abc import Iterator
from difflib import get_close_matches
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from mmengine.config import Config, ConfigDict
from mmengine.registry import Registry
from mmengine.runner import Runner
from mmpretrain import registry as registries

from mmdisco.errors import InputError, MissingFileError
from .scope import ONLINE_HOOKS, ONLINE_MOVED, has_online_loop

# Top-level keys that the runner or its hooks read.
_READ = {
    'auto_scale_lr',
    'sync_bn',
    'find_unused_parameters',
    'compile',
    'activation_checkpointing',
    'model_wrapper_cfg',
    'data_root',
    'smoke',
}
_READ |= set(inspect.signature(Runner.__init__).parameters) - {'self', 'cfg'}

# Templates of the _base_ files, and where configs copy them to.
_COPIED = dict(
    teacher='model.teacher',
    student='model.ssl',
    testbed='model.ssl',
    vis_backends='visualizer.vis_backends',
    train_pipeline='train_dataloader.dataset.pipeline',
    view_pipeline='train_dataloader.dataset.pipeline.1.transforms.0',
)

# Hooks that mmengine adds unless the config sets them to None.
_DEFAULT_HOOKS = {
    'runtime_info',
    'timer',
    'sampler_seed',
    'logger',
    'param_scheduler',
    'checkpoint',
}

# Keys that mmengine accepts although they are not arguments of the dict's class.
_ACCEPTED = {
    'optim_wrapper': {
        'type',
        'constructor',
        'paramwise_cfg',
        'clip_grad',
        'accumulative_counts',
        'loss_scale',
        'dtype',
    },
    'optimizer': {'betas', 'eps', 'momentum', 'nesterov', 'weight_decay'},
    'param_scheduler': {'convert_to_iter_based'},
    'train_dataloader': {
        'pin_memory',
        'prefetch_factor',
        'timeout',
        'persistent_workers',
        'num_batch_per_epoch',
    },
    'default_hooks': _DEFAULT_HOOKS,
    'dist_cfg': {'timeout'},
    'randomness': {'diff_rank_seed'},
    'adapter': {'in_features', 'out_features', 'bias'},
}
# Keys that mmengine does not accept as None, and their replacement.
_EMPTY = dict(default_hooks={}, env_cfg={}, randomness=dict(seed=None))
# Options of OnlineKNNHook that are no longer options of a scorer.
_MOVED = dict(
    interval='train_cfg.val_interval',
    batch_size='val_dataloader.batch_size',
    num_workers='val_dataloader.num_workers',
    **{
        name: f'val_cfg.{name}'
        for name in ('train', 'test', 'num_train', 'num_test', 'seed')
    },
)
# Dicts with arbitrary keys.
_FREE = {'paramwise_cfg', 'clip_grad', 'custom_keys'}


def read_config(path: str) -> Config:
    """Read a config file.

    Args:
        path (str): The file.

    Returns:
        Config: The config.

    Raises:
        MissingFileError: If it does not exist; suggests the nearest name.
        InputError: If it needs mmdet, which is not installed.
    """
    if not Path(path).is_file():
        others = [str(p) for p in Path(path).parent.glob('*.py')]
        raise MissingFileError(
            f"config '{path}' not found" + _nearest(str(path), others)
        )
    try:
        return Config.fromfile(path)
    except FileNotFoundError as error:  # a _base_ is missing
        raise MissingFileError(f"config '{path}': {error}") from error
    except ImportError as error:  # a _base_ is 'mmdet::...'
        if find_spec('mmdet') is not None:
            raise
        raise InputError(
            f"config '{path}' needs mmdet: run 'pip install onedl-mmdetection'"
        ) from error


def apply_overrides(cfg: Config, options: dict | None) -> None:
    """Apply ``--cfg-options``.

    Args:
        cfg (Config): The config, changed in place. A new ``data_root`` is set in
            every data set and evaluator, since they have copies of it.
        options (dict, optional): Values by dotted keys.

    Raises:
        InputError: If a key is a template that configs only copy, or is neither
            in the config nor an argument of its class (suggests the nearest
            key); if the config removes an online hook that is a scorer now; or
            if the optimizer is unknown.
    """
    options = _current_keys(cfg, options or {})
    for key, value in options.items():
        top, _, rest = key.partition('.')
        if top in cfg and top not in _READ or top in _COPIED:
            target = _COPIED.get(top, 'the place that uses it')
            if target.split('.')[-1] in ('ssl', 'teacher') and (
                target.split('.')[-1] not in cfg.model
            ):
                target = 'model'
            parts = cfg.train_dataloader.dataset.get('datasets', ())
            rest = f'.{rest}' if rest else ''
            if top == 'train_pipeline' and parts:  # each has its own copy
                target = f'{rest} and '.join(
                    f'train_dataloader.dataset.datasets.{i}.pipeline'
                    for i in range(len(parts))
                )
            raise InputError(
                f"'{key}' is a template, copied when the config is read: "
                f"override '{target}{rest}'"
            )
        _check_key(cfg, key, value)
        if key == 'data_root':
            move_data(cfg, value)
        _set(cfg, key, value)
    _remove_none(cfg, options)
    _check_optimizer(cfg)


def _current_keys(cfg: Config, options: dict) -> dict:
    """Translate options for the online hooks of earlier configs to val_cfg."""
    hooks = cfg.get('default_hooks') or {}
    if not has_online_loop(cfg):
        return options
    kinds = [scorer['type'] for scorer in cfg.val_cfg.get('scorers', ())]
    current = {}
    for key, value in options.items():
        top, _, rest = key.partition('.')
        hook, _, name = rest.partition('.')
        kind = ONLINE_HOOKS.get(hook)
        if top != 'default_hooks' or hook in hooks or kind not in kinds:
            current[key] = value
        elif kind == 'KNNScorer' and (
            (name == '' and value is None) or (name == 'interval' and value == 0)
        ):
            current['val_cfg'] = None  # the other scores depended on this hook
        elif kind == 'KNNScorer' and name in _MOVED:
            current[_MOVED[name]] = value
        else:
            place = f'val_cfg.scorers.{kinds.index(kind)}'
            current[f'{place}.{name}' if name else place] = value
    if current.get('val_cfg', cfg.val_cfg) is None:
        return {
            key: value
            for key, value in current.items()
            if not key.startswith(('val_cfg.', 'val_dataloader.'))
        }
    return current


def _set(cfg: Config, key: str, value: Any) -> None:
    """Set a key; mmengine's merge supports only dicts as list entries."""
    path, _, last = key.rpartition('.')
    holder = _node(cfg, path.split('.')) if path else None
    if not isinstance(holder, (list, tuple)) or isinstance(value, dict):
        cfg.merge_from_dict({key: value})
        return
    entries = list(holder)
    entries[int(last)] = value
    if isinstance(holder, list):
        holder[:] = entries
    else:
        _set(cfg, path, tuple(entries))


def _remove_none(cfg: Config, options: dict) -> None:
    """Remove entries that are set to None.

    mmengine does so only for its own default hooks; here also for other default
    hooks, for list entries, and for an evaluation with a part that is None.
    """
    holders = [_node(cfg, key.split('.')[:-1]) for key in options]
    for name in ('custom_hooks', 'param_scheduler'):
        holders.append(cfg.get(name))
    for holder in holders:
        if isinstance(holder, list):
            holder[:] = [entry for entry in holder if entry is not None]
    for name, default in _EMPTY.items():
        if cfg.get(name, default) is None:
            cfg[name] = default.copy()
    for split in ('val', 'test'):
        names = [f'{split}_{part}' for part in ('cfg', 'dataloader', 'evaluator')]
        if any(cfg.get(name, '') is None for name in names):
            cfg.update(dict.fromkeys(names))
    hooks = cfg.get('default_hooks', {})
    without = [
        name
        for name, hook in hooks.items()
        if hook is None and name not in _DEFAULT_HOOKS
    ]
    for name in without:  # mmengine accepts None only for its own
        key = f'default_hooks.{name}'
        if name in ONLINE_HOOKS and has_online_loop(cfg) and key not in options:
            # in a config for a base that had the hook
            raise InputError(f'{key} is None, but {ONLINE_MOVED}')
        hooks.pop(name)
    if without:  # for a dumped config
        cfg.hooks_left_out = sorted({*cfg.get('hooks_left_out', ()), *without})


def _node(cfg: Config, path: list[str]) -> Any:
    """Return the value at a dotted name, or None."""
    node: Any = cfg
    for part in path:
        if isinstance(node, (list, tuple)):
            node = node[int(part)]
        elif isinstance(node, (dict, Config)):
            node = node.get(part)
        else:
            return None
    return node


def move_data(cfg: Config, root: str) -> None:
    """Move every data set, and annotation files of evaluators, to a folder.

    Args:
        cfg (Config): The config, changed in place.
        root (str): The folder.
    """
    before = cfg.get('data_root')
    for dataset in datasets_of(cfg):
        dataset['data_root'] = root
    for name in ('val_evaluator', 'test_evaluator'):
        metrics = cfg.get(name) or []
        for metric in metrics if isinstance(metrics, list) else [metrics]:
            if before and str(metric.get('ann_file', '')).startswith(before):
                metric.ann_file = str(
                    Path(root, metric.ann_file[len(before) :].lstrip('/'))
                )


def _check_optimizer(cfg: Config) -> None:
    """Check the optimizer's type, which mmengine does not report clearly."""
    kind = ((cfg.get('optim_wrapper') or {}).get('optimizer') or {}).get('type')
    known = registries.OPTIMIZERS
    if isinstance(kind, str) and known.get(kind) is None:
        names = [*known.module_dict, *known.parent.module_dict]
        raise InputError(
            f"optim_wrapper.optimizer.type: '{kind}' is not an "
            'optimizer' + _nearest(kind, names)
        )


def _check_key(cfg: Config, key: str, value: Any) -> None:
    node: Any = cfg
    parts = key.split('.')
    name = ''  # name of the dict that holds the next part
    for i, part in enumerate(parts):
        if isinstance(node, (list, tuple)):
            known = [str(j) for j in range(len(node))]
        elif isinstance(node, (dict, Config)) and name not in _FREE:
            known = [*node, *_arguments(node), *_ACCEPTED.get(name, ())]
            known += _READ if i == 0 else []
        else:
            return  # arbitrary keys, or a value that becomes a dict
        if part not in known:
            moved = name == 'default_hooks' and part in ONLINE_HOOKS
            raise InputError(
                f"--cfg-options {key}: no '{part}' in "
                f'{".".join(parts[:i]) or "the config"}'
                + (f': {ONLINE_MOVED}' if moved else _nearest(part, known))
            )
        if isinstance(node, (list, tuple)):
            node = node[int(part)]
        elif part in node:
            node, name = node[part], part
        else:
            return
    if isinstance(node, dict) and isinstance(value, (str, int, float)):
        raise InputError(
            f"--cfg-options {key}: must be a dict, got '{value}': set its keys, "
            f'as {key}.{next(iter(node), "type")}=…'
        )
    number = isinstance(node, (int, float)) and not isinstance(node, bool)
    if number and isinstance(value, str) and value != 'auto':
        raise InputError(f"--cfg-options {key}: must be a number, got '{value}'")


def _arguments(node: dict) -> list[str]:
    """Return the arguments of a config dict's class.

    Arguments of a base class are included if ``**kwargs`` are passed to it.
    """
    names: list[str] = []
    kind = node.get('type')
    if not isinstance(kind, str):
        return names
    # mmdet's, if the config has imported it
    others = vars(sys.modules.get('mmdet.registry', registries))
    for registry in (*vars(registries).values(), *others.values()):
        cls = registry.get(kind) if isinstance(registry, Registry) else None
        if not inspect.isclass(cls):
            continue
        for base in cls.__mro__[:-1]:
            if '__init__' not in vars(base):
                continue
            parameters = inspect.signature(vars(base)['__init__']).parameters
            names += [
                n
                for n, p in parameters.items()
                if n != 'self' and p.kind != p.VAR_KEYWORD
            ]
            if all(p.kind != p.VAR_KEYWORD for p in parameters.values()):
                break
        break
    return names


def datasets_of(node: Any) -> Iterator[ConfigDict]:
    """Yield all configs of data sets below a node that have a data_root."""
    children = (
        node.values()
        if isinstance(node, (dict, Config))
        else (node if isinstance(node, (list, tuple)) else ())
    )
    for child in children:
        if isinstance(child, dict) and 'type' in child and ('data_root' in child):
            yield child
        yield from datasets_of(child)


def _nearest(word: str, known: list[str]) -> str:
    match = get_close_matches(word, known, 1, 0.5)
    return f": did you mean '{match[0]}'?" if match else ''
