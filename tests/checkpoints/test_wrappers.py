"""Wrappers of torch and of trainers in tensor names."""

from copy import deepcopy
from itertools import permutations

import pytest
import torch
import torchvision
from mmpretrain.registry import MODELS
from torch import nn
from torch.distributed.algorithms._checkpoint import checkpoint_wrapper
from torch.optim.swa_utils import AveragedModel

from mmdisco.checkpoints import (
    arch_config,
    bare_name,
    convert,
    fit,
    momentum_encoder,
    read_prototypes,
)
from mmdisco.errors import InputError


class MoCo(nn.Module):
    """The tensors of a public MoCo-v2 checkpoint."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.encoder_q = torchvision.models.resnet18()
        self.encoder_q.fc = nn.Sequential(
            nn.Linear(512, 16), nn.ReLU(), nn.Linear(16, 8)
        )
        self.encoder_k = deepcopy(self.encoder_q)
        with torch.no_grad():
            for param in self.encoder_k.parameters():
                param.add_(1)
        self.register_buffer('queue', torch.zeros(8, 4))
        self.register_buffer('queue_ptr', torch.zeros(1, dtype=torch.long))


@pytest.fixture(scope='module')
def moco():
    return MoCo()


def check(state_dict, moco):
    """Check that every tensor of the query encoder is converted."""
    conversion = convert(dict(state_dict=state_dict))
    assert conversion.family == 'moco' and 'encoder_q' in conversion.taken
    result = fit(conversion, arch_config('r18'))
    assert result.faults == 0 and result.neck['hid_channels'] == 16
    names = {'fc.0': 'neck.mlp.0', 'fc.2': 'neck.mlp.2'}
    for key, value in moco.encoder_q.state_dict().items():
        module, _, leaf = key.rpartition('.')
        name = f'{names.get(module, f"backbone.{module}")}.{leaf}'
        assert torch.equal(conversion.state_dict[name], value), key
    return conversion


def compiled(module):
    """A compiled module; compilation only starts when it runs."""
    return torch.compile(module, backend='eager')


def test_wrappers_of_torch_itself(moco):
    """Wrappers created by torch, around the model and inside it."""
    inner = deepcopy(moco)
    inner.encoder_q = compiled(inner.encoder_q)
    layer = deepcopy(moco)
    layer.encoder_q.layer1 = checkpoint_wrapper.checkpoint_wrapper(
        layer.encoder_q.layer1
    )
    for name, wrapped in dict(
        none=moco,
        compiled=compiled(moco),
        parallel=nn.DataParallel(moco),
        both=compiled(nn.DataParallel(moco)),
        averaged=AveragedModel(moco),
        inside=inner,
        twice=nn.DataParallel(inner),
        checkpointed=layer,
    ).items():
        state_dict = wrapped.state_dict()
        conversion = check(state_dict, moco)
        left = conversion.left_out
        assert ('count of averaged weights' in left) == (name == 'averaged')
        # the report has the keys of the file
        assert set(left['momentum encoder']) == {
            k for k in state_dict if '.encoder_k.' in f'.{k}'
        }


@pytest.mark.parametrize(
    'wrappers', permutations(('module', '_orig_mod', '_fsdp_wrapped_module'), 3)
)
def test_any_order_and_depth(wrappers, moco):
    state_dict = {}
    for i, (key, value) in enumerate(moco.state_dict().items()):
        path, at = key.split('.'), i % key.count('.') if '.' in key else 0
        state_dict['.'.join([*path[:at], *wrappers, *path[at:]])] = value
    check(state_dict, moco)


@pytest.mark.parametrize(
    'key, bare',
    [
        ('module._orig_mod.encoder_q.conv1.weight', 'encoder_q.conv1.weight'),
        ('model._orig_mod.backbone.conv1.weight', 'backbone.conv1.weight'),
        (
            'model.backbone._checkpoint_wrapped_module.conv1.weight',
            'backbone.conv1.weight',
        ),
        ('_forward_module.model.conv1.weight', 'conv1.weight'),
        ('_fpw_module.module.conv1.weight', 'conv1.weight'),
        ('encoder_k.module.0.conv1.weight', 'encoder_k.0.conv1.weight'),
        ('backbone.model.conv1.weight', 'backbone.model.conv1.weight'),
        ('module', 'module'),
        ('model', 'model'),
    ],
)
def test_bare_names(key, bare):
    assert bare_name(key) == bare


def test_two_networks_under_one_name_are_refused():
    network = torchvision.models.resnet18().state_dict()
    both = {**network, **{f'module.{k}': v for k, v in network.items()}}
    with pytest.raises(
        InputError,
        match="'conv1.weight' and 'module.conv1.weight' are both 'conv1.weight'",
    ):
        convert(both)


@pytest.mark.parametrize(
    'encoder, average',
    [
        ('encoder_q', 'encoder_k'),
        ('online_net', 'target_net'),
        ('base_encoder', 'momentum_encoder.module'),
    ],
)
def test_mmselfsup_0(encoder, average):
    """Backbone and neck are in a sequence, and saved twice."""
    arch = arch_config('r18')
    backbone, neck = (
        MODELS.build(arch.backbone),
        MODELS.build(dict(arch.neck, hid_channels=16)),
    )
    row = nn.Sequential(backbone, neck).state_dict()
    state_dict = {
        **{f'{encoder}.{k}': v for k, v in row.items()},
        **{f'{average}.{k}': v + 1 for k, v in row.items()},
        **{f'backbone.{k}': v for k, v in backbone.state_dict().items()},
        'queue': torch.zeros(128, 4),
        'predictor.fc0.weight': torch.zeros(1),
    }
    for prefix in ('', 'module.'):
        content = dict(
            meta={}, state_dict={f'{prefix}{k}': v for k, v in state_dict.items()}
        )
        conversion = convert(content)
        assert conversion.family == 'mmselfsup'
        assert encoder in conversion.taken
        result = fit(conversion, arch)
        assert result.faults == 0 and result.neck['hid_channels'] == 16
        for part, network in zip(('backbone', 'neck'), (backbone, neck)):
            for key, value in network.state_dict().items():
                assert torch.equal(conversion.part(part)[key], value)
        momentum = momentum_encoder(content['state_dict'])
        assert torch.equal(momentum['backbone.conv1.weight'], backbone.conv1.weight + 1)


def test_swav_without_a_wrapper():
    network = torchvision.models.resnet18()
    head = nn.Sequential(
        nn.Linear(512, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Linear(16, 8)
    )
    backbone = {
        k: v for k, v in network.state_dict().items() if not k.startswith('fc.')
    }
    state_dict = {
        **backbone,
        **{f'projection_head.{k}': v for k, v in head.state_dict().items()},
        'prototypes.weight': torch.zeros(3, 8),
    }
    for prefix in ('', 'module.', '_orig_mod.module.'):
        conversion = convert({f'{prefix}{k}': v for k, v in state_dict.items()})
        assert conversion.family == 'swav' and not conversion.unexpected
        assert conversion.left_out == {'prototypes': [f'{prefix}prototypes.weight']}
        assert conversion.part('backbone').keys() == backbone.keys()
        assert torch.equal(conversion.part('neck')['fc1.weight'], head[3].weight)


def test_seed_and_dino_without_and_with_wrappers(tmp_path):
    network = {
        k: v
        for k, v in torchvision.models.resnet18().state_dict().items()
        if not k.startswith('fc.')
    }
    for prefix in ('', 'module.', 'module._orig_mod.'):
        seed = convert(
            dict(
                state_dict={
                    **{f'{prefix}student.{k}': v for k, v in network.items()},
                    f'{prefix}student.fc.0.weight': torch.zeros(16, 512),
                    f'{prefix}student.fc.2.weight': torch.zeros(8, 16),
                    f'{prefix}teacher.conv1.weight': torch.zeros(1),
                }
            )
        )
        assert (seed.family, seed.taken) == ('seed', "the student in 'state_dict'")
        head = {
            f'{prefix}head.last_layer.weight_g': torch.ones(3, 1),
            f'{prefix}head.last_layer.weight_v': torch.ones(3, 4),
        }
        content = dict(
            teacher={
                **{f'{prefix}backbone.{k}': v for k, v in network.items()},
                **head,
                f'{prefix}head.mlp.4.weight': torch.zeros(4, 4),
            }
        )
        dino = convert(content)
        assert dino.family == 'dino' and 'momentum' in dino.taken
        assert dino.left_out["prototypes of DINO's loss"] == [*head]
        torch.save(content, tmp_path / 'dino.pth')
        rows = read_prototypes(str(tmp_path / 'dino.pth')).prototypes
        assert torch.equal(rows, torch.full((3, 4), 0.5))


@pytest.mark.parametrize('entry', ['state_dict', 'model', 'model_state_dict', 'module'])
def test_entries_of_trainers(entry, moco):
    """The report names the converted entry and the others."""
    weights = {f'module.{k}': v for k, v in moco.state_dict().items()}
    conversion = convert(
        {
            entry: weights,
            'state_dict_ema': {k: v + 1 for k, v in weights.items()},
            'epoch': 3,
        }
    )
    assert conversion.taken.endswith(f"in '{entry}'")
    assert torch.equal(
        conversion.part('backbone')['conv1.weight'], moco.encoder_q.conv1.weight
    )
    assert conversion.left_out['entries beside the weights'] == [
        'state_dict_ema',
        'epoch',
    ]
