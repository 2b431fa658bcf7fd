"""Paths of the project."""

from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent


def project_root() -> Path:
    """Folder of ``configs``, ``demo``, ``tools`` and ``model-index.yml``.

    It is the clone, or ``.mim`` inside the installed package, where OpenMMLab's
    tools look for them.
    """
    mim = _PACKAGE / '.mim'
    return mim if mim.is_dir() else _PACKAGE.parent


def configs_root() -> Path:
    """Folder of the configs."""
    return project_root() / 'configs'
