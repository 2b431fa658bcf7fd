#!/usr/bin/env bash
# bash tools/dev/make_venv.sh DIR: a virtual environment of Python 3.11 or 3.12
set -euo pipefail
[ -x "$1/bin/python" ] && exit 0
for python in "${PYTHON:-python3}" python3.12 python3.11; do
    if "$python" -c 'import sys; sys.exit(sys.version_info[:2] not in ((3, 11), (3, 12)))' 2>/dev/null; then
        exec "$python" -m venv "$1"
    fi
done
echo 'error: Python 3.11 or 3.12 not found: install one, or name it as PYTHON=…' >&2
exit 1
