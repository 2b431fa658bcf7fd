from contextlib import contextmanager

from mmengine.logging import MMLogger


@contextmanager
def quiet_init():
    """Keep mmengine from logging a line for each weight it initialises."""
    logger = MMLogger.get_current_instance()
    level = logger.level
    logger.setLevel('WARNING')
    try:
        yield
    finally:
        logger.setLevel(level)
