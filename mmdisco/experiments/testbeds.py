"""Runs, scores and report of students alone and with DisCo, by method."""

import json
from collections.abc import Sequence
from pathlib import Path
from statistics import mean, stdev

import torch
from joblib import Parallel, delayed
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmpretrain.registry import DATASETS, MODELS

from mmdisco.utils import available_cores
from .jobs import Job
from .quickstart import load_backbone, score
from .stats import by_seed, origin_line, paired, plus_minus, write_text

CONFIGS = Path('configs/quickstart/testbeds')
# seed of the grid's runs, and their share of the training images: the others
# are held out and choose the learning rate
SEARCH_SEED, TRAINED = 100, 0.8
PREFIX = dict(none='', DisCo='disco_')
COLUMNS = (
    'method',
    'distill',
    'seed',
    'knn',
    'linear',
    'seconds',
    'command',
    'commit',
    'machine',
)
ARMS = ('none', 'DisCo')
METRICS = dict(linear='linear probe', knn='kNN')


def config_of(method: str, arm: str) -> str:
    """Path of the config of a method, alone ('none') or with 'DisCo'."""
    return str(CONFIGS / f'{PREFIX[arm]}{method}.py')


def job(
    method: str,
    arm: str,
    lr: float,
    seed: int,
    options: dict[str, object],
    work_dir: Path,
) -> Job:
    """A run of a method.

    Args:
        method (str): A method with configs in :data:`CONFIGS`.
        arm (str): 'none' or 'DisCo'.
        lr (float): Learning rate.
        seed (int): Seed of the run; :data:`SEARCH_SEED` for the grid.
        options (dict): Config options of all runs.
        work_dir (Path): Folder of all runs.

    Returns:
        Job: The run.
    """
    name = f'{method} {arm} lr {lr:g} seed {seed}'
    return Job(
        name,
        config_of(method, arm),
        work_dir / name.replace(' ', '_'),
        {'randomness.seed': seed, 'optim_wrapper.optimizer.lr': lr, **options},
    )


def splits(cfg: Config, images: int, search: bool) -> list:
    """Labelled images to fit the probes, and images to score.

    Args:
        cfg (Config): Config of a run.
        images (int): Number of training images.
        search (bool): Score held-out training images instead of the test
            images.

    Returns:
        list: Two data sets.
    """
    dataset = cfg.train_dataloader.dataset
    dataset = dict(dataset.get('dataset', dataset))  # inside Bags
    kept = int(TRAINED * images)
    parts: tuple[dict, dict] = dict(start=0, stop=kept), dict(start=kept, stop=images)
    if not search:
        parts = dict(start=0, stop=images), dict(split='test')
        dataset.pop('stop', None)
    return [DATASETS.build({**dataset, **part}) for part in parts]


def scores_of(run: Job, images: int, search: bool, source: dict) -> dict:
    """Scores of a finished run, cached in its folder.

    Args:
        run (Job): The run.
        images (int): Number of training images.
        search (bool): Whether the run is one of the grid.
        source (dict): ``commit`` and ``machine``, if the run has no scores yet.

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
    values: dict = score(
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
    write_text(path, json.dumps(values))
    print(
        f'[{run.name}] linear probe {values["linear"]:.2f}, kNN {values["knn"]:.2f}',
        flush=True,
    )
    return values


def score_runs(
    runs: Sequence[Job], images: int, search: bool, source: dict
) -> list[dict]:
    """Score finished runs, one at a time per core.

    Args:
        runs (Sequence[Job]): The runs.
        images (int): Number of training images.
        search (bool): Whether the runs are those of the grid.
        source (dict): ``commit`` and ``machine``.

    Returns:
        list[dict]: The scores, as from :func:`scores_of`.
    """
    return Parallel(n_jobs=min(available_cores(), len(runs)))(
        delayed(_score)(run, images, search, source) for run in runs
    )


def _score(run: Job, images: int, search: bool, source: dict) -> dict:
    init_default_scope('mmpretrain')  # of this process
    torch.set_num_threads(1)
    return scores_of(run, images, search, source)


def best_rate(scores: dict[float, float]) -> float:
    """The learning rate with the best held-out score, the lowest if tied.

    Args:
        scores (dict): Linear probe of held-out training images, by rate.
    """
    return max(sorted(scores), key=lambda rate: scores[rate])


def statistics(rows: Sequence[dict]) -> dict[str, dict]:
    """Mean and deviation of both arms, and their paired differences.

    Args:
        rows (Sequence[dict]): All runs. A method is left out until both arms
            have the same seeds.

    Returns:
        dict: By method and metric: ``mean`` and ``std`` by arm, and ``gain``
        from :func:`paired`.
    """
    stats: dict[str, dict] = {}
    for method in dict.fromkeys(row['method'] for row in rows):
        arms = {arm: by_seed(rows, method=method, distill=arm) for arm in ARMS}
        if not arms['none'] or arms['none'].keys() != arms['DisCo'].keys():
            continue
        for metric in METRICS:
            values = {arm: [r[metric] for r in arms[arm].values()] for arm in ARMS}
            stats.setdefault(method, {})[metric] = dict(
                mean={a: mean(v) for a, v in values.items()},
                std={a: stdev(v) if len(v) > 1 else None for a, v in values.items()},
                gain=paired(values['DisCo'], values['none']),
            )
    return stats


def without_gain(stats: dict[str, dict]) -> list[str]:
    """Methods on which the linear probe gains at most two standard errors."""
    gains = {method: metrics['linear']['gain'] for method, metrics in stats.items()}
    return [m for m, g in gains.items() if g['mean'] <= 2 * (g['standard_error'] or 0)]


def table(rows: Sequence[dict]) -> list[str]:
    """Both arms of each method as lines of a Markdown table."""
    lines = [
        '| method | metric | alone | with DisCo | paired difference |',
        '|---|---|---|---|---|',
    ]
    for method, metrics in statistics(rows).items():
        for metric, name in METRICS.items():
            s = metrics[metric]
            cells = [plus_minus(s['mean'][arm], s['std'][arm]) for arm in ARMS]
            gain = plus_minus(s['gain']['mean'], s['gain']['standard_error'], '+')
            lines.append(f'| {method} | {name} | {" | ".join(cells)} | {gain} |')
    return lines


def markdown(
    rows: Sequence[dict],
    grids: dict[str, dict[float, float]],
    images: int,
    epochs: int,
) -> str:
    """The report.

    Args:
        rows (Sequence[dict]): All runs.
        grids (dict): Held-out scores by learning rate, by '<method> <arm>'.
        images (int): Number of training images.
        epochs (int): Number of epochs of each run.

    Returns:
        str: Markdown.
    """
    weak = without_gain(statistics(rows))
    lines = [
        '# Students alone and with DisCo',
        '',
        f'{images} training images, {epochs} epochs, '
        f'{len({row["seed"] for row in rows})} seeds (`{CONFIGS}/`). Test images: '
        'mean ± standard deviation over the seeds; paired differences ± standard '
        'error.',
        '',
        *table(rows),
        '',
        'The linear probe gains at most two standard errors on: ' + ', '.join(weak)
        if weak
        else 'The linear probe gains more than two standard errors on each method.',
        '',
        '## Learning rates',
        '',
        'Linear probe of held-out training images, one seed. Bold: the best of '
        'each row, used above.',
        '',
    ]
    for name, scores in grids.items():
        cells = [
            f'**{lr:g}: {v:.2f}**' if lr == best_rate(scores) else f'{lr:g}: {v:.2f}'
            for lr, v in sorted(scores.items())
        ]
        lines.append(f'- {name}: {", ".join(cells)}')
    return '\n'.join([*lines, '', origin_line(rows), ''])
