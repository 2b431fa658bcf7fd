"""The runs of the detection benchmark: data, settings and scores of each."""

import json
from collections.abc import Sequence
from pathlib import Path
from statistics import mean, stdev

from mmdisco.datasets.detection.synthetic import make_set
from mmdisco.errors import InputError, MissingFileError
from .figures import INK, panels
from .jobs import Job, scalars

SEED = 1  # of the sets: rates were tried on those of seed 0
CONFIGS = 'configs/quickstart/detection'
# Config, kind of its data, and what is told: AP and AP50 of its log.
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


def student_of(runs: Path, init: str, seed: int) -> str:
    """Checkpoint of an initialisation, or 'random'.

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
    """Folder of the garments, made if it is not there.

    Args:
        work_dir (Path): Where it is.
        kind (str): 'voc' or 'coco'.
        train (int): How many training images.
        test (int): How many test images.
        objects (Path): Folder of Fashion-MNIST's IDX files.

    Raises:
        InputError: If it was made of other objects.
    """
    folder = work_dir / f'garments_{kind}_{train}_{test}_seed{SEED}'
    if not folder.is_dir():
        make_set(folder, kind, train, test, objects, seed=SEED)
    made_of = json.loads((folder / 'set.json').read_text())['objects']
    if made_of['folder'] != str(objects):
        raise InputError(
            f"'{folder}' is made of the objects in "
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
        name (str): Of :data:`DETECTORS`.
        init (str): What the student is called.
        seed (int): Of the heads' weights and of the order of images.
        lr (float): Learning rate.
        epochs (int): How many.
        student (str): Its checkpoint, or 'random'.
        data (Path): Folder of the garments.
        work_dir (Path): Folder of all runs.
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
    """Have a run that was interrupted in its evaluation go on from the
    checkpoint before its last one."""
    if job.checkpoint.is_file() and not _evaluations(job):
        print(f'[{job.name}] has no evaluation: its end is repeated')
        job.checkpoint.unlink()


def scores(job: Job) -> dict[str, float]:
    """The last evaluation that a run has logged; of one that has found
    nothing in any image, none."""
    return (_evaluations(job) or [{}])[-1]


def _evaluations(job: Job) -> list[dict]:
    # of an evaluation without detections the log has its time alone
    return [
        values
        for values in scalars(job.work_dir)
        if 'data_time' in values and 'loss' not in values
    ]


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


def statistics(rows: Sequence[dict]) -> dict[tuple, dict[str, list[dict]]]:
    """Rows by (detector, learning rate) and by initialisation, in order."""
    found: dict[tuple, dict[str, list[dict]]] = {}
    for row in rows:
        found.setdefault((row['detector'], row['lr']), {init: [] for init in INITS})[
            row['init']
        ].append(row)
    return found


def _cell(values: Sequence[float]) -> str:
    if not values:
        return ''
    spread = f' ± {stdev(values):.2f}' if len(values) > 1 else ''
    return f'{mean(values):.2f}{spread}'


def _scores(rows: Sequence[dict], key: str) -> dict[int, float]:
    return {int(row['seed']): float(row[key]) for row in rows}


def markdown(rows: Sequence[dict], conditions: str) -> str:
    """Mean and deviation over the seeds, and DisCo's gains by seed.

    Args:
        rows (Sequence[dict]): With :data:`COLUMNS`, AP in per cent.
        conditions (str): What was trained on what.
    """
    lines = [
        '# Students as backbones of C4 detectors',
        '',
        f'Measured here. {conditions}',
        '',
        f'| detector | lr | metric | {" | ".join(LABELS.values())} | '
        'DisCo - random | DisCo - MoCo-v2 |',
        '|---' * 8 + '|',
    ]
    for (detector, lr), found in statistics(rows).items():
        for key in ('AP', 'AP50'):
            scores = {init: _scores(of, key) for init, of in found.items()}
            gains = [
                [
                    scores['disco'][seed] - scores[init][seed]
                    for seed in scores['disco']
                    if seed in scores[init]
                ]
                for init in ('random', 'mocov2')
            ]
            lines.append(
                '| '
                + ' | '.join(
                    [
                        detector,
                        lr,
                        key,
                        *(_cell([*of.values()]) for of in scores.values()),
                        *(
                            _cell(gain)
                            and f'{mean(gain):+.2f}'
                            + _cell(gain).partition(' ')[1]
                            + _cell(gain).partition(' ')[2]
                            for gain in gains
                        ),
                    ]
                )
                + ' |'
            )
    seconds = sorted(float(row['seconds']) for row in rows)
    lines += [
        '',
        'Mean ± standard deviation over the seeds, per cent; gains '
        'are paired by seed. A run trains for '
        f'{seconds[len(seconds) // 2]:.0f} s (median).',
        '',
    ]
    told = sorted({(row['commit'], row['machine']) for row in rows})
    lines += [
        f'Commit {commit}, {machine}; the commands are in the CSV file.'
        for commit, machine in told
    ]
    return '\n'.join(lines) + '\n'


def draw(rows: Sequence[dict], path: Path) -> None:
    """AP of each initialisation, a dot a seed, as a PNG.

    Args:
        rows (Sequence[dict]): With :data:`COLUMNS`.
        path (Path): The file.
    """
    found = statistics(rows)
    rates = sorted({lr for _, lr in found}, key=float, reverse=True)
    figure, axes = panels(len(rates), 1, (8, 0.6 + 3 * len(rates)), share_y=True)
    for axis, rate in zip(axes[:, 0], rates):
        of = {detector: cells for (detector, lr), cells in found.items() if lr == rate}
        for shift, (init, colour) in zip((-0.27, 0, 0.27), INITS.items()):
            for place, cells in enumerate(of.values()):
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
            range(len(of)), [name.replace(', ', '\n') for name in of], fontsize=9
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
