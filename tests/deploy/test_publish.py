"""Published files: content, name, metafile entry and use as a teacher."""

import hashlib
import re

import pytest
import torch
import yaml
from mmengine.config import Config

from mmdisco.checkpoints import load_student, sha256_of
from mmdisco.errors import InputError
from mmdisco.models import FrozenTeacher
from mmdisco.version import __version__
from tests.deploy.students import call, pooled, tensors, trained
from tests.tools import ROOT

TOOL = 'tools/publish_model.py'


@pytest.fixture(scope='module')
def run(tmp_path_factory):
    """A checkpoint as mmengine saves it during DisCo training of R-18."""
    backbone, neck = trained('r18')
    config = Config.fromfile(ROOT / 'configs' / 'disco' / 'r50_r18.py')
    momentum = {
        k.replace('backbone.', 'ssl.encoder_k.module.0.').replace(
            'neck.', 'ssl.encoder_k.module.1.'
        ): v + 1
        for k, v in tensors(backbone, neck).items()
    }
    path = tmp_path_factory.mktemp('run') / 'epoch_7.pth'
    torch.save(
        dict(
            state_dict={
                **momentum,
                **tensors(backbone, neck, 'ssl.'),
                'ssl.queue': torch.randn(128, 8),
                'ssl.queue_ptr': torch.zeros(1),
            },
            optimizer=dict(state={0: torch.randn(9)}),
            message_hub=dict(log=[1.0, 2.0]),
            param_schedulers=[dict(step=3)],
            meta=dict(
                cfg=config.pretty_text,
                epoch=7,
                iter=70,
                seed=0,
                experiment_name='r50_r18_20240101_120000',
            ),
        ),
        path,
    )
    return backbone, neck, path


def test_a_student_is_published_alone(run, tmp_path, monkeypatch, capsys):
    backbone, _, path = run
    call(monkeypatch, TOOL, path, tmp_path / 'a' / 'tiny.pth')
    text = capsys.readouterr().out
    [out] = (tmp_path / 'a').glob('*.pth')
    digits = hashlib.sha256(out.read_bytes()).hexdigest()
    assert out.name == f'tiny-{digits[:8]}.pth'
    saved = torch.load(out, weights_only=True)
    assert saved.keys() == {'state_dict', 'meta'}
    expected = tensors(backbone)
    assert list(saved['state_dict']) == list(expected)
    for key, value in expected.items():
        assert torch.equal(saved['state_dict'][key], value)
    assert saved['meta'] == dict(
        arch='r18',
        algorithm='DisCo',
        source='epoch_7.pth',
        sha256=sha256_of(path),
        mmdisco_version=__version__,
        normalisation=[[123.675, 116.28, 103.53], [58.395, 57.12, 57.375]],
        backbone=dict(type='ResNet', depth=18, zero_init_residual=False),
    )

    entry = (tmp_path / 'a' / f'tiny-{digits[:8]}.metafile.yml').read_text()
    assert entry in text and str(out) in text
    assert not re.search(r'null|fill|unknown', entry)
    [model] = yaml.safe_load(entry)['Models']
    assert model.pop('Metadata') == {
        'Architecture': 'r18',
        'Epochs': 7,
        'Resolution': 224,
        'Parameters': 11_176_512,
        'FLOPs': 1_818_528_768,
        'SHA256': digits,
        'Source': f'epoch_7.pth, sha256 {sha256_of(path)}',
    }
    assert model == {
        'Name': 'tiny',
        'In Collection': 'DisCo',
        'Weights': out.name,
        'Config': 'configs/disco/r50_r18.py',
    }


def test_the_same_input_gives_the_same_file(run, tmp_path, monkeypatch):
    path = run[2]
    for name in ('first.pth', 'deep/second'):
        call(monkeypatch, TOOL, path, tmp_path / name, '--with-neck', '--size', '64')
    one, two = sorted(tmp_path.rglob('*.pth'), key=lambda p: p.name)
    assert one.name[len('first') :] == two.name[len('second') :]
    assert one.read_bytes() == two.read_bytes()
    # publishing a published file gives the same tensors
    call(monkeypatch, TOOL, one, tmp_path / 'again.pth', '--with-neck')
    [again] = tmp_path.glob('again*.pth')
    saved = [torch.load(p, weights_only=True) for p in (one, again)]
    assert saved[0]['state_dict'].keys() == saved[1]['state_dict'].keys()
    assert {
        **saved[1]['meta'],
        'source': 'epoch_7.pth',
        'sha256': sha256_of(path),
    } == saved[0]['meta']


def test_with_its_neck_it_can_teach(run, tmp_path, monkeypatch):
    backbone, neck, path = run
    for name, *options in (('whole', '--with-neck'), ('alone',)):
        call(monkeypatch, TOOL, path, tmp_path / name, *options, '--size', 64)
    [whole], [alone] = (
        list(tmp_path.glob(f'{name}*.pth')) for name in ('whole', 'alone')
    )
    meta = torch.load(whole, weights_only=True)['meta']
    teacher = FrozenTeacher(meta['backbone'], meta['neck'], str(whole))
    images = torch.randn(4, 3, 64, 64)
    with torch.no_grad():
        expected = neck((pooled(backbone, images)[..., None, None],))[0]
    torch.testing.assert_close(teacher(images), expected)
    with pytest.raises(InputError, match='no projection head'):
        FrozenTeacher(meta['backbone'], meta['neck'], str(alone))
    # the network is recorded in the file
    student = load_student(str(alone))
    assert student.network.arch == 'r18' and not student.neck_weights
    torch.testing.assert_close(
        pooled(student.backbone, images), pooled(backbone, images)
    )


def test_a_view_does_not_bring_the_whole_tensor(tmp_path, monkeypatch):
    """Order and memory format of tensors do not matter either."""
    backbone, _ = trained('r18')
    state = tensors(backbone)
    large = torch.zeros(10, *backbone.conv1.weight.shape)
    large[3] = backbone.conv1.weight.data
    views = dict(reversed(state.items()))
    views['backbone.conv1.weight'] = large[3]
    views['backbone.layer1.0.conv1.weight'] = state[
        'backbone.layer1.0.conv1.weight'
    ].to(memory_format=torch.channels_last)
    sizes = []
    for name, tensor in (('plain', state), ('views', views)):
        folder = tmp_path / name
        folder.mkdir()
        torch.save(dict(state_dict=tensor), folder / 'x.pth')
        call(
            monkeypatch,
            TOOL,
            folder / 'x.pth',
            folder / 'out',
            '--arch',
            'r18',
            '--size',
            32,
        )
        [out] = folder.glob('out-*.pth')
        sizes.append(
            (
                out.stat().st_size,
                [v.tolist() for v in list(torch.load(out)['state_dict'].values())[:3]],
            )
        )
    assert sizes[0] == sizes[1]


def test_errors_are_one_line(run, tmp_path, fails):
    path, out = run[2], tmp_path / 'out.pth'
    bare, junk = tmp_path / 'bare.pth', tmp_path / 'junk.pth'
    torch.save(dict(state_dict=tensors(run[0])), bare)
    junk.write_text('junk')
    assert 'has no neck: leave out --with-neck' in fails(
        TOOL, bare, out, '--with-neck', '--arch', 'r18'
    )
    assert 'add --arch' in fails(TOOL, bare, out)
    assert "holds 'r18', but --arch says 'mbv3'" in fails(
        TOOL, path, out, '--arch', 'mbv3'
    )
    assert "arch 'r19' is not known" in fails(TOOL, bare, out, '--arch', 'r19')
    assert 'is a folder' in fails(TOOL, path, tmp_path)
    assert "can't be written" in fails(TOOL, path, junk / 'x', '--size', 64)
    assert "junk.pth' is no" in fails(TOOL, junk, out)
    assert not [p for p in tmp_path.iterdir() if p not in (bare, junk)]
