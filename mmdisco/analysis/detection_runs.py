"""The runs of the detection benchmark: data, settings and scores of each."""

import json
from pathlib import Path
from typing import Dict, List

from mmdisco.datasets.pasted import make_set
from mmdisco.errors import InputError, MissingFileError
from mmdisco.launch import Job, scalars

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


def scores(job: Job) -> Dict[str, float]:
    """The last evaluation that a run has logged; of one that has found
    nothing in any image, none."""
    return (_evaluations(job) or [{}])[-1]


def _evaluations(job: Job) -> List[dict]:
    # of an evaluation without detections the log has its time alone
    return [
        values
        for values in scalars(job.work_dir)
        if 'data_time' in values and 'loss' not in values
    ]
