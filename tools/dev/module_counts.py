"""Count the modules of mmdisco and those that serve a single other file.

Prints two numbers and the largest offenders:

- modules, without ``__init__.py``;
- modules with at most one customer and nothing registered: no other module of
  mmdisco or file of ``tools/`` and ``configs/`` imports them (package faces
  resolved), and mmengine does not find them in a registry. Such a module is
  part of its customer, unless the two are too long for one file.
"""

import argparse
import ast
from collections import defaultdict
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument(
        '--largest', type=int, default=10, help='offenders to list (default: 10)'
    )
    return parser.parse_args()


def name_of(path: Path) -> str:
    """Dotted name of a file, a package's without ``__init__``."""
    parts = path.relative_to(ROOT).with_suffix('').parts
    return '.'.join(parts[:-1] if parts[-1] == '__init__' else parts)


def imports_of(path: Path) -> dict[str, tuple[str, str]]:
    """Names that a file imports, each with its module and its name there."""
    package = name_of(path).split('.')
    if path.name != '__init__.py':
        package = package[:-1]
    names = {}
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            module = '.'.join([*base, *filter(None, [node.module])])
            for alias in node.names:
                names[alias.asname or alias.name] = module, alias.name
        elif isinstance(node, ast.Import):
            names |= {alias.name: (alias.name, '') for alias in node.names}
    return names


def customers() -> dict[str, set[str]]:
    """Files that import each module of mmdisco."""
    files = sorted((ROOT / 'mmdisco').rglob('*.py'))
    modules = {name_of(file): file for file in files if '.mim' not in file.parts}
    imports = {name: imports_of(file) for name, file in modules.items()}

    def defining(module: str, name: str) -> str:
        """The module that defines a name, through the faces of packages."""
        if modules.get(module, ROOT).name == '__init__.py' and name in imports[module]:
            source = imports[module][name]
            if source != (module, name):
                return defining(*source)
        inner = f'{module}.{name}'
        return inner if inner in modules else module

    users_of: dict[str, set[str]] = {
        name: set() for name, file in modules.items() if file.name != '__init__.py'
    }
    users = {name: imports[name] for name in users_of}
    for folder in ('tools', 'configs'):
        for file in (ROOT / folder).rglob('*.py'):
            users[str(file.relative_to(ROOT))] = imports_of(file)
    for user, names in users.items():
        for source in names.values():
            module = defining(*source)
            if module in users_of and module != user:
                users_of[module].add(user)
    return users_of


def main() -> None:
    args = parse_args()
    users_of = customers()
    lines = {}
    for module, users in users_of.items():
        text = (ROOT / (module.replace('.', '/') + '.py')).read_text()
        if len(users) <= 1 and 'register_module' not in text:
            lines[module] = len(text.splitlines())
    print(f'modules: {len(users_of)}')
    print(f'with at most one customer and nothing registered: {len(lines)}')
    rooms: dict[str, int] = defaultdict(int)
    for module in users_of:
        rooms[module.split('.')[1]] += 1
    print('by package:', ', '.join(f'{room} {n}' for room, n in sorted(rooms.items())))
    for module in sorted(lines, key=lambda m: -lines[m])[: args.largest]:
        user = ', '.join(users_of[module]) or 'nobody'
        print(f'{lines[module]:5} lines  {module}  for {user}')


if __name__ == '__main__':
    main()
