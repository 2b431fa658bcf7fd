import inspect
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Iterator, List, Optional

from mmengine.config import Config
from mmengine.registry import Registry
from mmengine.runner import Runner
from mmpretrain import registry as registries

from mmdisco.errors import InputError, MissingFileError

# Top-level names that the runner or its hooks read by name.
_READ = {'auto_scale_lr', 'sync_bn', 'find_unused_parameters', 'compile',
         'activation_checkpointing', 'model_wrapper_cfg', 'data_root'}
_READ |= set(inspect.signature(Runner.__init__).parameters)


def read_config(path: str) -> Config:
    """Read a config file.

    Raises:
        MissingFileError: If it does not exist, with the nearest name.
    """
    if not Path(path).is_file():
        others = [str(p) for p in Path(path).parent.glob('*.py')]
        raise MissingFileError(f"config '{path}' not found" +
                               _nearest(str(path), others))
    return Config.fromfile(path)


def apply_overrides(cfg: Config, options: Optional[dict]) -> None:
    """Apply ``--cfg-options``, or say which key was meant.

    Args:
        cfg (Config): The config, changed in place. A new ``data_root`` goes
            to every data set, since those hold copies of it.
        options (dict, optional): Dotted keys and values.

    Raises:
        InputError: If a key is a template that is only copied from, or
            neither in the config nor an argument of the class it is for.
    """
    for key, value in (options or {}).items():
        top = key.split('.')[0]
        if top in cfg and top not in _READ:
            goal = f'model.{key}' if top in cfg.get('model', {}) else (
                'the place that uses it, as train_dataloader.dataset.…')
            raise InputError(f"'{key}' is a template, copied when the config "
                             f"is read: override '{goal}'")
        _check_key(cfg, key)
        if key == 'data_root':
            for dataset in _datasets(cfg):
                dataset['data_root'] = value
    cfg.merge_from_dict(options or {})


def _check_key(cfg: Config, key: str) -> None:
    node: Any = cfg
    parts = key.split('.')
    for i, part in enumerate(parts):
        if isinstance(node, (list, tuple)):
            known = [str(j) for j in range(len(node))]
        elif isinstance(node, (dict, Config)):
            known = list(node) + _arguments(node)
            known += _READ if i == 0 else []
        else:
            return  # a value that is replaced by a dict
        if part not in known:
            raise InputError(
                f"--cfg-options {key}: no '{part}' in "
                f"{'.'.join(parts[:i]) or 'the config'}" +
                _nearest(part, known))
        if isinstance(node, (list, tuple)):
            node = node[int(part)]
        elif part in node:
            node = node[part]
        else:
            return


def _arguments(node: dict) -> List[str]:
    """Arguments of the class that a config dict is for."""
    names: List[str] = []
    for registry in vars(registries).values():
        cls = registry.get(node['type']) if isinstance(
            registry, Registry) and isinstance(node.get('type'), str) else None
        if inspect.isclass(cls):
            for base in cls.__mro__[:-1]:
                names += inspect.signature(base).parameters
            break
    return [n for n in names if n not in ('args', 'kwargs')]


def _datasets(node: Any) -> Iterator[dict]:
    """All data set configs below a node that have a data_root."""
    children = node.values() if isinstance(node, (dict, Config)) else (
        node if isinstance(node, (list, tuple)) else ())
    for child in children:
        if isinstance(child, dict) and 'type' in child and (
                'data_root' in child):
            yield child
        yield from _datasets(child)


def _nearest(word: str, known: List[str]) -> str:
    match = get_close_matches(word, known, 1, .5)
    return f": did you mean '{match[0]}'?" if match else ''
