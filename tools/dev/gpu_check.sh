#!/usr/bin/env bash
# Check this project on a GPU, in at most eight minutes: tests, a training, times.
# Needs the clone and its environment. Without CUDA it says so and ends.
#     bash tools/dev/gpu_check.sh [--out gpu_check.json]
set -euo pipefail
cd "$(dirname "$0")/../.."
PYTHON=${PYTHON:-python}
if ! "$PYTHON" -c 'import torch' 2>/dev/null; then
    echo "error: '$PYTHON' has no torch: activate the environment, or set PYTHON" >&2
    exit 1
fi
if ! "$PYTHON" -c 'import sys, torch; sys.exit(not torch.cuda.is_available())'; then
    echo "gpu_check: torch finds no CUDA device, nothing is checked"
    exit 0
fi
export PYTHONPATH=$PWD${PYTHONPATH:+:$PYTHONPATH}
exec "$PYTHON" -W ignore tools/dev/gpu_check.py "$@"
