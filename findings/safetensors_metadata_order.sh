#!/usr/bin/env bash
# safetensors 0.8.0 writes metadata with more than one entry in a different order
# in each process: the same tensors and metadata give files with different
# sha256. Tensors are sorted, and zero or one entry is reproducible. A file name
# that contains the file's hash, as in OpenMMLab's model zoos, or a cache keyed by
# hash, does not match when the file is written again.
#
# Observed with safetensors 0.8.0:
#   metadata of 0 entries: 1 sha256 of 8 processes
#   metadata of 1 entries: 1 sha256 of 8 processes
#   metadata of 5 entries: 8 sha256 of 8 processes
# Exit code 1 if the files are equal, 2 if a step fails.
set -uo pipefail
T=$(mktemp -d)
trap 'rm -rf "$T"' EXIT
python3 -m venv "$T/venv" || exit 2
"$T/venv/bin/pip" install -q safetensors==0.8.0 numpy==2.2.6 || exit 2
cat > "$T/write.py" <<'P'
import hashlib
import sys

import numpy
from safetensors.numpy import save

metadata = {name: name for name in 'abcde'[:int(sys.argv[1])]}
data = save({'weight': numpy.ones((2, 3), numpy.float32)}, metadata or None)
print(hashlib.sha256(data).hexdigest())
P
for n in 0 1 5; do
    for _ in 1 2 3 4 5 6 7 8; do
        "$T/venv/bin/python" "$T/write.py" $n || exit 2
    done | sort -u | wc -l > "$T/count$n" || exit 2
    echo "metadata of $n entries: $(tr -d ' ' < "$T/count$n") sha256 of 8 processes"
done
[ "$(tr -d ' ' < "$T/count0")" = 1 ] && [ "$(tr -d ' ' < "$T/count1")" = 1 ] || exit 2
[ "$(tr -d ' ' < "$T/count5")" -gt 1 ]
