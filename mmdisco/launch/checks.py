"""Checks of a config's values before anything is built."""

import math
import os
from collections.abc import Iterable, Iterator
from fnmatch import fnmatchcase
from importlib.util import find_spec
from numbers import Integral, Real
from pathlib import Path
from typing import Any, NamedTuple

from mmengine.config import Config

from mmdisco.errors import InputError
from .scope import ONLINE_HOOKS, ONLINE_MOVED, has_online_loop, hooks_of


class _Range(NamedTuple):
    """Range of numbers of a setting, or of each element of its list."""

    low: float
    high: float = math.inf
    integer: bool = False
    above: bool = False  # exclude low
    below: bool = False  # exclude high
    others: tuple = ()  # other allowed values

    def allows(self, value: Any) -> bool:
        """Check a value."""
        if any(
            value is other or (value == other and not isinstance(value, bool))
            for other in self.others
        ):
            return True
        if isinstance(value, bool) or not isinstance(
            value, Integral if self.integer else Real
        ):
            return False
        number = float(value)
        return (
            math.isfinite(number)
            and (self.low < number or self.low == number and not self.above)
            and (number < self.high or self.high == number and not self.below)
        )

    def __str__(self) -> str:
        """Describe the range in messages."""
        text = 'an integer' if self.integer else 'a number'
        text += f' {">" if self.above else ">="} {self.low:g}'
        if self.high < math.inf:
            text += f' and {"<" if self.below else "<="} {self.high:g}'
        return ' or '.join([text, *(repr(o) for o in self.others)])


class _OneOf(NamedTuple):
    """Allowed values of a setting."""

    values: tuple
    description: str

    def allows(self, value: Any) -> bool:
        """Check a value."""
        return value in self.values

    def __str__(self) -> str:
        """Describe the values in messages."""
        return self.description


_COUNT, _FROM_0 = _Range(1, integer=True), _Range(0, integer=True)
_POSITIVE, _NOT_NEGATIVE = _Range(0, above=True), _Range(0)
_FRACTION, _BELOW_1 = _Range(0, 1), _Range(0, 1, below=True)
_INTERVAL = _Range(1, integer=True, others=(-1,))

# Settings by patterns of their dotted names; the first match applies.
_SETTINGS: dict[str, _Range | _OneOf] = {
    'log_level': _OneOf(
        ('DEBUG', 'INFO', 'WARNING', 'ERROR', 'CRITICAL'),
        'DEBUG, INFO, WARNING, ERROR or CRITICAL',
    ),
    'optim_wrapper.clip_grad': _OneOf((None,), 'None or a dict, as dict(max_norm=1.)'),
    '*_dataloader.batch_size': _COUNT,
    '*_dataloader.num_workers': _FROM_0,
    '*_dataloader.prefetch_factor': _Range(1, integer=True, others=(None,)),
    '*_dataloader.timeout': _NOT_NEGATIVE,
    '*_dataloader.num_batch_per_epoch': _COUNT,
    'train_cfg.max_epochs': _COUNT,
    'train_cfg.max_iters': _COUNT,
    'train_cfg.val_interval': _COUNT,
    'train_cfg.val_begin': _FROM_0,
    'optim_wrapper.accumulative_counts': _COUNT,
    # infinite: the norm is logged, but not clipped
    'optim_wrapper.clip_grad.max_norm': _Range(0, above=True, others=(math.inf,)),
    'optim_wrapper.optimizer.lr': _POSITIVE,
    'optim_wrapper.optimizer.weight_decay': _NOT_NEGATIVE,
    'optim_wrapper.optimizer.momentum': _BELOW_1,
    'optim_wrapper.optimizer.betas': _BELOW_1,
    'optim_wrapper.optimizer.eps': _NOT_NEGATIVE,
    'optim_wrapper.paramwise_cfg.*_mult': _NOT_NEGATIVE,
    'auto_scale_lr.base_batch_size': _POSITIVE,
    # LinearLR divides by it
    'param_scheduler*.start_factor': _Range(0, 1, above=True),
    'param_scheduler*.end_factor': _FRACTION,
    'param_scheduler*.gamma': _POSITIVE,
    'param_scheduler*.begin': _FROM_0,
    'param_scheduler*.end': _COUNT,
    'param_scheduler*.T_max': _Range(1, integer=True, others=(None,)),
    'param_scheduler*.step_size': _COUNT,
    'param_scheduler*.milestones': _COUNT,
    'param_scheduler*.eta_min': _Range(0, others=(None,)),
    'param_scheduler*.eta_min_ratio': _Range(0, others=(None,)),
    'randomness.seed': _Range(0, 2**32 - 1, integer=True, others=(None,)),
    # images are divided by it
    '*data_preprocessor.std': _Range(0, above=True, others=(None,)),
    '*data_preprocessor.mean': _Range(-math.inf, others=(None,)),
    'model*.head.loss.queue_len': _FROM_0,  # SwAV's; 0 disables it
    'model*.queue_len': _Range(1, integer=True, others=('auto',)),
    'model*temperature': _POSITIVE,
    'model*_temp': _POSITIVE,
    'model*.loss_weight': _NOT_NEGATIVE,
    'model.ssl_weight': _NOT_NEGATIVE,
    'model.mixup': _NOT_NEGATIVE,
    'model.standardize.num_images': _Range(2, integer=True),
    'model*.ssl.momentum': _FRACTION,
    'model.momentum': _FRACTION,
    'model*base_momentum': _FRACTION,
    'model*.norm_cfg.eps': _POSITIVE,
    'model*.drop_path_rate': _BELOW_1,
    'model*head*.num_classes': _COUNT,
    'model*.in_channels': _COUNT,
    'model*.out_channels': _COUNT,
    'model*_channels': _Range(0, integer=True, others=(None,)),
    'model*.feat_dim': _COUNT,
    'model*.num_prototypes': _COUNT,
    'default_hooks.online_knn.interval': _FROM_0,
    'default_hooks.checkpoint.max_keep_ckpts': _INTERVAL,
    'default_hooks.*.interval': _INTERVAL,
    'custom_hooks.*.interval': _INTERVAL,
    'custom_hooks.*.window': _COUNT,
    'custom_hooks.*.iters': _FROM_0,
    'custom_hooks.*.epochs': _FROM_0,
    'custom_hooks.*.start_*': _FROM_0,
    'custom_hooks.*.max_norm': _POSITIVE,
    'log_processor.window_size': _COUNT,
    '*_evaluator*.topk': _COUNT,
    '*.pipeline.*.prob': _FRACTION,
    '*.pipeline.*.crop_size': _POSITIVE,  # may be a fraction in mmdet
}
# Keys that must not be None.
_NEEDED = (
    'data_preprocessor',
    'model.ssl',
    'model.teacher',
    'model.distill',
    'model.backbone',
    'train_dataloader.dataset',
    'val_dataloader.dataset',
    'test_dataloader.dataset',
    'optim_wrapper.optimizer',
)
# Keys of one dict or several, each with a type.
_LISTS = (
    'custom_hooks',
    'param_scheduler',
    'visualizer.vis_backends',
    'val_cfg.scorers',
)
# Online scores of a pre-training, by their scorers and hooks.
_ONLINE = dict(
    KNNScorer=('knn_top1',),
    OnlineKNNHook=('knn_top1',),
    ProbeScorer=('probe_top1',),
    OnlineProbeHook=('probe_top1',),
    QualityScorer=('rank_me', 'uniformity', 'alignment'),
    FeatureQualityHook=('rank_me', 'uniformity', 'alignment'),
)
# Alternative Python packages of mmengine's visualization backends.
_PACKAGES = dict(
    TensorboardVisBackend=('tensorboardX', 'tensorboard'),
    WandbVisBackend=('wandb',),
    MLflowVisBackend=('mlflow',),
    ClearMLVisBackend=('clearml',),
    NeptuneVisBackend=('neptune',),
    DVCLiveVisBackend=('dvclive',),
    AimVisBackend=('aim',),
)


def check_config(cfg: Config, parts: tuple[str, ...], split: str = 'val') -> None:
    """Reject a config that would fail later or give a useless run.

    Args:
        cfg (Config): The config, with the command line's options.
        parts (tuple[str]): Names of dicts that the run needs.
        split (str): Evaluated split, 'val' or 'test'. Defaults to 'val'.

    Raises:
        InputError: If one is missing, a number is out of range, a hook or
            scheduler is not a dict, the package of a visualization backend is
            not installed, ``topk`` exceeds the number of classes, or
            ``save_best`` names a score that is not computed.
    """
    for name in parts:
        if not isinstance(cfg.get(name), dict):
            raise InputError(
                f'{name} of the config is {cfg.get(name)!r}, but must be a dict'
            )
    for name, value in _leaves(cfg._cfg_dict):
        if value is None and name in _NEEDED:
            raise InputError(f'{name} is None, but the run needs it')
        allowed = range_of(name)
        if allowed is not None and not allowed.allows(value):
            raise InputError(f'{name} is {value!r}, but must be {allowed}')
    for name in _LISTS:
        _check_dicts(cfg, name)
    _check_hooks(cfg)
    _check_packages(cfg)
    _check_top(cfg, f'{split}_evaluator')
    if split == 'val':
        _check_best(cfg)


def range_of(name: str) -> _Range | _OneOf | None:
    """Return the allowed values of a setting; None if it has no rule.

    Args:
        name (str): Its dotted name; trailing list indices are ignored.
    """
    parts = name.split('.')
    while parts[-1].isdigit():
        parts.pop()
    name = '.'.join(parts)
    return next(
        (
            allowed
            for pattern, allowed in _SETTINGS.items()
            if fnmatchcase(name, pattern)
        ),
        None,
    )


def _leaves(node: Any, name: str = '') -> Iterator[tuple[str, Any]]:
    """Yield dotted names and values of everything except dicts and lists."""
    children: Iterable[tuple[Any, Any]]
    if isinstance(node, dict):
        children = node.items()
    elif isinstance(node, (list, tuple)):
        children = enumerate(node)
    else:
        yield name, node
        return
    for key, child in children:
        yield from _leaves(child, f'{name}.{key}' if name else str(key))


def several(value: Any) -> list[Any]:
    """Return a list of one value, a list of values, or None."""
    if value is None:
        return []
    return list(value) if isinstance(value, (list, tuple)) else [value]


def _check_dicts(cfg: Config, name: str) -> None:
    node: Any = cfg
    for part in name.split('.'):
        node = (node or {}).get(part)
    for i, entry in enumerate(several(node)):
        if not isinstance(entry, dict) or 'type' not in entry:
            raise InputError(
                f'{name}.{i} is {entry!r}, but must be a dict with a type, as '
                f'{name}.{i}.type=NAME, or None to remove it'
            )


def _check_packages(cfg: Config) -> None:
    backends = (cfg.get('visualizer') or {}).get('vis_backends')
    for backend in several(backends):
        packages = _PACKAGES.get(backend['type'], ())
        if packages and not any(map(find_spec, packages)):
            raise InputError(
                f'visualizer: {backend["type"]} needs the package '
                f"{packages[-1]}, which is not installed: run 'pip install "
                f"{packages[-1]}'"
            )


def _check_top(cfg: Config, name: str) -> None:
    """Compare ``topk`` of an evaluator with the head's classes."""
    head = (cfg.get('model') or {}).get('head') or {}
    classes = head.get('num_classes') if isinstance(head, dict) else None
    for metric in several(cfg.get(name)):
        if not isinstance(metric, dict) or metric.get('type') != 'Accuracy':
            continue
        most = max(several(metric.get('topk', 1)))
        if classes and most > classes:
            raise InputError(
                f'{name} has topk={most}, but '
                f'model.head.num_classes is {classes}: set {name}.topk=1'
            )


def _online_scores(cfg: Config) -> list[str]:
    """Return the names of a pre-training's online scores."""
    kinds = [hook.get('type') for hook in hooks_of(cfg) if hook.get('interval') != 0]
    if has_online_loop(cfg):
        kinds += [scorer['type'] for scorer in cfg.val_cfg.get('scorers', ())]
    elif 'OnlineKNNHook' not in kinds:
        return []
    return [name for kind, names in _ONLINE.items() if kind in kinds for name in names]


def _check_hooks(cfg: Config) -> None:
    """Reject hooks that change one which the config lacks, or a second loop."""
    if has_online_loop(cfg) and any(
        hook.get('type') == 'OnlineKNNHook' for hook in hooks_of(cfg)
    ):
        raise InputError(f'OnlineKNNHook beside the OnlineLoop: {ONLINE_MOVED}')
    for name, hook in (cfg.get('default_hooks') or {}).items():
        if isinstance(hook, dict) and 'type' not in hook:
            reason = ONLINE_MOVED if name in ONLINE_HOOKS else 'give it one'
            raise InputError(f'default_hooks.{name} has no type: {reason}')


def _check_best(cfg: Config) -> None:
    """Check ``save_best``, which mmengine reads only after the first epoch."""
    hooks = cfg.get('default_hooks') or {}
    hook = hooks.get('checkpoint') or {}
    metrics = several(cfg.get('val_evaluator'))
    if metrics and any(
        not isinstance(metric, dict) or metric.get('type') != 'Accuracy'
        for metric in metrics
    ):
        return  # names of other metrics are not known here
    known = [
        f'accuracy/top{k}' for metric in metrics for k in several(metric.get('topk', 1))
    ]
    if not metrics:
        known = _online_scores(cfg)
        if not known and not has_online_loop(cfg):
            return  # no evaluation
    for name in several(hook.get('save_best')):
        if name not in ('auto', *known):
            raise InputError(
                f"default_hooks.checkpoint.save_best is '{name}', but the "
                f'evaluation computes {" and ".join(known) or "no score"}'
            )


def check_folder(path: str, option: str) -> None:
    """Check that a folder can be created and written to.

    Args:
        path (str): The folder, which may not exist yet.
        option (str): Option that specifies it.

    Raises:
        InputError: If it, or a folder above it, is a file or read-only.
    """
    existing = next(
        part for part in (Path(path), *Path(path).absolute().parents) if part.exists()
    )
    if not existing.is_dir():
        raise InputError(
            f"{option} '{path}': '{existing}' is a file, not a "
            f'folder: choose another {option}'
        )
    if not os.access(existing, os.W_OK | os.X_OK):
        raise InputError(
            f"{option} '{path}': '{existing}' is not writable: choose another {option}"
        )
