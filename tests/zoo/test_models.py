"""mmdisco.get_model: networks and their weights."""

import pytest
import timm
import torch
from torch import nn

import mmdisco
from mmdisco.checkpoints import sha256_of
from mmdisco.models import FrozenTeacher
from mmdisco.zoo import find
from tests.tools import ROOT


def test_a_student_is_its_backbone_alone():
    for name in ('r50_mbv3', 'mocov2_mbv3'):
        model = mmdisco.get_model(name)
        assert type(model).__name__ == 'MobileNetV3Pooled'
        assert not model.training
        assert sum(p.numel() for p in model.parameters()) == 4202032
        assert model(torch.zeros(1, 3, 32, 32))[-1].shape == (1, 1280, 1, 1)


def test_weights_of_any_layout_fit(tmp_path):
    network = timm.create_model('resnet18').eval()
    path = tmp_path / 'timm.pth'
    torch.save(network.state_dict(), path)
    model = mmdisco.get_model('r50_r18', pretrained=path)
    images = torch.randn(2, 3, 64, 64, generator=torch.manual_seed(0))
    with torch.no_grad():
        torch.testing.assert_close(model(images)[-1], network.forward_features(images))


def test_the_bundled_teacher_is_a_frozen_teacher(tmp_path):
    """Its weights are part of the package and are copied like a download."""
    model = mmdisco.get_model('quickstart', pretrained=True, dest=str(tmp_path))
    assert isinstance(model, FrozenTeacher)
    bundled = ROOT / 'demo/teacher/quickstart_r18w32.pth'
    assert model.sha256 == sha256_of(bundled) == find('quickstart').sha256
    assert [p.name for p in tmp_path.iterdir()] == [bundled.name]
    assert not any(p.requires_grad for p in model.parameters())


def test_a_file_that_is_there_is_not_downloaded(tmp_path, monkeypatch):
    """An existing file with the config's file name is used."""
    monkeypatch.setattr('mmdisco.zoo.models.fetch', None)
    entry = find('r50')
    torch.save(
        dict(state_dict={'module.encoder_q.conv1.weight': torch.zeros(64, 3, 7, 7)}),
        tmp_path / entry.file,
    )
    with pytest.raises(ValueError, match='has no projection head'):
        mmdisco.get_model('r50', pretrained=True, dest=str(tmp_path))


def test_a_file_of_that_name_has_its_hash(tmp_path):
    """If the hash is known, another file is an error."""
    (tmp_path / 'quickstart_r18w32.pth').write_bytes(b'x')
    with pytest.raises(ValueError, match='is damaged or another file'):
        mmdisco.get_model('quickstart', pretrained=True, dest=str(tmp_path))


@pytest.mark.parametrize(
    'name, pretrained, words',
    [
        ('r50', False, "'r50' is a teacher and needs weights"),
        ('r50_mbv3', True, "'r50_mbv3' has no published weights"),
        ('r50_mbv3', 'nowhere.pth', "'nowhere.pth' not found"),
        ('r50_mvb3', False, "no model 'r50_mvb3' in the index; nearest: r50_mbv3"),
    ],
)
def test_errors_of_get_model(name, pretrained, words):
    with pytest.raises(ValueError, match=words):
        mmdisco.get_model(name, pretrained=pretrained)


def test_names_by_pattern():
    widths = (512, 1024, 1280, 2048, 4096)
    assert mmdisco.list_models('r50_mbv3*') == sorted(
        ['r50_mbv3', *(f'r50_mbv3_h{width}' for width in widths)]
    )
    assert isinstance(mmdisco.get_model('quickstart_disco'), nn.Module)
