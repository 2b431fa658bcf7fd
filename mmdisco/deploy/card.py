"""The model card of a published student."""

import csv
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
import yaml

from mmdisco import __version__
from mmdisco.checkpoints import licence_of, licence_of_sha256, licence_of_url
from mmdisco.checkpoints.config_text import Training, read_training
from mmdisco.checkpoints.licence import teacher_of_file
from mmdisco.checkpoints.student import Student
from mmdisco.errors import InputError, MissingFileError

_NOT_STATED = 'not stated'


class Card(NamedTuple):
    """What only the user knows about a student.

    Args:
        data (str, optional): Description of the training images.
        scores (tuple[str]): Reports of the evaluation tools (JSON), or tables
            (CSV).
        licence (str, optional): Licence of the student's weights, e.g. 'mit'.
    """

    data: str | None = None
    scores: tuple[str, ...] = ()
    licence: str | None = None


def score_lines(path: str) -> list[str]:
    """Format a file of scores as Markdown.

    Args:
        path (str): A report of ``tools/eval`` (its summary is used), another JSON
            file with numbers by name, or a CSV table.

    Raises:
        MissingFileError: If it does not exist.
        InputError: If it is something else.
    """
    file = Path(path)
    if not file.is_file():
        raise MissingFileError(f"file of scores '{path}' not found")
    try:
        text = file.read_text()
        if file.suffix.lower() == '.csv':
            rows = [row for row in csv.reader(text.splitlines()) if row]
            if len({len(row) for row in rows}) != 1:
                raise ValueError('its rows have several lengths')
            return [_row(rows[0]), _row(['---'] * len(rows[0])), *map(_row, rows[1:])]
        content = json.loads(text)
        if not isinstance(content, Mapping):
            raise ValueError('it is not an object')
    except (OSError, ValueError) as error:
        raise InputError(
            f"'{path}' is not a report of scores (JSON or CSV): {error}"
        ) from error
    if isinstance(content.get('summary'), str):
        return [f'- {file.stem}: {_escaped(content["summary"])}']
    numbers = {
        key: value
        for key, value in content.items()
        if isinstance(value, (int, float)) and not isinstance(value, bool)
    }
    if not numbers:
        raise InputError(f"'{path}' has no summary and no number: it reports no score")
    return [f'- {_escaped(str(key))}: {value:g}' for key, value in numbers.items()]


def _row(cells: list[str]) -> str:
    return f'| {" | ".join(map(_escaped, cells))} |'


def _escaped(text: str) -> str:
    """One line of Markdown without markup of its own."""
    return ' '.join(text.split()).replace('|', '\\|').replace('<', '&lt;')


def _teacher(meta: Mapping) -> list[str]:
    """Lines about the method and the teacher of a training."""
    if isinstance(meta.get('cfg'), str):
        training = read_training(meta['cfg'])
    elif isinstance(meta.get('training'), Mapping):  # an extracted student
        known = {k: v for k, v in meta['training'].items() if k in Training._fields}
        training = Training(**{**dict.fromkeys(Training._fields), **known})
    else:
        return [f'- Method: {_NOT_STATED}', f'- Teacher: {_NOT_STATED}']
    # a file of unknown origin may hold anything
    training = training._replace(
        **{k: _escaped(str(v)) for k, v in training._asdict().items() if v}
    )
    file, url = training.teacher_file, training.teacher_url
    lines = [f'- Method: {training.method or _NOT_STATED}']
    if not (training.teacher or file):
        return [*lines, '- Teacher: none']
    name = (file and teacher_of_file(file)) or training.teacher or _NOT_STATED
    digest = (meta.get('teacher') or {}).get('sha256')
    digest = digest if isinstance(digest, str) else ''
    licence: Any = file and licence_of(file)
    licence = licence or (digest and licence_of_sha256(digest))
    if not licence and url:
        licence = f'{licence_of_url(url)}, if the file is that of this address'
    return [
        *lines,
        f'- Teacher: {name}'
        + (f', weights `{Path(file).name}`' if file else '')
        + (f' of {url}' if url else '')
        + (f' (sha256 {digest[:12]})' if digest else ''),
        f"- Teacher's weights: {licence or 'licence not known here, read it yourself'}",
    ]


def model_card(
    student: Student,
    card: Card,
    name: str,
    origin: Mapping[str, Any],
    preprocessing: str,
    command: str,
) -> str:
    """Write the model card of a student.

    Args:
        student (Student): The student.
        card (Card): What the user says.
        name (str): Name of the network in timm.
        origin (dict): Source file and its sha256.
        preprocessing (str): Size and statistics of the images.
        command (str): How the folder was written.

    Returns:
        str: Markdown, with metadata in YAML at its head.
    """
    import timm

    meta = student.meta
    head = dict(
        library_name='timm',
        pipeline_tag='image-feature-extraction',
        tags=['timm', 'image-feature-extraction', 'distillation', 'mmdisco'],
        **({'license': card.licence} if card.licence else {}),
    )
    count = sum(p.numel() for p in student.backbone.parameters())
    run = meta.get('experiment_name')
    epochs, iterations = meta.get('epoch'), meta.get('iter')
    scores = [line for path in card.scores for line in score_lines(path)]
    versions = dict(
        mmdisco=__version__,
        timm=timm.__version__,
        torch=torch.__version__.split('+')[0],
    )
    lines = [
        '---',
        yaml.safe_dump(head, sort_keys=False).rstrip(),
        '---',
        f'# {name}, distilled with mmdisco',
        '',
        f"A backbone without a classifier: timm's `{name}` with `num_classes=0`, "
        f'{count:,} parameters.',
        '',
        '## Training',
        '',
        *_teacher(meta),
        f'- Images: {_escaped(card.data) if card.data else _NOT_STATED}',
        *([f'- Epochs: {epochs}, iterations: {iterations}'] if epochs else []),
        *([f'- Run: {_escaped(run)}'] if isinstance(run, str) else []),
        *([f'- Seed: {meta["seed"]}'] if isinstance(meta.get('seed'), int) else []),
        f'- Source file: {origin["source"]}, sha256 {origin["sha256"]}',
        '',
        '## Scores',
        '',
        *(scores or [_NOT_STATED.capitalize() + '.']),
        '',
        '## Use',
        '',
        '```python',
        'import timm',
        '',
        "model = timm.create_model('local-dir:FOLDER', pretrained=True).eval()",
        'config = timm.data.resolve_model_data_config(model)',
        'transform = timm.data.create_transform(**config)',
        'features = model(transform(image)[None])  # image: PIL, RGB',
        '```',
        '',
        f'{preprocessing}. From the Hugging Face Hub: `hf-hub:USER/NAME` instead of '
        '`local-dir:FOLDER`.',
        '',
        f'Written by `{command}`, '
        + ', '.join(f'{k} {v}' for k, v in versions.items()),
    ]
    return '\n'.join(lines) + '\n'
