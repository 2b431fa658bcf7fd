#!/usr/bin/env bash
# bash tools/dev/install_mmcv_ops.sh PYTHON
# Installs mmcv with its compiled ops, which detection then uses instead of
# torchvision's. The wheel is built once per version of mmcv, torch and Python, and
# kept in the user's cache. (With build isolation mmcv is built without torch and
# therefore without ops, and pip would regard such a wheel of the same version as
# installed.)
set -euo pipefail
PYTHON=$1
ROOT=$(cd "$(dirname "$0")/../.." && pwd)
PIN=$(grep '^onedl-mmcv==' "$ROOT/requirements/constraints.txt")
KEY=$("$PYTHON" -c "
import sys, torch
print(f'mmcv{\"$PIN\".split(\"==\")[1]}-torch{torch.__version__}-cp{sys.version_info[0]}{sys.version_info[1]}')")
WHEELS=${XDG_CACHE_HOME:-$HOME/.cache}/mmdisco/wheels/$KEY

if ! ls "$WHEELS"/*.whl >/dev/null 2>&1; then
    echo "Compile mmcv's ops (10 to 40 minutes on two cores, once): $WHEELS"
    "$PYTHON" -m pip install -q 'setuptools>=77,<82' wheel ninja psutil
    mkdir -p "$(dirname "$WHEELS")"
    HALF=$(mktemp -d "$WHEELS.half.XXXXXX")  # renamed when complete
    trap 'rm -rf "$HALF"' EXIT
    MMCV_WITH_OPS=1 FORCE_CUDA=${FORCE_CUDA:-0} "$PYTHON" -m pip wheel \
        --no-deps --no-build-isolation --no-cache-dir --no-binary onedl-mmcv \
        -w "$HALF" "$PIN"
    rm -rf "$WHEELS"
    mv "$HALF" "$WHEELS"
fi
"$PYTHON" -m pip install -q --force-reinstall --no-deps "$WHEELS"/*.whl
"$PYTHON" -W ignore -c 'import torch, mmcv.ops; print("mmcv", mmcv.__version__, "with ops")'
