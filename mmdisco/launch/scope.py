from mmengine.config import Config, ConfigDict


def is_detector(cfg: Config) -> bool:
    """Whether a config is one of mmdet's."""
    return cfg.get('default_scope') == 'mmdet'


def scoped_name(cfg: Config, name: str) -> str:
    """Name of a class of this project in a config of any scope.

    The classes are registered in mmpretrain's scope.

    Args:
        cfg (Config): The config.
        name (str): Name of the class.
    """
    same = cfg.get('default_scope', 'mmpretrain') == 'mmpretrain'
    return name if same else f'mmpretrain.{name}'


# Hooks of every training, by their names in default_hooks.
HOOKS = dict(epoch_seed='EpochSeedHook', signals='SignalHook')


def add_hooks(cfg: Config) -> None:
    """Add the hooks of every training to a config that lacks them.

    This project's configs contain them; user configs and dumps of older
    versions may not. ``default_hooks.NAME=None`` on the command line removes
    one (recorded in ``hooks_left_out`` of the config).

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


# Hooks of earlier configs, whose scores are now those of val_cfg.
ONLINE_HOOKS = ('online_knn', 'online_probe', 'feature_quality', 'teacher_knn')
ONLINE_MOVED = (
    'online scores are set in val_cfg: train_cfg.val_interval=N, '
    'val_cfg.num_train=N, val_cfg.scorers.0.k=N, or val_cfg=None for none'
)


def hooks_of(cfg: Config) -> list[ConfigDict]:
    """Default and custom hooks of a config.

    Args:
        cfg (Config): The config.
    """
    hooks = [
        *(cfg.get('default_hooks') or {}).values(),
        *(cfg.get('custom_hooks') or ()),
    ]
    return [hook for hook in hooks if isinstance(hook, dict)]


def has_online_loop(cfg: Config) -> bool:
    """Whether the validation of a config is an :class:`OnlineLoop`.

    Args:
        cfg (Config): The config.
    """
    return (cfg.get('val_cfg') or {}).get('type') == 'OnlineLoop'
