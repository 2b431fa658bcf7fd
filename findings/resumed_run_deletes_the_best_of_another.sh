#!/usr/bin/env bash
# onedl-mmengine 0.10.12 (Runner, CheckpointHook), torch 2.13.0: a run that is
# resumed from a checkpoint of another work dir deletes the best checkpoint of
# that other run as soon as it reaches a better score.
#
# The path of the best checkpoint is saved in the message hub, and the hook
# deletes that file in any folder: a branch of a run, or a copy of its folder
# (cp -r), deletes the original run's best weights.
#
# Output:
#   run a, 2 epochs: ['best_score_epoch_2.pth', 'epoch_1.pth', 'epoch_2.pth']
#   run b, resumed from a/epoch_2.pth to 3 epochs in a folder of its own:
#     a: ['epoch_1.pth', 'epoch_2.pth']
#     b: ['best_score_epoch_3.pth', 'epoch_3.pth']
#   the best checkpoint of run a is gone
#
# Exit code non-zero if run a keeps its file.
set -euo pipefail
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
python3 -m venv "$scratch/venv"
"$scratch/venv/bin/pip" install -q torch==2.13.0 onedl-mmengine==0.10.12 \
    opencv-python-headless 'setuptools<82'
cd "$scratch"
cat > try.py <<'PY'
import sys
from pathlib import Path

import torch
from mmengine.evaluator import BaseMetric, Evaluator
from mmengine.model import BaseModel
from mmengine.runner import Runner


class Toy(BaseModel):
    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Linear(2, 1)

    def forward(self, inputs, mode='tensor'):
        out = self.layer(inputs)
        return dict(loss=out.square().mean()) if mode == 'loss' else [out]


class Score(BaseMetric):
    """Better in each epoch."""

    def process(self, data_batch, data_samples):
        self.results.append(0)

    def compute_metrics(self, results):
        return dict(score=runner.epoch)


def train(folder, epochs, checkpoint=None):
    global runner
    loader = dict(
        dataset=[dict(inputs=torch.ones(2))] * 4, batch_size=2, num_workers=0,
        sampler=dict(type='DefaultSampler', shuffle=False),
        collate_fn=dict(type='default_collate'))
    runner = Runner(
        Toy(), folder, experiment_name=folder, log_level='ERROR',
        train_dataloader=loader, val_dataloader=loader,
        train_cfg=dict(by_epoch=True, max_epochs=epochs), val_cfg=dict(),
        val_evaluator=Evaluator(Score()), load_from=checkpoint,
        resume=checkpoint is not None,
        optim_wrapper=dict(optimizer=dict(type='SGD', lr=.1)),
        default_hooks=dict(checkpoint=dict(
            type='CheckpointHook', interval=1, save_best='score',
            rule='greater')))
    runner.train()


def files(folder):
    return sorted(path.name for path in Path(folder).glob('*.pth'))


train('a', 2)
print('run a, 2 epochs:', files('a'))
train('b', 3, 'a/epoch_2.pth')
print('run b, resumed from a/epoch_2.pth to 3 epochs in a folder of its own:')
print('  a:', files('a'))
print('  b:', files('b'))
if 'best_score_epoch_2.pth' in files('a'):
    sys.exit('the behaviour has changed: run a has its best checkpoint')
print('the best checkpoint of run a is gone')
PY
venv/bin/python -W ignore try.py 2>&1 | grep -E '^(run|  [ab]:|the)'
