#!/usr/bin/env bash
# webdataset: WebDataset(urls, shardshuffle=N) iterates over the shards in the same
# shuffled order in each epoch of a process: the generator of random numbers is made
# anew, from one seed, whenever the iteration starts. With detshuffle=True the order
# follows the number of the epoch, which the object counts. Workers of a torch loader
# that are not persistent get a new copy of it in each epoch, so that through them the
# order repeats, too.
#
# Observed with webdataset 1.0.2, torch 2.14.1:
#   shardshuffle=6: 1 in three epochs
#   detshuffle=True: 3 in three epochs
#   through workers: 1 in three epochs
#   through persistent workers: 3 in three epochs
# Exit code 1 if that changes, 2 if a step fails.
set -u
T=$(mktemp -d)
trap 'rm -rf "$T"' EXIT
python3 -m venv "$T/venv" || exit 2
"$T/venv/bin/pip" install -q torch==2.14.1 webdataset==1.0.2 || exit 2
cat > "$T/orders.py" <<'P'
import os
import sys

import webdataset
from torch.utils.data import DataLoader

folder = sys.argv[1]
urls = [os.path.join(folder, f'{shard}.tar') for shard in range(6)]
for shard, url in enumerate(urls):
    with webdataset.TarWriter(url) as writer:
        writer.write({'__key__': f'{shard}-0', 'txt': str(shard)})


def orders(epochs):
    """Number of different orders of the shards in three epochs."""
    return len({tuple(sample['__key__'] for sample in epochs) for _ in range(3)})


def dataset(**options):
    return webdataset.WebDataset(urls, shardshuffle=6, **options)


def loader(**options):
    return DataLoader(
        dataset(detshuffle=True), batch_size=None, num_workers=1, **options
    )


found = {
    'shardshuffle=6': orders(dataset()),
    'detshuffle=True': orders(dataset(detshuffle=True)),
    'through workers': orders(loader()),
    'through persistent workers': orders(loader(persistent_workers=True)),
}
for name, number in found.items():
    print(f'{name}: {number} in three epochs')
sys.exit([*found.values()] != [1, 3, 1, 3])
P
"$T/venv/bin/python" -W ignore "$T/orders.py" "$T"
