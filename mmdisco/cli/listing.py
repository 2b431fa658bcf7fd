"""Lists of teachers, students, methods and models."""

from collections.abc import Iterable, Sequence
from fnmatch import fnmatch

from mmdisco.apis.recipe import METHODS
from mmdisco.checkpoints.network import STUDENTS
from mmdisco.errors import InputError
from mmdisco.models import network_names
from mmdisco.zoo import list_models, list_teachers


def print_list(what: str, pattern: str | None) -> None:
    """Print a list as a table.

    Args:
        what (str): 'teachers', 'students', 'methods' or 'models'.
        pattern (str, optional): Shell pattern of the names, or a part of them.
            Defaults to None, all; for students, only those of this project and
            the libraries.

    Raises:
        InputError: If no name matches.
    """
    list_names = dict(
        teachers=_teachers, students=_students, methods=_methods, models=_models
    )[what]
    rows = list_names(pattern or '*')
    if len(rows) < 2 and pattern:
        rows = list_names(f'*{pattern}*')
    if len(rows) < 2:
        raise InputError(f"no name among the {what} matches '{pattern}'")
    print_table(rows)


def print_table(rows: Sequence[Sequence[str]]) -> None:
    """Print rows of cells in columns; the first row is the head."""
    widths = [max(map(len, column)) for column in zip(*rows)]
    for row in rows:
        print('  '.join(map(str.ljust, row, widths)).rstrip())


def _matching(names: Iterable[str], pattern: str) -> list[str]:
    return [name for name in names if fnmatch(name, pattern)]


def _teachers(pattern: str) -> list[tuple[str, ...]]:
    head = 'name', 'embedding', 'width', 'parameters', 'licence', 'commercial use'
    return [
        head,
        *(
            (
                info.name,
                info.embedding + (', supervised' if info.supervised else ''),
                str(info.width),
                f'{info.params / 1e6:.1f} M',
                info.licence,
                info.commercial_use,
            )
            for info in list_teachers()
            if fnmatch(info.name, pattern)
        ),
    ]


def _students(pattern: str) -> list[tuple[str, ...]]:
    head = 'name', 'from'
    if pattern == '*':
        return [
            head,
            *((name, "this project, the paper's") for name in STUDENTS),
            *(
                (
                    f'{library}:NAME',
                    f'{len(names)} networks: \'mmdisco list students "{library}:*"\'',
                )
                for library, names in network_names().items()
            ),
            ('package.module:Class', 'your own'),
        ]
    full = [
        (f'{library}:{name}', library)
        for library, names in network_names().items()
        for name in names
        if fnmatch(name, pattern) or fnmatch(f'{library}:{name}', pattern)
    ]
    own = [(name, 'this project') for name in _matching(STUDENTS, pattern)]
    return [head, *own, *full]


def _methods(pattern: str) -> list[tuple[str, ...]]:
    return [
        ('name', 'command', 'what it compares', 'arXiv'),
        *(
            (
                method.name,
                'distill' if method.teacher else 'pretrain',
                method.description,
                method.paper,
            )
            for method in METHODS.values()
            if fnmatch(method.name, pattern)
        ),
    ]


def _models(pattern: str) -> list[tuple[str, ...]]:
    return [('name',), *((name,) for name in list_models(pattern))]
