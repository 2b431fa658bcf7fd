"""Write the metafile.yml of each folder of configs.

Its content comes from the configs, the reported and measured results, and the
networks. The teachers' metafile is written manually.
"""

import argparse
import ast
import json
from pathlib import Path

import torch
import yaml
from mmengine.config import Config
from network_counts import counts

from mmdisco.errors import InputError
from mmdisco.launch import one_line_errors

ROOT = Path(__file__).parents[2]
RESULTS = 'docs/results/quickstart_summary.json'
HEAD = """\
# Written by tools/dev/make_metafiles.py: don't edit.
# Parameters are the backbone's, which is what is deployed. FLOPs are its
# multiply-adds, one each, for one image of `Resolution` pixels, by mmengine's
# FlopAnalyzer, as in OpenMMLab's metafiles. `Results` are those of the file at
# `Weights`, if there is one.
"""
DISCO = 'https://arxiv.org/abs/2104.09124'
COLLECTIONS = {  # by folder: name, paper, tables with results of its configs
    'disco': ('DisCo', DISCO, ('table1', 'table7', 'section4_2')),
    'disco/hidden': ('DisCo, hidden widths', DISCO, ('table4',)),
    'disco/other': ('DisCo on other methods', DISCO, ()),
    'disco_swav': ('DisCo on SwAV', DISCO, ('table5',)),
    'disco_dino': ('DisCo on DINO', DISCO, ('table6',)),
    'comparators': ('Comparators', DISCO, ('table1', 'table2')),
    'distill': ('Distillation of teachers without a head', DISCO, ()),
    'benchmarks': (
        'Linear evaluation',
        DISCO,
        ('table1', 'table2', 'teachers', 'table5', 'table6'),
    ),
    'baselines': ('Baselines', DISCO, ('table1', 'teachers', 'table5', 'table6')),
    'quickstart': ('Quickstart', DISCO, ()),
    'quickstart/testbeds': ('Quickstart of testbeds', DISCO, ()),
    'quickstart/comparators': ('Quickstart of comparators', DISCO, ()),
}
# Names are those of files, with a prefix if two folders share a file name.
PREFIXES = {
    'quickstart': 'quickstart_',
    'quickstart/testbeds': 'testbeds_',
    'quickstart/comparators': 'comparators_',
    'disco_swav': 'swav_',
    'distill': 'distill_',
}
# method in a table, by file name and by algorithm
BASELINES = {'mocov2': 'MoCo-v2', 'swav': 'SwAV', 'dino': 'DINO'}
TESTBEDS = {'SwAV': 'SwAV + DisCo', 'DINO': 'DINO + DisCo'}
# by file name without teacher and student
COMPARATORS = {
    'at': 'AT',
    'rkd': 'RKD',
    'at_disco': 'AT + DisCo',
    'rkd_disco': 'RKD + DisCo',
}
ELSEWHERE = {  # reported only by their authors
    'bingo': 'BINGO',
    'compress': 'CompRess',
    'compress_1q': 'CompRess, one memory',
    'retro': 'Retro',
    'simreg': 'SimReg',
}
# by file name without the network, or by the whole file name
BENCHMARKS = {
    'kd_mocov2': dict(method='KD'),
    'kd_disco': dict(method='KD + DisCo'),
    'linear': dict(method='DisCo', teacher='r50', epochs=200),
    'linear_swav': dict(method='SwAV + DisCo'),
    'linear_vitt': dict(method='DINO + DisCo'),
    'linear_xcitt': dict(method='DINO + DisCo'),
    'linear_r50': dict(method='MoCo-v2'),
    # the paper has figures without values
    'semi1': {},
    'semi10': {},
    'cifar10': {},
    'cifar100': {},
}
NOWHERE = 'not in the paper'
IMAGES = {  # by data_root
    'data/imagenet': 'ImageNet-1k',
    'data/cifar10': 'CIFAR-10',
    'data/cifar100': 'CIFAR-100',
    'data/photos': 'photos of your own',
    'demo/fashion_mnist': 'Fashion-MNIST, 10 000 images',
    '/usr/share/datasets/fashion-mnist': 'Fashion-MNIST, 60 000 images',
}
ROWS = dict(  # rows of RESULTS by name
    quickstart_disco='disco',
    quickstart_mocov2='mocov2',
    quickstart_mocov2_60k='mocov2_teachers_images',
    quickstart_teacher='teacher',
)


def reported(paper: dict, tables, student: str, wanted: dict) -> dict | None:
    """The reported result of a config.

    Args:
        paper (dict): Content of benchmarks/paper.yml or reported.yml.
        tables (Sequence[str]): Tables to search, in this order.
        student (str): The network, a column of a table.
        wanted (dict): Values that the row must have.

    Returns:
        dict or None: The entry of the metafile, None if there is no result.
    """
    for table in (paper[name] for name in tables):
        for row in table['rows'] if student in table['columns'] else ():
            value = row['values'][table['columns'].index(student)]
            keys = {'epochs': 200, **row}
            if value and all(keys.get(k) == v for k, v in wanted.items()):
                source = (
                    paper['sources'][row['source']]
                    if ('source' in row)
                    else dict(where=table['where'])
                )
                result = {'Source': ', '.join(source.values())}
                if 'epochs' in row:
                    result['Epochs'] = row['epochs']
                value = value if isinstance(value, list) else [value]
                return result | {f'Top {k} Accuracy': v for k, v in zip((1, 5), value)}
    return None


def row_of(stem: str, cfg: Config) -> dict:
    """Values of a config's row in the tables."""
    if stem.rsplit('_', 1)[0] in BENCHMARKS:
        return (
            BENCHMARKS.get(stem)
            or BENCHMARKS[stem.rsplit('_', 1)[0]]
            or (dict(method=NOWHERE))
        )
    if 'teacher' not in cfg.model:
        return dict(method=BASELINES.get(stem.split('_')[0], NOWHERE))
    method = stem.rsplit('_', 2)[0]
    if method in COMPARATORS:
        return dict(method=COMPARATORS[method])
    if method in ELSEWHERE:
        return dict(method=ELSEWHERE[method], teacher=stem.split('_')[1])
    if method == 'seed':
        return dict(
            method='SEED', teacher=stem.split('_')[1], epochs=cfg.train_cfg.max_epochs
        )
    if cfg.model.ssl.type in TESTBEDS:
        return dict(method=TESTBEDS[cfg.model.ssl.type], teacher=stem.split('_')[0])
    if '_h' in stem:
        neck = cfg.model.ssl.neck
        widths = {neck.in_channels: 'DisCo*', 2048: 'DisCo'}
        return dict(method=widths.get(neck.hid_channels, NOWHERE))
    return dict(
        method='DisCo', teacher=stem.split('_')[0], epochs=cfg.train_cfg.max_epochs
    )


def measured(row: str) -> dict:
    """Results measured here: medians over seeds, and their provenance."""
    data = json.loads((ROOT / RESULTS).read_text())
    machine, runs = data['machine'], data['runs'][row]
    return {
        'Dataset': 'Fashion-MNIST',
        'Linear Probe Accuracy': data[row]['linear'],
        'kNN Accuracy': data[row]['knn'],
        'Linear Probe Accuracy by Seed': {r['seed']: r['linear'] for r in runs},
        'Command': f'make quickstart SEEDS={len(data["seeds"])}',
        'Commit': data['commit'],
        'Machine': f'{machine["cores"]} cores of an {machine["cpu"]}',
        'Source': RESULTS,
    }


def resolution(cfg: Config) -> int:
    """Side of the first view in pixels."""
    if 'view_pipeline' in cfg:
        return cfg.view_pipeline[0].scale
    if 'transforms' not in cfg.data_preprocessor:  # a classifier
        return next(t.scale for t in cfg.train_pipeline if 'scale' in t)
    first = cfg.data_preprocessor.transforms[0]  # or a group of views
    return (first if isinstance(first, dict) else first[0]).size[0]


def images(cfg: Config) -> str:
    """Name of the training images."""
    listed = cfg.train_dataloader.dataset.get('ann_file')
    whole = IMAGES[cfg.data_root]
    return f'{whole}, the images of {listed}' if listed else whole


def head_of(ssl: dict) -> dict:
    """Config of the head on the backbone, without the file of its weights."""
    neck = ssl.get('neck') or ssl.head
    head = ssl.head if neck.type == 'GlobalAveragePooling' and ('head' in ssl) else neck
    return {**head, 'checkpoint': None} if 'checkpoint' in head else head


def entry(
    path: Path, folder: str, paper: dict, elsewhere: dict, teachers: dict
) -> dict:
    """The index entry of a config."""
    cfg, stem = Config.fromfile(str(path)), path.stem
    collection, _, tables = COLLECTIONS[folder]
    name = PREFIXES.get(folder, '') + stem
    ssl, teacher = cfg.model.get('ssl', cfg.model), cfg.model.get('teacher')
    size = resolution(cfg)
    doc = ast.get_docstring(ast.parse(path.read_text()))
    student = (
        stem.split('_')[-1]
        if folder in ('comparators', 'benchmarks')
        else f'{stem}_'.split('_')[1]
    )  # of {teacher}_{student}
    row = row_of(stem, cfg) if tables else {}
    metadata = {
        'Description': doc.splitlines()[0],
        'Training Data': images(cfg),
        'Epochs': cfg.train_cfg.max_epochs,
        'Resolution': size,
        **counts(ssl.backbone, head_of(ssl), size),
        'Teacher': teacher and teachers[teacher.checkpoint],
        'SHA256': None,
        'As reported in the paper': reported(paper, tables, student, row),
        'As reported with the checkpoint': None,
        'As measured here': measured(ROWS[name]) if name in ROWS else None,
        'Published by the authors': paper['published'].get(name),
    }
    if row.get('method') in ELSEWHERE.values():
        metadata['As reported by its authors'] = reported(
            elsewhere, ('reported_linear',), student, row
        )
    return {
        'Name': name,
        'In Collection': collection,
        'Metadata': metadata,
        'Results': [],
        'Weights': None,
        'Config': str(path.relative_to(ROOT)),
    }


def metafiles() -> dict:
    """Content of each metafile, by path."""
    paper, elsewhere = (
        yaml.safe_load((ROOT / f'benchmarks/{name}.yml').read_text())
        for name in ('paper', 'reported')
    )
    teachers = {
        Config.fromfile(str(path)).teacher.checkpoint: path.stem
        for path in (ROOT / 'configs/_base_/teachers').glob('*.py')
    }
    teachers['checkpoints/linear_r50.pth'] = 'linear_r50'
    files = {}
    for folder, (name, url, _) in COLLECTIONS.items():
        path = ROOT / 'configs' / folder
        collection = {
            'Name': name,
            'Paper': {'URL': url},
            'Metadata': {'Source': 'configs of mmdisco', 'Licence': 'Apache-2.0'},
        }
        content = dict(
            Collections=[collection],
            Models=[
                entry(config, folder, paper, elsewhere, teachers)
                for config in sorted(path.glob('*.py'))
            ],
        )
        files[path / 'metafile.yml'] = HEAD + yaml.safe_dump(
            content, sort_keys=False, allow_unicode=True, width=79
        )
    return files


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
    torch.set_num_threads(1)  # one small image does not need more
    for path, text in metafiles().items():
        if args.check and (not path.is_file() or path.read_text() != text):
            raise InputError(
                f'{path.relative_to(ROOT)} is out of date: run python '
                'tools/dev/make_metafiles.py'
            )
        if not args.check:
            path.write_text(text)


if __name__ == '__main__':
    with one_line_errors():
        main()
