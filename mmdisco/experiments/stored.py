"""Students of a stored teacher by the number of stored views, on clip art."""

import copy
import json
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import mean

from mmengine.config import Config
from PIL import Image

from mmdisco.apis.recipe import set_size
from mmdisco.apis.store import store_teacher
from mmdisco.apis.store_header import StoreOptions
from mmdisco.datasets.stored import Store
from mmdisco.launch import use_store
from mmdisco.paths import configs_root
from .figures import INK, MUTED, panels
from .jobs import Job
from .pictures import (
    MEAN,
    SIZE,
    STD,
    Arm,
    Pictures,
    config,
    teacher_config,
)
from .stats import mean_std, origin_line, paired, plus_minus, write_text

NUMBERS = (1, 2, 5, 20)  # of stored views
LIVE = 'live'
COLUMNS = (
    'method',
    'views',
    'seed',
    'knn',
    'linear',
    'held_out',
    'seconds',
    'store_seconds',
    'megabytes',
    'command',
    'commit',
    'machine',
)


def write_photos(pictures: Pictures, folder: Path) -> None:
    """Write the training pictures as PNG files, unless they exist.

    Args:
        pictures (Pictures): The pictures.
        folder (Path): The folder; created when it is complete.
    """
    if folder.is_dir():
        return
    half = folder.with_name(f'{folder.name}.half')
    half.mkdir(parents=True, exist_ok=True)
    for index in pictures.train.tolist():
        pixels = pictures.images[index].permute(1, 2, 0).numpy()  # [S, S, 3]
        Image.fromarray(pixels).save(half / f'{index:05}.png')
    half.rename(folder)


def live_config(arm: Arm, setting: dict, epochs: int, work_dir: Path) -> Config:
    """The config of a run with the teacher itself, on MoCo-v2's views of files.

    Args:
        arm (Arm): The method.
        setting (dict): A setting of its grid.
        epochs (int): Number of epochs.
        work_dir (Path): Folder of all runs, with ``photos``.
    """
    cfg = config(arm, setting, epochs, work_dir)
    cfg.custom_imports.imports = ['mmdisco']
    cfg.model.teacher = teacher_config()
    cfg.data_preprocessor = dict(
        type='SelfSupDataPreprocessor', mean=MEAN, std=STD, to_rgb=True
    )
    name = 'photos_two_views' if arm.config == 'disco' else 'photos_one_view'
    views = Config.fromfile(configs_root() / '_base_/datasets' / f'{name}.py')
    pipeline = views.train_dataloader.dataset.pipeline
    set_size(pipeline, SIZE)
    cfg.train_dataloader.dataset = dict(
        type='Photos',
        data_root=str(work_dir / 'photos'),
        data_prefix='',
        pipeline=pipeline,
    )
    return cfg


def write_store(cfg: Config, work_dir: Path, views: int) -> Store:
    """Store the teacher's embeddings, or continue; keeps the seconds that it took.

    Args:
        cfg (Config): Config of :func:`live_config`.
        work_dir (Path): Gets ``store`` and ``store_seconds.json``.
        views (int): Stored views of a picture.
    """
    path = work_dir / 'store_seconds.json'
    before = json.loads(path.read_text()) if path.is_file() else 0.0
    start = time.perf_counter()
    options = StoreOptions(views=views, workers=1)
    store = store_teacher(cfg, work_dir / 'store', options, 'this benchmark')
    if not path.is_file() or store.num_views < views:
        write_text(path, json.dumps(before + time.perf_counter() - start))
    return store


def megabytes(store: Store, views: int) -> float:
    """Space of the first views of a store, without its header."""
    width = store.header['teacher']['width']
    size = dict(fp16=2 * width, int8=width + 4, fp32=4 * width)[store.header['dtype']]
    return len(store) * views * size / 1e6


def job(
    cfg: Config, arm: Arm, views: int | str, seed: int, store: Store, work_dir: Path
) -> Job:
    """A run, with its config written into the folder of all runs.

    Args:
        cfg (Config): Config of :func:`live_config`.
        arm (Arm): The method.
        views (int or str): Number of stored views, or :data:`LIVE`.
        seed (int): Seed of the run.
        store (Store): The store.
        work_dir (Path): Folder of all runs.
    """
    cfg = copy.deepcopy(cfg)
    if views != LIVE:
        use_store(cfg, str(store.folder))
        cfg.train_dataloader.dataset.pipeline[0].num_views = views
    name = f'{arm.name}, {views}, {cfg.train_cfg.max_epochs} epochs, seed {seed}'
    folder = ''.join(c if c.isalnum() or c in '.-' else '_' for c in name)
    path = work_dir / 'configs' / f'{folder}.py'
    path.parent.mkdir(parents=True, exist_ok=True)
    write_text(path, cfg.pretty_text)
    return Job(
        name,
        str(path),
        work_dir / folder,
        {'randomness.seed': seed},
        speed='auto',
        compile=False,  # a short run
    )


def table(rows: Sequence[dict]) -> list[str]:
    """Lines of a Markdown table: scores by method and number of views.

    Args:
        rows (Sequence[dict]): One per method, number of views and seed.
    """
    lines = [
        '| method | views | kNN | less live | linear probe | less live | seconds of a '
        'training | seconds of the store | MB |',
        '|---' * 9 + '|',
    ]
    for method in dict.fromkeys(row['method'] for row in rows):
        own = [row for row in rows if row['method'] == method]
        live = [row for row in own if row['views'] == LIVE]
        for views in dict.fromkeys(row['views'] for row in own):
            group = [row for row in own if row['views'] == views]
            cells = [method, str(views)]
            for metric in ('knn', 'linear'):
                values = [row[metric] for row in group]
                cells.append(mean_std(values))
                cells.append('')
                if live and views != LIVE:
                    gap = paired(values, [row[metric] for row in live])
                    cells[-1] = plus_minus(gap['mean'], gap['standard_error'], '+')
            cells.append(f'{mean(row["seconds"] for row in group):.0f}')
            for key in ('store_seconds', 'megabytes'):
                cells.append('' if views == LIVE else f'{group[0][key]:.0f}')
            lines.append(f'| {" | ".join(cells)} |')
    return lines


def markdown(rows: Sequence[dict], pictures: int, epochs: int) -> str:
    """The report.

    Args:
        rows (Sequence[dict]): One per method, number of views and seed.
        pictures (int): Number of training pictures.
        epochs (int): Epochs of each run.
    """
    seeds = len({row['seed'] for row in rows})
    return '\n'.join(
        [
            '# Stored views of a teacher',
            '',
            f'{pictures} pictures without labels, {epochs} epochs, {seeds} seeds. Per '
            'cent, mean ± standard deviation over the seeds; differences are paired by '
            'seed, ± standard error. Each run draws its views from the stored ones; '
            'live runs draw new ones, which the teacher embeds in each step.',
            '',
            *table(rows),
            '',
            origin_line(rows),
            '',
        ]
    )


def draw(rows: Sequence[dict], path: Path) -> None:
    """Scores by the number of stored views, mean and seeds, as a PNG.

    Args:
        rows (Sequence[dict]): One per method, number of views and seed.
        path (Path): The file.
    """
    figure, axes = panels(1, 2, (11, 4))
    titles = dict(knn='kNN (k = 10), top-1 %', linear='Linear probe, top-1 %')
    for axis, (metric, title) in zip(axes[0], titles.items()):
        for method in dict.fromkeys(row['method'] for row in rows):
            own = [row for row in rows if row['method'] == method]
            stored = [v for v in dict.fromkeys(r['views'] for r in own) if v != LIVE]
            means = [mean(r[metric] for r in own if r['views'] == v) for v in stored]
            (line,) = axis.plot(stored, means, marker='o', label=method)
            for row in own:
                if row['views'] != LIVE:
                    axis.plot(
                        row['views'],
                        row[metric],
                        '.',
                        color=line.get_color(),
                        alpha=0.5,
                    )
            live = [row[metric] for row in own if row['views'] == LIVE]
            if live:
                axis.axhline(mean(live), color=line.get_color(), ls='--', lw=1)
        axis.set_xscale('log')
        axis.set_xticks(stored, [str(v) for v in stored])
        axis.minorticks_off()
        axis.set_xlabel('stored views (dashed: live)', fontsize=9, color=MUTED)
        axis.set_title(title, loc='left', fontsize=11, color=INK)
    axes[0, 0].legend(frameon=False, fontsize=9)
    figure.savefig(path, dpi=110)
