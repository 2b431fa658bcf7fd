"""The tools understand every command of the documents, and trainings run."""

import ast
import re
import subprocess

import pytest
import torch
from mmengine.config import Config
from mmpretrain.registry import MODELS

from tests.documents import (
    DOCUMENTS,
    blocks,
    check,
    check_fragment,
    commands,
    fragments,
    python_blocks,
)
from tests.tools import ROOT, losses, run, small

TEXTS = {document: (ROOT / document).read_text() for document in DOCUMENTS}
COMMANDS = [*dict.fromkeys(c for text in TEXTS.values() for c in commands(text))]
FIRST = 'work_dirs/smoke'  # of the one that has its crops at full size


@pytest.mark.parametrize('words', COMMANDS, ids=' '.join)
def test_a_tool_understands_its_command(words):
    check(words)


@pytest.mark.parametrize('document', DOCUMENTS)
def test_options_in_a_sentence_exist(document):
    for fragment in fragments(TEXTS[document]):
        check_fragment(*fragment)


@pytest.mark.parametrize('folder', ['configs', 'tools'])
def test_commands_of_docstrings_are_understood(folder):
    docstrings = [
        ast.get_docstring(ast.parse(path.read_text())) or ''
        for path in (ROOT / folder).rglob('*.py')
    ]
    shown = {words for text in docstrings for words in commands(text)}
    assert shown
    for words in shown:
        check(words)


@pytest.mark.parametrize('document', DOCUMENTS)
def test_bash_and_python_can_read_their_blocks(document):
    for block in blocks(TEXTS[document]):
        subprocess.run(['bash', '-n'], input=block, text=True, check=True)
    for block in python_blocks(TEXTS[document]):
        tree = ast.parse(block)
        imports = [n for n in tree.body if isinstance(n, ast.Import | ast.ImportFrom)]
        exec(ast.unparse(ast.Module(imports, [])), {})


GOOD = {
    'tagged': '```bash\npython tools/train.py configs/disco/r50_r18.py --amp\n```\n',
    'untagged': '```\npython tools/download.py r50 --verify\n```\n',
    'indented': 'So:\n\n    python tools/download.py r50 --verify\n',
    'inline': 'Run `python tools/download.py r50\n--verify` first.\n',
    'joined': '```bash\npython tools/make_subset.py a 1 \\\n    --out b\n```\n',
    'dist': '```bash\nbash tools/dist_train.sh configs/disco/r50_r18.py 8 --amp\n```\n',
    'slurm': '`bash tools/slurm_train.sh P JOB configs/disco/r50_r18.py W --amp`',
    'make': '```bash\nmake quickstart SEEDS=3\n```\n',
    'pip': '```bash\npip install -r requirements/docs.txt\n```\n',
    'fragment': 'With `--speed auto` it is faster, see `--feature-maps`.',
    'mmdisco': (
        '```bash\nmmdisco distill P --teacher dinov2_vits14 --student mbv3 --out O '
        '--minutes 30\nmmdisco eval knn O --data D\n```\n'
    ),
    'of a tool': 'Or `tools/eval/linear.py --views 8`.',
}


def failures(text):
    """What of a document is not understood."""
    failed = []
    for one, arguments in [
        *((check, (words,)) for words in commands(text)),
        *((check_fragment, fragment) for fragment in fragments(text)),
    ]:
        try:
            one(*arguments)
        except AssertionError as error:
            failed.append(str(error))
    return failed


@pytest.mark.parametrize('text', GOOD.values(), ids=GOOD)
def test_a_right_command_passes(text):
    assert len(commands(text)) + len(fragments(text)) > 0
    assert failures(text) == []


@pytest.mark.parametrize(
    'kind, right, wrong',
    [
        ('tagged', '--amp', '--ampp'),
        ('tagged', '--amp', '--no-val'),  # an abbreviation
        ('tagged', '--amp', '--speed fast'),
        ('tagged', '--amp', '--cfg-options a'),
        ('tagged', 'r50_r18', 'r50_r19'),
        ('tagged', 'configs/disco/r50_r18.py ', ''),
        ('tagged', 'tools/train.py', 'tools/drain.py'),
        ('untagged', '--verify', '--verifi'),
        ('indented', '--verify', '--verifi'),
        ('inline', '--verify', '--verifi'),
        ('joined', '--out b', '--output b'),
        ('joined', '--out b', ''),
        ('joined', '--out b', '--out b --seed one'),
        ('dist', '--amp', '--ampp'),
        ('dist', ' 8', ''),
        ('slurm', '--amp', '--ampp'),
        ('slurm', ' W ', ' '),
        ('make', 'SEEDS', 'SEED'),
        ('make', 'quickstart', 'quikstart'),
        ('pip', '-r', '--requires'),
        ('pip', 'docs.txt', 'doc.txt'),
        ('fragment', '--speed auto', '--speed fast'),
        ('fragment', '--speed auto', '--sped auto'),
        ('fragment', '--feature-maps', '--feature-map'),
        ('of a tool', '--views 8', '--speed auto'),
        ('mmdisco', '--minutes 30', '--minuts 30'),
        ('mmdisco', '--minutes 30', '--min 30'),
        ('mmdisco', '--minutes 30', '--minutes -1'),
        ('mmdisco', '--teacher dinov2_vits14', ''),
        ('mmdisco', 'mmdisco distill', 'mmdisco destill'),
        ('mmdisco', 'eval knn', 'eval knm'),
        ('mmdisco', '--data D', '--date D'),
    ],
)
def test_a_wrong_command_fails(kind, right, wrong):
    assert right in GOOD[kind]
    assert failures(GOOD[kind].replace(right, wrong))


def save_student(config, path):
    """A backbone alone, as tools/extract_backbone.py writes it."""
    backbone = MODELS.build(Config.fromfile(ROOT / config).model.ssl.backbone)
    torch.save(
        dict(
            state_dict={
                f'backbone.{key}': value for key, value in backbone.state_dict().items()
            }
        ),
        path,
    )


# Each training runs; of those on several ranks, two do so on two. In the others a
# rank takes ten seconds to start, so by default they run in one process, and on
# two ranks in make test-slow.
TWO_RANKS = (
    'configs/disco/r50_mbv3.py',
    'configs/detection/voc/faster-rcnn_r34-c4_48k.py',
)


def trainings():
    """Test cases, with a smoke run's command where the documented one is slow."""
    for words in COMMANDS:
        if '--teacher-store' in words:
            continue  # not for smoke runs; tests/models/test_stored_teacher.py has one
        if words[:2] == ('python', 'tools/train.py'):
            yield words
        elif words[:2] == ('bash', 'tools/dist_train.sh') and words[2] in TWO_RANKS:
            yield words
        elif words[:2] == ('bash', 'tools/dist_train.sh'):
            yield 'python', 'tools/train.py', words[2], *words[4:]
            yield pytest.param(words, marks=pytest.mark.slow)


def prepare(words, tmp_path):
    """The training as a smoke run, on two ranks if it has ranks."""
    words = [str(tmp_path) if w == 'WORK' else w for w in words]
    if 'load_from=student.pth' in words:
        save_student(words[2], tmp_path / 'student.pth')
        words[words.index('load_from=student.pth')] = (
            f'load_from={tmp_path}/student.pth'
        )
    if words[0] == 'bash':
        words[3] = '2'
    if '--student' in words:  # a smoke run brings its own
        place = words.index('--student')
        words = words[:place] + words[place + 2 :]
    # and its own images and teacher
    words = [*words, '--smoke', '--work-dir', str(tmp_path)]
    options = small(words[2])
    if FIRST in words or not options:
        return words
    if '--cfg-options' not in words:
        words.append('--cfg-options')
    place = words.index('--cfg-options') + 1
    return [*words[:place], *options, *words[place:]]


@pytest.mark.parametrize('words', trainings(), ids=' '.join)
def test_a_training_of_the_documents_runs(words, tmp_path, free_port):
    command = prepare(words, tmp_path)
    done = run(
        *command,
        env=dict(
            PORT=str(free_port),
            CXX='no-such-compiler',  # compiling would take minutes
            TORCHINDUCTOR_CACHE_DIR=str(tmp_path / 'cache'),
        ),
    )
    detector = 'configs/detection' in command[2]  # counts iterations
    assert len(losses(done)) == (2 if detector else 4)
    unit = 'iter' if detector else 'epoch'
    weights = torch.load(tmp_path / f'{unit}_2.pth', weights_only=False)['state_dict']
    variances = [v for key, v in weights.items() if key.endswith('running_var')]
    assert variances or 'vit' in command[2]  # which has none
    assert all((v > 0).all() for v in variances)


def test_links_and_files_that_are_named_exist():
    for document, text in TEXTS.items():
        folder = (ROOT / document).parent
        for link in re.findall(r'\]\((?!http)([^)#]+)', text):
            assert (folder / link).exists(), f'{document}: {link}'
        for path in re.findall(r'`((?:configs|mmdisco|tools|tests)/[\w/.]*)`', text):
            assert (ROOT / path).exists(), f'{document}: {path}'
