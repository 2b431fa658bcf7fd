from mmengine.config import Config

from mmdisco.errors import InputError


def set_student(cfg: Config, checkpoint: str) -> None:
    """Tell a config's ``StudentHook`` which student to load.

    Args:
        cfg (Config): The config, changed in place.
        checkpoint (str): The file.

    Raises:
        InputError: If the config takes no student.
    """
    hooks = [hook for hook in cfg.get('custom_hooks') or ()
             if hook.type == 'StudentHook']
    if not hooks:
        raise InputError(
            f"this config takes no student: --student '{checkpoint}' is for "
            'one with a StudentHook, as those of configs/benchmarks')
    for hook in hooks:
        hook.checkpoint = checkpoint
