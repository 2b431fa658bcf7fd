"""Formats of weight files match their endings and can be read again."""

import json

import pytest
import torch
from mmengine.config import Config
from safetensors import safe_open
from safetensors.torch import load_file

from mmdisco.checkpoints import load_student, read_conversion, safe_load, save_weights
from mmdisco.errors import InputError
from tests.deploy.students import call, pooled, tensors, trained
from tests.tools import ROOT

TOOLS = {
    'convert': ('tools/convert_checkpoint.py', '--arch', 'r18'),
    'extract': ('tools/extract_backbone.py',),
    'publish': ('tools/publish_model.py', '--size', '32'),
    'timm': ('tools/export_student.py', '--format', 'timm', '--size', '32'),
    'torchvision': (
        'tools/export_student.py',
        '--format',
        'torchvision',
        '--size',
        '32',
    ),
}


@pytest.fixture(scope='module')
def run(tmp_path_factory):
    """A checkpoint of a pre-training of R-18."""
    backbone, neck = trained('r18')
    config = Config.fromfile(ROOT / 'configs' / 'disco' / 'r50_r18.py')
    path = tmp_path_factory.mktemp('run') / 'epoch_7.pth'
    torch.save(
        dict(
            state_dict=tensors(backbone, neck, 'ssl.'),
            meta=dict(cfg=config.pretty_text),
        ),
        path,
    )
    return backbone, path


@pytest.mark.parametrize('name', TOOLS)
def test_each_tool_writes_safetensors(name, run, tmp_path, monkeypatch):
    """The network is recorded in the file, except in library formats."""
    backbone, path = run
    tool, *options = TOOLS[name]
    call(monkeypatch, tool, path, tmp_path / 'out.safetensors', *options)
    [out] = tmp_path.glob('out*.safetensors')
    assert (out.name == 'out.safetensors') == (name != 'publish')
    kept = load_file(out)
    of_library = name in ('timm', 'torchvision')
    expected = {
        key if of_library else f'backbone.{key}': value
        for key, value in backbone.state_dict().items()
    }
    assert {k for k in kept if not k.startswith('neck.')} == set(expected)
    for key, value in expected.items():
        assert torch.equal(kept[key], value)
    if not of_library:
        with safe_open(out, framework='pt') as file:
            meta = json.loads(file.metadata()['meta'])
        assert (meta['arch'], meta['source']) == ('r18', 'epoch_7.pth')
    student = load_student(str(out), 'r18' if of_library else None)
    assert student.network.arch == 'r18'
    images = torch.randn(2, 3, 64, 64)
    assert torch.equal(pooled(student.backbone, images), pooled(backbone, images))


@pytest.mark.parametrize('name', TOOLS)
def test_each_tool_refuses_other_formats(name, run, tmp_path, fails):
    tool, *options = TOOLS[name]
    for out in ('out.onnx', 'out.npz', 'out.h5', 'out.ONNX', 'out.v2'):
        line = fails(tool, run[1], tmp_path / out, *options)
        assert f"{out}': '.{out[4:].lower()}' is not an ending of weights" in line
        assert '.safetensors' in line
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    'format, out',
    [
        ('onnx', 'x.pth'),
        ('onnx', 'x.safetensors'),
        ('torchscript', 'x.onnx'),
        ('exported-program', 'x.safetensors'),
    ],
)
def test_graphs_are_not_named_otherwise(format, out, run, tmp_path, fails):
    line = fails('tools/export_student.py', run[1], tmp_path / out, '--format', format)
    assert f'--format {format} writes *.' in line


@pytest.mark.parametrize('name', TOOLS)
@pytest.mark.parametrize('value', [torch.nan, torch.inf])
def test_each_tool_refuses_values_that_are_not_finite(
    name, value, run, tmp_path, fails
):
    content = torch.load(run[1])
    key = 'ssl.backbone.layer2.0.conv1.weight'
    content['state_dict'][key] = content['state_dict'][key].clone()
    content['state_dict'][key][3, 1, 0, 0] = value
    torch.save(content, tmp_path / 'bad.pth')
    tool, *options = TOOLS[name]
    line = fails(tool, tmp_path / 'bad.pth', tmp_path / 'out.pth', *options)
    assert 'bad.pth' in line and 'layer2.0.conv1.weight is not finite' in line
    assert [p.name for p in tmp_path.iterdir()] == ['bad.pth']


def odd_tensors():
    """Tensors of several dtypes and layouts, some with shared memory."""
    base = torch.arange(24.0).view(2, 3, 2, 2)
    return {
        'shared': base,
        'again': base,
        'view': base[1],
        'transposed': base[0, 0].t(),
        'half': base.half(),
        'brain': base.bfloat16(),
        'flags': base > 3,
        'count': torch.tensor(7),
        'last': base.to(memory_format=torch.channels_last),
        'param': torch.nn.Parameter(base),
        'none': torch.zeros(0, 4),
    }


@pytest.mark.parametrize('ending', ['.safetensors', '.pth', '.SafeTensors'])
def test_any_tensor_is_kept_and_any_meta(ending, tmp_path):
    meta = dict(
        arch='r18',
        neck=None,
        widths=dict(a=1, b=[1, 2.5]),
        digits='0123',
        backbone=dict(out_indices=(0, 3)),
    )
    for name in ('one', 'two'):
        save_weights(tmp_path / f'{name}{ending}', odd_tensors(), meta=meta)
    one, two = ((tmp_path / f'{name}{ending}').read_bytes() for name in ('one', 'two'))
    assert one == two
    loaded = safe_load(str(tmp_path / f'one{ending}'))
    assert loaded.keys() == {'state_dict', 'meta'}
    for key, value in odd_tensors().items():
        tensor = loaded['state_dict'][key]
        assert tensor.dtype == value.dtype and torch.equal(tensor, value), key
    indices = [0, 3] if ending != '.pth' else (0, 3)  # JSON has no tuples
    assert loaded['meta'] == {**meta, 'backbone': dict(out_indices=indices)}


def test_the_order_of_metadata_is_fixed(tmp_path):
    """The order of safetensors itself depends on the process."""
    content = {name: name for name in 'gfedcba'}
    save_weights(tmp_path / 'x.safetensors', odd_tensors(), **content)
    data = (tmp_path / 'x.safetensors').read_bytes()
    header = json.loads(data[8 : 8 + int.from_bytes(data[:8], 'little')])
    assert [*header['__metadata__']] == sorted([*content, 'format'])
    assert int.from_bytes(data[:8], 'little') % 8 == 0
    assert len(load_file(tmp_path / 'x.safetensors')) == len(odd_tensors())


def test_unsupported_content_is_refused(tmp_path):
    for weights, content in (
        (dict(a=torch.eye(3).to_sparse()), {}),
        (dict(a=torch.ones(1)), dict(meta=dict(x=torch.ones(1)))),
    ):
        with pytest.raises(
            InputError, match='safetensors file cannot hold these weights'
        ):
            save_weights(tmp_path / 'x.safetensors', weights, **content)
    assert not list(tmp_path.iterdir())


def test_the_format_is_detected_from_the_content(tmp_path):
    """The format is detected from the content, not the name."""
    state_dict = {f'backbone.{k}': v for k, v in trained('r18')[0].state_dict().items()}
    save_weights(tmp_path / 'a.safetensors', state_dict)
    (tmp_path / 'a.safetensors').rename(tmp_path / 'model.bin')
    assert read_conversion(str(tmp_path / 'model.bin')).part('backbone')
    torch.save(dict(state_dict=state_dict), tmp_path / 'b.safetensors')
    with pytest.raises(
        InputError,
        match='b.safetensors. is a torch.s'
        'ave file with the ending of safetensors: rename it',
    ):
        read_conversion(str(tmp_path / 'b.safetensors'))
    (tmp_path / 'c.safetensors').write_bytes(
        (tmp_path / 'model.bin').read_bytes()[:3000]
    )
    with pytest.raises(InputError, match='an incomplete file'):
        read_conversion(str(tmp_path / 'c.safetensors'))
