"""Settings that no tensor shows: padding and norm eps."""

import pytest
import timm
import torch
from mmengine.registry import init_default_scope
from mmpretrain.registry import MODELS

from mmdisco.checkpoints import (
    arch_config,
    check_settings,
    convert,
    fit,
    load_student,
    read_conversion,
    read_teacher,
    rename_to,
    settings,
)
from mmdisco.checkpoints.student import StudentFile
from mmdisco.errors import InputError
from mmdisco.evaluation.features.encoder import open_encoder
from mmdisco.zoo import get_model
from tests.checkpoints.test_libraries import feature
from tests.layouts import filled, public_content

TF = dict(
    conv_cfg=dict(type='Conv2dAdaptivePadding'),
    norm_cfg=dict(type='BN', eps=1e-3, momentum=0.01),
)
PLAIN = dict(conv_cfg=None, norm_cfg=dict(type='BN', eps=1e-5))
IMAGES = torch.randn(2, 3, 64, 64, generator=torch.manual_seed(1))


def fill(network):
    """Set weights with which a shifted pixel changes the output."""
    network.load_state_dict(
        {
            key: filled(key, value.shape, str(value.dtype)[6:], 2.2, 0.3)
            for key, value in network.state_dict().items()
        }
    )
    network.eval()
    return network


def effnet(**settings):
    return MODELS.build(dict(type='EfficientNet', arch='b0', **settings))


def distance(actual, expected):
    return float((actual - expected).abs().max() / expected.abs().max())


def output(conversion, name):
    """Output of the network with converted weights."""
    result = fit(conversion, arch_config(name))
    assert result.faults == 0
    network = MODELS.build(result.backbone)
    network.load_state_dict(conversion.part('backbone'))
    network.eval()
    with torch.no_grad():
        return feature(network, IMAGES)


@pytest.mark.parametrize(
    'name, network', [('effb0', 'efficientnet_b0'), ('mbv3', 'mobilenetv3_large_100')]
)
def test_networks_of_timm_that_are_named_alike(name, network):
    """The first is assumed and reported; --variant selects the other."""
    for prefix, variant in (('', 'symmetric'), ('tf_', 'tf')):
        source = fill(timm.create_model(prefix + network, num_classes=0))
        with torch.no_grad():
            expected = source(IMAGES)
        content = source.state_dict()
        conversion = convert(content, variant=variant)
        assert not conversion.assumed
        assert distance(output(conversion, name), expected) < 2e-5
        assumed = convert(content)
        assert f'tf_{network[:9]}' in assumed.assumed
        assert '--variant tf' in assumed.assumed
        assert (distance(output(assumed, name), expected) > 0.02) == (variant == 'tf')


def test_timms_anti_aliased_resnets_are_named():
    """Keys of resnet50 and resnetaa50 are the same, outputs are not."""
    one, other = (
        timm.create_model(name, num_classes=0).state_dict()
        for name in ('resnet50', 'resnetaa50')
    )
    assert {k: v.shape for k, v in one.items()} == {
        k: v.shape for k, v in other.items()
    }
    assert 'resnetaa*' in convert(other).alike


def lukemelas():
    """Keys of EfficientNet-PyTorch, without prefixes of a training code."""
    content, _ = public_content('seed_student_effb0', ('', ''))
    prefix = 'module.student.'
    return {
        k.removeprefix(prefix): v
        for k, v in content['state_dict'].items()
        if k.startswith(prefix) and '.fc.' not in k
    }


def test_efficientnet_pytorch_is_one_of_two():
    """PyPI's 0.7.0 has symmetric padding, all others TensorFlow's."""
    content = lukemelas()
    assumed = convert(content)
    assert assumed.overrides == TF and '0.7.0' in assumed.assumed
    assert convert(content, variant='symmetric').overrides == {**TF, 'conv_cfg': None}
    for wrapped in (
        {f'encoder_q.{k}': v for k, v in content.items()},
        {f'module.{k}': v for k, v in content.items()},
    ):
        assert convert(wrapped).assumed


def test_the_variant_can_not_contradict_the_code():
    seed, _ = public_content('seed_student_effb0', ('', ''))
    assert convert(seed, variant='tf').overrides == TF
    with pytest.raises(InputError, match="symmetric contradicts.*'seed'"):
        convert(seed, variant='symmetric')
    disco, _ = public_content('disco_student_effb0', ('', ''))
    assert not convert(disco).assumed and not convert(disco).overrides
    with pytest.raises(InputError, match="tf contradicts.*'disco'"):
        convert(disco, variant='tf')
    resnet, _ = public_content('seed_student_r18', ('', ''))
    with pytest.raises(InputError, match='it has no variants'):
        convert(resnet, variant='tf')


def save(path, network, **meta):
    torch.save(
        dict(
            meta=meta,
            state_dict={f'backbone.{k}': v for k, v in network.state_dict().items()},
        ),
        path,
    )
    return str(path)


def test_an_efficientnet_of_mmpretrain_is_one_of_two(tmp_path):
    """It has TensorFlow padding; settings in the file are used."""
    bare = save(tmp_path / 'bare.pth', effnet())
    conversion = read_conversion(bare)
    assert "mmpretrain's own" in conversion.assumed
    stated = dict(type='EfficientNet', arch='b0')
    for meta in (dict(backbone=stated), dict(cfg=f'model = dict(backbone={stated})')):
        path = save(tmp_path / 'stated.pth', effnet(), **meta)
        student = load_student(path)
        assert read_conversion(path).assumed == ''
        assert student.network.arch is None  # not effb0: other padding
        assert any(
            type(m).__name__ == 'Conv2dAdaptivePadding'
            for m in student.backbone.modules()
        )
        with pytest.raises(InputError, match="but --arch says 'effb0'"):
            load_student(path, 'effb0')


def readers(path, network):
    """All functions that load a file into an existing network."""
    yield lambda: read_teacher(path, network, head=False)
    yield lambda: StudentFile(path).read(network)


@pytest.mark.parametrize(
    'options, words',
    [
        (PLAIN, 'BN eps 0.001, the backbone has 1e-05'),
        (
            dict(TF, conv_cfg=None),
            'padding as TensorFlow, the backbone has padding alike on both sides: set',
        ),
        (dict(PLAIN, **{'conv_cfg': TF['conv_cfg']}), 'norm_cfg.eps'),
        (TF, ''),
    ],
)
def test_a_file_of_other_settings_is_refused(tmp_path, options, words):
    """Settings known from SEED's code or from the config in the file."""
    init_default_scope('mmpretrain')
    seed = tmp_path / 'seed.pth'
    content, _ = public_content('seed_student_effb0', ('', ''))
    torch.save(content, seed)
    stated = dict(type='EfficientNet', arch='b0')
    trained = save(
        tmp_path / 'trained.pth',
        effnet(),
        cfg=f"model = dict(type='MoCo', backbone={stated})",
    )
    network = effnet(**options)
    for path in (str(seed), trained):
        for read in readers(path, network):
            if not words:
                assert read()
                continue
            with pytest.raises(InputError) as error:
                read()
            assert words in str(error.value) and path in str(error.value)
            assert 'model.' in str(error.value)


def test_of_a_file_that_may_be_both_either_is_taken(tmp_path, monkeypatch):
    """The assumption is logged; a third setting is an error."""
    path, lines = tmp_path / 'luke.pth', []
    monkeypatch.setattr(
        settings, 'print_log', lambda line, *_, **__: lines.append(line)
    )
    torch.save(lukemelas(), path)
    for padding in (TF, dict(TF, conv_cfg=None)):
        for read in readers(str(path), effnet(**padding)):
            read()
            assert 'names do not show the padding' in lines.pop()
    load_student(str(path), 'effb0')
    assert '0.7.0 of PyPI' in lines.pop() and not lines
    for read in readers(str(path), effnet(**PLAIN)):
        with pytest.raises(InputError, match='BN eps 0.001'):
            read()


def test_layer_norms_are_compared(tmp_path):
    vit = arch_config('vitt').backbone
    network = MODELS.build(vit)
    path = save(
        tmp_path / 'vit.pth',
        network,
        backbone=dict(vit, norm_cfg=dict(type='LN', eps=1e-5)),
    )
    conversion = read_conversion(path)
    with pytest.raises(
        InputError, match='LN eps 1e-05, the backbone has 1e-06: set here.norm_cfg.eps'
    ):
        check_settings(conversion, network, 'x', 'here')
    check_settings(
        read_conversion(save(path, network, backbone=vit)), network, 'x', 'here'
    )


def test_a_file_converted_with_half_its_settings_is_refused(tmp_path):
    """For example SEED's EfficientNet-B0 with eps, but without padding."""
    path = save(
        tmp_path / 'old.pth',
        effnet(),
        arch='effb0',
        family='seed',
        overrides=dict(norm_cfg=TF['norm_cfg']),
    )
    with pytest.raises(InputError, match='convert the published file again'):
        read_conversion(path)


def test_exported_names_of_both_variants():
    """Both variants have the same names."""
    state = effnet(**TF).state_dict()
    timm.create_model('tf_efficientnet_b0', num_classes=0).load_state_dict(
        rename_to('timm', 'effb0', state)
    )


def test_a_model_of_the_zoo_has_the_settings_of_its_file(tmp_path):
    """A published file records its network as config, not as overrides."""
    network = effnet(**TF)
    path = save(
        tmp_path / 'published.pth',
        network,
        arch='effb0',
        backbone=dict(type='EfficientNet', arch='b0', **TF),
    )
    for load in (
        lambda: get_model('r50_effb0', path),
        lambda: open_encoder('configs/disco/r50_effb0.py', path),
    ):
        with pytest.raises(
            InputError,
            match='BN eps 0.001, the backbone has '
            '1e-05.*padding as TensorFlow, the backbone has',
        ):
            load()
    assert open_encoder(path).pooled


@pytest.mark.parametrize(
    'backbone',
    [
        dict(type='SwinTransformer', norm_cfg=dict(type='LN', eps=1e-6)),
        dict(type='ResNet', depth=18, norm_cfg=dict(type='GN', num_groups=8)),
        dict(type='ConvNeXt'),
    ],
    ids=lambda backbone: backbone['type'],
)
def test_a_network_fits_the_config_that_built_it(backbone):
    """Swin always has norms of another eps between its stages."""
    init_default_scope('mmpretrain')
    network = MODELS.build(backbone)
    state_dict = {f'backbone.{k}': v for k, v in network.state_dict().items()}
    conversion = convert(dict(state_dict=state_dict, meta=dict(backbone=backbone)))
    check_settings(conversion, network, 'it', 'model.backbone')
