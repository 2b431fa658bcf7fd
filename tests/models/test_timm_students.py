"""A network of each small family of timm as a student: two steps, file, fusing."""

import pytest
import timm
import torch

from mmdisco.checkpoints import load_student
from mmdisco.errors import InputError
from mmdisco.models import Pooled, named_network
from mmdisco.models.fast.reparameterize import fused
from tests.models.test_named_network import images, student

# one per family (module of timm) below 15 M parameters, and more that are widely used
NAMES = """
cait_xxs24_224 coat_tiny convit_tiny convnext_atto cpubone_nano crossvit_tiny_240
cs3darknet_focus_s deit_tiny_distilled_patch16_224 deit_tiny_patch16_224 densenet121
dla46x_c dpn48b edgenext_xx_small efficientformer_l1 efficientformerv2_s0
efficientnet_b0 efficientvit_b0 efficientvit_m0 ese_vovnet19b_slim_dw fasternet_t0
fastvit_t8 gcvit_xxtiny ghostnet_050 ghostnetv2_100 ghostnetv3_050 gmlp_ti16_224
halonet_h1 hardcorenas_b hgnetv2_b0 hrnet_w18_small inception_next_atto lcnet_035
lcnetv2_small legacy_seresnet18 levit_128s lowformer_b0 mambaout_femto
maxvit_pico_rw_256 mnasnet_small mobilenetv3_small_100 mobilenetv4_conv_small
mobileone_s0 mobilevit_xxs nf_regnet_b0 pit_ti_224 poolformerv2_s12 pvt_v2_b0
regnetx_002 repghostnet_050 repvit_m0_9 resnest14d resnet10t resnetv2_18 rexnet_100
shvit_s1 skresnet18 starnet_s050 swiftformer_xs tiny_vit_5m_224 visformer_tiny
vit_tiny_patch16_224 vit_tiny_patch16_dinov3_qkvb vit_tiny_r_s16_p8_224
xcit_nano_12_p16_224
""".split()
# networks that are no students, and why
REFUSED = {
    # timm 1.0.29 builds its classifier with 0 outputs
    'inception_next_atto': 'returns a feature of width 0'
}


@pytest.mark.slow
@pytest.mark.parametrize('name', NAMES)
def test_a_family_of_timm_is_a_student(name, tmp_path):
    if not timm.is_model(name):
        pytest.skip(f'timm {timm.__version__} has no {name}')
    if name in REFUSED:
        with pytest.raises(InputError, match=REFUSED[name]):
            named_network(f'timm:{name}')
        return
    named = named_network(f'timm:{name}')
    size = named.size[0] if named.size else 96
    model = student(named.backbone, named.width)
    optimizer = torch.optim.SGD(model.parameters(), 0.01)
    for step in range(2):
        loss = model.loss([images(size, seed=2 * step + i) for i in range(2)])['loss']
        assert loss.isfinite()
        optimizer.zero_grad()
        loss.backward()
        assert not [k for k, v in model.backbone.named_parameters() if v.grad is None]
        optimizer.step()
    weights = {f'backbone.{k}': v for k, v in model.backbone.state_dict().items()}
    path = str(tmp_path / 'student.pth')
    torch.save(dict(state_dict=weights, meta=dict(backbone=named.backbone)), path)
    network, x = Pooled(load_student(path).backbone), images(size)
    account = fused(network, x)
    reference = timm.create_model(name, num_classes=0, **network.backbone.options)
    reference.load_state_dict(model.backbone.network.state_dict(), strict=True)
    with torch.no_grad():
        [feature], expected = network(x), reference.eval()(x)
        assert torch.equal(feature, expected)
        [actual] = account.network(x)
    torch.testing.assert_close(
        actual, expected, rtol=0, atol=1e-3 * expected.abs().max().item()
    )
    print(f'{name}: {named.width}, {size} pixels; {account.report()}')
