"""Methods that DisCo is compared with on the bundled images, and their runs."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path

import torch
from mmengine.config import Config
from mmpretrain.registry import MODELS

from mmdisco.evaluation import extract_features, kd_probe, linear_logits
from mmdisco.models import KDLoss
from .jobs import Job
from .quickstart import HELD_OUT, load_backbone
from .testbeds import splits

CONFIGS = Path('configs/quickstart')
LR, WEIGHT = 'optim_wrapper.optimizer.lr', 'model.distill.loss_weight'
HIDDEN = 'model.ssl.neck.hid_channels'
RATES = (0.06, 0.12, 0.24, 0.48)
WEIGHTS = (1.0, 8.0, 32.0, 128.0)
BASELINE, SWEPT = 'MoCo-v2', 'DisCo'
WEIGHT_ROW = f'{SWEPT}, weight '  # and the weight


@dataclass(frozen=True)
class Method:
    """A row of the table.

    Args:
        name (str): Name in the table.
        distill (str): The distillation losses, or 'none'.
        config (str): Path of the config below :data:`CONFIGS`.
        grid (dict): Values by option; all combinations, at most four, are tried.
        options (dict): Config options of all runs. Defaults to none.
        bags (bool): Whether the method needs bags of neighbours. Defaults to
            False.
    """

    name: str
    distill: str
    config: str
    grid: dict[str, Sequence]
    options: dict[str, object] = field(default_factory=dict)
    bags: bool = False

    def settings(self) -> list[dict]:
        """All combinations of the grid, as options."""
        return [dict(zip(self.grid, values)) for values in product(*self.grid.values())]


METHODS = (
    Method(BASELINE, 'none', 'mocov2.py', {LR: RATES}),
    Method('AT', 'AT', 'comparators/at.py', {WEIGHT: (0.1, 1.0, 10.0, 100.0)}),
    Method('RKD', 'RKD', 'comparators/rkd.py', {WEIGHT: (1.0, 10.0, 100.0, 1000.0)}),
    Method(
        'SEED',
        'SEED',
        'comparators/seed.py',
        {LR: (0.12, 0.48), 'model.distill.teacher_temp': (0.01, 1e-4)},
    ),
    Method(
        'SEED, hidden layer of 64',
        'SEED',
        'comparators/seed.py',
        {LR: (0.12, 0.48), 'model.distill.teacher_temp': (0.01, 1e-4)},
        {HIDDEN: 64},
    ),
    Method(
        'CompRess-2q',
        'CompRess',
        'comparators/compress.py',
        {LR: (0.01, 0.04, 0.12, 0.48)},
    ),
    Method(
        "CompRess-2q, MoCo-v2's views",
        'CompRess',
        'comparators/compress_mocov2_views.py',
        {LR: (0.01, 0.04, 0.12, 0.48)},
    ),
    Method('SimReg', 'SimReg', 'comparators/simreg.py', {LR: (0.05, 0.12, 0.24, 0.48)}),
    Method(
        "SimReg, MoCo-v2's views",
        'SimReg',
        'comparators/simreg_mocov2_views.py',
        {LR: (0.05, 0.12, 0.24, 0.48)},
    ),
    Method('BINGO', 'BINGO', 'comparators/bingo.py', {LR: RATES}, bags=True),
    Method('Retro', 'DisCo', 'comparators/retro.py', {WEIGHT: WEIGHTS}),
    Method('DisCo*', 'DisCo', 'disco.py', {WEIGHT: WEIGHTS}, {HIDDEN: 32}),
    Method(SWEPT, 'DisCo', 'disco.py', {WEIGHT: WEIGHTS}),
    Method(
        'AT + DisCo',
        'DisCo+AT',
        'comparators/at_disco.py',
        {'model.distill.1.loss_weight': (0.1, 1.0, 10.0, 100.0)},
    ),
    Method(
        'RKD + DisCo',
        'DisCo+RKD',
        'comparators/rkd_disco.py',
        {'model.distill.1.loss_weight': (1.0, 10.0, 100.0, 1000.0)},
    ),
)


@dataclass(frozen=True)
class Common:
    """Settings shared by all methods.

    Args:
        work_dir (Path): Folder of all runs.
        data_root (str): Folder of the images.
        images (int): Number of training images.
        epochs (int): Number of epochs of each run.
    """

    work_dir: Path
    data_root: str
    images: int
    epochs: int

    def bags(self, stop: int) -> Path:
        """File with the neighbours among the first ``stop`` images."""
        return self.work_dir / f'bags_{stop}.npy'

    def job(self, method: Method, setting: dict, seed: int, stop: int) -> Job:
        """A run of a method.

        Args:
            method (Method): The method.
            setting (dict): A setting of its grid.
            seed (int): Seed of the run.
            stop (int): Number of training images.

        Returns:
            Job: The run.
        """
        data, options = 'train_dataloader.dataset', dict[str, object]()
        if method.bags:
            options[f'{data}.neighbours'] = str(self.bags(stop))
            data += '.dataset'
        options.update({f'{data}.stop': stop, f'{data}.data_root': self.data_root})
        what = ' '.join(
            f'{key.split(".")[-1]} {value:g}' for key, value in setting.items()
        )
        name = f'{method.name}, {what}, seed {seed}'
        folder = ''.join(
            c if c.isalnum() or c in '.*+' else '_' for c in (f'{name} of {stop}')
        )
        return Job(
            name,
            str(CONFIGS / method.config),
            self.work_dir / folder,
            {
                'randomness.seed': seed,
                **options,
                **method.options,
                **setting,
                'train_cfg.max_epochs': self.epochs,
            },
        )


# row, reduction of its loss, and the method that trained its students
KD_ROWS = (
    ('KD', 'batchmean', 'MoCo-v2'),
    ('KD + DisCo', 'batchmean', 'DisCo'),
    ('KD, mean over classes', 'mean', 'MoCo-v2'),
    ('KD, mean over classes + DisCo', 'mean', 'DisCo'),
)


def kd_scores(jobs: dict[str, list[Job]], images: int) -> dict[str, list[float]]:
    """Accuracy of classifiers trained with labels and the teacher's logits.

    The logits are those of the teacher's linear probe; the backbones are the
    students', frozen.

    Args:
        jobs (dict): Finished runs by row, one per seed.
        images (int): Number of training images.

    Returns:
        dict: Accuracy in per cent by row, one per seed.
    """
    first = jobs['DisCo'][0]
    cfg = Config.fromfile(first.config)
    cfg.merge_from_dict(first.options)
    train, test = splits(cfg, images, False)
    held_out = min(HELD_OUT, len(train) // 4)
    prepare = MODELS.build(cfg.data_preprocessor)

    def features(backbone: dict, checkpoint: Path) -> list[torch.Tensor]:
        network = load_backbone(backbone, checkpoint)
        return [
            extract_features(
                network,
                split.images,
                lambda batch: prepare(dict(inputs=batch))['inputs'],
            )
            for split in (train, test)
        ]  # [N, D] each

    large, _ = features(cfg.model.teacher.backbone, Path(cfg.model.teacher.checkpoint))
    logits = linear_logits(large, train.labels, held_out)  # [N, C]
    scores: dict[str, list[float]] = {}
    for row, reduction, students in KD_ROWS:
        loss = KDLoss(reduction=reduction)
        for job in jobs[students]:
            feats = features(cfg.model.ssl.backbone, job.checkpoint)
            scores.setdefault(row, []).append(
                round(
                    kd_probe(
                        feats[0],
                        train.labels,
                        logits,
                        feats[1],
                        test.labels,
                        held_out,
                        loss,
                    )['accuracy'],
                    2,
                )
            )
    return scores
