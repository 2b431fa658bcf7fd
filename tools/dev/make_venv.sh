#!/usr/bin/env bash
# bash tools/dev/make_venv.sh DIR: a virtual environment of Python 3.11 or 3.12
set -euo pipefail
fits() {
    "$1" -c 'import sys; sys.exit(sys.version_info[:2] not in ((3, 11), (3, 12)))' 2>/dev/null
}
if fits "$1/bin/python" && "$1/bin/python" -m pip --version >/dev/null 2>&1; then
    exit 0
fi
for python in "${PYTHON:-python3}" python3.12 python3.11; do
    if fits "$python"; then
        exec "$python" -m venv --clear "$1"
    fi
done
echo 'error: Python 3.11 or 3.12 not found: install one, or name it as PYTHON=…' >&2
exit 1
