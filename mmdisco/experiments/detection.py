"""Runs, scores, report and figure of the detection benchmark."""

import json
from collections.abc import Sequence
from pathlib import Path
from statistics import mean, median_high

from mmdisco.datasets.detection.synthetic import make_set
from mmdisco.errors import InputError, MissingFileError
from .figures import INK, panels
from .jobs import Job, scalars
from .stats import mean_std

SEED = 1  # of the data sets; learning rates were tried on those of seed 0
CONFIGS = 'configs/quickstart/detection'
# Config, format of its data, and the names of AP and AP50 in its log by row.
DETECTORS = dict(
    faster=(
        'faster-rcnn_c4',
        'voc',
        {
            'Faster R-CNN C4, AP of VOC': ('pascal_voc/mAP', 'pascal_voc/AP50'),
            'Faster R-CNN C4, AP of COCO': ('coco/bbox_mAP', 'coco/bbox_mAP_50'),
        },
    ),
    mask=(
        'mask-rcnn_c4',
        'coco',
        {
            'Mask R-CNN C4, boxes': ('coco/bbox_mAP', 'coco/bbox_mAP_50'),
            'Mask R-CNN C4, masks': ('coco/segm_mAP', 'coco/segm_mAP_50'),
        },
    ),
)


COLUMNS = (
    'detector',
    'init',
    'seed',
    'AP',
    'AP50',
    'seconds',
    'command',
    'commit',
    'machine',
    'lr',
)
INITS = dict(random='#b9c8c0', mocov2='#e08e45', disco='#2a9d6f')
LABELS = dict(random='random', mocov2='MoCo-v2', disco='DisCo')


def student_of(runs: Path, init: str, seed: int) -> str:
    """Checkpoint of an initialisation, or 'random'.

    Args:
        runs (Path): Folder of the quickstart's runs.
        init (str): Name of the initialisation, 'random' or a folder of ``runs``.
        seed (int): Seed of the student.

    Returns:
        str: The newest checkpoint of the student.

    Raises:
        MissingFileError: If there is no such student.
    """
    if init == 'random':
        return init
    files = [*(runs / init / f'seed{seed}').glob('epoch_*.pth')]
    if not files:
        raise MissingFileError(
            f"no student in '{runs}/{init}/seed{seed}': "
            'run python tools/quickstart.py --seeds 3'
        )
    return str(max(files, key=lambda p: int(p.stem.removeprefix('epoch_'))))


def data_of(work_dir: Path, kind: str, train: int, test: int, objects: Path) -> Path:
    """Folder of the garment images, created if it does not exist.

    Args:
        work_dir (Path): Folder to create it in.
        kind (str): Annotation format, 'voc' or 'coco'.
        train (int): Number of training images.
        test (int): Number of test images.
        objects (Path): Folder of Fashion-MNIST's IDX files.

    Returns:
        Path: The folder.

    Raises:
        InputError: If the folder exists and was made from other objects.
    """
    folder = work_dir / f'garments_{kind}_{train}_{test}_seed{SEED}'
    if not folder.is_dir():
        make_set(folder, kind, train, test, objects, seed=SEED)
    made_of = json.loads((folder / 'set.json').read_text())['objects']
    if made_of['folder'] != str(objects):
        raise InputError(
            f"'{folder}' was made from the objects in "
            f"'{made_of['folder']}', not '{objects}': "
            'delete it, or name another --work-dir'
        )
    return folder


def job_of(
    name: str,
    init: str,
    seed: int,
    lr: float,
    epochs: int,
    student: str,
    data: Path,
    work_dir: Path,
) -> Job:
    """The run of a detector.

    Args:
        name (str): A key of :data:`DETECTORS`.
        init (str): Name of the initialisation.
        seed (int): Seed of the heads' weights and of the order of images.
        lr (float): Learning rate.
        epochs (int): Number of epochs.
        student (str): The student's checkpoint, or 'random'.
        data (Path): Folder of the garment images.
        work_dir (Path): Folder of all runs.

    Returns:
        Job: The run.
    """
    config = DETECTORS[name][0]
    return Job(
        f'{name} {init} seed {seed} lr {lr:g}',
        f'{CONFIGS}/{config}.py',
        work_dir / f'{config}_{init}_seed{seed}_lr{lr:g}',
        {
            'custom_hooks.0.checkpoint': student,
            'data_root': str(data),
            'optim_wrapper.optimizer.lr': lr,
            'train_cfg.max_epochs': epochs,
            'train_cfg.val_interval': epochs,
            'param_scheduler.1.T_max': epochs,
            'param_scheduler.1.end': epochs,
            'custom_hooks.3.interval': epochs,
            'randomness.seed': seed,
        },
    )


def reopen(job: Job) -> None:
    """Repeat the end of a run that was interrupted in its evaluation.

    Its last checkpoint is deleted, so that it resumes from the one before.
    """
    if job.checkpoint.is_file() and not _evaluations(job):
        print(f'[{job.name}] has no evaluation: repeating its last epoch')
        job.checkpoint.unlink()


def scores(job: Job) -> dict[str, float]:
    """The last logged evaluation of a run, empty if nothing was detected."""
    return (_evaluations(job) or [{}])[-1]


def _evaluations(job: Job) -> list[dict]:
    # an evaluation without detections logs only its times
    return [
        values
        for values in scalars(job.work_dir)
        if 'data_time' in values and 'loss' not in values
    ]


def statistics(rows: Sequence[dict]) -> dict[tuple, dict[str, list[dict]]]:
    """Rows by (detector, learning rate) and by initialisation, in order."""
    groups: dict[tuple, dict[str, list[dict]]] = {}
    for row in rows:
        key = row['detector'], row['lr']
        groups.setdefault(key, {init: [] for init in INITS})[row['init']].append(row)
    return groups


def _scores(rows: Sequence[dict], key: str) -> dict[int, float]:
    return {int(row['seed']): float(row[key]) for row in rows}


def table(rows: Sequence[dict]) -> list[str]:
    """Scores and gains by seed as lines of a Markdown table."""
    lines = [
        f'| detector | lr | metric | {" | ".join(LABELS.values())} | '
        'DisCo - random | DisCo - MoCo-v2 |',
        '|---' * 8 + '|',
    ]
    for (detector, lr), inits in statistics(rows).items():
        for key in ('AP', 'AP50'):
            scores = {init: _scores(runs, key) for init, runs in inits.items()}
            gains = [
                [
                    scores['disco'][seed] - scores[init][seed]
                    for seed in scores['disco']
                    if seed in scores[init]
                ]
                for init in ('random', 'mocov2')
            ]
            cells = [
                *(mean_std([*by_init.values()]) for by_init in scores.values()),
                *(mean_std(gain, '+') for gain in gains),
            ]
            lines.append(f'| {" | ".join([detector, lr, key, *cells])} |')
    return lines


def mean_ap(rows: Sequence[dict]) -> list[str]:
    """Mean AP of each initialisation as lines of a Markdown table."""
    lines = [
        f'| detector | lr | {" | ".join(LABELS.values())} |',
        '|---' * (2 + len(LABELS)) + '|',
    ]
    for (detector, lr), inits in statistics(rows).items():
        scores = [_scores(inits[init], 'AP').values() for init in LABELS]
        cells = [f'{mean(values):.1f}' if values else '' for values in scores]
        lines.append(f'| {" | ".join([detector, lr, *cells])} |')
    return lines


def markdown(rows: Sequence[dict], train: int, test: int, epochs: int) -> str:
    """The report.

    Args:
        rows (Sequence[dict]): With :data:`COLUMNS`, AP in per cent.
        train (int): Number of training images.
        test (int): Number of test images.
        epochs (int): Number of epochs of each run.

    Returns:
        str: Markdown.
    """
    seconds = median_high(float(row['seconds']) for row in rows)
    sources = sorted({(row['commit'], row['machine']) for row in rows})
    lines = [
        '# Students as backbones of C4 detectors',
        '',
        f'{train} training images, {test} test images, {epochs} epochs (`{CONFIGS}/`).',
        '',
        *table(rows),
        '',
        'Mean ± standard deviation over the seeds, per cent; gains are paired by '
        f'seed. Median training time of a run: {seconds:.0f} s.',
        '',
        *(
            f'Commit {commit}, {machine}; the commands are in the CSV file.'
            for commit, machine in sources
        ),
    ]
    return '\n'.join(lines) + '\n'


def draw(rows: Sequence[dict], path: Path) -> None:
    """AP of each initialisation, mean and seeds, as a PNG.

    Args:
        rows (Sequence[dict]): With :data:`COLUMNS`.
        path (Path): The file.
    """
    groups = statistics(rows)
    rates = sorted({lr for _, lr in groups}, key=float, reverse=True)
    figure, axes = panels(len(rates), 1, (8, 0.6 + 3 * len(rates)), share_y=True)
    for axis, rate in zip(axes[:, 0], rates):
        shown = {name: cells for (name, lr), cells in groups.items() if lr == rate}
        for shift, (init, colour) in zip((-0.27, 0, 0.27), INITS.items()):
            for place, cells in enumerate(shown.values()):
                values = [*_scores(cells[init], 'AP').values()]
                if not values:
                    continue
                axis.bar(
                    place + shift,
                    mean(values),
                    0.25,
                    color=colour,
                    label=LABELS[init] if not place else None,
                )
                axis.plot(
                    [place + shift] * len(values),
                    values,
                    'o',
                    color=INK,
                    ms=3,
                    alpha=0.6,
                )
        axis.set_xticks(
            range(len(shown)), [name.replace(', ', '\n') for name in shown], fontsize=9
        )
        axis.set_ylim(bottom=0)  # bars begin at zero
        axis.set_title(
            f'AP, %, mean and the seeds, learning rate {rate}',
            loc='left',
            fontsize=11,
            color=INK,
        )
    axes[0, 0].legend(frameon=False, fontsize=9, ncols=3)
    figure.savefig(path, dpi=110)
