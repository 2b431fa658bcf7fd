"""Download models of the zoo.

Intact files are kept; interrupted downloads continue.
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
from mmdisco.zoo.teachers import entry_of

UNKNOWN = 'no published one to compare with'


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        'names',
        nargs='*',
        metavar='NAME',
        help="models, also 'timm:NAME', 'torchvision:NAME' and 'mmpretrain:NAME'; "
        "with --list also patterns such as 'r50*'",
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
        help='check existing files without downloading',
    )
    job.add_argument(
        '--list', action='store_true', help='list models without downloading'
    )
    args = parser.parse_args()
    if not args.names and not args.list:
        parser.error('name the models to download, or use --list')
    return args


def show(patterns: list[str], dest: Path) -> None:
    """Print one line per model with a matching name."""
    rows = [('name', 'file', 'here', 'sha256', 'from')]
    for pattern in patterns:
        names = list_models(pattern)
        if not names:
            raise InputError(f"no model matches '{pattern}'")
        for entry in map(find, names):
            if not entry.urls:
                rows.append((entry.name, '-', '-', '-', 'not published'))
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
    rows = list(dict.fromkeys(rows))  # two patterns may match the same name
    widths = [max(map(len, column)) for column in zip(*rows)]
    for row in rows:
        print('  '.join(map(str.ljust, row, widths)).rstrip())


def obtain(name: str, dest: Path, verify: bool) -> str:
    """Download or check a model's file, and return its status as a line."""
    entry = entry_of(name) if ':' in name else find(name)
    if not entry.urls and not entry.config:
        raise InputError(f"no address of weights is known for '{name}'")
    if not entry.urls:
        config = Path(entry.config)
        if config.is_relative_to(Path.cwd()):
            config = config.relative_to(Path.cwd())
        raise InputError(f"'{name}' has no published weights; train it: {config}")
    path = dest / entry.file
    if verify or path.exists():
        digest = check_file(path, entry.sha256)
        if entry.sha256:
            return f'{path}: already there, intact'
        if verify:
            safe_load(path)  # raises if it is not a checkpoint
            return f'{path}: a readable checkpoint; its sha256 is {digest} ({UNKNOWN})'
        return f'{path}: already there; its sha256 is {digest} ({UNKNOWN})'
    digest = fetch(entry.urls, path, entry.sha256)
    compared = 'as expected' if entry.sha256 else UNKNOWN
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
        except InputError as error:  # go on with the others
            print(f'error: {error}', file=sys.stderr, flush=True)
            failed = True
    if failed:
        sys.exit(1)


if __name__ == '__main__':
    with one_line_errors():
        main()
