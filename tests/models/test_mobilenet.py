import pytest
import torch
from torchvision.models import mobilenet_v3_large

from mmdisco.models import MobileNetV3Pooled


def test_it_equals_torchvision_up_to_the_pooled_layer():
    """Both networks list their layers in computation order."""
    torch.manual_seed(0)
    network, reference = MobileNetV3Pooled(), mobilenet_v3_large()
    source = list(reference.parameters())[:-2]  # without the classifier
    target = list(network.parameters())
    assert len(source) == len(target)
    with torch.no_grad():
        for a, b in zip(source, target):
            a.uniform_(0.5, 1.5) if a.dim() == 1 else a
            b.copy_(a.view_as(b))
    for module in reference.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.eps = 1e-5
    network.eval()
    reference.eval()
    images = torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        feats = network(images)
        hidden = reference.avgpool(reference.features(images)).flatten(1)
        expected = reference.classifier[1](reference.classifier[0](hidden))
    assert len(feats) == 1 and feats[0].shape == (2, 1280, 1, 1)
    torch.testing.assert_close(
        feats[0].flatten(1),
        expected,
        rtol=1e-3,
        atol=1e-3 * expected.abs().max().item(),
    )


def test_stages_can_be_returned_and_frozen():
    model = MobileNetV3Pooled(out_indices=(3, 6, 12, 16), frozen_stages=17)
    model.train()
    sizes = [tuple(x.shape[1:]) for x in model(torch.randn(1, 3, 64, 64))]
    assert sizes == [(24, 16, 16), (40, 8, 8), (112, 4, 4), (960, 2, 2)]
    assert not any(p.requires_grad for p in model.parameters())
    for bad in (dict(out_indices=(18,)), dict(frozen_stages=18)):
        with pytest.raises(ValueError, match='got'):
            MobileNetV3Pooled(**bad)
