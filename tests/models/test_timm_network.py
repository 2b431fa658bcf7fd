"""Networks of timm as teachers: features, sizes, options and a step of DisCo."""

import re
import sys
from types import SimpleNamespace

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmpretrain.registry import MODELS
from torch import nn

from mmdisco.errors import InputError
from mmdisco.models import DisCo, FrozenTeacher, TimmNetwork
from tests.models.toy import ToyBackbone
from tests.tools import ROOT

MEAN, STD = [123.675, 116.28, 103.53], [58.395, 57.12, 57.375]
# name, width of tokens or maps, width of the pooled feature
TOKENS = ('vit_tiny_patch16_224', 192)
CONVOLUTIONAL = (
    ('test_convnext', 64, 64),
    ('test_efficientnet', 256, 256),
    # a convolution behind the last map
    ('mobilenetv4_conv_small_035', 336, 1280),
    ('lcnet_035', 176, 1280),
)


def randomise(network, seed=0):
    """Weights for which every layer matters; many are initialised to 0 or 1."""
    generator = torch.Generator().manual_seed(seed)
    for name, value in network.state_dict().items():
        if name.endswith('running_var'):
            value.uniform_(0.5, 2, generator=generator)
        elif name.endswith('running_mean') or value.dim() == 1 and 'weight' not in name:
            value.normal_(0, 0.1, generator=generator)
        elif value.dim() == 1:
            value.uniform_(0.5, 1.5, generator=generator)
        elif value.is_floating_point() and value.abs().max() < 0.1:
            value.normal_(0, 0.05, generator=generator)
    return network


def small_vit(**options):
    """A DINOv2 of two blocks, with patches of 14."""
    network = TimmNetwork('vit_small_patch14_dinov2', **options)
    network.network.blocks = network.network.blocks[:2]
    return randomise(network).eval()


def images(*size, num=2):
    return torch.randn(num, 3, *size, generator=torch.Generator().manual_seed(1))


def plain_vit(network, x):
    """Tokens of a ViT of timm, from its parts: patches, positions, blocks, norm."""
    vit = network.network
    rows, columns = (side // 14 for side in x.shape[2:])
    patches = vit.patch_embed.proj(x).flatten(2).transpose(1, 2)  # [N, L, C]
    positions = vit.pos_embed
    if patches.shape[1] + 1 != positions.shape[1]:
        grid = int((positions.shape[1] - 1) ** 0.5)
        grid_positions = positions[:, 1:].reshape(1, grid, grid, -1).permute(0, 3, 1, 2)
        grid_positions = nn.functional.interpolate(
            grid_positions, (rows, columns), mode='bicubic', antialias=True
        )
        positions = torch.cat(
            [positions[:, :1], grid_positions.flatten(2).transpose(1, 2)], dim=1
        )
    tokens = torch.cat([vit.cls_token.expand(len(x), -1, -1), patches], dim=1)
    tokens = tokens + positions
    for block in vit.blocks:
        tokens = block(tokens)
    return vit.norm(tokens)


@pytest.mark.parametrize('size', [(224, 224), (98, 154)])
def test_a_vits_features_are_its_tokens(size):
    network, x = small_vit(), images(*size)
    with torch.no_grad():
        tokens = plain_vit(network, x)
        expected = dict(
            ClassTokenNeck=tokens[:, 0],
            PooledNeck=network.network(x),
            ClassAndPatchNeck=torch.cat([tokens[:, 0], tokens[:, 1:].mean(1)], dim=1),
        )
        maps, token, pooled = network(x)
    for neck, value in expected.items():
        teacher = FrozenTeacher(network, MODELS.build(dict(type=neck, in_channels=384)))
        torch.testing.assert_close(teacher(x), value, rtol=0, atol=1e-5)
        assert teacher.neck.out_channels == value.shape[1]
    torch.testing.assert_close(expected['PooledNeck'], tokens[:, 0])
    rows, columns = size[0] // 14, size[1] // 14
    assert maps.shape == (2, 384, rows, columns)
    grid = tokens[:, 1:].reshape(2, rows, columns, 384)
    torch.testing.assert_close(maps.permute(0, 2, 3, 1), grid, rtol=0, atol=1e-5)


@pytest.mark.parametrize('name, width, pooled', CONVOLUTIONAL)
@pytest.mark.parametrize('size', [(224, 224), (98, 154)])
def test_a_cnns_pooled_feature_is_timms(name, width, pooled, size):
    network, x = randomise(TimmNetwork(name)).eval(), images(*size)
    neck = MODELS.build(dict(type='PooledNeck', in_channels=pooled))
    assert (network.feat_channels, network.pooled_channels) == (width, pooled)
    with torch.no_grad():
        maps, feature = network(x)
        expected = network.network(x)  # num_classes=0: all but the classifier
    assert maps.shape[:2] == (2, width) and maps.dim() == 4
    assert expected.std() > 1e-3
    actual = FrozenTeacher(network, neck)(x)
    torch.testing.assert_close(actual, expected, rtol=0, atol=1e-5)
    with pytest.raises(InputError, match=f"'{name}' has none: use PooledNeck"):
        FrozenTeacher(
            network, MODELS.build(dict(type='ClassTokenNeck', in_channels=width))
        )


def test_maps_with_channels_last_are_turned():
    network = TimmNetwork('swin_tiny_patch4_window7_224').eval()
    network.network.layers[2].blocks = network.network.layers[2].blocks[:2]
    with torch.no_grad():
        maps, pooled = network(images(224, 224, num=1))
    assert maps.shape == (1, 768, 7, 7)
    torch.testing.assert_close(maps.mean((2, 3)), pooled, rtol=0, atol=1e-5)


def test_registers_are_neither_class_token_nor_patches():
    network = TimmNetwork('vit_small_patch14_reg4_dinov2')
    network.network.blocks = network.network.blocks[:1]
    randomise(network).eval()
    x = images(56, 84)
    with torch.no_grad():
        tokens = network.network.forward_features(x)
        maps, token, _ = network(x)
    assert tokens.shape[1] == 1 + 4 + 4 * 6
    assert torch.equal(token, tokens[:, 0])
    assert torch.equal(maps.flatten(2).transpose(1, 2), tokens[:, 5:])


def test_overlapping_patches_take_any_size():
    network = TimmNetwork('pvt_v2_b0', pooled_only=True).eval()
    with torch.no_grad():
        assert network(images(100, 68))[0].shape == (2, 256)


def test_sizes_that_do_not_fit_are_refused():
    network = small_vit()
    with pytest.raises(
        InputError, match='14x14 pixels, the images have 96x224.*84x224'
    ):
        network(images(96, 224))
    fixed = small_vit(img_size=56, dynamic_img_size=False)
    with pytest.raises(InputError, match='built for images of 56x56.*have 70x56'):
        fixed(images(70, 56))
    assert fixed(images(56, 56))[1].shape == (2, 384)
    assert fixed.network.pos_embed.shape[1] == 17


@pytest.mark.parametrize(
    'options, words',
    [
        (dict(name='vit_small_patch14_dinov'), 'nearest: .*vit_small_patch14_dinov2'),
        (dict(name='hf-hub:timm/test_vit.r160_in1k'), 'has no network'),
        (dict(name='test_vit.nothing'), 'nothing'),
        (dict(name='test_convnext', img_size=64), 'does not take img_size'),
    ],
)
def test_faults_of_a_name_are_one_line(options, words):
    with pytest.raises(InputError, match=words) as error:
        TimmNetwork(**options)
    assert '\n' not in str(error.value)


def test_timm_is_optional_and_its_version_is_checked(monkeypatch):
    build = {'is_model': lambda name: False, 'list_models': list}
    newer = SimpleNamespace(__version__='1.1.0rc1', **build)
    monkeypatch.setitem(sys.modules, 'timm', newer)
    with pytest.raises(InputError, match='timm 1.1.0rc1 has no network'):
        TimmNetwork('test_vit')
    monkeypatch.setitem(sys.modules, 'timm', SimpleNamespace(__version__='1.0.9'))
    with pytest.raises(InputError, match=r'timm 1.0.9: pip install "timm>=1.0.20"'):
        TimmNetwork('test_vit')
    monkeypatch.setitem(sys.modules, 'timm', None)
    with pytest.raises(InputError, match='needs timm: pip install "timm>=1.0.20"'):
        TimmNetwork('test_vit')


def test_a_neck_of_another_width_or_backbone_is_refused():
    neck = dict(type='ClassTokenNeck', in_channels=100)
    with pytest.raises(InputError, match='in_channels=100.*is 64 wide'):
        FrozenTeacher(TimmNetwork('test_vit'), MODELS.build(neck))
    with pytest.raises(InputError, match='the backbone is ToyBackbone'):
        FrozenTeacher(ToyBackbone(4, 8), MODELS.build(neck))
    average = MODELS.build(dict(type='GlobalAveragePooling'))
    with pytest.raises(InputError, match='GlobalAveragePooling.*: use PooledNeck'):
        FrozenTeacher(TimmNetwork('test_vit'), average)


def test_a_class_token_without_a_norm_is_refused():
    """BEiT's norm is behind the mean of its tokens."""
    network = TimmNetwork('beit_base_patch16_224')
    for neck in ('ClassTokenNeck', 'ClassAndPatchNeck'):
        neck = MODELS.build(dict(type=neck, in_channels=768))
        with pytest.raises(InputError, match='needs a norm behind the tokens.*Pooled'):
            FrozenTeacher(network, neck)
    FrozenTeacher(network, MODELS.build(dict(type='PooledNeck', in_channels=768)))


@pytest.mark.parametrize('name', ['pit_ti_224', 'pit_ti_distilled_224'])
def test_a_network_without_patch_tokens_has_no_mean_of_them(name):
    network, x = TimmNetwork(name).eval(), images(224, 224, num=1)
    for neck, words in (('ClassTokenNeck', None), ('ClassAndPatchNeck', 'needs patch')):
        neck = MODELS.build(dict(type=neck, in_channels=256))
        teacher = FrozenTeacher(network, neck)
        if words is None:
            assert teacher(x).isfinite().all()
        else:
            with pytest.raises(InputError, match=words):
                teacher(x)


def test_a_network_with_several_branches_is_refused():
    with pytest.raises(InputError, match="'crossvit_tiny_240' has several branches"):
        TimmNetwork('crossvit_tiny_240')(images(240, 240, num=1))


def test_the_teacher_never_leaves_eval_mode():
    network = randomise(TimmNetwork('test_efficientnet'))
    neck = MODELS.build(dict(type='PooledNeck', in_channels=256))
    teacher, x = FrozenTeacher(network, neck), images(64, 64)
    before = {k: v.clone() for k, v in teacher.state_dict().items()}
    expected = teacher(x)
    for mode in (True, False):
        teacher.train(mode)
        assert not any(module.training for module in teacher.modules())
        assert torch.equal(teacher(x), expected)
    for key, value in teacher.state_dict().items():
        assert torch.equal(value, before[key]), key


@pytest.mark.parametrize(
    'options', [{}, dict(mean=[127.5] * 3, std=[127.5] * 3)], ids=['timm', 'set']
)
def test_images_get_the_statistics_of_the_teacher(options):
    """tf_efficientnet_lite0 learned from (x - 127.5) / 127.5."""
    network = TimmNetwork('tf_efficientnet_lite0').eval()
    assert network.mean == network.std == [127.5] * 3
    neck = MODELS.build(dict(type='PooledNeck', in_channels=1280))
    teacher = FrozenTeacher(network, neck, **options)
    mean, std = (torch.tensor(v).view(3, 1, 1) for v in (MEAN, STD))
    teacher.match_normalisation(SimpleNamespace(mean=mean, std=std))
    raw = torch.randint(0, 256, (2, 3, 64, 64)).float()
    with torch.no_grad():
        expected = network.network((raw - 127.5) / 127.5)
    actual = teacher((raw - mean) / std)
    torch.testing.assert_close(actual, expected, rtol=1e-4, atol=1e-4)
    # a head or a classifier was trained here, as the student is
    head = FrozenTeacher(network, nn.Sequential(nn.Identity(), nn.Linear(1280, 8)))
    assert head.renormalize.mean is None


@pytest.mark.parametrize(
    'name',
    ['test_vit', 'test_convnext', 'test_efficientnet', 'mobilenetv4_conv_small_035'],
)
@pytest.mark.parametrize(
    'options',
    [
        dict(fuse=True),
        dict(fuse=True, channels_last=True),
        dict(fuse=True, dtype='bf16', channels_last=True),
    ],
    ids=lambda options: '-'.join(map(str, options)),
)
def test_speed_options_are_used_and_change_little(name, options):
    network = randomise(TimmNetwork(name))
    neck = MODELS.build(dict(type='PooledNeck', in_channels=network.pooled_channels))
    plain = FrozenTeacher(network, neck)
    x = images(96, 128, num=4)
    expected = plain(x)
    norms = sum(isinstance(m, nn.BatchNorm2d) for m in network.modules())
    fast = FrozenTeacher(network, neck, **options)
    actual = fast(x)
    assert actual.dtype == torch.float32
    assert fast.backbone is not network  # rewritten: not refused by the check
    left = sum(isinstance(m, nn.BatchNorm2d) for m in fast.backbone.modules())
    assert (norms > 0) == ('test_vit' != name and 'convnext' not in name)
    assert left == 0
    cosine = nn.functional.cosine_similarity(actual, expected).min()
    assert cosine > (0.999 if 'dtype' in options else 0.99999)


def test_a_step_of_disco_with_an_adapter():
    teacher = FrozenTeacher(
        small_vit(), MODELS.build(dict(type='ClassAndPatchNeck', in_channels=384))
    )
    ssl = dict(
        type='SimCLR',
        backbone=dict(type='ResNet', depth=18, stem_channels=8, base_channels=8),
        neck=dict(
            type='NonLinearNeck',
            in_channels=64,
            hid_channels=16,
            out_channels=12,
            num_layers=2,
        ),
        head=dict(
            type='ContrastiveHead', loss=dict(type='CrossEntropyLoss'), temperature=0.1
        ),
        data_preprocessor=dict(type='SelfSupDataPreprocessor', mean=MEAN, std=STD),
    )
    # the width is known though an image of 64 pixels does not fit patches of 14
    with pytest.raises(InputError, match='gives 768-d embeddings, the student 12-d'):
        DisCo(dict(ssl), teacher, dict(type='DisCoLoss'))
    adapter = dict(in_features=12, out_features=768)
    model = DisCo(dict(ssl), teacher, dict(type='DisCoLoss', adapter=adapter))
    views = [images(56, 56, num=4), images(56, 56, num=4).flip(3)]
    losses = model.loss(views)
    embeds = torch.cat([model.ssl.neck(model.ssl.backbone(v))[0] for v in views])
    assert embeds.shape == (8, 12)
    assert 0 <= losses['loss_distill'] <= 8
    assert -1 <= losses['cosine'] <= 1
    sum(v for k, v in losses.items() if 'loss' in k).backward()
    assert model.distill[0].adapter.weight.grad.abs().sum() > 0
    assert all(p.grad is None for p in teacher.parameters())
    assert not any('teacher' in key or 'network' in key for key in model.state_dict())


def test_the_example_of_the_documents_builds(tmp_path):
    """docs/zoo.md, with a file of random weights in the names of DINOv2's."""
    text = (ROOT / 'docs/zoo.md').read_text()
    section = text.split('## Teachers without a head')[1].split('\n## ')[0]
    block = re.search(r'```python\n(.*?)```', section, re.S)[1]
    config = tmp_path / 'dinov2_r18.py'
    config.write_text(block.replace("'./r50", f"'{ROOT}/configs/disco/r50"))
    cfg = Config.fromfile(str(config))
    published = Config.fromfile(str(ROOT / 'configs/_base_/teachers/dinov2_vits14.py'))
    for part in ('backbone', 'neck', 'checkpoint'):
        assert cfg.model.teacher[part] == published.teacher[part]
    network = TimmNetwork(cfg.model.teacher.backbone.name)
    path = tmp_path / 'dinov2_vits14_pretrain.pth'
    tensors = dict(network.network.state_dict(), mask_token=torch.zeros(1, 384))
    torch.save(tensors, path)
    cfg.model.teacher.checkpoint = str(path)
    init_default_scope('mmpretrain')
    model = MODELS.build(dict(cfg.model, data_preprocessor=cfg.data_preprocessor))
    x = images(70, 84)
    with torch.no_grad():
        expected = network.eval().network(x)
    torch.testing.assert_close(model.teacher(x), expected, rtol=0, atol=1e-5)
    assert model.distill[0].adapter.weight.shape == (384, 128)
