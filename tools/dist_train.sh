#!/usr/bin/env bash
# bash tools/dist_train.sh CONFIG GPUS [options of tools/train.py]
# Several nodes: run it on each, with NNODES, NODE_RANK and MASTER_ADDR set.
set -euo pipefail
if [ $# -lt 2 ]; then
    echo 'usage: bash tools/dist_train.sh CONFIG GPUS [options]' >&2
    exit 2
fi
CONFIG=$1
GPUS=$2
ROOT=$(cd "$(dirname "$0")/.." && pwd)

PYTHONPATH="$ROOT:${PYTHONPATH:-}" exec "${PYTHON:-python}" "$ROOT/tools/torchrun.py" \
    --nnodes="${NNODES:-1}" \
    --node_rank="${NODE_RANK:-0}" \
    --master_addr="${MASTER_ADDR:-127.0.0.1}" \
    --master_port="${PORT:-29500}" \
    --nproc_per_node="$GPUS" \
    "$ROOT/tools/train.py" "$CONFIG" --launcher pytorch "${@:3}"
