"""Rows, statistics and table of the student alone and with DisCo."""

import csv
import io
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
from .stats import paired

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


def best_rate(scores: dict[float, float]) -> float:
    """The learning rate with the best held-out score, the lowest if alike.

    Args:
        scores (dict): Linear probe of held-out training images, by rate.
    """
    return max(sorted(scores), key=scores.get)


def csv_text(rows: Sequence[dict], columns: Sequence[str] = COLUMNS) -> str:
    """The rows as a CSV file's content.

    Args:
        rows (Sequence[dict]): Which may have more than the columns.
        columns (Sequence[str]): Of the file.
    """
    out = io.StringIO()
    writer = csv.DictWriter(out, columns, lineterminator='\n', extrasaction='ignore')
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue()


def replace(path: Path, text: str) -> None:
    """Write a whole file or none."""
    half = path.with_name(f'{path.name}.half')
    half.write_text(text)
    half.replace(path)


def statistics(rows: Sequence[dict]) -> dict[str, dict]:
    """Mean and deviation of both arms, and their paired differences.

    Args:
        rows (Sequence[dict]): Of which a method's count once both arms have
            the same seeds.

    Returns:
        dict: By method and metric: ``mean`` and ``std`` by arm, ``gain`` of
        :func:`paired`.
    """
    found: dict[str, dict] = {}
    for method in dict.fromkeys(row['method'] for row in rows):
        arms = {
            arm: sorted(
                (r for r in rows if r['method'] == method and r['distill'] == arm),
                key=lambda r: r['seed'],
            )
            for arm in ARMS
        }
        seeds = [[r['seed'] for r in arms[arm]] for arm in ARMS]
        if not seeds[0] or seeds[0] != seeds[1]:
            continue
        for metric in METRICS:
            values = {arm: [r[metric] for r in arms[arm]] for arm in ARMS}
            found.setdefault(method, {})[metric] = dict(
                mean={a: mean(v) for a, v in values.items()},
                std={a: stdev(v) if len(v) > 1 else None for a, v in values.items()},
                gain=paired(values['DisCo'], values['none']),
            )
    return found


def _with(value: float, spread, sign: str = '') -> str:
    text = f'{value:{sign}.2f}'
    return text if spread is None else f'{text} ± {spread:.2f}'


def without_gain(found: dict[str, dict]) -> list[str]:
    """Methods on which DisCo's linear probe is not better by two standard
    errors."""
    gains = {m: s['linear']['gain'] for m, s in found.items()}
    return [m for m, g in gains.items() if g['mean'] <= 2 * (g['standard_error'] or 0)]


def markdown(
    rows: Sequence[dict], grids: dict[str, dict[float, float]], conditions: str
) -> str:
    """The table as a document.

    Args:
        rows (Sequence[dict]): All runs.
        grids (dict): Held-out scores by learning rate, by '<method> <arm>'.
        conditions (str): What is the same in both arms, and how it was run.
    """
    found = statistics(rows)
    lines = [
        '# The student alone and with DisCo, on five methods',
        '',
        conditions,
        '',
        '| method | metric | alone | with DisCo | paired difference |',
        '|---|---|---|---|---|',
    ]
    for method, metrics in found.items():
        for metric, name in METRICS.items():
            s = metrics[metric]
            cells = [_with(s['mean'][arm], s['std'][arm]) for arm in ARMS]
            gain = _with(s['gain']['mean'], s['gain']['standard_error'], '+')
            lines.append(f'| {method} | {name} | {" | ".join(cells)} | {gain} |')
    weak = without_gain(found)
    lines += [
        '',
        'Mean ± standard deviation over the seeds; paired '
        'differences ± standard error. Methods are not compared with '
        "each other: heads, crops and rates are each one's own.",
        '',
        f'DisCo does not help the linear probe by two standard errors '
        f'on: {", ".join(weak)}.'
        if weak
        else 'DisCo helps the linear probe on each by more than two standard errors.',
        '',
        '## Learning rates',
        '',
        'Linear probe of held-out training images, one seed; the best '
        'of each row is taken.',
        '',
    ]
    for name, scores in grids.items():
        cells = [
            f'**{lr:g}: {v:.2f}**' if lr == best_rate(scores) else f'{lr:g}: {v:.2f}'
            for lr, v in sorted(scores.items())
        ]
        lines.append(f'- {name}: {", ".join(cells)}')
    commits, commands, machines = (
        ', '.join(dict.fromkeys(row[key] for row in rows))
        for key in ('commit', 'command', 'machine')
    )
    return '\n'.join(
        [*lines, '', f'`{commands}` at commit {commits}, on {machines}.', '']
    )


CONFIGS = Path('configs/quickstart/testbeds')
SEARCH_SEED, TRAINED = 100, 0.8  # share of images; the rest chooses the rate
PREFIX = dict(none='', DisCo='disco_')


def config_of(method: str, arm: str) -> str:
    """Path of the config of a method, alone ('none') or with 'DisCo'."""
    return str(CONFIGS / f'{PREFIX[arm]}{method}.py')


def job(
    method: str, arm: str, lr: float, seed: int, options: dict, work_dir: Path
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
) -> list[dict]:
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
