"""Published files for networks of timm: every tensor is used or accounted for."""

import re

import pytest
import timm
import torch
from safetensors.torch import save_file

from mmdisco.checkpoints.timm_layouts import read_timm, timm_weights
from mmdisco.errors import InputError, MissingFileError
from mmdisco.models import ClassTokenNeck, FrozenTeacher, PooledNeck, TimmNetwork
from tests.models.test_timm_network import images, randomise


def dinov2(name='vit_small_patch14_dinov2', img_size=56, blocks=1):
    """A DINOv2 of one block for 4x4 patches."""
    network = TimmNetwork(name, img_size=img_size)
    network.network.blocks = network.network.blocks[:blocks]
    return randomise(network).eval()


def meta_file(network, seed=3):
    """Tensors as Meta publishes them for a network of timm, without registers."""
    generator = torch.Generator().manual_seed(seed)
    tensors = {
        key: torch.randn(value.shape, generator=generator) * 0.05
        for key, value in network.network.state_dict().items()
    }
    return dict(tensors, mask_token=torch.zeros(1, 384))


def attention(x, weights, heads=6):
    """Self-attention in plain matrix products, [N, L, C]."""
    qkv = x @ weights['qkv.weight'].T + weights['qkv.bias']
    n, length, width = x.shape
    q, k, v = qkv.reshape(n, length, 3, heads, width // heads).permute(2, 0, 3, 1, 4)
    out = (q @ k.transpose(2, 3) / (width // heads) ** 0.5).softmax(3) @ v
    out = out.transpose(1, 2).reshape(n, length, width)
    return out @ weights['proj.weight'].T + weights['proj.bias']


def below(tensors, prefix):
    return {
        k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)
    }


def meta_forward(tensors, x):
    """Class token by the formulas of DINOv2, on a file for this size of image."""
    norm = torch.nn.functional.layer_norm
    patches = torch.nn.functional.conv2d(
        x, tensors['patch_embed.proj.weight'], tensors['patch_embed.proj.bias'], 14
    )
    tokens = patches.flatten(2).transpose(1, 2)
    tokens = torch.cat([tensors['cls_token'].expand(len(x), -1, -1), tokens], 1)
    tokens = tokens + tensors['pos_embed']
    if 'register_tokens' in tensors:
        registers = tensors['register_tokens'].expand(len(x), -1, -1)
        tokens = torch.cat([tokens[:, :1], registers, tokens[:, 1:]], 1)
    block = below(tensors, 'blocks.0.')
    for name, part, scale in (('norm1', 'attn', 'ls1'), ('norm2', 'mlp', 'ls2')):
        y = norm(
            tokens, (384,), block[f'{name}.weight'], block[f'{name}.bias'], eps=1e-6
        )
        weights = below(block, f'{part}.')
        if part == 'attn':
            y = attention(y, weights)
        else:
            y = torch.nn.functional.gelu(
                y @ weights['fc1.weight'].T + weights['fc1.bias']
            )
            y = y @ weights['fc2.weight'].T + weights['fc2.bias']
        tokens = tokens + block[f'{scale}.gamma'] * y
    return norm(tokens, (384,), tensors['norm.weight'], tensors['norm.bias'], 1e-6)[
        :, 0
    ]


@pytest.fixture
def log(monkeypatch):
    lines = []
    monkeypatch.setattr(
        'mmdisco.models.teacher.print_log', lambda line, **_: lines.append(line)
    )
    return lines


@pytest.mark.parametrize(
    'name, head, width',
    [
        ('test_vit', 'head', 64),
        ('test_convnext', 'head.fc', 64),
        ('test_efficientnet', 'classifier', 256),
        ('mobilenetv4_conv_small_035', 'classifier', 1280),
    ],
)
@pytest.mark.parametrize('kind', ['safetensors', 'pth'])
def test_timms_files_are_read_without_the_classifier(
    name, head, width, kind, tmp_path, log
):
    network = randomise(timm.create_model(name, num_classes=7), seed=5).eval()
    path = str(tmp_path / f'model.{kind}')
    if kind == 'safetensors':
        save_file(network.state_dict(), path, metadata=dict(format='pt'))
    else:
        torch.save(
            dict(state_dict=network.state_dict(), state_dict_ema={}, epoch=3), path
        )
    teacher = FrozenTeacher(
        dict(type='TimmNetwork', name=name),
        dict(type='PooledNeck', in_channels=width),
        path,
    )
    x = images(64, 64)
    with torch.no_grad():
        expected = network.forward_head(network.forward_features(x), pre_logits=True)
    torch.testing.assert_close(teacher(x), expected, rtol=0, atol=1e-5)
    line = next(line for line in log if line.startswith(f"timm's '{name}'"))
    assert f'left out 2: classifier ({head}.bias, {head}.weight)' in line
    assert (
        'left out 2: entries beside the weights (state_dict_ema, epoch)' in line
    ) == (kind == 'pth')
    count = len(network.state_dict()) - 2
    assert f'{count} tensors under the names of timm' in line


@pytest.mark.parametrize('registers', [0, 4])
def test_metas_dinov2_is_read(registers, tmp_path, log):
    reg = '_reg4' if registers else ''
    name = f'vit_small_patch14{reg}_dinov2'
    network = dinov2(name)
    tensors = meta_file(network)
    if registers:  # Meta's positions include that of the class token
        tensors['register_tokens'] = tensors.pop('reg_token')
        tensors['pos_embed'] = torch.randn(1, 17, 384) * 0.05
    stem = 'own' if registers else 'dinov2_vits14_pretrain'
    path = str(tmp_path / f'{stem}.pth')
    torch.save(tensors, path)
    teacher = FrozenTeacher(network, ClassTokenNeck(384), path)
    x = images(56, 56)
    torch.testing.assert_close(teacher(x), meta_forward(tensors, x), rtol=0, atol=1e-5)
    line, summary = log
    assert ('commercial use allowed' in summary) == ('vits14_pretrain' in path)
    assert 'left out 1: mask token, used in pre-training only (mask_token)' in line
    assert 'images of mean [123.675, ' in line
    assert ('computed by timm: cls_token' in line) == bool(registers)


def apples_names(network):
    """Names of Apple's MobileCLIP-S for the tensors of a FastViT of timm."""
    prefix, places = 'image_encoder.model.', {}
    for key in network.state_dict():
        name = key
        for own, other in (
            ('large_conv', 'lkb_origin'),
            ('final_conv', 'conv_exp'),
            ('conv_kxk', 'rbr_conv'),
            ('conv_scale', 'rbr_scale'),
            ('identity', 'rbr_skip'),
            ('mlp', 'convffn'),
            ('se.fc1', 'se.reduce'),
            ('se.fc2', 'se.expand'),
            ('stem', 'patch_embed'),
            ('.gamma', ''),
        ):
            name = name.replace(own, other)
        # a flat list: blocks and what leads to the next stage; positions before the
        # last blocks
        stage = re.match(r'stages\.(\d)\.', name)
        if stage:
            number = 2 * int(stage[1])
            if '.downsample.' in name:
                number -= 1
            elif stage[1] == '3' and '.blocks.' in name:
                number += 1
            name = name.replace(stage[0], f'network.{number}.')
            for own, other in (('blocks.', ''), ('downsample.', ''), ('pos_enc', '')):
                name = name.replace(own, other)
            name = name.replace('pos_emb.', 'pe')
        places[key] = prefix + name
    return places


@pytest.mark.parametrize('name', ['fastvit_mci0', 'vit_base_mci_224'])
def test_apples_mobileclip_is_read_without_projection_and_text_tower(name):
    if name == 'fastvit_mci0':
        network = timm.create_model(
            name, num_classes=0, layers=(1, 1, 1, 1), embed_dims=(8, 16, 32, 64)
        )
        places = apples_names(network)
        head = 'head'
    else:
        network = timm.create_model(name, num_classes=0, depth=1)
        head, places = 'classifier', {}
        for key in network.state_dict():
            own = key
            for old, other in (
                ('patch_embed.backbone.', 'patch_emb.'),
                ('.conv.', '.block.conv.'),
                ('.bn.', '.block.norm.'),
                ('norm1', 'pre_norm_mha.0'),
                ('attn.qkv', 'pre_norm_mha.1.qkv_proj'),
                ('attn.proj', 'pre_norm_mha.1.out_proj'),
                ('norm2', 'pre_norm_ffn.0'),
                ('mlp.fc1', 'pre_norm_ffn.1'),
                ('mlp.fc2', 'pre_norm_ffn.4'),
                ('blocks.', 'transformer.'),
            ):
                own = own.replace(old, other)
            if own.startswith('norm.'):
                own = f'post_transformer_{own}'
            if own == 'pos_embed':
                own = 'pos_embed.pos_embed.pos_embed'
            places[key] = f'image_encoder.model.{own}'
    state_dict = randomise(network).state_dict()
    tensors = {
        places[key]: value[None] if key == 'pos_embed' else value.clone()
        for key, value in state_dict.items()
    }
    assert len(tensors) == len(state_dict)
    tensors[f'image_encoder.model.{head}.proj'] = torch.ones(64, 7)
    tensors['text_encoder.embedding_layer.weight'] = torch.ones(3, 3)
    tensors['logit_scale'] = torch.ones([])
    weights = read_timm(tensors, 'mobileclip.pt', network, name)
    assert weights.state_dict.keys() == state_dict.keys()
    for key, value in state_dict.items():
        assert torch.equal(weights.state_dict[key], value), key
    assert weights.left_out == {
        'classifier': [f'image_encoder.model.{head}.proj'],
        'text tower': ['text_encoder.embedding_layer.weight'],
        'temperature of the pairs of image and text': ['logit_scale'],
    }


def test_positions_are_resampled_for_another_size_and_said_so():
    tensors = meta_file(dinov2(img_size=98))
    network = dinov2(img_size=56).network
    weights = timm_weights(tensors, network, 'vit_small_patch14_dinov2')
    assert 'computed by timm: pos_embed [1, 50, 384] -> [1, 17, 384]' in (
        weights.report()
    )
    assert weights.state_dict['pos_embed'].shape == (1, 17, 384)


def test_tensors_that_share_a_storage_are_distinguished():
    """Each is a part of one vector, as in a file of flattened parameters."""
    network = dinov2()
    tensors = meta_file(network)
    flat, start = torch.cat([v.flatten() for v in tensors.values()]), 0
    for key, value in tensors.items():
        tensors[key] = flat[start : start + value.numel()].view(value.shape)
        start += value.numel()
    weights = timm_weights(tensors, network.network, network.name)
    assert sum(weights.left_out.values(), []) == ['mask_token']
    assert 'computed' not in weights.report()


def test_faults_name_both_sides(tmp_path):
    network = randomise(timm.create_model('test_vit', num_classes=7)).state_dict()
    first = 'blocks.0.attn.qkv.weight'
    cases = {
        r"'.*0.pth' for timm's 'test_vit' does not fit this architecture: "
        rf'1 missing, e.g. {re.escape(first)}$': {
            k: v for k, v in network.items() if k != first
        },
        r'1 unexpected, e.g. neck.weight$': dict(
            network, **{'neck.weight': torch.ones(1)}
        ),
        r'qkv.weight \(\[5\] in the file, \[192, 64\] in the model\)': {
            **network,
            first: torch.ones(5),
        },
        # timm would resample the patches without a word
        r'patch_embed.proj.weight \(\[64, 3, 14, 14\] in the file, \[64, 3, 16, 16\]': {
            **network,
            'patch_embed.proj.weight': torch.ones(64, 3, 14, 14),
        },
        f'{first} is not finite': {
            **network,
            first: network[first] * float('nan'),
        },
        'it has no tensors': dict(epoch=1),
        'pth.: it has no tensors': [1, 2],
    }
    for i, (words, content) in enumerate(cases.items()):
        path = str(tmp_path / f'{i}.pth')
        torch.save(content, path)
        with pytest.raises(InputError, match=words) as error:
            FrozenTeacher(TimmNetwork('test_vit'), PooledNeck(64), path)
        assert '\n' not in str(error.value)
    with pytest.raises(MissingFileError, match='download it from https://a.b/c'):
        FrozenTeacher(
            TimmNetwork('test_vit'), PooledNeck(64), 'none.pth', url='https://a.b/c'
        )


def test_this_projects_file_of_such_a_network_is_read(tmp_path):
    network = randomise(TimmNetwork('test_vit')).eval()
    path = str(tmp_path / 'own.pth')
    state_dict = {f'backbone.{k}': v for k, v in network.state_dict().items()}
    torch.save(dict(state_dict=state_dict), path)
    teacher = FrozenTeacher(TimmNetwork('test_vit'), PooledNeck(64), path)
    x = images(64, 64)
    with torch.no_grad():
        assert torch.equal(teacher(x), network.network(x))
