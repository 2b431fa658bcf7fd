#!/usr/bin/env bash
# bash tools/dev/make_venv.sh DIR [UV]: a virtual environment of Python 3.11 to 3.13,
# else of 3.14, which is not tested; PYTHON names another interpreter. One that fits is
# kept. UV is the path of uv, which creates it faster.
set -euo pipefail
fits() {
    "$1" -c "import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, $2))" 2>/dev/null
}
create() {
    if ! fits "$1" 13; then
        echo 'warning: mmdisco is not tested on Python 3.14' >&2
    fi
    if [ -n "$UV" ]; then
        exec "$UV" venv -q --clear --seed --python "$1" "$DIR"
    fi
    exec "$1" -m venv --clear "$DIR"
}
DIR=$1
UV=${2:-}
if fits "$DIR/bin/python" 14 && "$DIR/bin/python" -m pip --version >/dev/null 2>&1; then
    exit 0
fi
if [ -n "${PYTHON:-}" ]; then
    if fits "$PYTHON" 14; then
        create "$(command -v "$PYTHON")"
    fi
    echo "error: PYTHON=$PYTHON is not Python 3.11 to 3.14" >&2
    exit 1
fi
for newest in 13 14; do
    for python in python3 python3.13 python3.12 python3.11 python3.14; do
        if fits "$python" "$newest"; then
            create "$(command -v "$python")"
        fi
    done
done
echo 'error: Python 3.11 to 3.14 not found: install one, or name it as PYTHON=…' >&2
exit 1
