#!/usr/bin/env bash
# bash tools/dist_eval.sh TOOL GPUS MODEL --data DATA [options], e.g. TOOL=tools/eval/knn.py
# Several nodes: run it on each, with NNODES, NODE_RANK and MASTER_ADDR set.
set -euo pipefail
if [ $# -lt 3 ]; then
    echo 'usage: bash tools/dist_eval.sh TOOL GPUS MODEL --data DATA [options]' >&2
    exit 2
fi
TOOL=$1
GPUS=$2
ROOT=$(cd "$(dirname "$0")/.." && pwd)

PYTHONPATH="$ROOT:${PYTHONPATH:-}" exec "${PYTHON:-python}" "$ROOT/tools/torchrun.py" \
    --nnodes="${NNODES:-1}" \
    --node_rank="${NODE_RANK:-0}" \
    --master_addr="${MASTER_ADDR:-127.0.0.1}" \
    --master_port="${PORT:-29500}" \
    --nproc_per_node="$GPUS" \
    "$TOOL" --launcher pytorch "${@:3}"
