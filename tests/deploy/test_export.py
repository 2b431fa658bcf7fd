"""Exported files, loaded by their runtimes, against the network."""

import re
from functools import partial
from math import prod

import onnx
import onnxruntime
import pytest
import timm  # noqa: F401  (the report's line is evaluated)
import torch
from mmengine.logging import MMLogger
from mmengine.utils import digit_version
from torch import nn
from torchvision import models

from mmdisco.checkpoints import load_student
from mmdisco.deploy import compare as check
from mmdisco.deploy import export, export_student, libraries
from mmdisco.deploy.compare import photographs
from mmdisco.errors import InputError
from mmdisco.models import FeatureMaps, Pooled
from tests.deploy.students import call, pooled, tensors, trained

TOOL = 'tools/export_student.py'
ONNX = pytest.mark.skipif(
    digit_version(torch.__version__) < digit_version('2.8.0'), reason='needs torch 2.8'
)
COUNTS = dict(
    effb0=4_007_548,
    effb1=6_513_184,
    mbv3=4_202_032,
    r18=11_176_512,
    r34=21_284_672,
    vitt=5_524_416,
    xcitt=6_523_272,
)


@pytest.fixture(scope='module')
def student(tmp_path_factory):
    """Backbones by arch, each with its checkpoint; created once."""
    folder, students = tmp_path_factory.mktemp('students'), {}

    def get(arch):
        if arch not in students:
            backbone, _ = trained(arch)
            path = folder / f'{arch}.pth'
            torch.save(dict(state_dict=tensors(backbone), meta=dict(arch=arch)), path)
            students[arch] = backbone, path
        return students[arch]

    return get


def close(actual, expected):
    assert actual.shape == expected.shape
    assert expected.std(0).mean() > 0.01  # features differ between images
    torch.testing.assert_close(
        actual, expected, rtol=0, atol=1e-4 * expected.abs().max().item()
    )


@ONNX
@pytest.mark.parametrize('arch', ['r18', 'vitt'])
def test_onnx_gives_the_same_features(arch, student, tmp_path, monkeypatch, capsys):
    backbone, path = student(arch)
    out = tmp_path / 'deep' / 'student.onnx'
    call(monkeypatch, TOOL, path, out, '--format', 'onnx', '--size', 64)
    images = torch.randn(5, 3, 64, 64)
    session = onnxruntime.InferenceSession(str(out))
    [features] = session.run(None, {'images': images.numpy()})
    close(torch.from_numpy(features), pooled(backbone, images))
    statistics = 'running_mean', 'running_var'
    numbers = [
        prod(t.dims)
        for t in onnx.load(out).graph.initializer
        if not t.name.endswith(statistics)
    ]
    assert sum(numbers) == COUNTS[arch]
    text = capsys.readouterr().out
    assert (
        f'{COUNTS[arch]:,} in the file, {COUNTS[arch]:,} in the plain' in (text)
        and 'no extra parameter at deployment' in text
    )
    errors = re.findall(
        r'(noise|photographs) +max error (\S+) in a batch of '
        r'(\d) \(traced with 2\); (\S+) is allowed',
        text,
    )
    assert [(e[0], e[2]) for e in errors] == [('noise', '3'), ('photographs', '4')]
    assert all(float(e[1]) <= float(e[3]) for e in errors)


@pytest.mark.parametrize(
    'format, load',
    [
        pytest.param(
            'torchscript',
            torch.jit.load,
            marks=pytest.mark.filterwarnings('ignore:`torch.jit'),
        ),
        ('exported-program', lambda path: torch.export.load(path).module()),
    ],
)
def test_torch_graphs_give_the_same_features(
    format, load, student, tmp_path, monkeypatch, capsys
):
    backbone, path = student('r18')
    out = tmp_path / 'student.pt2'
    MMLogger._instance_dict.clear()  # its handlers write to another test's stream
    call(monkeypatch, TOOL, path, out, '--format', format, '--size', 64)
    lines = ''.join(capsys.readouterr()).splitlines()
    assert sum('max error' in line for line in lines) == 2  # noise and photographs
    old = [line for line in lines if 'deprecated' in line]
    assert len(old) == (format == 'torchscript')
    assert all('WARNING' in x and 'use --format exported-program' in x for x in old)
    images = torch.randn(5, 3, 64, 64)
    network = load(out)
    with torch.no_grad():
        close(network(images)[0], pooled(backbone, images))
    assert sum(p.numel() for p in network.parameters()) == COUNTS['r18']


@pytest.mark.filterwarnings('ignore:`torch.jit')
def test_feature_maps_end_where_a_detector_does(student, tmp_path, monkeypatch, capsys):
    backbone, path = student('mbv3')
    out = tmp_path / 'maps.pt'
    call(
        monkeypatch,
        TOOL,
        path,
        out,
        '--format',
        'torchscript',
        '--size',
        64,
        '--feature-maps',
    )
    x, outputs = torch.randn(3, 3, 64, 64), []
    maps = torch.jit.load(out)(x)
    with torch.no_grad():
        for number in range(17):
            x = getattr(backbone, f'layer{number}')(x)
            outputs.append(x)
    assert [list(m.shape[1:]) for m in maps] == [
        [24, 16, 16],
        [40, 8, 8],
        [112, 4, 4],
        [960, 2, 2],
    ]
    for actual in maps:
        last = [o for o in outputs if o.shape == actual.shape][-1]
        close(actual, last)
    head = 960 * 1280 + 1280
    assert f'{COUNTS["mbv3"] - head:,} in the file' in capsys.readouterr().out


@pytest.mark.parametrize(
    'arch, channels', [('effb0', [24, 40, 112, 320]), ('r18', [64, 128, 256, 512])]
)
def test_feature_maps_have_the_strides_of_their_names(arch, channels, student):
    network = FeatureMaps(load_student(student(arch)[1]).backbone)
    maps = network(torch.randn(1, 3, 64, 64))
    assert [list(m.shape[1:]) for m in maps] == [
        [c, 64 // s, 64 // s] for c, s in zip(channels, (4, 8, 16, 32))
    ]
    assert network.names == ('stride4', 'stride8', 'stride16', 'stride32')


def test_timm_loads_a_file_for_timm(student, tmp_path, monkeypatch, capsys):
    backbone, path = student('mbv3')
    out = tmp_path / 'timm.pth'
    call(monkeypatch, TOOL, path, out, '--format', 'timm', '--size', 64)
    how = re.search(r'load with +(timm.*)', capsys.readouterr().out)[1]
    network = eval(how)
    network.load_state_dict(torch.load(out, weights_only=True))
    network.eval()
    images = torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        close(network(images), pooled(backbone, images))


def test_torchvision_needs_another_eps(student, tmp_path, monkeypatch, capsys):
    backbone, path = student('mbv3')
    out = tmp_path / 'torchvision.pth'
    call(monkeypatch, TOOL, path, out, '--format', 'torchvision', '--size', 64)
    assert 'its default eps of 0.001 gives other' in capsys.readouterr().out
    images = torch.randn(2, 3, 64, 64)
    for eps in (1e-5, 1e-3):
        network = models.mobilenet_v3_large(norm_layer=partial(nn.BatchNorm2d, eps=eps))
        network.classifier[3] = nn.Identity()
        network.load_state_dict(torch.load(out, weights_only=True))
        network.eval()
        with torch.no_grad():
            features = network(images)
        if eps == 1e-5:
            close(features, pooled(backbone, images))
    assert not torch.allclose(features, pooled(backbone, images), rtol=1e-3)


def test_photographs_are_normalised_as_imagenet():
    images = photographs(32)
    assert images.shape == (4, 3, 32, 32)
    assert images.min() > -2.2 and images.max() < 2.7  # of (0 - mean) / std
    assert not torch.equal(images[0], images[2])


def test_without_a_library_or_runtime_nothing_is_claimed(
    student, tmp_path, fails, monkeypatch
):
    path, out = student('r18')[1], tmp_path / 'out.pth'
    monkeypatch.setattr(libraries, 'find_spec', lambda name: None)
    report = export_student(str(path), str(out), 'timm')
    assert 'not compared timm is not installed' in report
    assert 'max error' not in report
    assert torch.load(out, weights_only=True)['conv1.weight'].dim() == 4
    monkeypatch.setattr(export, 'find_spec', lambda name: None)
    assert 'ONNX needs onnx: pip install onnx onnxruntime onnxscript' in fails(
        TOOL, path, tmp_path / 'x.onnx', '--format', 'onnx', '--size', 32
    )


@ONNX
def test_without_onnxruntime_a_file_is_written(tmp_path, monkeypatch):
    monkeypatch.setattr(
        export, 'find_spec', lambda name: None if name == 'onnxruntime' else name
    )
    out = tmp_path / 'out'
    tiny = Pooled(nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))).eval()
    tiny.forward = lambda images: (tiny.backbone(images),)
    assert export.to_onnx(tiny, torch.randn(2, 3, 8, 8), out) == (
        None,
        3 * 9 * 4 + 4 + 4 + 4,
        'onnxruntime is not installed',
    )


def test_an_older_torch_is_named(tmp_path, monkeypatch):
    def refuse(*args, **kwargs):
        raise RuntimeError('Dynamic control flow is not supported')

    monkeypatch.setattr(torch, '__version__', '2.5.1+cpu')
    line = r"needs torch >=2\.8\.0, found 2\.5\.1\+cpu: run 'pip install -U torch"
    with pytest.raises(InputError, match=f'^ONNX {line}'):
        export.to_onnx(None, torch.zeros(1), tmp_path / 'out')
    monkeypatch.setattr(torch.export, 'export', refuse)
    with pytest.raises(InputError, match=f'^this network {line}'):
        export.to_exported_program(None, torch.zeros(1), tmp_path / 'out')
    monkeypatch.setattr(torch, '__version__', '2.8.0')
    with pytest.raises(RuntimeError):
        export.to_exported_program(None, torch.zeros(1), tmp_path / 'out')


def test_another_network_is_not_written(student, tmp_path, fails, monkeypatch):
    def broken(change):
        def to_torchscript(network, images, path):
            path.write_text('x')
            count = sum(p.numel() for p in network.parameters())
            return export.Reloaded(*change(network, count), 'note')

        monkeypatch.setitem(export.GRAPHS, 'torchscript', to_torchscript)
        line = fails(
            TOOL,
            student('r18')[1],
            tmp_path / 'x.pt',
            '--format',
            'torchscript',
            '--size',
            32,
        )
        assert not list(tmp_path.iterdir())
        return line

    off = 1 + 2 * check.TOLERANCE
    assert 'differ by' in broken(
        lambda net, n: (lambda x: [y * off for y in net(x)], n)
    )
    assert 'differ by nan' in broken(
        lambda net, n: (lambda x: [y * torch.nan for y in net(x)], n)
    )
    assert 'its outputs have shapes [[3]]' in broken(
        lambda net, n: (lambda x: [y[:, 0] for y in net(x)], n)
    )
    assert '11,176,513 parameters, the network has 11,176,512' in broken(
        lambda net, n: (net, n + 1)
    )
    assert 'cannot run on 3 images' in broken(
        lambda net, n: (lambda x: net(x.view(2, 3, 32, 32)), n)
    )


def test_a_network_that_amplifies_rounding_has_a_larger_tolerance():
    def amplifies(images):
        return (1e4 * (images[:, 0, 0] - 1) + 1,)

    images = torch.ones(3, 3, 64, 64)
    assert amplifies(images)[0].eq(1).all()
    # the last bit of 1 is 1.2e-7, which becomes 1.2e-3 in the output
    result = check.agree(amplifies, lambda x: (amplifies(x)[0] + 1e-3,), images)
    assert 1e-3 < result.allowed <= check.AT_MOST
    with pytest.raises(InputError, match='differ by 2.0e-02'):
        check.agree(amplifies, lambda x: (amplifies(x)[0] + 0.02,), images)
    # without amplification the tolerance is smaller
    with pytest.raises(InputError, match='differ by 1.0e-03'):
        check.agree(lambda x: (x[:, 0],), lambda x: (x[:, 0] + 1e-3,), images)


def test_errors_are_one_line(student, tmp_path, fails):
    vit, r18 = student('vitt')[1], student('r18')[1]
    out = tmp_path / 'out'
    junk, unnamed, wrong = (
        tmp_path / f'{name}.pth' for name in ('junk', 'unnamed', 'wrong')
    )
    junk.write_text('junk')
    saved = torch.load(r18, weights_only=True)
    torch.save(dict(state_dict=saved['state_dict']), unnamed)
    torch.save(dict(saved, meta=dict(arch='r34')), wrong)

    def line(path, *args, format='onnx', out=out):
        return fails(TOOL, path, out, '--format', format, *args)

    assert "arch 'r19' is not known" in line(r18, '--arch', 'r19')
    assert "holds 'r18', but --arch says 'r34'" in line(r18, '--arch', 'r34')
    assert 'add --arch, one of r50' in line(unnamed)
    assert 'does not fit this architecture' in line(wrong)
    assert "junk.pth' is no" in line(junk)
    assert 'not found' in line(tmp_path / 'nowhere.pth')
    assert 'is a folder' in line(r18, out=tmp_path, format='timm')
    assert "can't be written" in line(r18, out=junk / 'x', format='timm')
    assert 'torchvision has no network' in line(vit, format='torchvision')
    assert 'VisionTransformer has no feature maps' in line(vit, '--feature-maps')
    assert '--feature-maps is for graphs' in line(r18, '--feature-maps', format='timm')
    assert 'it cannot run on 3 images of 64 pixels' in line(
        vit, '--size', '64', format='timm'
    )
    assert not out.exists() and not list(tmp_path.glob('*half*'))
