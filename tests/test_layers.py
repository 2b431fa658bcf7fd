"""A module imports its own floor and those below; packages have no cycle."""

import ast
import runpy
from pathlib import Path

import mmdisco

FLOORS = (
    ('utils', 'errors', 'paths', 'version'),
    ('checkpoints', 'datasets'),
    ('models', 'deploy', 'zoo'),
    ('launch',),
    ('evaluation',),
    ('engine', 'apis'),
    ('detection',),
    ('experiments', 'cli', '__main__'),
)
FLOOR_OF = {room: i for i, floor in enumerate(FLOORS) for room in floor}
ROOT = Path(mmdisco.__file__).parent
# the package's own face offers what is above it: nothing inside imports it,
# but for its version
FACE = {'__version__': 'version'}


def imported(path):
    """Rooms of mmdisco that a file imports."""
    here = ('mmdisco', *path.relative_to(ROOT).parts)
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            targets = [alias.name.split('.') for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = list(here[: len(here) - node.level]) if node.level else []
            base += node.module.split('.') if node.module else []
            targets = [[*base, alias.name] for alias in node.names]
        else:
            continue
        for target in targets:
            if target[0] == 'mmdisco':
                yield FACE.get(target[1], target[1])


def rooms():
    """The rooms that each room imports, by file."""
    found = {}
    for path in ROOT.rglob('*.py'):
        if '.mim' not in path.parts and path != ROOT / '__init__.py':
            room = path.relative_to(ROOT).parts[0].removesuffix('.py')
            found[path.relative_to(ROOT)] = room, {*imported(path)} - {room}
    return found


def test_each_room_has_a_floor_and_no_module_imports_a_higher_one():
    for path, (room, targets) in rooms().items():
        for target in targets:
            assert FLOOR_OF[target] <= FLOOR_OF[room], f'{path} imports {target}'


def test_packages_have_no_cycle():
    graph = {room: set() for room in FLOOR_OF}
    for room, targets in rooms().values():
        graph[room] |= targets
    while graph:  # take away those that import none of the rest
        leaves = [room for room, targets in graph.items() if not targets & graph.keys()]
        assert leaves, f'a cycle among {sorted(graph)}'
        for room in leaves:
            del graph[room]


def test_an_upward_import_and_a_cycle_would_be_found(tmp_path, monkeypatch):
    monkeypatch.setitem(globals(), 'ROOT', tmp_path / 'mmdisco')
    for name, text in (
        ('utils/files.py', 'from ..datasets.photos import Photos\n'),
        ('models/tap.py', 'def f():\n    from mmdisco import zoo\n'),
        ('zoo/index.py', 'import mmdisco.models\n'),
    ):
        file = tmp_path / 'mmdisco' / name
        file.parent.mkdir(parents=True)
        file.write_text(text)
    assert dict(rooms().values()) == {
        'utils': {'datasets'},
        'models': {'zoo'},
        'zoo': {'models'},
    }
    for test in (
        test_each_room_has_a_floor_and_no_module_imports_a_higher_one,
        test_packages_have_no_cycle,
    ):
        try:
            test()
        except AssertionError:
            continue
        raise AssertionError(f'{test.__name__} found nothing')


def test_modules_are_counted(capsys, monkeypatch):
    monkeypatch.setattr('sys.argv', ['module_counts.py', '--largest', '999'])
    tool = ROOT.parent / 'tools/dev/module_counts.py'
    runpy.run_path(str(tool), run_name='__main__')
    out = capsys.readouterr().out
    files = [p for p in ROOT.rglob('*.py') if p.name != '__init__.py']
    assert f'modules: {len(files)}\n' in out
    # its only customer is the module beside it
    assert 'mmdisco.zoo.transport  for mmdisco.zoo.download\n' in out
    # many customers; registered, so found by name
    assert 'mmdisco.errors' not in out and 'models.selfsup.simclr' not in out
