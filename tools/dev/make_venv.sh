#!/usr/bin/env bash
# bash tools/dev/make_venv.sh DIR: a virtual environment of Python 3.11 or 3.12,
# or of another from 3.11 to 3.13 that PYTHON names; 3.13 is not tested yet
set -euo pipefail
fits() {
    "$1" -c "import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, $2))" 2>/dev/null
}
if fits "$1/bin/python" 13 && "$1/bin/python" -m pip --version >/dev/null 2>&1; then
    exit 0
fi
if [ -n "${PYTHON:-}" ] && fits "$PYTHON" 13; then
    exec "$PYTHON" -m venv --clear "$1"
fi
for python in python3 python3.12 python3.11; do
    if fits "$python" 12; then
        exec "$python" -m venv --clear "$1"
    fi
done
echo 'error: Python 3.11 or 3.12 not found: install one, or name it as PYTHON=…' >&2
exit 1
