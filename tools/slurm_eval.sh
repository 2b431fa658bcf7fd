#!/usr/bin/env bash
# bash tools/slurm_eval.sh PARTITION JOB_NAME TOOL MODEL --data DATA [options]
set -euo pipefail
if [ $# -lt 4 ]; then
    echo 'usage: bash tools/slurm_eval.sh PARTITION JOB_NAME TOOL MODEL --data DATA [options]' >&2
    exit 2
fi
GPUS=${GPUS:-8}
GPUS_PER_NODE=${GPUS_PER_NODE:-8}
ROOT=$(cd "$(dirname "$0")/.." && pwd)

# shellcheck disable=SC2086  # SRUN_ARGS holds several words
PYTHONPATH="$ROOT:${PYTHONPATH:-}" exec srun -p "$1" \
    --job-name="$2" \
    --gres=gpu:"$GPUS_PER_NODE" \
    --ntasks="$GPUS" \
    --ntasks-per-node="$GPUS_PER_NODE" \
    --cpus-per-task="${CPUS_PER_TASK:-5}" \
    --kill-on-bad-exit=1 \
    ${SRUN_ARGS:-} \
    "${PYTHON:-python}" -u "$3" --launcher=slurm "${@:4}"
