"""Start of a training: a checkpoint, weights or neither."""

import re
from pathlib import Path

from mmengine.config import Config, ConfigDict

from mmdisco.checkpoints import safe_load

TEMPLATES = ('epoch_{}.pth', 'iter_{}.pth')


def set_start(cfg: Config, resume: str | None) -> list[str]:
    """Set the start of a training: a checkpoint, weights or neither.

    A run without a checkpoint starts from the config's ``load_from``, so that a
    job script may always pass ``--resume``.

    Args:
        cfg (Config): The config with its ``work_dir``. ``resume``, ``load_from``
            and, for a resumed run without a seed, ``randomness.seed`` are set.
        resume (str, optional): A checkpoint, or 'auto' for the newest one. None
            uses ``cfg.resume``.

    Returns:
        list[str]: Lines for the log.

    Raises:
        InputError: If the file is not a checkpoint.
    """
    load_from = cfg.get('load_from')
    if resume is None and cfg.get('resume'):
        resume = load_from or 'auto'
    checkpoint, notes = resume, []
    if resume == 'auto':
        checkpoint = newest_checkpoint(*checkpoints_of(cfg))
        if checkpoint is None and cfg.get('resume'):
            checkpoint = load_from  # the config was dumped by a resumed run
        if checkpoint is None:
            notes.append(
                f"--resume: no checkpoint in '{cfg.work_dir}' yet, "
                'the run starts'
                + (f" from load_from='{load_from}'" if load_from else '')
            )
    cfg.resume = checkpoint is not None
    cfg.load_from = checkpoint or load_from
    if cfg.load_from and '://' not in cfg.load_from:
        loaded = safe_load(cfg.load_from)  # raises InputError
        if cfg.resume and isinstance(loaded, dict):
            _keep_seed(cfg, loaded.get('meta') or {})
    return notes


def checkpoints_of(cfg: Config) -> tuple[Path, tuple[str, ...]]:
    """Return the folder and name templates of a run's checkpoints.

    Args:
        cfg (Config): The config with its ``work_dir``.
    """
    hook = (cfg.get('default_hooks') or {}).get('checkpoint') or ConfigDict()
    folder = Path(cfg.work_dir)
    if hook.get('out_dir'):  # CheckpointHook creates a sub-folder there
        folder = Path(hook.out_dir, folder.name)
    template = hook.get('filename_tmpl')
    return folder, (template,) if template else TEMPLATES


def newest_checkpoint(
    folder: str | Path, templates: tuple[str, ...] = TEMPLATES
) -> str | None:
    """Find a run's checkpoint with the most iterations.

    mmengine reads the file ``last_checkpoint``, which names a missing file if
    the run was killed between removing an old checkpoint and writing the new
    one. Other files, as ``epoch_1_student.pth`` and
    ``best_knn_top1_epoch_1.pth``, are ignored. If a folder has checkpoints by
    epoch and by iteration, the iterations in the newest file of each kind are
    compared.

    Args:
        folder (str or Path): Folder of the run.
        templates (tuple[str]): Names of checkpoints, with ``{}`` for the
            number. Defaults to those of mmengine.

    Returns:
        str or None: The file, None if there is none yet.
    """
    newest: list[str] = []
    for template in templates:
        name = re.compile(r'(\d+)'.join(map(re.escape, template.split('{}'))))
        numbered = [
            (int(match[1]), str(file))
            for file in Path(folder).glob('*')
            if (match := name.fullmatch(file.name)) and file.is_file()
        ]
        newest += [max(numbered)[1]] if numbered else []
    if len(newest) < 2:
        return newest[0] if newest else None
    return max(newest, key=_iterations)


def _iterations(path: str) -> int:
    return (safe_load(path).get('meta') or {}).get('iter', 0)


def _keep_seed(cfg: Config, meta: dict) -> None:
    """Keep a seed that the run drew, also for the sampler."""
    cfg.setdefault('randomness', dict())
    if cfg.randomness.get('seed') is None and meta.get('seed') is not None:
        cfg.randomness.seed = meta['seed']
