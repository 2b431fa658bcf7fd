"""Extraction of momentum encoders."""

import pytest
import torch
from mmpretrain.registry import MODELS

from mmdisco.checkpoints import momentum_encoder
from mmdisco.models import DisCo, DisCoLoss
from tests.models.test_dino import DINO
from tests.models.test_disco import build
from tests.tools import run


@pytest.mark.parametrize('name', ['MoCo', 'DINO', 'DisCo'])
def test_the_momentum_encoder_is_extracted(name, tmp_path):
    hosted = build()
    model = dict(MoCo=hosted.ssl, DisCo=hosted, DINO=MODELS.build(dict(DINO)))[name]
    ssl = getattr(model, 'ssl', model)
    average = ssl.momentum_encoder if name == 'DINO' else ssl.encoder_k
    for param in average.parameters():
        param.data.add_(1)  # different from the student
    tensors = momentum_encoder(model.state_dict())
    for part, module in zip(('backbone', 'neck'), average.module):
        expected = module.state_dict()
        assert {k for k in tensors if k.startswith(part)} == {
            f'{part}.{k}' for k in expected
        }
        for key, value in expected.items():
            assert torch.equal(tensors[f'{part}.{key}'], value)
    if name == 'DINO':
        torch.save(dict(state_dict=model.state_dict()), tmp_path / 'a.pth')
        run(
            'python',
            'tools/extract_backbone.py',
            tmp_path / 'a.pth',
            tmp_path / 'b.pth',
            '--momentum-encoder',
        )
        written = torch.load(tmp_path / 'b.pth')['state_dict']
        assert torch.equal(written['backbone.cls_token'], average.module[0].cls_token)


def test_algorithms_without_one_are_named():
    plain = DisCo(build('SimCLR', ()).ssl, build().teacher, DisCoLoss())
    with pytest.raises(ValueError, match='no momentum encoder'):
        momentum_encoder(plain.state_dict())


def test_the_tool_names_a_file_without_one(fails, tmp_path):
    torch.save(
        {
            f'backbone.{k}': v
            for k, v in MODELS.build(dict(type='ResNet', depth=18)).state_dict().items()
        },
        tmp_path / 'a.pth',
    )
    line = fails(
        'tools/extract_backbone.py',
        tmp_path / 'a.pth',
        tmp_path / 'b.pth',
        '--momentum-encoder',
    )
    assert 'a.pth' in line and 'no momentum encoder' in line
    assert not (tmp_path / 'b.pth').exists()
