"""Deprecations are errors in this project's modules, and it uses nothing deprecated."""

import ast
import re
import warnings

import pytest

from tests.forkserver import WARM
from tests.tools import ROOT, run

KINDS = DeprecationWarning, PendingDeprecationWarning, FutureWarning
WARN = 'import warnings\nwarnings.warn("old", {})\n'


def warn(name, kind):
    """Warn as the code of a module would; return what is shown."""
    with warnings.catch_warnings(record=True) as shown:
        exec(WARN.format(kind.__name__), {'__name__': name})
    return [str(warning.message) for warning in shown]


@pytest.mark.parametrize('kind', KINDS)
def test_they_are_errors_in_our_modules_and_visible_in_others(kind):
    ours = 'mmdisco.models.tap', 'tools.train', 'tests.a', '__main__', '<run_path>'
    for name in ours:
        with pytest.raises(kind, match='old'):
            warn(name, kind)
    assert warn('mmdisco_plugin.models', kind) == ['old']


def test_a_call_that_is_deprecated_is_attributed_to_the_caller():
    def deprecated():
        warnings.warn('old', FutureWarning, stacklevel=2)

    with pytest.raises(FutureWarning):
        exec('call()', {'__name__': 'mmdisco.new', 'call': deprecated})


@pytest.mark.skipif(not WARM, reason='processes start without these filters')
@pytest.mark.parametrize('kind', KINDS)
def test_they_are_errors_in_tools_that_tests_start(kind, tmp_path):
    tool = tmp_path / 'tool.py'
    tool.write_text(WARN.format(kind.__name__))
    done = run('python', tool, check=False)
    assert done.returncode == 1
    assert f'{kind.__name__}: old' in done.stderr


# Regular expressions of names, each with what replaces it and the files that may
# use it.
GONE = (
    # deprecated in PyTorch 2.10: torch.export
    (r'torch\.jit', 'mmdisco/deploy/export.py', 'tests/deploy/test_export.py'),
    (r'torch\.(cuda|cpu)\.amp',),  # torch.amp
    (r'torchvision\.io',),  # its decoders, deprecated in 0.29: Pillow and OpenCV
    (r'timm\.models\.(layers|registry|helpers|hub|fx_features)',),  # moved
    (r'pkg_resources',),  # removed from setuptools: importlib
    # removed from Python up to 3.14
    (
        r'(imp|distutils|asynchat|asyncore|smtpd|cgi|cgitb|crypt|imghdr|pipes|telnetlib)',
    ),
    (r'pkgutil\.(find_loader|get_loader|ImpImporter|ImpLoader)',),  # find_spec
    (r'ast\.(Num|Str|Bytes|NameConstant|Ellipsis)',),  # ast.Constant
    (r'asyncio\.(get_event_loop|set_event_loop)\w*',),  # asyncio.run
    (r'datetime\.(datetime\.)?utc(now|fromtimestamp)',),  # now(timezone.utc)
)


def names(text):
    """Dotted names that a module imports or reads, in full."""
    tree, full = ast.parse(text), {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name
                if alias.asname:
                    full[alias.asname] = alias.name
        elif isinstance(node, ast.ImportFrom) and not node.level:
            for alias in node.names:
                name = full[alias.asname or alias.name] = f'{node.module}.{alias.name}'
                yield name
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            root, _, rest = ast.unparse(node).partition('.')
            yield f'{full.get(root, root)}.{rest}'


def used(text):
    """Indices of the expressions in GONE that the names of a module match."""
    found = set(names(text))
    return [
        i
        for i, (pattern, *_) in enumerate(GONE)
        if any(re.match(rf'{pattern}(\.|$)', name) for name in found)
    ]


def test_nothing_is_used_that_is_deprecated_or_removed():
    files = [
        path
        for folder in ('mmdisco', 'tools', 'tests', 'configs')
        for path in (ROOT / folder).rglob('*.py')
        if '.mim' not in path.parts
    ]
    assert len(files) > 300
    for path in files:
        here = path.relative_to(ROOT).as_posix()
        for i in used(path.read_text()):
            pattern, *allowed = GONE[i]
            assert here in allowed, f'{here} uses {pattern}'


@pytest.mark.parametrize(
    'text, number',
    (
        ('import torch\nnet = torch.jit.trace(net, x)', 0),
        ('from torch import jit', 0),
        ('from torch.cuda.amp import autocast', 1),
        ('import torch.cuda as cuda\ncuda.amp.GradScaler()', 1),
        ('from torchvision.io import decode_jpeg', 2),
        ('import torchvision\ntorchvision.io.read_image(path)', 2),
        ('from timm.models.layers import DropPath', 3),
        ('import timm.models.registry', 3),
        ('def f():\n    import pkg_resources', 4),
        ('from distutils.version import LooseVersion', 5),
        ('import pkgutil\npkgutil.find_loader("x")', 6),
        ('import ast\nisinstance(node, ast.Num)', 7),
        ('import asyncio\nasyncio.get_event_loop()', 8),
        ('from datetime import datetime\ndatetime.utcnow()', 9),
        ('import datetime\ndatetime.datetime.utcnow()', 9),
    ),
)
def test_each_would_be_found(text, number):
    assert used(text) == [number]


def test_similar_names_are_allowed():
    assert not used('import important\nimport ast\nast.Name\nfrom timm import models')
