"""Files of transformers and Meta's DINOv3, compared with transformers' own outputs."""

import json

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from mmdisco.checkpoints import read_timm, safe_load, sha256_of
from mmdisco.checkpoints.timm_layouts import timm_weights
from mmdisco.errors import InputError, MissingFileError
from mmdisco.models import ClassTokenNeck, FrozenTeacher, TimmNetwork
from tests.transformers_files import (
    NETWORKS,
    SIZES,
    STRIDE,
    filled,
    images,
    network_of,
    stored,
)

OUTPUTS, SHAPES = stored()
DINOV2 = [family for family in NETWORKS if family.startswith('dinov2')]
BIASES = [f'layer.{n}.attention.{x}_proj.bias' for n in range(2) for x in 'qv']


def file_of(family):
    return filled(family, SHAPES[family])


def loaded(family, tensors=None, **options):
    """timm's network with the weights of a file."""
    network, name = network_of(family, **options)
    weights = read_timm(tensors or file_of(family), 'file', network, name)
    network.load_state_dict(weights.state_dict)
    return network, weights


def outputs(network, family, size):
    """Class token, patch tokens and pooled feature, as they are stored."""
    with torch.no_grad():
        feats = network.forward_features(images(*size))
        pooled = network.forward_head(feats, pre_logits=True)[0]
    if feats.dim() == 4:
        return dict(pooled=pooled)
    before = network.num_prefix_tokens
    out = dict(patches=feats[0, before::STRIDE], pooled=pooled)
    if network.cls_token is not None:
        out['class'] = feats[0, 0]
        if 'dinov3' in family:  # timm averages, transformers takes the class token
            out['pooled'] = feats[0, 0]
    return out


def assert_as_stored(actual, family, size, atol=1e-5):
    for part, value in actual.items():
        expected = torch.from_numpy(OUTPUTS[f'{family}_{size[0]}x{size[1]}_{part}'])
        assert expected.std() > 0.1
        torch.testing.assert_close(value, expected, rtol=0, atol=atol)


@pytest.mark.parametrize('family', [f for f in NETWORKS if f != 'siglip'])
def test_networks_give_transformers_outputs(family):
    network, weights = loaded(family)
    assert "under the names of transformers' D" in weights.report()
    for size in SIZES[family]:
        # positions of DINOv3 are rotary; those of DINOv2 with registers are
        # interpolated by transformers as by timm
        native = size == SIZES[family][0]
        if native or family in ('dinov2_registers',) or 'dinov3' in family:
            assert_as_stored(outputs(network, family, size), family, size)


@pytest.mark.parametrize('family', ['dinov2', 'dinov2_swiglu', 'siglip'])
def test_at_other_sizes_only_the_interpolation_differs(family):
    """transformers' is bicubic without antialiasing, as Meta's and Google's code."""
    act = dict(act_layer='gelu_tanh') if family == 'siglip' else {}
    for size in SIZES[family][1:]:
        network, _ = loaded(family, **act)
        patch = network.patch_embed.patch_size[0]
        grid = tuple(side // patch for side in size)
        before = network.num_prefix_tokens
        positions = network.pos_embed.data
        old = network.patch_embed.grid_size
        plain = positions[:, before:].unflatten(1, old).permute(0, 3, 1, 2)
        plain = nn.functional.interpolate(plain, grid, mode='bicubic')
        plain = plain.flatten(2).transpose(1, 2)
        by_timm = outputs(network, family, size)
        fixed, _ = loaded(family, **act)
        fixed.patch_embed.set_input_size(size)
        fixed.pos_embed = nn.Parameter(torch.cat([positions[:, :before], plain], 1))
        assert_as_stored(outputs(fixed, family, size), family, size)
        # small, not nothing
        assert_as_stored(by_timm, family, size, atol=0.1)
        with pytest.raises(AssertionError):
            assert_as_stored(by_timm, family, size)


def test_siglips_gelu_is_by_tanh_which_some_of_timms_networks_take_for_erf():
    size = SIZES['siglip'][0]
    network, weights = loaded('siglip', act_layer='gelu_tanh')
    assert "transformers' SiglipVisionModel" in weights.report()
    assert_as_stored(outputs(network, 'siglip', size), 'siglip', size)
    network, _ = loaded('siglip')
    assert_as_stored(outputs(network, 'siglip', size), 'siglip', size, atol=1e-3)
    with pytest.raises(AssertionError):
        assert_as_stored(outputs(network, 'siglip', size), 'siglip', size)


def test_both_towers_of_siglip_in_one_file():
    vision = file_of('siglip')
    tensors = {f'vision_model.{key}': value for key, value in vision.items()}
    tensors |= {
        'text_model.head.weight': torch.ones(2, 2),
        'logit_scale': torch.ones(1),
        'vision_model.embeddings.position_ids': torch.arange(196)[None],
    }
    network, weights = loaded('siglip', tensors, act_layer='gelu_tanh')
    assert weights.left_out['text tower'] == ['text_model.head.weight']
    assert sum(weights.left_out.values(), []) == [
        'text_model.head.weight',
        'logit_scale',
        'vision_model.embeddings.position_ids',
    ]
    size = SIZES['siglip'][0]
    assert_as_stored(outputs(network, 'siglip', size), 'siglip', size)


@pytest.mark.parametrize(
    'prefix, family', [('dinov2.', 'dinov2'), ('model.', 'siglip')]
)
def test_a_model_for_a_task_has_a_prefix(prefix, family):
    tensors = {f'{prefix}{key}': value for key, value in file_of(family).items()}
    if family == 'dinov2':
        tensors['classifier.weight'] = torch.ones(3, 64)
    network, weights = loaded(family, tensors)
    plain, _ = loaded(family)
    for key, value in plain.state_dict().items():
        assert torch.equal(value, network.state_dict()[key])
    if family == 'dinov2':
        assert weights.left_out['classifier'] == ['classifier.weight']


@pytest.mark.parametrize('family', NETWORKS)
def test_each_tensor_counts(family):
    """Without any one of them, or with one more, the file is refused."""
    network, name = network_of(family)
    tensors = file_of(family)
    left_out = sum(timm_weights(tensors, network, name).left_out.values(), [])
    keys = [key for key in tensors if key not in left_out]
    if family in ('dinov3', 'dinov3_gated'):
        keys = [key for key in keys if key not in BIASES]  # zeros
    for key in keys:
        rest = {k: v for k, v in tensors.items() if k != key}
        with pytest.raises(InputError, match="missing|timm can't convert it") as error:
            read_timm(rest, 'file', network, name)
        assert '\n' not in str(error.value)
        longer = {
            **tensors,
            key: tensors[key][None].repeat(2, *[1] * tensors[key].dim()),
        }
        with pytest.raises((InputError, RuntimeError)):
            read_timm(longer, 'file', network, name)
    with pytest.raises(InputError, match='1 unexpected, e.g. adapter.weight'):
        read_timm({**tensors, 'adapter.weight': torch.ones(2)}, 'file', network, name)


def test_biases_that_timms_network_does_not_have_must_be_zero():
    tensors = file_of('dinov3')
    tensors[BIASES[0]][3] = 0.5
    with pytest.raises(InputError, match='1 unexpected, e.g. blocks.0.attn.q_bias'):
        loaded('dinov3', tensors)


def test_position_embeddings_are_resampled_for_another_size():
    network, weights = loaded('dinov2', img_size=98)
    assert 'pos_embed [1, 170, 32] -> [1, 50, 32]' in weights.report()


# Meta's names of DINOv3, typed from the names of its modules


def meta_vit(family):
    """The file of Meta with the same weights: joined, with masks and periods."""
    tensors, out = file_of(family), {}
    gated = 'layer.0.mlp.gate_proj.weight' in tensors
    for key, value in tensors.items():
        if key.startswith('embeddings.'):
            leaf = key.removeprefix('embeddings.')
            leaf = leaf.replace('register_tokens', 'storage_tokens')
            out[leaf.replace('patch_embeddings', 'patch_embed.proj')] = value
        elif key.startswith('norm.'):
            out[key] = value
    out['mask_token'] = out['mask_token'][0]
    for n in range(2):
        part = {
            key.removeprefix(f'layer.{n}.'): value
            for key, value in tensors.items()
            if key.startswith(f'layer.{n}.')
        }
        block = {
            'attn.qkv.weight': torch.cat(
                [part[f'attention.{x}_proj.weight'] for x in 'qkv']
            ),
            'attn.qkv.bias': torch.cat(
                [
                    part['attention.q_proj.bias'],
                    torch.full((32,), 7.0),  # masked
                    part['attention.v_proj.bias'],
                ]
            ),
            'attn.qkv.bias_mask': torch.cat(
                [torch.ones(32), torch.zeros(32), torch.ones(32)]
            ),
        }
        for leaf in ('weight', 'bias'):
            block[f'attn.proj.{leaf}'] = part[f'attention.o_proj.{leaf}']
            names = dict(up_proj='fc1', down_proj='fc2')
            if gated:
                names = dict(gate_proj='w1', up_proj='w2', down_proj='w3')
            for name, target in names.items():
                block[f'mlp.{target}.{leaf}'] = part[f'mlp.{name}.{leaf}']
            for i in (1, 2):
                block[f'norm{i}.{leaf}'] = part[f'norm{i}.{leaf}']
                block[f'ls{i}.gamma'] = part[f'layer_scale{i}.lambda1']
        out |= {f'blocks.{n}.{key}': value for key, value in block.items()}
    # 100 ** (2 k / (D / 2)) for heads of D = 16 dimensions
    out['rope_embed.periods'] = (100 ** (torch.arange(4) / 4)).bfloat16()
    return out


def meta_convnext():
    tensors, out = file_of('dinov3_convnext'), {}
    for key, value in tensors.items():
        parts = key.split('.')
        if parts[0] == 'layer_norm':
            out[f'norm.{parts[1]}'] = out[f'norms.3.{parts[1]}'] = value
        elif parts[2] == 'downsample_layers':
            out[f'downsample_layers.{parts[1]}.{".".join(parts[3:])}'] = value
        else:
            rest = '.'.join(parts[3:])
            for old, new in (
                ('depthwise_conv', 'dwconv'),
                ('layer_norm', 'norm'),
                ('pointwise_conv', 'pwconv'),
            ):
                rest = rest.replace(old, new)
            out[f'stages.{parts[1]}.{rest}'] = value
    return out


META = dict.fromkeys(('dinov3', 'dinov3_biases', 'dinov3_gated'), meta_vit)


@pytest.mark.parametrize('family', [*META, 'dinov3_convnext'])
def test_metas_dinov3_is_read(family, capsys):
    tensors = META[family](family) if family in META else meta_convnext()
    network, weights = loaded(family, tensors)
    assert capsys.readouterr().out == ''  # timm's conversion prints exceptions
    for size in SIZES[family]:
        assert_as_stored(outputs(network, family, size), family, size)
    assert 'under the names of its makers' in weights.report()
    used = {*weights.state_dict}
    assert {*network.state_dict()} == used
    if family == 'dinov3':
        assert {reason: len(keys) for reason, keys in weights.left_out.items()} == {
            'mask token, used in pre-training only': 1,
            'periods of the rotary embedding, which timm computes without rounding': 1,
            "mask of the keys' biases": 2,
            'biases of zeros': 2,
        }
    if family == 'dinov3_convnext':
        assert weights.left_out == {
            'copy of the last norm': ['norms.3.bias', 'norms.3.weight']
        }


@pytest.mark.parametrize(
    'family, key, change, words',
    [
        # rotary embeddings turn the keys' biases by position: they do not cancel
        ('dinov3', 'blocks.0.attn.qkv.bias_mask', lambda t: t * 0 + 1, 'qkv.bias'),
        ('dinov3_biases', 'blocks.0.attn.qkv.bias_mask', lambda t: t * 0 + 1, 'bias'),
        ('dinov3', 'blocks.1.attn.qkv.bias', lambda t: t + 1, 'blocks.1.attn.qkv.bias'),
        ('dinov3', 'rope_embed.periods', lambda t: t * 1.1, 'rope_embed.periods'),
        ('dinov3', 'rope_embed.periods', lambda t: t[:2], 'rope_embed.periods'),
        ('dinov3_convnext', 'norms.3.bias', lambda t: t + 1, 'norms.3.bias'),
        ('dinov3_convnext', 'stages.0.0.gamma', None, 'missing'),
        ('dinov3', 'storage_tokens', None, 'missing'),
        ('dinov3_gated', 'blocks.1.mlp.w2.weight', None, 'missing'),
    ],
)
def test_a_file_of_another_network_is_refused(family, key, change, words):
    tensors = META[family](family) if family in META else meta_convnext()
    if change is None:
        tensors.pop(key)
    else:
        tensors[key] = change(tensors[key])
    with pytest.raises(InputError, match=words) as error:
        loaded(family, tensors)
    assert '\n' not in str(error.value)


# one file, several files, a folder


def sharded(folder, tensors, num=3):
    """Write several files and their index; returns the index."""
    names = [f'model-{i + 1:05}-of-{num:05}.safetensors' for i in range(num)]
    weight_map = {key: names[i % num] for i, key in enumerate(sorted(tensors))}
    for name in names:
        part = {k: tensors[k] for k, file in weight_map.items() if file == name}
        save_file(part, folder / name, metadata=dict(format='pt'))
    index = folder / 'model.safetensors.index.json'
    index.write_text(json.dumps(dict(metadata={}, weight_map=weight_map)))
    return index


@pytest.fixture
def small():
    """A network of timm like 'dinov2', inside a TimmNetwork."""
    network = TimmNetwork('test_vit')
    network.network, network.name = network_of('dinov2')
    network.feat_channels = network.pooled_channels = 32
    return network


@pytest.mark.parametrize('kind', ['file', 'folder', 'index', 'folder of several'])
def test_a_teacher_of_one_or_several_files(kind, tmp_path, small):
    tensors = file_of('dinov2')
    if kind in ('file', 'folder'):
        path = tmp_path / 'model.safetensors'
        save_file(tensors, path, metadata=dict(format='pt'))
    else:
        path = sharded(tmp_path, tensors)
    path = tmp_path if 'folder' in kind else path
    teacher = FrozenTeacher(small, ClassTokenNeck(32), str(path))
    size = SIZES['dinov2'][0]
    assert_as_stored({'class': teacher(images(*size))[0]}, 'dinov2', size)
    assert teacher.sha256 == sha256_of(path)
    if kind == 'folder':
        assert teacher.sha256 == sha256_of(tmp_path / 'model.safetensors')
    elif kind != 'file':
        before = teacher.sha256
        sharded(tmp_path, {**tensors, 'layernorm.bias': torch.zeros(32)})
        assert sha256_of(path) != before


def test_faults_of_several_files(tmp_path, small):
    with pytest.raises(MissingFileError, match="has neither 'model.safetensors' nor"):
        safe_load(str(tmp_path))
    index = sharded(tmp_path, file_of('dinov2'))
    second = tmp_path / 'model-00002-of-00003.safetensors'
    tensors = safe_load(str(second))
    key = next(iter(tensors))
    save_file({k: v for k, v in tensors.items() if k != key}, second)
    with pytest.raises(InputError, match=f'differ in 1 keys, e.g. {key}') as error:
        FrozenTeacher(small, ClassTokenNeck(32), str(tmp_path))
    assert '\n' not in str(error.value)
    second.unlink()
    with pytest.raises(
        MissingFileError, match="00002-of.*one of 3 files of '"
    ) as error:
        FrozenTeacher(small, ClassTokenNeck(32), str(index))
    assert '\n' not in str(error.value)
    index.write_text('{}')
    with pytest.raises(InputError, match="is not an index.*no 'weight_map'"):
        safe_load(str(index))
