"""Write the tables of numbers in README.md and docs, between their markers.

Reported numbers come from benchmarks/paper.yml, the paper's, and
benchmarks/reported.yml, those of other methods' authors; measured ones from the
CSV and JSON files in benchmarks and docs/results; those of teachers from their
metafile. No table mixes these sources.
"""

import argparse
import re
from pathlib import Path

from measured_tables import MEASURED

from mmdisco.errors import InputError
from mmdisco.experiments.paper import read_numbers
from mmdisco.launch import one_line_errors

ROOT = Path(__file__).parents[2]
DOCUMENTS = (
    'README.md',
    'docs/comparators.md',
    'docs/detection.md',
    'docs/evaluation.md',
    'docs/installation.md',
    'docs/paper_tables.md',
    'docs/quickstart.md',
    'docs/speed.md',
    'docs/testbeds.md',
    'docs/zoo.md',
)
BLOCK = re.compile(r'(<!-- table: (\S+) -->\n).*?(<!-- /table -->)', re.S)


def cell(value: object) -> str:
    """One value, a pair of them, or a dash if the paper has none."""
    if isinstance(value, list):
        return ' / '.join(cell(v) for v in value if v is not None)
    return '–' if value is None else str(value)


def method_of(row: dict) -> str:
    """Name of a row's method, with its epochs if they are unusual."""
    epochs = f', {row["epochs"]} epochs' if 'epochs' in row else ''
    return row['method'] + epochs


def teacher_of(row: dict, names: dict) -> str:
    """Name of a row's teacher and, if reported, the teacher's top-1."""
    top1 = f' (top-1 {row["teacher_top1"]})' if 'teacher_top1' in row else ''
    return names.get(row.get('teacher'), '') + top1


def source_of(row: dict, sources: dict) -> str:
    """Link to the source of a row."""
    source = sources[row['source']]
    return f'[{source["text"]}]({source["url"]})'


def table(paper: dict, name: str) -> str:
    """A table of reported numbers in Markdown with its caption, or its notes.

    Args:
        paper (dict): Content of both files.
        name (str): Key of the table; '{key}_notes' gives its notes.
    """
    if name.endswith('_notes'):
        notes = paper[name.removesuffix('_notes')]['notes']
        return '\n' + ''.join(f'- {note}\n' for note in notes) + '\n'
    data, names = paper[name], paper['names']
    head = ['method', *(names.get(c, c) for c in data['columns'])]
    rows = [head, ['---'] * len(head)]
    rows += [[method_of(row), *map(cell, row['values'])] for row in data['rows']]
    if any('teacher' in row for row in data['rows']):
        teachers = [teacher_of(row, names) for row in data['rows']]
        for row, teacher in zip(rows, ['teacher', '---', *teachers]):
            row.insert(1, teacher)
    if 'by' in data:
        sources = [source_of(row, paper['sources']) for row in data['rows']]
        for row, source in zip(rows, ['source', '---', *sources]):
            row.append(source)
    caption = (
        f'{data["where"]}, as {data.get("by", "the paper reports")}, '
        f'not run here: {data["title"]}, {" / ".join(data["each"])}, %.'
    )
    return (
        f'\n**{caption}**\n\n'
        + ''.join(f'| {" | ".join(row)} |\n' for row in rows)
        + '\n'
    )


def content(paper: dict, name: str) -> str:
    """What belongs between the markers of a table.

    Args:
        paper (dict): Content of both files of reported numbers.
        name (str): Name of the table.

    Raises:
        InputError: If there is no such table.
    """
    if name in MEASURED:
        return '\n' + '\n'.join(MEASURED[name]()) + '\n\n'
    if name.removesuffix('_notes') not in paper:
        raise InputError(f"no table '{name}': {', '.join([*MEASURED, *paper])}")
    return table(paper, name)


def render(text: str, paper: dict) -> str:
    """A document with the content between its markers replaced."""
    return BLOCK.sub(lambda m: m[1] + content(paper, m[2]) + m[3], text)


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        '--check',
        action='store_true',
        help='write nothing, fail if anything would change',
    )
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    paper = read_numbers(ROOT)
    for document in DOCUMENTS:
        old = (ROOT / document).read_text()
        new = render(old, paper)
        if old != new and args.check:
            raise InputError(
                f'{document}: tables differ from the files in benchmarks and '
                'docs/results: run python tools/dev/render_tables.py'
            )
        if old != new:
            (ROOT / document).write_text(new)


if __name__ == '__main__':
    with one_line_errors():
        main()
