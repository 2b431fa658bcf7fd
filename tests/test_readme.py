"""Every command of README and the other documents is run, or its dry run."""

import re
import shlex

import pytest
import torch
from mmengine.config import Config
from mmpretrain.registry import MODELS

from tests.tools import ROOT, losses, run, small

DOCUMENTS = [
    'README.md',
    'CONTRIBUTING.md',
    *(
        str(p.relative_to(ROOT))
        for p in (*ROOT.glob('docs/*.md'), *ROOT.glob('demo/*/*.md'))
    ),
]
FIRST = 'work_dirs/smoke'  # of the one that has its crops at full size


def commands():
    """All lines of bash blocks, without comments, joined at backslashes."""
    found = []
    for document in DOCUMENTS:
        for block in re.findall(
            r'```bash\n(.*?)```', (ROOT / document).read_text(), re.S
        ):
            for line in block.replace('\\\n', ' ').splitlines():
                words = shlex.split(line, comments=True)
                if words and tuple(words) not in found:
                    found.append(tuple(words))
    return found


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


def prepare(words, tmp_path, port):
    """The command on this machine: tiny, on two ranks, or asked for help."""
    words = [str(tmp_path) if w == 'WORK' else w for w in words]
    if 'load_from=student.pth' in words:
        save_student(words[2], tmp_path / 'student.pth')
        words[words.index('load_from=student.pth')] = (
            f'load_from={tmp_path}/student.pth'
        )
    if words[0] == 'make':
        return ['make', '-n', *words[1:]]
    training = words[:2] == ['python', 'tools/train.py']
    if words[:2] == ['bash', 'tools/dist_train.sh']:
        words, training = [*words[:3], '2'], True
    if '--student' in words:  # it brings its own
        place = words.index('--student')
        words = words[:place] + words[place + 2 :]
    if training:
        # a smoke run brings its own images and teacher
        words = [*words, '--smoke', '--work-dir', str(tmp_path)]
        options = small(words[2])
        if FIRST in words or not options:
            return words
        if '--cfg-options' not in words:
            words.append('--cfg-options')
        place = words.index('--cfg-options') + 1
        return [*words[:place], *options, *words[place:]]
    if words[:2] == ['python', 'tools/extract_backbone.py']:
        return None  # tests/test_tools.py runs it on a checkpoint
    if words[:2] == ['bash', 'tools/dist_eval.sh']:
        # tests/evaluation runs it on two ranks
        return [*words[:3], '1', '--help']
    if words[0] == 'source':
        return None  # of the virtual environment that runs the tests
    if words[0] == 'python':
        return [*words, '--help']
    return words  # not known: fails unless it can be run as it is


@pytest.mark.parametrize('words', commands(), ids=' '.join)
def test_a_command_of_the_documents_runs(words, tmp_path, free_port):
    command = prepare(words, tmp_path, free_port)
    if command is None:
        assert (ROOT / words[1]).exists() or words[1].startswith('.venv')
        return
    done = run(
        *command,
        env=dict(
            PORT=str(free_port),
            CXX='no-such-compiler',  # compiling would take minutes
            TORCHINDUCTOR_CACHE_DIR=str(tmp_path / 'cache'),
        ),
    )
    assert done.returncode == 0
    if '--smoke' in command:
        detector = 'configs/detection' in command[2]  # counts iterations
        assert len(losses(done)) == (2 if detector else 4)
        unit = 'iter' if detector else 'epoch'
        weights = torch.load(tmp_path / f'{unit}_2.pth', weights_only=False)[
            'state_dict'
        ]
        variances = [
            value for key, value in weights.items() if key.endswith('running_var')
        ]
        assert variances or 'vit' in command[2]  # which has none
        assert all((v > 0).all() for v in variances)


def test_links_and_files_that_are_named_exist():
    for document in DOCUMENTS:
        text = (ROOT / document).read_text()
        folder = (ROOT / document).parent
        for link in re.findall(r'\]\((?!http)([^)#]+)', text):
            assert (folder / link).exists(), f'{document}: {link}'
        for path in re.findall(r'`((?:configs|mmdisco|tools|tests)/[\w/.]*)`', text):
            assert (ROOT / path).exists(), f'{document}: {path}'
