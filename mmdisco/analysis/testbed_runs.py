"""The runs behind the table of testbeds: which, and their scores."""

import json
from pathlib import Path
from typing import Dict, List, Sequence

import torch
from joblib import Parallel, delayed
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmpretrain.registry import DATASETS, MODELS

from mmdisco.launch import Job
from mmdisco.utils import available_cores
from .quickstart import load_backbone, score

CONFIGS = Path('configs/quickstart/testbeds')
SEARCH_SEED, TRAINED = 100, 0.8  # share of images; the rest chooses the rate
PREFIX = dict(none='', DisCo='disco_')


def config_of(method: str, arm: str) -> str:
    """Path of the config of a method, alone ('none') or with 'DisCo'."""
    return str(CONFIGS / f'{PREFIX[arm]}{method}.py')


def job(
    method: str, arm: str, lr: float, seed: int, options: Dict, work_dir: Path
) -> Job:
    """A run of a method.

    Args:
        method (str): Of which there are configs.
        arm (str): 'none' or 'DisCo'.
        lr (float): Learning rate.
        seed (int): Seed of the run; :data:`SEARCH_SEED` is one of the grid.
        options (dict): For all runs.
        work_dir (Path): Folder of all runs.
    """
    name = f'{method} {arm} lr {lr:g} seed {seed}'
    return Job(
        name,
        config_of(method, arm),
        work_dir / name.replace(' ', '_'),
        {'randomness.seed': seed, 'optim_wrapper.optimizer.lr': lr, **options},
    )


def splits(cfg: Config, images: int, search: bool) -> Sequence:
    """Labelled images for the probes, and those that are scored.

    Args:
        cfg (Config): Of a run.
        images (int): Training images in all.
        search (bool): Whether held-out training images are scored, or the
            test images.
    """
    dataset = cfg.train_dataloader.dataset
    dataset = dict(dataset.get('dataset', dataset))  # in bags, if any
    kept = int(TRAINED * images)
    if search:
        parts = dict(start=0, stop=kept), dict(start=kept, stop=images)
    else:
        parts = dict(start=0, stop=images), dict(split='test')
        dataset.pop('stop', None)
    return [DATASETS.build({**dataset, **part}) for part in parts]


def scores_of(run: Job, images: int, search: bool, source: dict) -> dict:
    """Scores of a finished run, kept in its folder.

    Args:
        run (Job): The run.
        images (int): Training images in all.
        search (bool): Whether it is one of the grid.
        source (dict): ``commit`` and ``machine``, for a run not yet scored.

    Returns:
        dict: ``knn``, ``linear``, ``seconds``, ``peak_memory_mib``, ``commit``,
        ``machine``.
    """
    path = run.work_dir / 'scores.json'
    if path.is_file() and (path.stat().st_mtime >= run.checkpoint.stat().st_mtime):
        return json.loads(path.read_text())
    cfg = Config.fromfile(run.config)
    cfg.merge_from_dict(run.options)
    ssl = cfg.model.get('ssl', cfg.model)
    values = score(
        load_backbone(ssl.backbone, run.checkpoint),
        MODELS.build(cfg.data_preprocessor),
        *splits(cfg, images, search),
    )
    values.pop('params')
    values.update(
        seconds=round(run.seconds(), 1),
        peak_memory_mib=round(run.peak_memory()),
        **source,
    )
    half = path.with_suffix('.half')
    half.write_text(json.dumps(values))
    half.replace(path)
    print(
        f'[{run.name}] linear probe {values["linear"]:.2f}, kNN {values["knn"]:.2f}',
        flush=True,
    )
    return values


def score_runs(
    runs: Sequence[Job], images: int, search: bool, source: dict
) -> List[dict]:
    """Scores of finished runs, as many at once as there are cores.

    Args:
        runs (Sequence[Job]): The runs.
        images (int): Training images in all.
        search (bool): Whether they are of the grid.
        source (dict): ``commit`` and ``machine``.

    Returns:
        list[dict]: Of :func:`scores_of`.
    """
    return Parallel(n_jobs=min(available_cores(), len(runs)))(
        delayed(_score)(run, images, search, source) for run in runs
    )


def _score(run: Job, images: int, search: bool, source: dict) -> dict:
    init_default_scope('mmpretrain')  # of this process
    torch.set_num_threads(1)
    return scores_of(run, images, search, source)
