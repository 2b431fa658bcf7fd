#!/usr/bin/env bash
# timm's inception_next_* have no feature: create_model(..., num_classes=0), with
# which every other family returns the input of its classifier, returns a tensor of
# width 0, and forward_head(..., pre_logits=True) one of the hidden width of its MLP.
# The head is an MLP of two layers, and num_classes=0 replaces its last layer by one
# with 0 outputs instead of removing it. num_features says 320.
#
# Observed with timm 1.0.29, torch 2.14.1:
#   resnet18 (2, 512), num_features 512
#   inception_next_atto (2, 0), num_features 320
# Exit code 1 if that changes, 2 if a step fails.
set -u
T=$(mktemp -d)
trap 'rm -rf "$T"' EXIT
python3 -m venv "$T/venv" || exit 2
"$T/venv/bin/pip" install -q torch==2.14.1 torchvision==0.29.1 timm==1.0.29 || exit 2
cat > "$T/widths.py" <<'P'
import sys

import timm
import torch

torch.manual_seed(0)
found = {}
for name in ('resnet18', 'inception_next_atto'):
    network = timm.create_model(name, num_classes=0).eval()
    with torch.no_grad():
        found[name] = tuple(network(torch.randn(2, 3, 224, 224)).shape)
    print(f'{name} {found[name]}, num_features {network.num_features}')
sys.exit(found != {'resnet18': (2, 512), 'inception_next_atto': (2, 0)})
P
"$T/venv/bin/python" "$T/widths.py"
