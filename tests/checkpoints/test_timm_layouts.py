"""Published files for networks of timm: every tensor is used or accounted for."""

import re

import pytest
import timm
import torch
from safetensors.torch import save_file

from mmdisco.checkpoints.timm_layouts import timm_weights
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
