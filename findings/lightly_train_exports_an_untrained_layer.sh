#!/usr/bin/env bash
# lightly-train 0.18 trains a student of timm through forward_features() and exports
# its whole state dict. In networks with a convolution behind the last map, which
# forward_features() leaves out (MobileNetV4-Conv-S: 960 to 1280 channels), that
# convolution and its batch norm are exported with their initial values, and every
# feature that timm then computes with num_classes=0 goes through them. The exported
# file loads without a message.
#
# Observed with lightly-train 0.18.0, timm 1.0.29, torch 2.14.1, after 4 steps:
#   batches seen by the norms: first 4, before the last map 4, norm_head 0
#   norm_head.running_mean is all 0, running_var all 1
# Exit code 1 if that changes, 2 if a step fails.
set -u
T=$(mktemp -d)
trap 'rm -rf "$T"' EXIT
python3 -m venv "$T/venv" || exit 2
"$T/venv/bin/pip" install -q torch==2.14.1 torchvision==0.29.1 timm==1.0.29 \
    lightly-train==0.18.0 || exit 2
cat > "$T/train.py" <<'P'
import sys
from pathlib import Path

import numpy as np
import timm
import torch
from PIL import Image


def main(root):
    import lightly_train

    torch.manual_seed(0)
    torch.save(timm.create_model('resnet18').state_dict(), root / 'teacher.pth')
    (root / 'images').mkdir()
    for i in range(16):
        pixels = np.random.default_rng(i).integers(0, 256, (96, 96, 3), np.uint8)
        Image.fromarray(pixels).save(root / 'images' / f'{i}.png')
    lightly_train.pretrain(
        out=str(root / 'out'),
        data=str(root / 'images'),
        model='timm/mobilenetv4_conv_small',
        model_args=dict(pretrained=False),
        method='distillationv3',
        method_args=dict(
            teacher='timm/resnet18',
            teacher_weights=str(root / 'teacher.pth'),
            queue_size=8,
        ),
        epochs=2,
        batch_size=8,
        num_workers=0,
        accelerator='cpu',
        precision='32-true',
        transform_args=dict(image_size=(64, 64)),
        loader_args=dict(timeout=0),
    )
    path = root / 'out/exported_models/exported_last.pt'
    weights = torch.load(path, map_location='cpu')
    network = timm.create_model('mobilenetv4_conv_small')
    network.load_state_dict(weights, strict=True)
    norms = [k for k in weights if k.endswith('num_batches_tracked')]
    first, last, head = (int(weights[k]) for k in (norms[0], norms[-2], norms[-1]))
    untouched = not weights['norm_head.running_mean'].any() and bool(
        (weights['norm_head.running_var'] == 1).all()
    )
    print(
        f'batches seen by the norms: first {first}, before the last map {last}, '
        f'{norms[-1].split(".")[0]} {head}'
    )
    print(f'running statistics of norm_head as initialised: {untouched}')
    return (first, last, head, untouched) == (4, 4, 0, True)


if __name__ == '__main__':
    sys.exit(not main(Path(sys.argv[1])))
P
export LIGHTLY_TRAIN_EVENTS_DISABLED=1 LIGHTLY_TRAIN_DATALOADER_TIMEOUT_SEC=0
"$T/venv/bin/python" "$T/train.py" "$T" > "$T/out.txt" 2> "$T/log.txt"
code=$?
grep -a norm "$T/out.txt" || { tail -5 "$T/log.txt"; exit 2; }
exit $code
