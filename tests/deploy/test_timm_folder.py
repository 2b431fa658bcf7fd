"""Folders that timm loads by itself, their model cards, and their upload."""

import json
import re
import socket

import numpy as np
import pytest
import timm
import torch
from PIL import Image
from safetensors.torch import load_file
from torch import nn

from mmdisco.deploy import Card, export_student, is_folder, upload
from mmdisco.deploy import timm_folder as publishing
from mmdisco.deploy.card import _teacher
from mmdisco.errors import InputError
from tests.deploy.hub import serve
from tests.deploy.students import call, pooled, tensors
from tests.deploy.students import trained as trained_arch
from tests.deploy.test_named_students import MEAN, STD, feature, images, save, trained

TOOL = 'tools/export_student.py'
CONFIG = """
model = dict(
    type='DisCo',
    ssl=dict(type='PlainStudent', backbone=dict(type='TimmNetwork',
             name='test_efficientnet', pooled_only=True), neck=dict(type='SimRegNeck')),
    teacher=dict(type='FrozenTeacher', backbone=dict(type='TimmNetwork',
                 name='vit_small_patch14_dinov2'), neck=dict(type='ClassTokenNeck'),
                 checkpoint='somewhere/dinov2_vits14_pretrain.pth'),
    distill=[dict(type='CoSSLoss'), dict(type='QueueKLLoss', temperature=.07)])
data_preprocessor = dict(mean=[120.0, 121.0, 122.0], std=[60.0, 61.0, 62.0])
"""


@pytest.fixture
def offline(monkeypatch):
    """No connection to any other machine."""
    connect = socket.socket.connect

    def refuse(self, address):
        if isinstance(address, tuple) and address[0] not in ('127.0.0.1', 'localhost'):
            raise AssertionError(f'a connection to {address}')
        return connect(self, address)

    monkeypatch.setattr(socket.socket, 'connect', refuse)


def published(tmp_path, name='timm:test_efficientnet', size=64, config=None, **options):
    network, config = trained(name, config, size)
    path = save(tmp_path / 'student.pth', network, config)
    out = tmp_path / 'folder'
    report = export_student(str(path), str(out), 'timm', size=size, **options)
    return network, out, report


@pytest.mark.parametrize(
    'config, size',
    [
        (dict(name='test_efficientnet'), 64),
        (dict(name='repghostnet_050'), 64),
        (dict(name='test_vit'), 96),
        (dict(name='test_vit', img_size=64), 64),
    ],
)
def test_timm_loads_a_folder_by_itself(config, size, tmp_path, offline):
    config = dict(type='TimmNetwork', pooled_only=True, **config)
    network, out, report = published(tmp_path, None, size, config)
    assert sorted(p.name for p in out.iterdir()) == [
        'README.md',
        'config.json',
        'model.safetensors',
    ]
    loaded = timm.create_model(f'local-dir:{out}', pretrained=True).eval()
    with torch.no_grad():
        actual = loaded(images(size))
    assert torch.equal(actual, feature(network, images(size)))
    assert f"timm.create_model('local-dir:{out}', pretrained=True)" in report
    stored = json.loads((out / 'config.json').read_text())
    assert stored['num_features'] == actual.shape[1] and stored['num_classes'] == 0
    weights = load_file(out / 'model.safetensors')
    before = network.network.state_dict()
    assert weights.keys() == before.keys()
    assert all(torch.equal(weights[key], before[key]) for key in before)


def test_timms_own_preprocessing_is_that_of_the_training(tmp_path):
    _, out, _ = published(tmp_path)
    loaded = timm.create_model(f'local-dir:{out}', pretrained=True)
    transform = timm.data.create_transform(
        **timm.data.resolve_model_data_config(loaded)
    )
    pixels = np.full((64, 80, 3), (130, 140, 150), np.uint8)
    tensor = transform(Image.fromarray(pixels))
    expected = [(v - m) / s for v, m, s in zip((130, 140, 150), MEAN, STD)]
    assert tensor.shape == (3, 64, 64)
    np.testing.assert_allclose(tensor.mean((1, 2)), expected, atol=1e-4)


def test_a_folder_is_a_start_for_another_classifier(tmp_path):
    _, out, _ = published(tmp_path)
    model = timm.create_model(f'local-dir:{out}', pretrained=True, num_classes=7)
    assert model(images()).shape == (3, 7)
    kept = load_file(out / 'model.safetensors')
    assert torch.equal(model.state_dict()['conv_stem.weight'], kept['conv_stem.weight'])


@pytest.mark.parametrize('arch', ['mbv3', 'r18', 'effb0'])
def test_this_projects_archs_become_timms(arch, tmp_path, offline):
    backbone, _ = trained_arch(arch)
    path = tmp_path / 'student.pth'
    torch.save(dict(state_dict=tensors(backbone), meta=dict(arch=arch)), path)
    export_student(str(path), str(tmp_path / 'out'), 'timm', size=64)
    loaded = timm.create_model(f'local-dir:{tmp_path / "out"}', pretrained=True).eval()
    with torch.no_grad():
        actual = loaded(images())
    expected = pooled(backbone, images())
    torch.testing.assert_close(
        actual, expected, rtol=0, atol=1e-4 * expected.abs().max().item()
    )


def test_the_card_states_method_teacher_licence_data_and_scores(
    tmp_path, monkeypatch, capsys
):
    network, config = trained('timm:test_efficientnet')
    weights = {f'ssl.backbone.{k}': v for k, v in network.state_dict().items()}
    meta = dict(
        cfg=CONFIG,
        epoch=3,
        iter=30,
        seed=5,
        experiment_name='birds_20250101_000000',
        teacher=dict(checkpoint='x', sha256='ab' * 32),
    )
    torch.save(dict(state_dict=weights, meta=meta), tmp_path / 'student.pth')
    knn, table = tmp_path / 'knn.json', tmp_path / 'probe.csv'
    knn.write_text(json.dumps(dict(summary='kNN top-1: 61.5 %', top1=61.5)))
    table.write_text('set,linear\nbirds,70.1\n')
    call(
        monkeypatch,
        *(TOOL, tmp_path / 'student.pth', tmp_path / 'out', '--format', 'timm'),
        *('--size', 64, '--scores', knn, table, '--license', 'mit'),
        *('--data-description', '200 photos of birds | my garden'),
    )
    card = (tmp_path / 'out/README.md').read_text()
    assert card.startswith('---\nlibrary_name: timm\n') and 'license: mit\n' in card
    for line in (
        '- Method: DisCo, PlainStudent, CoSSLoss, QueueKLLoss',
        '- Images: 200 photos of birds \\| my garden',
        '- Epochs: 3, iterations: 30',
        '- Run: birds_20250101_000000',
        '- Seed: 5',
        '- knn: kNN top-1: 61.5 %',
        '| set | linear |\n| --- | --- |\n| birds | 70.1 |',
    ):
        assert f'\n{line}\n' in card
    assert re.search(
        r"- Teacher's weights: licence Apache-2.0.*, commercial use allowed\n", card
    )
    assert re.search(r'- Teacher: dinov2_vits14, .*_pretrain.pth.*abababababab\)', card)
    assert str(tmp_path) not in card and 'somewhere' not in card


@pytest.mark.parametrize(
    'name, text, message',
    [
        ('a.json', '{', 'is not a report of scores'),
        ('a.json', '[1]', 'it is not an object'),
        ('a.json', '{"ok": true}', 'it reports no score'),
        ('a.csv', 'a,b\n1\n', 'several lengths'),
        ('none.json', None, 'not found'),
    ],
)
def test_scores_that_are_none_are_refused(name, text, message, tmp_path):
    if text is not None:
        (tmp_path / name).write_text(text)
    with pytest.raises((InputError, FileNotFoundError), match=message):
        published(tmp_path, card=Card(scores=(str(tmp_path / name),)))
    assert not (tmp_path / 'folder').exists()


def test_nothing_is_left_half_written(tmp_path, monkeypatch):
    def load(*args, **kwargs):
        return nn.Flatten()

    build = timm.create_model
    monkeypatch.setattr(
        timm,
        'create_model',
        lambda name, **k: (load if 'local-dir' in name else build)(name, **k),
    )
    with pytest.raises(InputError, match="folder' was not written: its outputs have"):
        published(tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == ['student.pth']
    with pytest.raises(KeyboardInterrupt):
        with publishing._atomic_folder(str(tmp_path / 'folder')) as half:
            (half / 'x').write_text('x')
            raise KeyboardInterrupt
    assert [p.name for p in tmp_path.iterdir()] == ['student.pth']


def test_a_folder_with_files_is_not_touched(tmp_path):
    (tmp_path / 'folder').mkdir()
    (tmp_path / 'folder/mine').write_text('x')
    with pytest.raises(InputError, match='is a folder that is not empty: name a new'):
        published(tmp_path)
    (tmp_path / 'folder/mine').unlink()
    published(tmp_path)


def test_which_paths_are_folders(tmp_path):
    assert is_folder('student') and is_folder('a.b/') and is_folder(str(tmp_path))
    assert not is_folder('student.pth') and not is_folder('runs/x.safetensors')


def test_other_networks_and_files_are_one_line(tmp_path, fails):
    network, config = trained('torchvision:squeezenet1_1')
    path = save(tmp_path / 'student.pth', network, config)

    def line(out, *args):
        return fails(TOOL, path, tmp_path / out, '--format', 'timm', *args)

    assert "no network like TorchvisionNetwork 'squeezenet1_1'" in line('out')
    assert 'name a folder, without an ending' in line('x.pth', '--upload', 'me/birds')
    assert 'write it USER/NAME' in line('out', '--upload', 'birds')
    assert '--fuse is for graphs' in line('out', '--fuse')
    assert [p.name for p in tmp_path.iterdir()] == ['student.pth']


def test_a_folder_is_uploaded(tmp_path, monkeypatch, capsys, offline):
    network, config = trained('timm:test_efficientnet')
    path, out = save(tmp_path / 'student.pth', network, config), tmp_path / 'folder'
    with serve() as hub:
        monkeypatch.setenv('HF_ENDPOINT', hub.address)
        monkeypatch.setenv('HF_TOKEN', 'hf_secret')
        call(
            monkeypatch,
            *(TOOL, path, out, '--format', 'timm', '--size', 64),
            *('--upload', 'me/birds'),
        )
        assert f'uploaded to  {hub.address}/me/birds' in capsys.readouterr().out
        again = upload(out, 'me/birds')  # into the repository that exists
        assert again == f'{hub.address}/me/birds'
    assert hub.files == {
        f'me/birds/{file.name}': file.read_bytes() for file in out.iterdir()
    }
    assert hub.tokens == {'hf_secret'}


def test_a_failed_upload_is_one_line_without_the_token(tmp_path, monkeypatch, fails):
    network, config = trained('timm:test_efficientnet')
    path = save(tmp_path / 'student.pth', network, config)
    with serve(accepts='hf_other') as hub:
        monkeypatch.setenv('HF_ENDPOINT', hub.address)
        monkeypatch.setenv('HF_TOKEN', 'hf_secret')
        line = fails(
            *(TOOL, path, tmp_path / 'out', '--format', 'timm', '--size', 64),
            *('--upload', 'me/birds'),
        )
    assert "was written, but not uploaded to 'me/birds' at http://127.0.0.1" in line
    assert 'hf_secret' not in line and (tmp_path / 'out/config.json').is_file()
    monkeypatch.delenv('HF_TOKEN')
    monkeypatch.setenv('HF_TOKEN_PATH', str(tmp_path / 'none'))
    monkeypatch.setattr('huggingface_hub.get_token', lambda: None)
    with pytest.raises(
        InputError, match="needs a token: set HF_TOKEN, or run 'hf auth"
    ):
        upload(tmp_path / 'out', 'me/birds')


def test_the_card_escapes_what_a_file_states(tmp_path):
    stated = dict(method='A\n# B', teacher='<script>', teacher_file='a|b.pth')
    lines = _teacher(dict(training=dict(stated, teacher_url=None)))
    assert lines[0] == '- Method: A # B'
    assert lines[1].startswith('- Teacher: &lt;script>, weights `a\\|b.pth`')
