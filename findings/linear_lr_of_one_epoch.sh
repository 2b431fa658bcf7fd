#!/usr/bin/env bash
# onedl-mmengine 0.10.12: LinearLR (and ConstantLR) by epoch with end=1, intended
# as a warm-up of one epoch, keeps the first factor for the whole training: the
# rate is set at step `begin` and changed at later steps below `end`, of which
# there are none. There is no warning, and a cosine schedule combined with it is
# a tenth as high throughout. start_factor=0 passes the check of the constructor
# ('should between 0 and 1') but raises ZeroDivisionError at the second step.
# Output:
#   onedl-mmengine 0.10.12, torch 2.13.0+cpu
#   end=1, ten epochs: 0.1 0.1 0.1 0.1 0.1 0.1 0.1 0.1 0.1 0.1
#   end=2, ten epochs: 0.1 1.0 1.0 1.0 1.0 1.0 1.0 1.0 1.0 1.0
#   start_factor=0, end=5: ZeroDivisionError
# Exit code 1 if any line has changed.
set -euo pipefail
T=$(mktemp -d)
trap 'rm -rf "$T"' EXIT
python3 -m venv "$T/venv"
"$T/venv/bin/pip" install -q torch==2.13.0 onedl-mmengine==0.10.12
"$T/venv/bin/python" - <<'PYTHON'
import sys
import warnings
from importlib.metadata import version

warnings.simplefilter('ignore')
import torch
from mmengine.optim import LinearLR

print(f"onedl-mmengine {version('onedl-mmengine')}, torch {torch.__version__}")


def rates(**settings):
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.)
    scheduler = LinearLR(optimizer, by_epoch=True, **settings)
    found = []
    for _ in range(10):
        found.append(round(optimizer.param_groups[0]['lr'], 6))
        optimizer.step()
        scheduler.step()
    return found


one, two = rates(start_factor=.1, end=1), rates(start_factor=.1, end=2)
print('end=1, ten epochs:', *one)
print('end=2, ten epochs:', *two)
try:
    rates(start_factor=0., end=5)
    zero = 'no error'
except ZeroDivisionError as error:
    zero = type(error).__name__
print('start_factor=0, end=5:', zero)
same = one == [.1] * 10 and two == [.1] + [1.] * 9
sys.exit(not (same and zero == 'ZeroDivisionError'))
PYTHON
