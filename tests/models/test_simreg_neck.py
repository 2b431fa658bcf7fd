import pytest
import torch
from mmpretrain.registry import MODELS
from torch import nn

from mmdisco.models import SimRegNeck
from mmdisco.models.tap import embed_dim


@pytest.fixture
def neck():
    torch.manual_seed(0)
    neck = MODELS.build(dict(type='SimRegNeck', in_channels=3, out_channels=5))
    for norm in neck.mlp:
        if isinstance(norm, nn.BatchNorm1d):
            nn.init.uniform_(norm.weight)
            nn.init.uniform_(norm.bias)
    return neck


def plain(neck, feat):
    """The head in plain arithmetic; BN with batch statistics."""
    one, two, three, four = (m for m in neck.modules() if isinstance(m, nn.Linear))
    norms = [m for m in neck.modules() if isinstance(m, nn.BatchNorm1d)]

    def linear(layer, x):
        return x @ layer.weight.T + layer.bias

    def hidden(layer, norm, x):
        x = linear(layer, x)
        x = (x - x.mean(0)) / (x.var(0, unbiased=False) + 1e-5).sqrt()
        return (x * norm.weight + norm.bias).clamp(min=0)

    x = linear(two, hidden(one, norms[0], feat))  # no ReLU, as released
    return linear(four, hidden(three, norms[1], x))


def test_it_equals_plain_arithmetic_on_maps_and_features(neck):
    maps = torch.randn(6, 3, 4, 2)
    pooled = maps.sum((2, 3)) / 8
    expected = plain(neck, pooled)
    assert expected.shape == (6, 5)
    for x in (
        (maps,),
        (torch.randn(6, 9, 8, 4), maps),
        (pooled[..., None, None],),
        (pooled,),
    ):
        (out,) = neck(x)
        torch.testing.assert_close(out, expected)


def test_its_parameters_are_those_counted_by_hand(neck):
    # 3 to 6, BN, 6 to 3, 3 to 6, BN, 6 to 5
    plain_features = (18 + 6) + 12 + (18 + 3) + (18 + 6) + 12 + (30 + 5)
    assert sum(p.numel() for p in neck.parameters()) == plain_features
    assert embed_dim(neck) == 5
    with torch.device('meta'):  # of a ResNet-18
        wide = SimRegNeck(512, 2048)
    assert [m.out_features for m in wide.modules() if isinstance(m, nn.Linear)] == [
        1024,
        512,
        1024,
        2048,
    ]
