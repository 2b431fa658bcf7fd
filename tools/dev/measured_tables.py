"""Tables of measured numbers, from benchmarks and docs/results, and of teachers."""

import json
import re
from collections.abc import Callable
from pathlib import Path

import yaml

from mmdisco.experiments import (
    comparator_tables,
    detection,
    peer,
    picture_tables,
    testbeds,
)
from mmdisco.experiments.quickstart import LABELS
from mmdisco.experiments.stats import read_rows

ROOT = Path(__file__).parents[2]
TEACHERS = 'configs/_base_/teachers/metafile.yml'
EMBEDDINGS = dict(ClassTokenNeck='class token', PooledNeck='pooled feature')
STEPS = dict(mbv3='MobileNetV3', r18='ResNet-18', effb0='EfficientNet-B0')
PIPELINES = {  # of the loader's benchmark, by name in its JSON file
    "mmpretrain's pipeline": "mmpretrain's, as in `imagenet_mocov2.py`",
    'ours, all on the CPU': '`imagenet_mocov2_fast.py`, all on the CPU',
    'ours, the rest on the device': '`imagenet_mocov2_device.py`, CPU part',
}


def lines_of(head: list[str], rows: list[list[str]]) -> list[str]:
    """Lines of a Markdown table."""
    return [
        f'| {" | ".join(head)} |',
        '|---' * len(head) + '|',
        *(f'| {" | ".join(row)} |' for row in rows),
    ]


def read_json(name: str) -> dict:
    """A JSON file of measured values."""
    return json.loads((ROOT / name).read_text())


def comparators(key: str) -> list[str]:
    """A table of the benchmark of related methods."""
    rows = read_rows(ROOT / 'benchmarks/comparators.csv')
    return comparator_tables.table(comparator_tables.sections(rows)[key])


def comparators_best() -> list[str]:
    """The best of the related methods, in a sentence."""
    rows = read_rows(ROOT / 'benchmarks/comparators.csv')
    return [comparator_tables.verdict(comparator_tables.sections(rows)['methods'])]


def pictures() -> list[str]:
    """Students of a teacher with published weights, on clip art."""
    return picture_tables.table(read_rows(ROOT / 'benchmarks/pictures.csv'))


def pictures_best() -> list[str]:
    """The method that closes most of the gap to that teacher, in a sentence."""
    return [picture_tables.verdict(read_rows(ROOT / 'benchmarks/pictures.csv'))]


def quickstart() -> list[str]:
    """The quickstart's scores, medians and seeds."""
    summary = read_json('docs/results/quickstart_summary.json')
    rows = []
    for kind in (kind for kind in LABELS if kind in summary):
        score, seeds = summary[kind], [run['linear'] for run in summary['runs'][kind]]
        rows.append(
            [
                LABELS[kind],
                f'{score["params"]:,}',
                f'{score["knn"]:.2f}',
                f'{score["linear"]:.2f}',
                ' / '.join(f'{v:.2f}' for v in seeds) if len(seeds) > 1 else '',
            ]
        )
    seeds = ' / '.join(map(str, summary['seeds']))
    head = ['row', 'parameters', 'kNN, %', 'linear probe, %']
    return lines_of([*head, f'linear probe of seeds {seeds}'], rows)


def quickstart_search() -> list[str]:
    """Scores of the search by student, hidden width and learning rate."""
    results = read_json('docs/results/quickstart_search.json')['results']
    keys = [re.fullmatch(r'(\w+)_lr([\d.]+)_h(\d+)', name).groups() for name in results]
    rates = sorted({lr for _, lr, _ in keys}, key=float)
    widths = sorted({width for *_, width in keys}, key=int)
    rows = []
    for kind, label in (('mocov2', 'MoCo-v2'), ('disco', 'DisCo')):
        best = max(
            (n for n in results if n.startswith(kind)),
            key=lambda name: results[name]['linear'],
        )
        for width in widths:
            row = [f'{label}, hidden {width}']
            for lr in rates:
                name = f'{kind}_lr{lr}_h{width}'
                text = f'{results[name]["linear"]:.2f} ({results[name]["knn"]:.2f})'
                row.append(f'**{text}**' if name == best else text)
            rows.append(row)
    return lines_of(['linear probe (kNN), %', *(f'lr {lr}' for lr in rates)], rows)


def linear_cost() -> list[str]:
    """Score and time of training on images and on cached features."""
    cost = read_json('benchmarks/linear_cost.json')
    rows = [
        [
            images,
            f'`{tool}`',
            f'{cost[key]["top1"]:.2f}',
            f'{cost[key]["seconds"]:.1f}',
            f'{cost[key]["command_seconds"]:.1f}',
        ]
        for key, images, tool in (
            ('trained', 'the image as it is', 'tools/train.py'),
            ('kept', 'the image as it is', 'tools/eval/linear.py'),
            ('trained_on_crops', 'new crops in each epoch', 'tools/train.py'),
            (
                'kept_views',
                f'{cost["views"]} cached crops',
                f'tools/eval/linear.py --views {cost["views"]}',
            ),
        )
    ]
    head = ['training images', 'tool', 'top-1, %', 'seconds', 'seconds, whole command']
    return lines_of(head, rows)


def train_step() -> list[str]:
    """Seconds and peak memory of a training step, by student."""
    steps = [read_json(f'benchmarks/train_step_{name}.json') for name in STEPS]

    def seconds(step: dict, name: str) -> str:
        ratio = step['plain']['seconds'] / step[name]['seconds']
        text = f'{step[name]["seconds"]:.2f}'
        return text if name.startswith('plain') else f'{text} ({ratio:.1f}×)'

    def memory(step: dict, name: str) -> str:
        peak = step[name]['peak_memory_mib']
        ratio = peak / step['plain']['peak_memory_mib']
        return f'{peak:.0f}' if name == 'plain' else f'{peak:.0f} ({ratio:.2f})'

    rows = [
        [name, *(seconds(step, name) for step in steps)]
        for name in ('plain', 'plain_eval', 'exact', 'auto')
    ]
    for name in ('exact', 'auto'):
        bare = [
            step[name]['seconds'] / step[f'bare_{name}']['seconds'] for step in steps
        ]
        rows.append([f'{name} / bare', *(f'{ratio:.2f}' for ratio in bare)])
    for name in ('plain', 'exact', 'auto'):
        peaks = [memory(step, name) for step in steps]
        rows.append([f'peak memory of {name}, MiB', *peaks])
    return lines_of(['seconds per step', *STEPS.values()], rows)


def teacher() -> list[str]:
    """Rates of the teacher's forward pass."""
    rows = [
        [
            name,
            *(
                f'{row[key]:{form}}'
                for key, form in (
                    ('seconds', '.2f'),
                    ('images_per_s', '.1f'),
                    ('ratio', '.2f'),
                )
            ),
        ]
        for name, row in read_json('benchmarks/teacher.json')['teacher'].items()
    ]
    return lines_of(['forward pass', 'seconds', 'images/s', 'ratio'], rows)


def loader() -> list[str]:
    """Rates of the pipelines that load and augment images."""
    rows = [
        [PIPELINES.get(name, name), f'{row["images_per_s"]:.0f}', f'{row["ratio"]:.1f}']
        for name, row in read_json('benchmarks/loader.json')['loader'].items()
    ]
    return lines_of(['pipeline', 'images/s', 'ratio'], rows)


def memory() -> list[str]:
    """Peak memory of a step by batch size."""
    peaks = read_json('benchmarks/memory.json')['peak_memory_mib']
    sizes = list(next(iter(peaks.values())))
    rows = [[k, *(f'{v[size]:.0f}' for size in sizes)] for k, v in peaks.items()]
    head = ['peak memory of a process, MiB', *(f'batch {size}' for size in sizes)]
    return lines_of(head, rows)


def scaling() -> list[str]:
    """Images per second by batch size, queue length and processes."""
    rates = read_json('benchmarks/scaling.json')['images_per_s']
    rows = [
        [f'{name} {value}', f'{rate:.1f}']
        for name, curve in rates.items()
        for value, rate in curve.items()
    ]
    return lines_of(['setting', 'images/s'], rows)


def versions() -> list[str]:
    """Environments in which the wheel and the tests were tried."""
    rows = read_rows(ROOT / 'benchmarks/versions.csv')
    packages = [
        name
        for name in rows[0]
        if name not in ('row', 'wheel', 'tests', 'result', 'date', 'command')
    ]
    cells = [
        [
            f'`{row["row"]}`',
            *(row[name] or '–' for name in packages),
            row['wheel'] or '–',
            row['tests'],
            row['date'],
            f'`{row["command"]}`',
        ]
        for row in rows
    ]
    return lines_of(['row', *packages, 'wheel', 'tests', 'date', 'command'], cells)


def headless_teachers() -> list[str]:
    """Teachers without a projection head, from their metafile."""
    uses = {True: 'yes', False: '**no**', None: 'not stated'}
    rows = []
    for model in yaml.safe_load((ROOT / TEACHERS).read_text())['Models']:
        data, name = model['Metadata'], model['Name']
        config = (ROOT / f'configs/_base_/teachers/{name}.py').read_text()
        neck = next((n for n in EMBEDDINGS if f"type='{n}'" in config), None)
        if neck is None:
            continue
        reported = data['As reported with the checkpoint'] or {}
        how = 'supervised' if data.get('Supervised') else 'linear'
        how = reported.get('Protocol', how).split(',')[0]
        figure = reported.get('Top 1 Accuracy')
        use = uses[data['Commercial Use']]
        if data['Licence'] == 'DINOv3 License':
            use = 'on conditions'
        description = data['Description'].removesuffix('.')
        description = description.removesuffix(', without a head')
        rows.append(
            [
                f'`{name}`',
                description.replace('supervised', '**supervised**'),
                f'{data["Parameters"] / 1e6:.1f}',
                f'{data["Width"]}-d {EMBEDDINGS[neck]}',
                str(data.get('Input Size', data['Resolution'])),
                data['Licence'],
                use,
                f'{figure} {how}' if figure else '–',
            ]
        )
    head = ['name', 'network', 'M', 'embedding', 'pixels', 'licence', 'commercial use']
    return lines_of([*head, 'published top-1, %'], rows)


MEASURED: dict[str, Callable[[], list[str]]] = dict(
    comparators=lambda: comparators('methods'),
    comparators_best=comparators_best,
    comparators_weights=lambda: comparators('weights'),
    comparators_kd=lambda: comparators('kd'),
    detection=lambda: detection.mean_ap(read_rows(ROOT / 'benchmarks/detection.csv')),
    headless_teachers=headless_teachers,
    linear_cost=linear_cost,
    loader=loader,
    memory=memory,
    peer_lightly=lambda: peer.table(read_rows(ROOT / 'benchmarks/peer_lightly.csv')),
    pictures=pictures,
    pictures_best=pictures_best,
    quickstart=quickstart,
    quickstart_search=quickstart_search,
    scaling=scaling,
    teacher=teacher,
    testbeds=lambda: testbeds.table(read_rows(ROOT / 'benchmarks/testbeds.csv')),
    train_step=train_step,
    versions=versions,
)
