"""Train, evaluate and export small networks: the command mmdisco."""

import argparse
import os
import runpy
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

from mmdisco.errors import InputError
from mmdisco.evaluation.options import (
    non_negative_int,
    positive_float,
    positive_int,
)
from mmdisco.launch import LEVELS, leave_group, one_line_errors
from mmdisco.paths import project_root
from mmdisco.version import __version__

# Commands that are tools: each gets the rest of the command line.
TOOLS = {
    'embed': ('extract_features.py', 'features of a folder of photos'),
    'export': ('export_student.py', 'write the student for another runtime or library'),
    'download': ('download.py', 'download models of the index'),
    'store': ('store_teacher.py', "store a teacher's embeddings of random views"),
    'train': ('train.py', 'train by a config'),
}
PROBES = {
    'knn': 'eval/knn.py',
    'linear': 'eval/linear.py',
    'semi': 'eval/semi.py',
    'few_shot': 'eval/few_shot.py',
    'retrieval': 'eval/retrieval.py',
}
LISTS = ('teachers', 'students', 'methods', 'models')
_FOLDERS = ('--out', '--data', '--features')  # options of tools with folders
INTERRUPTED = 130  # exit status, as of a shell


def _add_training(parser: argparse.ArgumentParser) -> None:
    """Add the options that distill and pretrain share."""
    parser.add_argument(
        'photos', metavar='PHOTOS', help='folder of images without labels, at any depth'
    )
    parser.add_argument(
        '--student',
        required=True,
        help="network of timm, torchvision or mmpretrain, 'package.module:Class', or "
        "one of this project's: see 'mmdisco list students'",
    )
    parser.add_argument(
        '--out', required=True, help='folder to write: config, log, student'
    )
    parser.add_argument('--method', help="see 'mmdisco list methods'")
    length = parser.add_mutually_exclusive_group()
    length.add_argument('--epochs', type=positive_float, help='passes over the images')
    length.add_argument('--minutes', type=positive_float, help='length of the training')
    parser.add_argument(
        '--batch-size', type=positive_int, help='images per step and process'
    )
    parser.add_argument('--size', type=positive_int, help='side of the crops in pixels')
    parser.add_argument('--lr', type=positive_float, help='learning rate')
    parser.add_argument(
        '--workers', type=non_negative_int, help='processes that load images'
    )
    parser.add_argument('--seed', type=non_negative_int, default=0, help='default: 0')
    parser.add_argument(
        '--speed',
        choices=LEVELS,
        default='auto',
        help="'exact': same results up to rounding; default: auto, which may use bf16",
    )
    parser.add_argument(
        '--resume', action='store_true', help='continue the training in --out'
    )


def build_parser() -> argparse.ArgumentParser:
    """Build the parser of all commands; those of tools take what follows as it is."""
    parser = argparse.ArgumentParser(prog='mmdisco', description=__doc__)
    parser.add_argument('--version', action='version', version=f'mmdisco {__version__}')
    commands = parser.add_subparsers(dest='command', required=True, metavar='COMMAND')

    distill = commands.add_parser(
        'distill', help='distil a frozen teacher into a student, on your photos'
    )
    _add_training(distill)
    distill.add_argument(
        '--teacher',
        required=True,
        help="see 'mmdisco list teachers'; timm:NAME for any network of timm",
    )
    distill.add_argument(
        '--teacher-checkpoint',
        metavar='FILE',
        help='file of the teacher; default: downloaded',
    )
    distill.add_argument(
        '--teacher-store',
        metavar='DIR',
        help="embeddings of 'mmdisco store' in place of the teacher's network",
    )
    distill.add_argument(
        '--commercial',
        action='store_true',
        help='refuse a teacher with a licence that does not allow commercial use',
    )
    distill.set_defaults(run=_distill)

    pretrain = commands.add_parser(
        'pretrain', help='train a network by self-supervision, without a teacher'
    )
    _add_training(pretrain)
    pretrain.set_defaults(run=_pretrain)

    evaluate = commands.add_parser(
        'eval',
        add_help=False,
        help='score a student on labelled images: ' + ', '.join(PROBES),
    )
    evaluate.set_defaults(run=_eval)

    for name, (_, text) in TOOLS.items():
        tool = commands.add_parser(name, add_help=False, help=text)
        tool.set_defaults(run=_tool)

    packing = commands.add_parser(
        'pack', help='pack a folder of photos into tar shards of WebDataset'
    )
    packing.add_argument(
        'photos', metavar='PHOTOS', nargs='?', help='folder of images, at any depth'
    )
    packing.add_argument('out', metavar='OUT', nargs='?', help='folder to write')
    packing.add_argument(
        '--index',
        metavar='DIR',
        help='index the tar files in DIR, of any program, instead of packing photos',
    )
    packing.add_argument(
        '--size',
        type=positive_int,
        default=512,
        help='shorter side of the packed images in pixels, smaller ones are not '
        'enlarged; default: 512',
    )
    packing.add_argument(
        '--quality', type=positive_int, default=90, help='of JPEG; default: 90'
    )
    packing.add_argument(
        '--copy', action='store_true', help='copy the files as they are instead'
    )
    packing.add_argument(
        '--no-labels',
        dest='labels',
        action='store_false',
        help='do not store the class folders as classes',
    )
    packing.add_argument(
        '--seed', type=non_negative_int, default=0, help='of the order; default: 0'
    )
    packing.add_argument(
        '--shard-mb',
        type=positive_float,
        default=256,
        help='megabytes of a shard; default: 256',
    )
    packing.add_argument(
        '--workers', type=non_negative_int, help='processes that encode images'
    )
    packing.set_defaults(run=_pack)

    listing = commands.add_parser('list', help='list ' + ', '.join(LISTS))
    listing.add_argument('what', choices=LISTS)
    listing.add_argument('pattern', nargs='?', help="e.g. 'dinov2*'")
    listing.set_defaults(run=_list)

    check = commands.add_parser(
        'check', help='count photos, and find unreadable and duplicate ones'
    )
    check.add_argument('photos', metavar='PHOTOS', help='folder of images')
    check.add_argument(
        '--model',
        help='find near duplicates by its features: a checkpoint or a name',
    )
    check.add_argument('--teacher', help="find near duplicates by a teacher's features")
    check.add_argument('--teacher-checkpoint', metavar='FILE')
    check.add_argument(
        '--threshold',
        type=positive_float,
        default=0.95,
        help='cosine from which two photos are near duplicates; default: .95',
    )
    check.add_argument('--out', metavar='FILE', help='JSON report to write')
    check.set_defaults(run=_check)
    return parser


def _distill(args: argparse.Namespace, rest: list[str]) -> None:
    from mmdisco.apis import distill

    options = vars(args)
    _finish(distill(data=options.pop('photos'), **_without_command(options)))


def _pretrain(args: argparse.Namespace, rest: list[str]) -> None:
    from mmdisco.apis import pretrain

    options = vars(args)
    _finish(pretrain(data=options.pop('photos'), **_without_command(options)))


def _without_command(options: dict) -> dict:
    return {k: v for k, v in options.items() if k not in ('command', 'run')}


def _finish(trained) -> None:
    """Say how to go on."""
    if trained.student is None:
        words = [word for word in sys.argv[1:] if word != '--resume']
        print(f'continue with: {shlex.join(["mmdisco", *words, "--resume"])}')
        sys.exit(INTERRUPTED)
    if int(os.environ.get('RANK', 0)) == 0:
        student = shlex.quote(trained.student)
        # a file that names a class is loaded only if the user names it, too
        arch = f' --arch {shlex.quote(trained.imported)}' if trained.imported else ''
        print(
            f'next: mmdisco embed {student} PHOTOS --out features.npz{arch}\n'
            f'      mmdisco eval knn {student} --data LABELLED{arch}\n'
            f'      mmdisco export {student} student.onnx --format onnx '
            f'--size {trained.size}{arch}'
        )


def _eval(args: argparse.Namespace, rest: list[str]) -> None:
    probe = rest[0] if rest else None
    if probe not in PROBES:
        what = 'eval' if probe in (None, '-h', '--help') else f"eval, got '{probe}'"
        raise InputError(
            f'name the probe after {what}: mmdisco eval {{{",".join(PROBES)}}} MODEL '
            '--data LABELLED'
        )
    _run_tool(PROBES[probe], f'eval {probe}', rest[1:])


def _tool(args: argparse.Namespace, rest: list[str]) -> None:
    _run_tool(TOOLS[args.command][0], args.command, rest)


def _run_tool(tool: str, name: str, words: list[str]) -> None:
    """Run a tool as if it were called by itself."""
    run = runpy.run_path(str(project_root() / 'tools' / tool))['main']
    if name not in ('train', 'download', 'store'):
        words = _with_checkpoint(words)
    sys.argv = [f'mmdisco {name}', *words]  # names it in the help
    run()
    leave_group()


def _with_checkpoint(words: Sequence[str]) -> list[str]:
    """Replace the folder of a training by its student's file, if it is the model.

    The model comes before other folders; a folder after an option is not it.
    """
    replaced = [*words]
    for i, word in enumerate(words):
        student = Path(word, 'student.pth')
        if student.is_file() and (i == 0 or words[i - 1] not in _FOLDERS):
            replaced[i] = str(student)
            break
    return replaced


def _list(args: argparse.Namespace, rest: list[str]) -> None:
    from .listing import print_list

    print_list(args.what, args.pattern)


def _pack(args: argparse.Namespace, rest: list[str]) -> None:
    from mmdisco.apis.packing import index, pack

    options = _without_command(vars(args))
    folder = options.pop('index')
    if (folder is None) == (args.out is None) or (folder and args.photos):
        raise InputError(
            'mmdisco pack takes PHOTOS and OUT, or --index and a folder of tar files'
        )
    if folder:
        index(folder, args.labels)
    else:
        pack(**options)
    packed = shlex.quote(folder or args.out)
    print(f'next: give {packed} wherever a folder of photos is given')


def _check(args: argparse.Namespace, rest: list[str]) -> None:
    from mmdisco.apis.audit import audit

    report = audit(
        args.photos, args.model, args.teacher, args.teacher_checkpoint, args.threshold
    )
    print(report)
    if args.out:
        report.write(Path(args.out))


def main(words: Sequence[str] | None = None) -> None:
    """Run the command line.

    Args:
        words (Sequence[str], optional): Its words. Defaults to None, those of the
            process.
    """
    parser = build_parser()
    given = list(sys.argv[1:] if words is None else words)
    forwarded = given[:1] and given[0] in (*TOOLS, 'eval')
    with one_line_errors():
        if forwarded:  # the tool parses the rest
            args, rest = parser.parse_args(given[:1]), given[1:]
        else:
            args, rest = parser.parse_args(given), []
        args.run(args, rest)
