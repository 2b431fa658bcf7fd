"""Use the installed mmdisco away from its clone, as its user does.

    python tools/dev/check_wheel.py

Imports the package and lists its models; trains DisCo and, with mmdet, a detector
for two iterations each; extracts, converts, evaluates and exports the student. All
runs in an empty folder, which is removed.
"""

import argparse
import gzip
import os
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory

CLONE = Path(__file__).resolve().parents[2]
FASHION = 'demo/fashion_mnist'
IMAGES = 256  # of each split


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        '--detection',
        action=argparse.BooleanOptionalAction,
        default=find_spec('mmdet') is not None,
        help='train a detector; default: if mmdet is installed',
    )
    return parser.parse_args()


def copy_images(source: Path, target: Path) -> None:
    """Copy the first images of Fashion-MNIST, with their number in the header."""
    target.mkdir()
    for path in sorted(source.glob('*.gz')):
        content = gzip.decompress(path.read_bytes())
        size, header = (784, 16) if 'images' in path.name else (1, 8)
        head = content[:4] + IMAGES.to_bytes(4) + content[8:header]
        (target / path.stem).write_bytes(head + content[header:][: IMAGES * size])


def steps(mim: Path, detection: bool) -> dict[str, list[str]]:
    """Return the commands by what they show; ``mim`` has the configs and tools."""
    student = ['student.pth', '--data', 'images']
    train = [f'{mim}/tools/train.py', f'{mim}/configs/quickstart/disco.py', '--smoke']
    commands = {
        'pre-training': [*train, '--work-dir', 'disco'],
        'extraction': [
            f'{mim}/tools/extract_backbone.py',
            'disco/epoch_2.pth',
            'student.pth',
        ],
        'kNN': [f'{mim}/tools/eval/knn.py', *student],
        'linear probe': [f'{mim}/tools/eval/linear.py', *student, '--by', 'lbfgs'],
        'conversion': [
            f'{mim}/tools/convert_checkpoint.py',
            'resnet18.pth',
            'converted.pth',
            '--arch',
            'r18',
        ],
        'export': [
            f'{mim}/tools/export_student.py',
            'converted.pth',
            'student.pt2',
            '--format',
            'exported-program',
            '--size',
            '64',
        ],
    }
    if detection:
        train[1] = f'{mim}/configs/quickstart/detection/mask-rcnn_c4.py'
        commands['detection'] = [*train, '--work-dir', 'detector']
    return commands


def main() -> None:
    args = parse_args()
    with TemporaryDirectory() as folder:
        environment = {**os.environ, 'PYTHONWARNINGS': 'ignore'}

        def run(*words: str) -> str:
            done = subprocess.run(
                [sys.executable, *words],
                cwd=folder,
                env=environment,
                text=True,
                capture_output=True,
            )
            if done.returncode:
                sys.exit(f'{" ".join(words)} failed:\n{done.stderr[-3000:]}')
            return done.stdout

        start = 'import mmdisco; assert mmdisco.list_models(); print(mmdisco.__file__)'
        package = Path(run('-c', start).split('\n')[-2]).parent
        if package.is_relative_to(CLONE):
            sys.exit(f'mmdisco is installed from the clone, in {package}')
        mim = package / '.mim'
        copy_images(mim / FASHION, Path(folder, 'images'))
        code = 'import torch, torchvision; torch.save(torchvision.models.resnet18()'
        run('-c', f"{code}.state_dict(), 'resnet18.pth')")
        for name, words in steps(mim, args.detection).items():
            before = time.monotonic()
            run(*words)
            print(f'{name}: {time.monotonic() - before:.0f} s', flush=True)


if __name__ == '__main__':
    main()
