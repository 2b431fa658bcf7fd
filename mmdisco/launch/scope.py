"""Scope of a config, and the hooks that every run has."""

from mmengine.config import Config, ConfigDict


def is_detector(cfg: Config) -> bool:
    """Check whether a config is for mmdet."""
    return cfg.get('default_scope') == 'mmdet'


def scoped_name(cfg: Config, name: str) -> str:
    """Return the name of one of this project's classes for a config's scope.

    The classes are registered in mmpretrain's scope.

    Args:
        cfg (Config): The config.
        name (str): Name of the class.

    Returns:
        str: The name, with a scope if the config has another one.
    """
    is_default = cfg.get('default_scope', 'mmpretrain') == 'mmpretrain'
    return name if is_default else f'mmpretrain.{name}'


# Hooks of every training, by their names in default_hooks.
HOOKS = dict(epoch_seed='EpochSeedHook', signals='SignalHook')


def add_hooks(cfg: Config) -> None:
    """Add the hooks that every training has, unless the config names them.

    Configs of this project name them; configs dumped by an older version, or
    written elsewhere, may not. ``default_hooks.NAME=None`` on the command line
    removes a hook (``hooks_left_out`` of the config).

    Args:
        cfg (Config): The config, changed in place.
    """
    if not cfg.get('default_hooks'):
        cfg.default_hooks = {}
    hooks = cfg.default_hooks
    named = {
        str(hook.type).rsplit('.', 1)[-1]
        for hook in (*filter(None, hooks.values()), *(cfg.get('custom_hooks') or ()))
    }
    for name, kind in HOOKS.items():
        if kind not in named and name not in cfg.get('hooks_left_out', ()):
            hooks.setdefault(name, dict(type=scoped_name(cfg, kind)))


# Hooks of earlier configs, and the scorers in val_cfg that replace them.
ONLINE_HOOKS = dict(
    online_knn='KNNScorer',
    online_probe='ProbeScorer',
    feature_quality='QualityScorer',
    teacher_knn='TeacherKNNScorer',
)
ONLINE_MOVED = (
    'online scores are set in val_cfg: train_cfg.val_interval=N, '
    'val_cfg.num_train=N, val_cfg.scorers.0.k=N, or val_cfg=None for none'
)


def hooks_of(cfg: Config) -> list[ConfigDict]:
    """Return the default and custom hooks of a config.

    Args:
        cfg (Config): The config.
    """
    hooks = [
        *(cfg.get('default_hooks') or {}).values(),
        *(cfg.get('custom_hooks') or ()),
    ]
    return [hook for hook in hooks if isinstance(hook, dict)]


def has_online_loop(cfg: Config) -> bool:
    """Check whether the validation loop of a config is an :class:`OnlineLoop`.

    Args:
        cfg (Config): The config.
    """
    return (cfg.get('val_cfg') or {}).get('type') == 'OnlineLoop'
