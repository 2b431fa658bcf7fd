"""Run a few tiny iterations of every config, or of those that are named."""

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

CONFIGS = Path('configs')


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('configs', nargs='*', help='default: all')
    return parser.parse_args()


def main() -> None:
    names = parse_args().configs or sorted(
        str(path) for path in CONFIGS.rglob('*.py') if '_base_' not in path.parts
    )
    failed = []
    for name in names:
        start = time.time()
        with tempfile.TemporaryDirectory() as work_dir:
            done = subprocess.run(
                [
                    sys.executable,
                    '-W',
                    'ignore',
                    'tools/train.py',
                    name,
                    '--smoke',
                    '--work-dir',
                    work_dir,
                ],
                capture_output=True,
                text=True,
            )
            ended = any(
                (Path(work_dir) / f'{unit}_2.pth').is_file()
                for unit in ('epoch', 'iter')
            )
        good = done.returncode == 0 and ended
        print(
            f'{"ok  " if good else "FAIL"} {time.time() - start:5.0f} s  {name}',
            flush=True,
        )
        if not good:
            failed.append(name)
            print(done.stderr[-2000:])
    print(f'{len(names) - len(failed)} passed, {len(failed)} failed')
    sys.exit(bool(failed))


if __name__ == '__main__':
    main()
