"""Download models of the zoo.

What is there and intact is left alone; what broke off is taken up again.
"""

import argparse
import sys
from pathlib import Path
from urllib.parse import urlsplit

from mmdisco.checkpoints import safe_load
from mmdisco.errors import InputError
from mmdisco.launch import one_line_errors
from mmdisco.zoo.download import check_file, fetch
from mmdisco.zoo.models import find, list_models

UNKNOWN = 'none known to compare with'


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        'names',
        nargs='*',
        metavar='NAME',
        help="models; with --list patterns, as 'r50*'",
    )
    parser.add_argument(
        '--dest',
        default='checkpoints',
        type=Path,
        help='folder of the files (default: checkpoints)',
    )
    job = parser.add_mutually_exclusive_group()
    job.add_argument(
        '--verify',
        action='store_true',
        help='check the files that are there, download nothing',
    )
    job.add_argument(
        '--list', action='store_true', help='say what there is, download nothing'
    )
    args = parser.parse_args()
    if not args.names and not args.list:
        parser.error('name the models to download, or ask for --list')
    return args


def show(patterns: list[str], dest: Path) -> None:
    """Print a line for each model of which a pattern fits the name."""
    rows = [('name', 'file', 'here', 'sha256', 'from')]
    for pattern in patterns:
        names = list_models(pattern)
        if not names:
            raise InputError(f"no model's name fits '{pattern}'")
        for entry in map(find, names):
            if not entry.urls:
                rows.append((entry.name, '-', '-', '-', 'to be trained'))
                continue
            path = dest / entry.file
            rows.append(
                (
                    entry.name,
                    entry.file,
                    (f'{path.stat().st_size / 1e6:.1f} MB' if path.is_file() else 'no'),
                    'known' if entry.sha256 else 'unknown',
                    urlsplit(entry.urls[0]).netloc or 'this machine',
                )
            )
    rows = list(dict.fromkeys(rows))  # two patterns may fit the same name
    widths = [max(map(len, column)) for column in zip(*rows)]
    for row in rows:
        print('  '.join(map(str.ljust, row, widths)).rstrip())


def obtain(name: str, dest: Path, verify: bool) -> str:
    """Have a model's file in the folder, or only check it; says how it is."""
    entry = find(name)
    if not entry.urls:
        config = Path(entry.config)
        if config.is_relative_to(Path.cwd()):
            config = config.relative_to(Path.cwd())
        raise InputError(f"nobody publishes weights for '{name}'; train it: {config}")
    path = dest / entry.file
    if verify or path.exists():
        digest = check_file(path, entry.sha256)
        if entry.sha256:
            return f'{path}: already there, intact'
        if verify:
            safe_load(path)  # or says that it is no checkpoint
            return f'{path}: a readable checkpoint; its sha256 is {digest} ({UNKNOWN})'
        return f'{path}: already there; its sha256 is {digest} ({UNKNOWN})'
    digest = fetch(entry.urls, path, entry.sha256)
    compared = 'as it should be' if entry.sha256 else UNKNOWN
    return f'{path}: downloaded; its sha256 is {digest} ({compared})'


def main() -> None:
    args = parse_args()
    if args.list:
        show(args.names or ['*'], args.dest)
        return
    failed = False
    for name in args.names:
        try:
            print(obtain(name, args.dest, args.verify), flush=True)
        except InputError as error:  # the others may go well
            print(f'error: {error}', file=sys.stderr, flush=True)
            failed = True
    if failed:
        sys.exit(1)


if __name__ == '__main__':
    with one_line_errors():
        main()
