"""Families beside the goldens: the public networks are written down here."""
import numpy as np
import pytest
import torch
import torchvision
from mmpretrain.registry import MODELS
from torch import nn

from mmdisco.converters import arch_config, convert, fit, load_strictly
from tests.converters.test_libraries import close, images_for, randomize
from tests.layouts import DATA, public_content


def encoder(head):
    """torchvision's ResNet-18 with a head, as the public codes make it."""
    network = randomize(torchvision.models.resnet18())
    network.fc = head
    return network.eval()


def wrapped(network, prefix):
    return {prefix + k: v for k, v in network.state_dict().items()}


def embed(content, name):
    """Convert, build what it is for, and embed."""
    conversion = convert(content)
    found = fit(conversion, arch_config(name))
    assert found.faults == 0, found
    networks = [MODELS.build(cfg) for cfg in (found.backbone, found.neck)]
    for part, network in zip(('backbone.', 'neck.'), networks):
        load_strictly(network, {
            k[len(part):]: v for k, v in conversion.state_dict.items()
            if k.startswith(part)}, name)
        network.eval()
    with torch.no_grad():
        return conversion, networks[1](networks[0](images_for(name)))[0]


def heads():
    """MoCo-v1: one layer. MoCo-v2, here of another width than the config's.
    MoCo-v3: no biases, BN after both, the last without affine."""
    torch.manual_seed(0)
    last = nn.BatchNorm1d(8, affine=False)
    last.running_mean.normal_()
    return dict(
        mocov1=nn.Linear(512, 8),
        mocov2=nn.Sequential(nn.Linear(512, 32), nn.ReLU(), nn.Linear(32, 8)),
        mocov3=nn.Sequential(
            nn.Linear(512, 16, bias=False), nn.BatchNorm1d(16), nn.ReLU(),
            nn.Linear(16, 8, bias=False), last))


@pytest.mark.parametrize('name', ['mocov1', 'mocov2', 'mocov3'])
def test_moco_of_each_version(name):
    network = encoder(heads()[name])
    prefix = 'module.base_encoder.' if name == 'mocov3' else 'module.encoder_q.'
    rest = {'module.momentum_encoder.conv1.weight': torch.zeros(1),
            'module.predictor.0.weight': torch.zeros(1)} if name == 'mocov3' \
        else {'module.encoder_k.conv1.weight': torch.zeros(1),
              'module.queue': torch.zeros(8, 4)}
    content = dict(epoch=1, state_dict={**wrapped(network, prefix), **rest})
    conversion, embedding = embed(content, 'r18')
    assert conversion.family == ('mocov3' if name == 'mocov3' else 'moco')
    with torch.no_grad():
        close(embedding, network(images_for('r18')))
    assert sum(map(len, conversion.left_out.values())) == 3


def test_moco_v3_with_a_vit_is_another_network():
    content = dict(state_dict={
        'module.base_encoder.cls_token': torch.zeros(1, 1, 384)})
    with pytest.raises(ValueError, match='12 heads'):
        convert(content)


def test_mmselfsup():
    backbone = randomize(MODELS.build(arch_config('r18').backbone))
    neck = MODELS.build(arch_config('r18').neck)
    content = dict(meta={}, state_dict={
        **wrapped(backbone, 'backbone.'), **wrapped(neck, 'neck.'),
        **wrapped(backbone, 'encoder_k.module.0.'),
        'queue': torch.zeros(128, 4), 'head.x': torch.zeros(1)})
    conversion, embedding = embed(content, 'r18')
    assert conversion.family == 'mmpretrain'
    assert conversion.left_out['not the student'] == ['head.x']
    with torch.no_grad():
        close(embedding, neck(backbone(images_for('r18')))[0])


def test_an_old_file_has_no_counters():
    """torch before 0.4.1 did not save num_batches_tracked."""
    network = randomize(torchvision.models.resnet18())
    content = {k: v for k, v in network.state_dict().items()
               if 'num_batches' not in k}
    conversion = convert(content)
    assert fit(conversion, arch_config('r18')).faults == 0
    assert conversion.state_dict['backbone.bn1.num_batches_tracked'] == 0


@pytest.mark.parametrize('layout, name', [
    ('dino_vits16_full', 'vits'), ('dino_xcit_small_12_p16_full', 'xcits')])
def test_a_backbone_of_dino_alone(layout, name):
    """The same tensors as in the full file, under bare keys, no head."""
    full = public_content(layout, ('none', ''))[0]
    alone = {k.removeprefix('module.').removeprefix('backbone.'):
             torch.full_like(v, i) for i, (k, v) in enumerate(
                 full['teacher'].items()) if 'backbone.' in k}
    full['teacher'] = {
        k: alone.get(k.removeprefix('module.').removeprefix('backbone.'), v)
        for k, v in full['teacher'].items()}
    conversion, whole = convert(alone), convert(full)
    found = fit(conversion, arch_config(name))
    assert found.faults == 0 and found.neck is None
    for key, value in conversion.state_dict.items():
        assert torch.equal(value, whole.state_dict[key]), key


def test_an_efficientnet_of_seed():
    """It pads as TensorFlow does; the numbers are of efficientnet_pytorch."""
    content, _ = public_content(
        'seed_student_effb0', ('state_dict', 'module.student.'))
    conversion = convert(content)
    found = fit(conversion, arch_config('effb0'))
    assert found.faults == 0
    assert found.backbone['conv_cfg'] == dict(type='Conv2dAdaptivePadding')
    assert found.backbone['norm_cfg']['eps'] == .001
    backbone, neck = (MODELS.build(c) for c in (found.backbone, found.neck))
    load_strictly(backbone, {k[9:]: v for k, v in conversion.state_dict.items()
                             if k.startswith('backbone.')}, '')
    load_strictly(neck, {k[5:]: v for k, v in conversion.state_dict.items()
                         if k.startswith('neck.')}, '')
    backbone.eval()
    outputs = np.load(DATA / 'seed_effb0_outputs.npz')
    images = np.load(DATA / 'layouts_outputs.npz')['input']
    with torch.no_grad():
        feats = backbone(torch.from_numpy(images))
        close(feats[-1].mean((2, 3)), torch.from_numpy(outputs['pooled']))
        close(neck(feats)[0], torch.from_numpy(outputs['embedding_raw']))
