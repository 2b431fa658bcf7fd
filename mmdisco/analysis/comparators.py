"""Which methods DisCo is compared with on the bundled images, and how."""

from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from typing import Dict, List, Sequence

from mmdisco.launch import Job

CONFIGS = Path('configs/quickstart')
LR, WEIGHT = 'optim_wrapper.optimizer.lr', 'model.distill.loss_weight'
HIDDEN = 'model.ssl.neck.hid_channels'
RATES = (0.06, 0.12, 0.24, 0.48)
WEIGHTS = (1.0, 8.0, 32.0, 128.0)
BASELINE, SWEPT = 'MoCo-v2', 'DisCo'


@dataclass(frozen=True)
class Method:
    """A row of the table.

    Args:
        name (str): In the table.
        distill (str): The losses of distillation, 'none' without.
        config (str): In :data:`CONFIGS`.
        grid (dict): Values by option, of which all combinations are tried:
            four at most.
        options (dict): Of all its runs.
        bags (bool): Whether it wants bags of neighbours. Defaults to False.
    """

    name: str
    distill: str
    config: str
    grid: Dict[str, Sequence]
    options: Dict[str, object] = field(default_factory=dict)
    bags: bool = False

    def settings(self) -> List[dict]:
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
    """What is the same for all methods.

    Args:
        work_dir (Path): Folder of all runs.
        data_root (str): Folder of the images.
        images (int): Training images in all.
        epochs (int): Of each run.
    """

    work_dir: Path
    data_root: str
    images: int
    epochs: int

    def bags(self, stop: int) -> Path:
        """File of the neighbours among the first images."""
        return self.work_dir / f'bags_{stop}.npy'

    def job(self, method: Method, setting: dict, seed: int, stop: int) -> Job:
        """A run.

        Args:
            method (Method): The method.
            setting (dict): One of its grid.
            seed (int): Seed of the run.
            stop (int): Training images of the run.
        """
        data, options = 'train_dataloader.dataset', {}
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
