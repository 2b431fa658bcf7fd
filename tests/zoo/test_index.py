"""The index of models: complete, true to configs and paper, readable by all."""

import ast
import importlib
import json
import re
import sys
from functools import cache
from pathlib import Path

import pytest
import timm
import torch
import yaml
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmpretrain.apis.model import ModelHub
from mmpretrain.registry import MODELS
from modelindex.load_model_index import load
from torch import nn

from mmdisco.checkpoints import licence_of, sha256_of, teacher_of_file
from mmdisco.checkpoints.licence import TIMM_LICENCES
from mmdisco.checkpoints.network import arch_config
from mmdisco.errors import InputError
from mmdisco.zoo import list_models
from mmdisco.zoo.models import find
from tests.tools import ROOT

TEACHERS = {path.stem: path for path in (ROOT / 'configs/_base_/teachers').glob('*.py')}
LEAVES = [
    path
    for path in (ROOT / 'configs').rglob('*.py')
    if not {'_base_', 'detection'} & {*path.parts}
]
PAPER, FILE, HERE = (
    f'As {how}'
    for how in (
        'reported in the paper',
        'reported with the checkpoint',
        'measured here',
    )
)
TOP1 = 'Top 1 Accuracy'


def params(module):
    return sum(p.numel() for p in module.parameters())


@cache
def plain_backbone(config, size):
    """Parameters and multiply-adds counted by hooks, on the 'meta' device."""
    init_default_scope('mmpretrain')
    backbone, total = MODELS.build(json.loads(config)), []

    def count(module, inputs, out):
        if isinstance(module, nn.Conv2d):
            total.append(out.numel() * module.weight[0].numel())
        elif isinstance(module, nn.BatchNorm2d):
            total.append(2 * out.numel())
        elif isinstance(module, nn.AdaptiveAvgPool2d):
            total.append(inputs[0].numel())

    for module in backbone.modules():
        module.register_forward_hook(count)
    backbone.eval()
    with torch.no_grad():
        backbone.to('meta')(torch.zeros(1, 3, size, size, device='meta'))
    return params(backbone), sum(total)


def plain_counts(backbone, neck, size):
    """The counts of tools/dev/network_counts.py without FlopAnalyzer."""
    if backbone['type'] in ('VisionTransformer', 'LastBlocksViT', 'XCiT'):
        # compared with mmpretrain's metafiles below
        return sys.modules['network_counts'].counts(backbone, neck, size)
    parameters, flops = plain_backbone(json.dumps(backbone), size)
    head = params(MODELS.build(neck))
    return {
        'Parameters': parameters,
        'Parameters with Head': parameters + head,
        'FLOPs': flops,
    }


@pytest.fixture(scope='module')
def tool():
    """tools/dev/make_metafiles.py with :func:`plain_counts`."""
    sys.path.insert(0, str(ROOT / 'tools/dev'))
    module = importlib.import_module('make_metafiles')
    sys.path.pop(0)
    module.library_counts = module.counts
    module.counts = plain_counts
    return module


@pytest.fixture
def one_thread():
    """One thread, as in the generator; a setting of the process."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def docstring(path):
    return ast.get_docstring(ast.parse(Path(path).read_text()))


def name_of(path):
    """Name in the index: a prefix for folders with ambiguous file names."""
    folder = path.parent.name
    if path.parents[1].name == 'quickstart':
        return f'{folder}_{path.stem}'
    prefixes = dict(quickstart='quickstart_', disco_swav='swav_', distill='distill_')
    return prefixes.get(folder, '') + path.stem


def test_each_config_has_one_entry_and_each_entry_a_config():
    configs = [find(name).config for name in list_models()]
    assert sorted(configs) == sorted(map(str, [*LEAVES, *TEACHERS.values()]))
    for path in TEACHERS.values():
        assert find(path.stem).config == str(path)
    for path in LEAVES:
        assert find(name_of(path)).config == str(path)


def test_metafiles_equal_the_generators_output(tool, one_thread, monkeypatch):
    if Path('/dev/shm').is_dir():
        # for each config mmengine copies all its bases to temporary folders
        monkeypatch.setattr('tempfile.tempdir', '/dev/shm')
    files = tool.metafiles()
    monkeypatch.setattr(tool, 'metafiles', lambda: files)
    monkeypatch.setattr('sys.argv', ['make_metafiles.py', '--check'])
    tool.main()
    path = ROOT / 'configs/disco/metafile.yml'
    files[path] = files[path].replace('64.4', '99.9')
    with pytest.raises(InputError, match='disco/metafile.yml is out of date') as error:
        tool.main()
    assert '\n' not in str(error.value)


def test_flops_are_counted_as_openmmlab_does(tool, one_thread):
    def flops(name):
        arch = arch_config(name)
        return tool.library_counts(arch.backbone, arch.neck, 224)['FLOPs']

    # mmpretrain's metafiles: resnet50 (with pooling, without classifier);
    # deit-tiny
    assert flops('r50') == 4109464576 - 7 * 7 * 2048
    assert flops('vitt') == 1258219200
    # teachers that are not CNNs: deit-small, xcit-small-12-p16
    assert find('vits').metadata['FLOPs'] == 4607954304
    assert find('xcits').metadata['FLOPs'] == 4814951808


@pytest.mark.parametrize('name', TEACHERS)
def test_teachers_equal_their_configs(name, tool):
    teacher = Config.fromfile(str(TEACHERS[name])).teacher
    entry = find(name)
    assert entry.file == Path(teacher.checkpoint).name
    if name == 'quickstart':
        assert entry.urls == (str(ROOT / teacher.checkpoint),)
        assert entry.sha256 == sha256_of(entry.urls[0])
    else:
        assert entry.urls[0] == teacher.url
        assert teacher_of_file(teacher.checkpoint) == name
        assert entry.sha256 is None
    assert len(entry.urls) == 1 + (name in ('r50w2', 'swavr50'))
    if teacher.backbone.type == 'ResNet':
        size = tool.counts(
            teacher.backbone, teacher.neck, 28 if name == 'quickstart' else 224
        )
        assert size == {key: entry.metadata[key] for key in size}


@pytest.mark.parametrize('name', sorted({*TEACHERS} - {'quickstart'}))
def test_a_public_teachers_numbers_are_those_of_its_docstring(name):
    doc, data = ' '.join(docstring(TEACHERS[name]).split()), find(name).metadata
    reported = data.get(FILE)
    if reported:
        how = 'supervised' if data.get('Supervised') else 'linear'
        how = reported.get('Protocol', how)
        figure = f'{reported[TOP1]} top-1 (ImageNet, {how})'
        assert figure in doc or figure.replace(', l', ' l') in doc
    assert ('No accuracy quoted' in doc) == (not reported)
    assert f'Source: {data["Source"]}; licence {data["Licence"]}.' in doc
    epochs = re.search(r'(\d+) epochs', doc)
    assert data.get('Epochs') == (epochs and int(epochs[1]))
    paper = yaml.safe_load((ROOT / 'benchmarks/paper.yml').read_text())
    top1 = [
        row['teacher_top1']
        for table in ('table1', 'table6', 'table7')
        for row in paper[table]['rows']
        if row['method'].endswith('DisCo') and row.get('teacher') == name
    ]
    assert {data.get(PAPER, {}).get(TOP1)} == set(top1 or [None])
    assert HERE not in data


@pytest.mark.parametrize('name', sorted(TEACHERS))
def test_each_teacher_has_a_licence(name):
    """Commercial use follows from the licence, unless it is not the file's."""
    data, entry = find(name).metadata, find(name)
    licence, allowed = data['Licence'], data.get('Commercial Use')
    expected = {
        'Apache-2.0': True,
        'Apple AMLR': False,
        'BSD-3-Clause': True,
        'CC BY-NC 4.0': False,
        'DINOv3 License': True,
        'FAIR Noncommercial Research License': False,
        'MIT': True,
    }[licence]
    stated = 'none is stated for the file' not in data.get('Licence Note', '')
    assert allowed is (expected if stated else None)
    assert ('no commercial use' in str(licence_of(entry.file))) == (allowed is False)
    assert licence in str(licence_of(f'elsewhere/{entry.file}'))
    assert licence_of('elsewhere/own.pth') is None


@pytest.mark.parametrize(
    'name', [n for n, p in TEACHERS.items() if 'TimmNetwork' in p.read_text()]
)
def test_timms_networks_are_as_their_configs_say(name, tool, one_thread):
    teacher = Config.fromfile(str(TEACHERS[name])).teacher
    data = find(name).metadata
    with torch.device('meta'):  # the largest have more than 4 GB
        network = MODELS.build(teacher.backbone)
    neck = MODELS.build(teacher.neck)
    neck.check(network)
    assert neck.out_channels == data['Width']
    assert f'{data["Width"]}-d' in docstring(TEACHERS[name])
    assert teacher.mean == pytest.approx(network.mean)
    assert teacher.std == pytest.approx(network.std)
    embed = getattr(network.network, 'patch_embed', None)
    patch = getattr(embed, 'patch_size', (1,))[0]
    assert data.get('Patch') == (patch if patch > 1 else None)
    assert data['Parameters'] == data['Parameters with Head'] == params(network)
    weights = network.network.pretrained_cfg
    assert data.get('Input Size', data['Resolution']) == weights['input_size'][1]
    if 'FLOPs' in data:
        size = tool.library_counts(teacher.backbone, teacher.neck, data['Resolution'])
        assert size == {key: data[key] for key in size}


@pytest.mark.parametrize(
    'name', [n for n, p in TEACHERS.items() if 'TimmNetwork' in p.read_text()]
)
def test_licences_and_addresses_are_timms(name):
    """timm states a licence for each of its weights, and where they are."""
    entry = find(name)
    teacher = Config.fromfile(str(TEACHERS[name])).teacher
    weights = timm.get_pretrained_cfg(teacher.backbone.name)
    stated = TIMM_LICENCES[weights.license][0]
    note = entry.metadata.get('Licence Note', '')
    assert entry.metadata['Licence'] == stated or f'timm states {stated}' in note
    hub = 'https://huggingface.co/timm/{}/resolve/main/model.safetensors'
    assert entry.urls[0] in (weights.url, hub.format(teacher.backbone.name))
    if entry.urls[0] != weights.url:
        assert weights.hf_hub_id in ('timm/', f'timm/{teacher.backbone.name}')
        assert entry.file == f'{teacher.backbone.name}.safetensors'
    tower = 'projection to the text tower' in docstring(TEACHERS[name])
    assert tower == (weights.num_classes in (512, 768, 1024, 1280))
    assert data_supervised(entry) == (weights.num_classes in (1000, 21843))


def data_supervised(entry):
    return entry.metadata.get('Supervised', False)


def test_a_leafs_numbers_are_those_of_its_docstring():
    for path in LEAVES:
        name = name_of(path)
        if 'quickstart' in path.parts:
            continue
        doc, data = docstring(path), find(name).metadata
        assert data['Description'] == doc.splitlines()[0]
        quoted = re.search(r"Reported by \w+'s? authors:\s([\d.]+) top-1", doc)
        authors = data.get('As reported by its authors') or {}
        assert authors.get(TOP1) == (quoted and float(quoted[1])), name
        assert ('https://' in authors.get('Source', '')) == bool(quoted)
        top = {
            int(k): float(v)
            for v, k in re.findall(
                r'([\d.]+) top-([15])', doc.replace(quoted[0] if quoted else '', '')
            )
        }
        reported = data.get(PAPER, {})
        assert {
            k: reported[f'Top {k} Accuracy']
            for k in (1, 5)
            if f'Top {k} Accuracy' in reported
        } == top, name
        if top:
            where = re.search(
                r'Paper(?: \(second version\))?, '
                r'(Table \d|Section 4.2)',
                doc,
            )[1]
            assert reported['Source'].startswith(where)
        assert FILE not in data and HERE not in data
        assert find(name).urls == () and find(name).file is None


def test_measurements_equal_the_results():
    path = ROOT / 'docs/results/quickstart_summary.json'
    runs = json.loads(path.read_text())
    for name, row in (
        ('quickstart', 'teacher'),
        ('quickstart_teacher', 'teacher'),
        ('quickstart_disco', 'disco'),
        ('quickstart_mocov2', 'mocov2'),
        ('quickstart_mocov2_60k', 'mocov2_teachers_images'),
    ):
        here = find(name).metadata[HERE]
        assert here['Linear Probe Accuracy'] == runs[row]['linear']
        assert here['kNN Accuracy'] == runs[row]['knn']
        assert here['Commit'] == runs['commit']
        assert here['Machine'] == '2 cores of an AMD EPYC'
        assert here['Source'] == str(path.relative_to(ROOT))
        command = here['Command']
        assert (
            f'`{command}` at commit {here["Commit"]}'
            in (ROOT / 'docs/quickstart.md').read_text()
        )
    bundled = find('quickstart')
    meta = torch.load(bundled.urls[0], weights_only=True)['meta']
    entry = bundled.metadata[FILE]
    assert meta['figures']['linear'] == entry['Linear Probe Accuracy']
    assert meta['figures']['knn'] == entry['kNN Accuracy']
    assert [meta[key] for key in ('seed', 'command', 'commit')] == [
        entry[key] for key in ('Seed', 'Command', 'Commit')
    ]


def test_results_are_only_those_reported_with_a_file():
    index = load(str(ROOT / 'model-index.yml'))
    assert index.check(silent=True) == []
    assert len(index.models) == len(list_models())
    for model in index.models:
        reported = find(model.name).metadata.get(FILE, {})
        results = [result.metrics for result in model.results]
        assert bool(results) == bool(model.weights and reported)
        for metrics in results:
            assert metrics.items() <= reported.items()


def test_mmpretrain_takes_the_index_beside_its_own(monkeypatch):
    ModelHub._register_mmpretrain_models()
    monkeypatch.setattr(ModelHub, '_models_dict', dict(ModelHub._models_dict))
    before = len(ModelHub._models_dict)
    ModelHub.register_model_index(ROOT / 'model-index.yml', config_prefix=ROOT)
    assert len(ModelHub._models_dict) == before + len(list_models())
    for name in ('r50', 'r50_mbv3', 'quickstart_disco'):
        assert Path(ModelHub._models_dict[name].config).is_file()


def test_names_are_listed_by_pattern_and_errors_suggest_the_nearest():
    assert list_models('r50_*_h512') == [
        f'r50_{s}_h512' for s in ('effb0', 'effb1', 'mbv3', 'r18', 'r34')
    ]
    assert list_models('nothing*') == []
    with pytest.raises(InputError, match="no model 'r50_mbv'.*r50_mbv3") as e:
        find('r50_mbv')
    assert '\n' not in str(e.value)
    find('r50').metadata.clear()  # the returned metadata is a copy
    assert find('r50').metadata
