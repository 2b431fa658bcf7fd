#!/usr/bin/env bash
# mmengine 0.10.7 (torch 2.13.0): non-persistent data loader workers draw the same
# augmentations in every epoch.
#
# torch gives the workers of each epoch a new base seed. The worker_init_fn that
# Runner.build_dataloader sets if the runner has a seed (it always has: a random
# one by default) overwrites it with seed + rank * workers + worker, the same in
# each epoch. With persistent_workers=False, mmengine's default, the numbers that
# a data set draws from random, numpy or torch repeat in each epoch, in the order
# in which a worker loads its images; a resumed run repeats those of the first
# epoch, with persistent workers as well. The order of images does change, so the
# fault is not visible in training.
#
# Expected: three different epochs. Observed (without shuffling):
#   torch's DataLoader: epochs differ
#   mmengine, persistent_workers=False: 3 equal epochs
#   mmengine, persistent_workers=True: epochs differ
#   mmengine, a new process (a resumed run): its first epoch equals epoch 1
# Exit code 1 if the behaviour has changed.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet 'setuptools<81' torch==2.13.0 \
    mmengine==0.10.7
cat > "$folder/epochs.py" <<'PYTHON'
import random
import sys

import numpy as np
import torch
from mmengine.runner import Runner
from torch.utils.data import DataLoader, Dataset


class Drawing(Dataset):
    """Each item is what an augmentation would draw."""

    def __len__(self):
        return 8

    def __getitem__(self, index):
        return [random.random(), float(np.random.rand()),
                float(torch.rand(()))]


def epochs(loader):
    return [torch.tensor([list(map(float, item)) for item in loader])
            for _ in range(3)]


def equal(runs):
    return all(torch.equal(runs[0], run) for run in runs[1:])


def mmengines(persistent):
    return epochs(Runner.build_dataloader(dict(
        dataset=Drawing(), sampler=dict(type='DefaultSampler', shuffle=False),
        batch_size=1, num_workers=2, persistent_workers=persistent,
        collate_fn=dict(type='default_collate')), seed=0))


torch.manual_seed(0)
plain = epochs(DataLoader(Drawing(), num_workers=2))
afresh, kept = mmengines(False), mmengines(True)
found = (equal(plain), equal(afresh), equal(kept),
         torch.equal(kept[0], afresh[0]))
print("torch's DataLoader:", '3 equal epochs' if found[0]
      else 'epochs differ')
print('mmengine, persistent_workers=False:', '3 equal epochs' if found[1]
      else 'epochs differ')
print('mmengine, persistent_workers=True:', '3 equal epochs' if found[2]
      else 'epochs differ')
print('mmengine, a new process (a resumed run): its first epoch',
      'equals epoch 1' if found[3] else 'differs')
sys.exit(found != (False, True, False, True))
PYTHON
PYTHONWARNINGS=ignore "$folder/venv/bin/python" "$folder/epochs.py"
