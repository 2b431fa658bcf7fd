"""A linear classifier does not change its backbone, for all backbones."""

import pytest
import torch
import torch.distributed as dist
from mmengine.optim import OptimWrapper
from mmengine.registry import init_default_scope
from mmpretrain.models import VisionTransformer
from mmpretrain.registry import MODELS
from mmpretrain.structures import DataSample
from torch.nn import functional as F
from torch.nn.parallel import DistributedDataParallel

from mmdisco.models import LastBlocksViT, LinearClassifier

VIT = dict(
    arch=dict(embed_dims=16, num_layers=3, num_heads=2, feedforward_channels=32),
    img_size=32,
    patch_size=8,
)
BACKBONES = dict(
    resnet=(dict(type='ResNet', depth=18, stem_channels=8, base_channels=8), 64),
    # would drop most features
    vit=(dict(VIT, type='VisionTransformer', drop_rate=0.5, drop_path_rate=0.5), 16),
)


def build(name, **options):
    init_default_scope('mmpretrain')
    torch.manual_seed(0)
    backbone, width = BACKBONES[name]
    neck = dict(type='GlobalAveragePooling') if name == 'resnet' else None
    model = LinearClassifier(
        backbone,
        neck,
        dict(type='LinearClsHead', num_classes=3, in_channels=width),
        **options,
    )
    model.init_weights()
    return model


def batch():
    torch.manual_seed(1)
    return dict(
        inputs=torch.randn(6, 3, 32, 32),
        data_samples=[DataSample().set_gt_label(i % 3) for i in range(6)],
    )


@pytest.mark.parametrize('name', BACKBONES)
def test_steps_change_the_classifier_alone(name):
    model = build(name)
    before = {k: v.clone() for k, v in model.state_dict().items()}
    # all parameters, as mmengine gives them to the optimizer
    wrapper = OptimWrapper(
        torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9, weight_decay=0.1)
    )
    for _ in range(2):
        model.train()
        assert not any(m.training for m in model.backbone.modules())
        model.train_step(batch(), wrapper)
    assert [
        k for k, v in model.state_dict().items() if not torch.equal(v, before[k])
    ] == ['head.fc.weight', 'head.fc.bias']


@pytest.mark.parametrize('name', BACKBONES)
def test_features_in_training_are_those_of_evaluation(name):
    model, images = build(name), batch()['inputs']
    model.train()
    first, second = (model.extract_feat(images)[-1] for _ in range(2))
    model.eval()
    assert torch.equal(first, second)
    assert torch.equal(first, model.extract_feat(images)[-1])


@pytest.mark.parametrize('name', BACKBONES)
def test_ddp_finds_nothing_unused(name, tmp_path):
    """DDP would fail in the second step if a parameter had no gradient."""
    dist.init_process_group('gloo', f'file://{tmp_path}/store', rank=0, world_size=1)
    try:
        model = DistributedDataParallel(build(name))
        for _ in range(2):
            model.train()
            model(**batch(), mode='loss')['loss'].backward()
        assert model.module.head.fc.weight.grad is not None
    finally:
        dist.destroy_process_group()


@pytest.mark.parametrize('name', BACKBONES)
def test_finetuning_trains_all(name):
    model = build(name, finetune=True)
    model.train()
    assert all(m.training for m in model.backbone.modules())
    model(**batch(), mode='loss')['loss'].backward()
    for key, param in model.named_parameters():
        assert param.requires_grad and param.grad is not None, key
    model.eval()
    assert not any(m.training for m in model.modules())


def test_last_blocks_are_normed_class_tokens_side_by_side():
    init_default_scope('mmpretrain')
    torch.manual_seed(0)
    model = LastBlocksViT(**VIT, out_indices=[1, 2])
    model.init_weights()
    with torch.no_grad():
        model.ln1.weight.uniform_(0.5, 2)
        model.ln1.bias.normal_()
    tokens = []
    for layer in model.layers:
        layer.register_forward_hook(lambda m, i, out: tokens.append(out[:, 0]))
    model.eval()
    with torch.no_grad():
        (feats,) = model(batch()['inputs'])
    expected = torch.cat(
        [
            F.layer_norm(t, (16,), model.ln1.weight, model.ln1.bias, 1e-6)
            for t in tokens[1:]
        ],
        1,
    )
    assert feats.shape == (6, 32)
    torch.testing.assert_close(feats, expected)
    plain = VisionTransformer(**VIT)
    plain.load_state_dict(model.state_dict())  # strictly
    plain.eval()
    with torch.no_grad():
        assert torch.equal(plain(batch()['inputs'])[-1], feats[:, 16:])
    assert MODELS.get('LastBlocksViT') is LastBlocksViT
