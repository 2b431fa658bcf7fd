"""Trainings of a network of fifteen parameters, to test hooks."""

from copy import deepcopy

import numpy as np
import torch
from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.model import BaseModel
from mmengine.runner import Runner
from mmpretrain.registry import DATASETS, HOOKS, MODELS

from mmdisco.engine import guard_weights
from mmdisco.launch import set_start


@DATASETS.register_module(force=True)
class Rows(torch.utils.data.Dataset):
    """Data set of rows of four random numbers."""

    def __init__(self, num):
        self.rows = np.random.default_rng(0).standard_normal((num, 4), dtype='float32')

    def __len__(self):
        return len(self.rows)

    def __getitem__(self, index):
        return dict(inputs=self.rows[index])


@MODELS.register_module(force=True)
class Toy(BaseModel):
    """A linear layer trained to output 1."""

    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Linear(4, 3)

    def forward(self, inputs, mode='loss'):
        return dict(loss=(self.layer(inputs) - 1).square().mean())


@HOOKS.register_module(force=True)
class Record(Hook):
    """Record settings and images of each step."""

    def before_train(self, runner):
        self.steps = []

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        group = runner.optim_wrapper.optimizer.param_groups[0]
        self.steps.append(
            dict(
                epoch=runner.epoch,
                iter=runner.iter,
                **{key: group[key] for key in ('lr', 'weight_decay')},
                images=data_batch['inputs'][:, 0].tolist(),
            )
        )


CONFIG = dict(
    default_scope='mmpretrain',
    model=dict(type='Toy'),
    train_dataloader=dict(
        dataset=dict(type='Rows', num=20),
        batch_size=4,
        num_workers=0,
        sampler=dict(type='DefaultSampler', shuffle=True),
        collate_fn=dict(type='default_collate'),
    ),
    train_cfg=dict(by_epoch=True, max_epochs=4),
    optim_wrapper=dict(
        optimizer=dict(type='SGD', lr=0.1, momentum=0.9, weight_decay=0.01)
    ),
    param_scheduler=[
        dict(type='LinearLR', start_factor=0.1, by_epoch=False, end=6),
        dict(type='CosineAnnealingLR', by_epoch=True, convert_to_iter_based=True),
    ],
    default_hooks=dict(
        checkpoint=dict(type='CheckpointHook', interval=1),
        logger=dict(type='LoggerHook', interval=1000),
    ),
    custom_hooks=[dict(type='Record')],
    randomness=dict(seed=0),
    log_level='WARNING',
)


def train(work_dir, options=None, resume=None):
    """Train as tools/train.py does; return the runner."""
    cfg = Config(CONFIG)
    cfg.work_dir = str(work_dir)
    cfg.experiment_name = str(work_dir).replace('/', '_')
    cfg.merge_from_dict(deepcopy(options or {}))  # which resolves _delete_
    set_start(cfg, resume and str(resume))
    runner = Runner.from_cfg(cfg)
    guard_weights(runner)
    runner.train()
    return runner


def steps(runner):
    """Return the records of all steps."""
    return next(h for h in runner.hooks if isinstance(h, Record)).steps


def values(runner, name, begin=0):
    """Return a setting at each step from an iteration on."""
    return [s[name] for s in steps(runner) if s['iter'] >= begin]
