"""tools/convert_checkpoint.py: output, report and errors."""

import argparse
import runpy
import sys
import zipfile

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmpretrain.registry import MODELS
from safetensors.torch import save_file

from mmdisco.checkpoints import arch_config, sha256_of
from mmdisco.models import FrozenTeacher
from tests.checkpoints.test_layouts import GOLDEN, LAYOUTS, check
from tests.layouts import public_content, write_public_file

TOOL = 'tools/convert_checkpoint.py'


@pytest.fixture
def converts(monkeypatch, capsys):
    def run_here(*args):
        monkeypatch.setattr(sys, 'argv', [TOOL, *map(str, args)])
        runpy.run_path(TOOL, run_name='__main__')
        return capsys.readouterr().out

    return run_here


def write(layout, path):
    return write_public_file(layout, path, LAYOUTS[layout][2:])


def test_a_full_dino_file_becomes_a_teacher(tmp_path, converts):
    """The teacher can also load the published file directly."""
    src, dst = tmp_path / 'full.pth', tmp_path / 'new' / 'vits.pth'
    write('dino_vits16_full', src)
    out = converts(src, dst, '--arch', 'vits')
    assert f'full.pth (sha256 {sha256_of(src)})' in out
    assert 'family      dino' in out and 'missing     0\n' in out
    assert "2: prototypes of DINO's loss (head.last_layer.weight_g" in out
    assert 'entries beside the weights (student' in out
    assert 'features 384, hidden 2048, embedding 256' in out
    meta = torch.load(dst, weights_only=True)['meta']
    assert (meta['source'], meta['sha256']) == ('full.pth', sha256_of(src))
    assert (meta['arch'], meta['family']) == ('vits', 'dino')
    assert meta['widths'] == dict(features=384, hidden=2048, embedding=256)
    backbone, neck = arch_config('vits')[1:]
    assert (meta['backbone'], meta['neck']) == (backbone, neck)
    for path in (src, dst):
        teacher = FrozenTeacher(backbone, neck, checkpoint=str(path))
        check(
            'dino_vits16_full',
            'bottleneck_unit',
            teacher(torch.from_numpy(GOLDEN['input_224'])),
        )


def test_an_official_student_keeps_its_head(tmp_path, converts):
    src, dst = tmp_path / 'student.pth.tar', tmp_path / 'effb0.pth'
    write('disco_student_effb0', src)
    out = converts(src, dst, '--arch', 'effb0', '--source', 'disco')
    assert 'momentum encoder (module.encoder_k.' in out
    assert 'frozen teacher (module.teacher_encoder_' in out
    assert '2: queue of keys (module.queue, module.queue_ptr)' in out
    keys = torch.load(dst, weights_only=True)['state_dict'].keys()
    assert {'neck.mlp.0.weight', 'neck.mlp.2.bias'} < set(keys)


def test_a_backbone_of_timm_has_no_head(tmp_path, converts):
    src, dst = tmp_path / 'model.safetensors', tmp_path / 'mbv3.pth'
    layout = 'timm_mobilenetv3_large_100'
    content, _ = public_content(layout, LAYOUTS[layout][2:])
    save_file(content, src)
    out = converts(src, dst, '--arch', 'mbv3')
    assert 'backbone as timm names it' in out and 'not as a teacher' in out
    assert '2: classifier (classifier.' in out
    backbone, neck = arch_config('mbv3')[1:]
    with pytest.raises(ValueError, match='has no projection head'):
        FrozenTeacher(backbone, neck, checkpoint=str(dst))
    network = MODELS.build(
        dict(
            backbone,
            init_cfg=dict(type='Pretrained', checkpoint=str(dst), prefix='backbone.'),
        )
    )
    network.init_weights()
    network.eval()
    with torch.no_grad():
        feature = network(torch.from_numpy(GOLDEN['input']))[-1].mean((2, 3))
    check(layout, 'pooled', feature)


@pytest.fixture(scope='module')
def student():
    """Content of SEED's ResNet-18, to be modified."""
    return public_content('seed_student_r18', ('', ''))[0]


def modified(student, **tensors):
    return dict(
        student,
        state_dict={
            k: v
            for k, v in {**student['state_dict'], **tensors}.items()
            if v is not None
        },
    )


HEAD = 'module.student.fc.0.weight'


@pytest.mark.parametrize(
    'change, arch, words',
    [
        (
            {'module.student.conv1.weight': torch.zeros(64, 3, 3, 3)},
            'r18',
            'backbone.conv1.weight ([64, 3, 3, 3] in the file, [64, 3, 7, 7] in',
        ),
        (
            {'module.student.layer2.0.conv1.weight': None},
            'r18',
            '1 missing, 0 unexpected, 0 of another shape, e.g. '
            'backbone.layer2.0.conv1.weight',
        ),
        (
            {'module.student.fc.0.weight': None, 'module.student.fc.2.weight': None},
            'r18',
            'e.g. module.student.fc.2.weight',
        ),
        ({HEAD: None}, 'r18', '1 missing, 0 unexpected'),
        (
            {'module.student.fc.0.bias': torch.zeros(512, dtype=torch.int8)},
            'r18',
            'neck.mlp.0.bias (torch.int8 in the file, torch.float32 in the model)',
        ),
        ({'module.student.extra': torch.zeros(1)}, 'r18', 'e.g. module.student.extra'),
        ({'module.other': torch.zeros(1)}, 'r18', 'e.g. module.other'),
        ({}, 'r34', 'e.g. backbone.layer1.2.conv1.weight'),
        ({}, 'effb0', 'e.g. backbone.layers.0.conv.weight'),
        ({}, 'r19', "arch 'r19' is not known: use one of"),
        (
            {'module.student.features.0.0.weight': torch.zeros(1)},
            'mbv3',
            "SEED's MobileNetV3 is another network",
        ),
    ],
)
def test_nothing_is_written_if_weights_do_not_fit(
    tmp_path, fails, student, change, arch, words
):
    src, dst = tmp_path / 'modified.pth', tmp_path / 'out.pth'
    torch.save(modified(student, **change), src)
    line = fails(TOOL, src, dst, '--arch', arch)
    assert words in line
    assert [p.name for p in tmp_path.iterdir()] == ['modified.pth']


def test_the_head_of_a_teacher_has_its_width(tmp_path, fails):
    """The error names the arch of another pre-training's head.

    A head of another width is an error, too. All other tensors are empty: only
    shapes count.
    """
    content, _ = public_content('swav_r50', ('none', ''))
    src = tmp_path / 'swav.pth'
    torch.save(content, src)
    line = fails(TOOL, src, tmp_path / 'out.pth', '--arch', 'r50')
    assert 'use --arch swavr50' in line
    head = 'module.projection_head.'
    content.update(
        {f'{head}3.weight': torch.zeros(64, 2048), f'{head}3.bias': torch.zeros(64)}
    )
    torch.save(content, src)
    line = fails(TOOL, src, tmp_path / 'out.pth', '--arch', 'swavr50')
    assert 'neck.fc1.weight ([64, 2048] in the file, [128, 2048] in' in line
    backbone, neck = arch_config('swavr50')[1:]
    with pytest.raises(ValueError, match=r'neck.fc1.weight \(\[64, 2048\] in'):
        FrozenTeacher(backbone, neck, checkpoint=str(src))


class Harm:
    """Calls a function when unpickled."""

    def __reduce__(self):
        """Return a state with a function."""
        return (argparse.Namespace, (), dict(x=print))


@pytest.mark.parametrize(
    'name, content, words',
    [
        ('page.pth', b'<!DOCTYPE html><html>Not found</html>', 'a web page'),
        ('half.pth', None, 'an incomplete file'),
        ('empty.pth', b'', 'an empty file'),
        ('archive.pth', 'zip', 'a zip archive, but not one of torch.save'),
        ('code.pth', Harm(), "can't be loaded safely, it holds more than weights"),
        ('numbers.pth', dict(a=torch.ones(1)), 'no known backbone'),
        ('list.pth', [1, 2], 'not a checkpoint of any known family'),
        (
            'moco.pth',
            {'module.encoder_q.a': torch.ones(1)},
            "not a checkpoint of 'swav'",
        ),
    ],
)
def test_a_file_that_is_not_a_checkpoint(tmp_path, fails, name, content, words):
    path = tmp_path / name
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif content == 'zip':
        with zipfile.ZipFile(path, 'w') as archive:
            archive.writestr('readme.txt', 'photos')
    else:
        torch.save(torch.zeros(1000) if content is None else content, path)
        if content is None:
            path.write_bytes(path.read_bytes()[:2000])
    source = ['--source', 'swav'] if name == 'moco.pth' else []
    line = fails(TOOL, path, tmp_path / 'out.pth', '--arch', 'r18', *source)
    assert f"'{path}'" in line and words in line


def test_trust_loads_any_content(tmp_path, converts, student):
    src, dst = tmp_path / 'code.pth', tmp_path / 'r18.pth'
    torch.save(dict(student, more=Harm()), src)
    converts(src, dst, '--arch', 'r18', '--trust')
    assert dst.exists()


def test_a_student_keeps_the_head_of_its_testbed(tmp_path, converts):
    """SimSiam's head, which no arch has."""
    src, dst = tmp_path / 'epoch_1.pth', tmp_path / 'r18.pth'
    cfg = Config.fromfile('configs/baselines/simsiam_r18.py')
    cfg.model.neck.update(hid_channels=32, out_channels=16)
    init_default_scope('mmpretrain')
    parts = {name: MODELS.build(cfg.model[name]) for name in ('backbone', 'neck')}
    state = {
        f'{name}.{key}': value
        for name, part in parts.items()
        for key, value in part.state_dict().items()
    }
    torch.save(dict(state_dict=state, meta=dict(cfg=cfg.pretty_text)), src)
    converts(src, dst, '--arch', 'r18')
    written = torch.load(dst)
    assert written['state_dict'].keys() == state.keys()
    assert written['meta']['neck']['num_layers'] == 3
    with pytest.raises(SystemExit):
        converts(src, dst, '--arch', 'r34')
