#!/usr/bin/env bash
# efficientnet_pytorch 0.7.0 and 0.7.1 load the same state dict, key by key, but
# compute different functions. Static padding (from_name's default) of 0.7.0
# adds the larger half on both sides, pad_w - pad_w // 2; 0.7.1 pads like
# TensorFlow, pad_w // 2 before. The file records neither version nor padding.
# 0.7.0 with image_size=None pads like 0.7.1, so the image size of the training
# also matters within one version.
#
# Observed with torch 2.13.0: relative difference of pooled features at 224
# pixels, with random weights that are sensitive to a shift by one pixel:
#   0.7.0 static against 0.7.1 static: 0.07
#   0.7.0 dynamic against 0.7.1 static: 0.00
#   B1, 0.7.1, static (of 240 pixels) against dynamic: 0.08
# Exit code 1 if outputs are equal, 2 if a step fails.
set -u
T=$(mktemp -d)
trap 'rm -rf "$T"' EXIT
python3 -m venv "$T/venv" || exit 2
"$T/venv/bin/pip" install -q torch==2.13.0 numpy setuptools wheel || exit 2
for v in 0.7.0 0.7.1; do
    "$T/venv/bin/pip" install -q --no-deps --no-build-isolation \
        --target "$T/$v" efficientnet_pytorch==$v || exit 2
done
cat > "$T/features.py" <<'P'
import math
import sys
import zlib

sys.path.insert(0, sys.argv[1])
import torch
from efficientnet_pytorch import EfficientNet

name, padding, out = sys.argv[2:]
options = dict(image_size=None) if padding == 'dynamic' else {}
network = EfficientNet.from_name(name, **options).eval()
weights = {}
for key, value in network.state_dict().items():
    draw = torch.Generator().manual_seed(zlib.crc32(key.encode()))
    noise = torch.randn(value.shape, generator=draw)
    if value.dim() > 1:
        gain = .3 if '_se_' in key else 2.2
        value = noise * math.sqrt(gain / math.prod(value.shape[1:]))
    elif key.endswith('running_var'):
        value = 1 + .1 * noise.tanh()
    elif value.is_floating_point():
        value = .1 * noise + (1 if key.endswith('weight') else 0)
    weights[key] = value
network.load_state_dict(weights, strict=True)
images = torch.randn(2, 3, 224, 224, generator=torch.Generator().manual_seed(0))
with torch.no_grad():
    torch.save(network.extract_features(images).mean((2, 3)), out)
P
cat > "$T/compare.py" <<'P'
import sys

import torch

one, other = map(torch.load, sys.argv[1:3])
error = float((one - other).norm() / other.norm())
print(f'{sys.argv[3]}: {error:.2f}')
sys.exit(0 if (error > .01) == (sys.argv[4] == 'differ') else 1)
P
P="$T/venv/bin/python"
run() { "$P" "$T/features.py" "$T/$1" "$2" "$3" "$T/$4.pt" || exit 2; }
run 0.7.0 efficientnet-b0 static a
run 0.7.1 efficientnet-b0 static b
run 0.7.0 efficientnet-b0 dynamic c
run 0.7.1 efficientnet-b1 static d
run 0.7.1 efficientnet-b1 dynamic e
ok=0
"$P" "$T/compare.py" "$T/a.pt" "$T/b.pt" '0.7.0 static against 0.7.1 static' differ || ok=1
"$P" "$T/compare.py" "$T/c.pt" "$T/b.pt" '0.7.0 dynamic against 0.7.1 static' same || ok=1
"$P" "$T/compare.py" "$T/d.pt" "$T/e.pt" 'B1, 0.7.1, static (of 240 pixels) against dynamic' differ || ok=1
exit $ok
