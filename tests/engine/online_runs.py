"""Short runs on a few real pictures with the hooks of quality curves."""

import random

import numpy as np
import torch
from mmengine.registry import init_default_scope
from mmengine.runner import Runner
from mmpretrain.registry import DATASETS, MODELS

from mmdisco.datasets import IDXImages
from mmdisco.models import DisCo, FrozenTeacher
from tests.models.test_tap import BACKBONE, MLP, TESTBEDS
from tests.tools import ROOT

DEMO = str(ROOT / 'demo' / 'fashion_mnist')
SMALL = dict(num_train=30, num_test=11, k=5, batch_size=8)
VIEWS = dict(
    type='BatchViews',
    mean=[73.0] * 3,
    std=[90.0] * 3,
    transforms=[
        dict(
            type='kornia.augmentation.RandomResizedCrop',
            size=(28, 28),
            scale=(0.7, 1.0),
        )
    ],
)
ALL = dict(  # as hooks
    online_knn=dict(type='OnlineKNNHook', **SMALL),
    online_probe=dict(type='OnlineProbeHook'),
    feature_quality=dict(type='FeatureQualityHook', num=20),
    teacher_knn=dict(type='TeacherKNNHook'),
)

LOOP = dict(  # the same in val_cfg
    val_cfg=dict(
        type='OnlineLoop',
        num_train=30,
        num_test=11,
        scorers=[
            dict(type='KNNScorer', k=5),
            dict(type='ProbeScorer'),
            dict(type='QualityScorer', num=20),
            dict(type='TeacherKNNScorer'),
        ],
    ),
    val_dataloader=dict(batch_size=8),
    val_evaluator=[],
)


@DATASETS.register_module(force=True)
class LabelledItems(IDXImages):
    """Pictures whose items have labels, too."""

    def __getitem__(self, index):
        return dict(super().__getitem__(index), label=self.labels[index])


def model_of(name):
    """An algorithm, or DisCo on MoCo, in whose student BN learns."""
    init_default_scope('mmpretrain')
    torch.manual_seed(0)
    backbone = dict(BACKBONE, norm_eval=False)
    ssl = dict(
        TESTBEDS['MoCo' if name == 'DisCo' else name],
        backbone=backbone,
        data_preprocessor=VIEWS,
    )
    if name != 'DisCo':
        return MODELS.build(ssl)
    teacher = FrozenTeacher(MODELS.build(BACKBONE), MODELS.build(MLP))
    return DisCo(ssl, teacher, dict(type='DisCoLoss'), extra_views=(1,))


def run(
    work_dir,
    hooks,
    name='MoCo',
    epochs=2,
    images=48,
    resume=False,
    dataset='LabelledItems',
    checkpoint=None,
    model=None,
    ranks=1,
    custom=None,
    online=None,
):
    """Train; give the runner."""
    model = model or model_of(name)
    for seed in (torch.manual_seed, np.random.seed, random.seed):
        seed(0)
    runner = Runner(
        model,
        str(work_dir),
        experiment_name=f'{work_dir}'.replace('/', '_'),
        train_dataloader=dict(
            dataset=dict(type=dataset, data_root=DEMO, stop=images),
            sampler=dict(type='DefaultSampler', shuffle=True, seed=0),
            batch_size=8 // ranks,
            num_workers=0,
            drop_last=True,
            collate_fn=dict(type='default_collate'),
        ),
        train_cfg=dict(by_epoch=True, max_epochs=epochs),
        **(online or {}),
        optim_wrapper=dict(optimizer=dict(type='SGD', lr=0.05, momentum=0.9)),
        default_hooks=dict(
            {key: dict(hook) for key, hook in hooks.items()},
            checkpoint=dict(type='CheckpointHook', interval=1, **(checkpoint or {})),
            logger=dict(type='LoggerHook', interval=3),
        ),
        custom_hooks=custom,
        resume=resume,
        log_level='WARNING',
        load_from=str(resume) if resume else None,
        randomness=dict(seed=0),
        default_scope='mmpretrain',
    )
    for seed in (torch.manual_seed, np.random.seed, random.seed):
        seed(0)
    runner.train()
    return runner


def logged(runner, name):
    """All values that were logged under a name."""
    return runner.message_hub.get_scalar(name).data[0].tolist()
