from mmengine.config import Config


def is_detector(cfg: Config) -> bool:
    """Whether a config is one of mmdet's."""
    return cfg.get('default_scope') == 'mmdet'


def ours(cfg: Config, name: str) -> str:
    """Name of a class of this project in a config of any scope.

    They are registered beside mmpretrain's.

    Args:
        cfg (Config): The config.
        name (str): Of the class.
    """
    own = cfg.get('default_scope', 'mmpretrain') == 'mmpretrain'
    return name if own else f'mmpretrain.{name}'
