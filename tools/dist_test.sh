#!/usr/bin/env bash
# bash tools/dist_test.sh CONFIG CHECKPOINT GPUS [options of tools/test.py]
# Several nodes: run it on each, with NNODES, NODE_RANK and MASTER_ADDR set.
set -euo pipefail
if [ $# -lt 3 ]; then
    echo 'usage: bash tools/dist_test.sh CONFIG CHECKPOINT GPUS [options]' >&2
    exit 2
fi
CONFIG=$1
CHECKPOINT=$2
GPUS=$3
ROOT=$(cd "$(dirname "$0")/.." && pwd)

PYTHONPATH="$ROOT:${PYTHONPATH:-}" exec "${PYTHON:-python}" "$ROOT/tools/torchrun.py" \
    --nnodes="${NNODES:-1}" \
    --node_rank="${NODE_RANK:-0}" \
    --master_addr="${MASTER_ADDR:-127.0.0.1}" \
    --master_port="${PORT:-29500}" \
    --nproc_per_node="$GPUS" \
    "$ROOT/tools/test.py" "$CONFIG" "$CHECKPOINT" --launcher pytorch "${@:4}"
