"""Families without golden files: the public networks are rebuilt here."""

import numpy as np
import pytest
import timm
import torch
import torchvision
from mmpretrain.registry import MODELS
from torch import nn

from mmdisco.checkpoints import arch_config, convert, fit, load_strictly, rename_to
from tests.checkpoints.test_libraries import close, images_for, randomize
from tests.layouts import DATA, public_content


def encoder(head):
    """ResNet-18 of torchvision with a head, as in the public code."""
    network = randomize(torchvision.models.resnet18())
    network.fc = head
    return network.eval()


def wrapped(network, prefix):
    return {prefix + k: v for k, v in network.state_dict().items()}


def embed(content, name):
    """Convert, build the network, and embed images."""
    conversion = convert(content)
    result = fit(conversion, arch_config(name))
    assert result.faults == 0, result
    networks = [MODELS.build(cfg) for cfg in (result.backbone, result.neck)]
    for part, network in zip(('backbone.', 'neck.'), networks):
        load_strictly(
            network,
            {
                k[len(part) :]: v
                for k, v in conversion.state_dict.items()
                if k.startswith(part)
            },
            name,
        )
        network.eval()
    with torch.no_grad():
        return conversion, networks[1](networks[0](images_for(name)))[0]


def heads():
    """Heads of the three MoCo versions.

    MoCo-v1: one layer. MoCo-v2: another width than in the config. MoCo-v3: no
    biases, BN after both layers, the last BN without affine.
    """
    torch.manual_seed(0)
    last = nn.BatchNorm1d(8, affine=False)
    last.running_mean.normal_()
    return dict(
        mocov1=nn.Linear(512, 8),
        mocov2=nn.Sequential(nn.Linear(512, 32), nn.ReLU(), nn.Linear(32, 8)),
        mocov3=nn.Sequential(
            nn.Linear(512, 16, bias=False),
            nn.BatchNorm1d(16),
            nn.ReLU(),
            nn.Linear(16, 8, bias=False),
            last,
        ),
    )


@pytest.mark.parametrize('name', ['mocov1', 'mocov2', 'mocov3'])
def test_moco_of_each_version(name):
    network = encoder(heads()[name])
    prefix = 'module.base_encoder.' if name == 'mocov3' else 'module.encoder_q.'
    rest = (
        {
            'module.momentum_encoder.conv1.weight': torch.zeros(1),
            'module.predictor.0.weight': torch.zeros(1),
        }
        if name == 'mocov3'
        else {
            'module.encoder_k.conv1.weight': torch.zeros(1),
            'module.queue': torch.zeros(8, 4),
        }
    )
    content = dict(epoch=1, state_dict={**wrapped(network, prefix), **rest})
    conversion, embedding = embed(content, 'r18')
    assert conversion.family == ('mocov3' if name == 'mocov3' else 'moco')
    with torch.no_grad():
        close(embedding, network(images_for('r18')))
    assert sum(map(len, conversion.left_out.values())) == 3


def test_moco_v3_with_a_vit_is_another_network():
    content = dict(state_dict={'module.base_encoder.cls_token': torch.zeros(1, 1, 384)})
    with pytest.raises(ValueError, match='12 heads'):
        convert(content)


def test_mmselfsup():
    backbone = randomize(MODELS.build(arch_config('r18').backbone))
    neck = MODELS.build(arch_config('r18').neck)
    content = dict(
        meta={},
        state_dict={
            **wrapped(backbone, 'backbone.'),
            **wrapped(neck, 'neck.'),
            **wrapped(backbone, 'encoder_k.module.0.'),
            'queue': torch.zeros(128, 4),
            'head.x': torch.zeros(1),
        },
    )
    conversion, embedding = embed(content, 'r18')
    assert conversion.family == 'mmpretrain'
    assert conversion.left_out['not the student'] == ['head.x']
    with torch.no_grad():
        close(embedding, neck(backbone(images_for('r18')))[0])


def test_an_old_file_has_no_counters():
    """Versions of torch before 0.4.1 did not save num_batches_tracked."""
    network = randomize(torchvision.models.resnet18())
    content = {k: v for k, v in network.state_dict().items() if 'num_batches' not in k}
    conversion = convert(content)
    assert fit(conversion, arch_config('r18')).faults == 0
    assert conversion.state_dict['backbone.bn1.num_batches_tracked'] == 0


@pytest.mark.parametrize(
    'layout, name',
    [('dino_vits16_full', 'vits'), ('dino_xcit_small_12_p16_full', 'xcits')],
)
def test_dinos_backbone_file(layout, name):
    """The same tensors as in the full file, with bare keys, without head."""
    full = public_content(layout, ('none', ''))[0]
    backbone = {
        k.removeprefix('module.').removeprefix('backbone.'): torch.full_like(v, i)
        for i, (k, v) in enumerate(full['teacher'].items())
        if 'backbone.' in k
    }
    full['teacher'] = {
        k: backbone.get(k.removeprefix('module.').removeprefix('backbone.'), v)
        for k, v in full['teacher'].items()
    }
    conversion, whole = convert(backbone), convert(full)
    result = fit(conversion, arch_config(name))
    assert result.faults == 0 and result.neck is None
    for key, value in conversion.state_dict.items():
        assert torch.equal(value, whole.state_dict[key]), key


def built(conversion, result):
    """Backbone and neck, in eval mode."""
    parts = []
    for part, config in (('backbone', result.backbone), ('neck', result.neck)):
        parts.append(MODELS.build(config))
        load_strictly(parts[-1], conversion.part(part), part)
        parts[-1].eval()
    return parts


def test_an_efficientnet_of_seed():
    """Outputs equal those of efficientnet_pytorch 0.7.1.

    SEED's copy computes the same; it is labelled 0.7.0, but PyPI's 0.7.0 has
    another padding.
    """
    content, _ = public_content('seed_student_effb0', ('state_dict', 'module.student.'))
    conversion = convert(content)
    result = fit(conversion, arch_config('effb0'))
    assert result.faults == 0
    assert result.backbone['conv_cfg'] == dict(type='Conv2dAdaptivePadding')
    assert result.backbone['norm_cfg']['eps'] == 0.001
    assert not conversion.assumed  # known from SEED's code
    outputs = np.load(DATA / 'seed_effb0_outputs.npz')
    images = torch.from_numpy(np.load(DATA / 'layouts_outputs.npz')['input'])
    backbone, neck = built(conversion, result)
    with torch.no_grad():
        feats = backbone(images)
        close(feats[-1].mean((2, 3)), torch.from_numpy(outputs['pooled']))
        close(neck(feats)[0], torch.from_numpy(outputs['embedding_raw']))
        # the other padding gives other outputs
        other = MODELS.build({**result.backbone, 'conv_cfg': None})
        load_strictly(other, conversion.part('backbone'), '')
        other.eval()
        wrong = other(images)[-1].mean((2, 3)) - torch.from_numpy(outputs['pooled'])
        assert wrong.norm() > 0.1 * np.linalg.norm(outputs['pooled'])


def test_an_efficientnet_of_seed_is_timms_tf_variant():
    """Network timm.tf_efficientnet_b0 is an independent implementation."""
    content, counted = public_content(
        'seed_student_effb0', ('state_dict', 'module.student.')
    )
    conversion = convert(content)
    network = timm.create_model('tf_efficientnet_b0', num_classes=0).eval()
    load_strictly(
        network,
        rename_to('timm', 'effb0', conversion.part('backbone')),
        'tf_efficientnet_b0',
    )
    outputs = np.load(DATA / 'seed_effb0_outputs.npz')
    images = torch.from_numpy(np.load(DATA / 'layouts_outputs.npz')['input'])
    with torch.no_grad():
        close(network(images), torch.from_numpy(outputs['pooled']))


def test_an_efficientnet_b1_of_seed_fits_no_setting():
    content = dict(
        state_dict={
            'module.student._blocks.22._bn1.bias': torch.zeros(1),
            'module.student._bn1.bias': torch.zeros(1),
        }
    )
    with pytest.raises(
        ValueError,
        match=r"module\.student\._blocks\.22\.\*' is not supported: "
        r'.*240 pixels',
    ):
        convert(content)


@pytest.mark.parametrize(
    'prefix, root',
    [
        ('module.encoder_q.', 'fc'),
        ('module.base_encoder.', 'fc'),
        ('module.', 'projection_head'),
    ],
)
def test_a_longer_head_is_not_cut(prefix, root):
    """Its second layer is not used as the embedding."""
    layers = dict(moco=(0, 2), mocov3=(0, 1, 3, 4), swav=(0, 1, 3))
    family = dict(
        zip(('module.encoder_q.', 'module.base_encoder.', 'module.'), layers)
    )[prefix]
    state_dict = {
        f'{prefix}{root}.{i}.weight': torch.zeros(8, 8) for i in layers[family]
    }
    longer = f'{prefix}{root}.6.weight'
    conversion = convert(
        dict(
            state_dict=dict(
                state_dict,
                **{longer: torch.zeros(8, 8), f'{prefix}conv1.weight': torch.zeros(1)},
            )
        )
    )
    assert conversion.family == family
    assert conversion.unexpected == [longer]


def test_the_order_of_keys_does_not_matter():
    network = encoder(heads()['mocov2'])
    state_dict = wrapped(network, 'module.encoder_q.')
    forward, backward = (
        convert(dict(state_dict=dict(order)))
        for order in (state_dict.items(), reversed(state_dict.items()))
    )
    assert (
        forward.neck
        == backward.neck
        == dict(type='MoCoV2Neck', in_channels=512, hid_channels=32, out_channels=8)
    )
    del state_dict['module.encoder_q.fc.0.weight']
    conversion = convert(dict(state_dict=state_dict))
    assert fit(conversion, arch_config('r18')).missing


def test_entries_that_are_not_tensors_are_reported():
    network = torchvision.models.resnet18()
    content = dict(network.state_dict(), **{'extra': 'words'})
    content[7] = torch.zeros(1)
    assert convert(content).left_out['no tensors'] == ['extra', '7']


def test_small_patch_students_of_seed():
    """They have a second queue."""
    network = encoder(heads()['mocov2'])
    conversion = convert(
        dict(
            state_dict=dict(
                wrapped(network, 'module.student.'),
                **{
                    'module.queue': torch.zeros(1),
                    'module.small_queue': torch.zeros(1),
                },
            )
        )
    )
    assert not conversion.unexpected
    assert len(conversion.left_out['queue of keys']) == 2


def test_a_checkpoint_that_was_saved_with_its_wrapper():
    network = randomize(MODELS.build(arch_config('r18').backbone))
    neck = MODELS.build(arch_config('r18').neck)
    content = dict(
        state_dict={
            **wrapped(network, 'module.backbone.'),
            **wrapped(neck, 'module.neck.'),
        }
    )
    assert fit(convert(content), arch_config('r18')).faults == 0


def test_settings_of_a_file_are_those_of_the_tables():
    """A config of unknown origin could run anything."""
    network = MODELS.build(arch_config('mbv3').backbone)
    content = dict(state_dict=wrapped(network, 'backbone.'))
    known = dict(norm_cfg=dict(type='BN', eps=1e-3, momentum=0.01))
    assert convert({**content, 'meta': dict(overrides=known)}).overrides == known
    for other in (
        dict(type='torch.hub.load', repo_or_dir='x'),
        'words',
        dict(norm_cfg=dict(type='BN', eps=1.0)),
    ):
        with pytest.raises(ValueError, match='unknown settings'):
            convert({**content, 'meta': dict(overrides=other)})
