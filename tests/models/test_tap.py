from copy import deepcopy

import pytest
import torch
from mmengine.registry import init_default_scope
from mmpretrain.registry import MODELS
from torch import nn

from mmdisco.models import StudentTap

BACKBONE = dict(
    type='ResNet', depth=18, stem_channels=8, base_channels=8, norm_eval=True
)
MLP = dict(type='MoCoV2Neck', in_channels=64, hid_channels=16, out_channels=8)
BN_MLP = dict(
    type='NonLinearNeck',
    in_channels=64,
    hid_channels=16,
    out_channels=8,
    norm_cfg=dict(type='BN1d'),
)
CROSS = dict(type='CrossEntropyLoss')
TESTBEDS = dict(
    MoCo=dict(
        type='MoCo',
        queue_len=8,
        feat_dim=8,
        neck=MLP,
        head=dict(type='ContrastiveHead', loss=CROSS),
    ),
    SimCLR=dict(
        type='SimCLR', neck=BN_MLP, head=dict(type='ContrastiveHead', loss=CROSS)
    ),
    SimSiam=dict(
        type='SimSiam',
        neck=BN_MLP,
        head=dict(
            type='LatentPredictHead',
            loss=dict(type='CosineSimilarityLoss'),
            predictor=dict(
                type='NonLinearNeck',
                in_channels=8,
                hid_channels=8,
                out_channels=8,
                with_avg_pool=False,
                norm_cfg=dict(type='BN1d'),
            ),
        ),
    ),
)
SEEN = dict(MoCo=[0], SimCLR=[0, 1], SimSiam=[0, 1])  # views


@pytest.mark.parametrize('name', TESTBEDS)
def test_rows_equal_a_recomputed_embedding(name):
    torch.manual_seed(0)
    ssl = MODELS.build(dict(TESTBEDS[name], backbone=BACKBONE))
    ssl.train()
    ssl.neck.eval()  # so that an embedding depends on its own image alone
    views = [torch.randn(4, 3, 32, 32) for _ in range(2)]
    with StudentTap(ssl) as tap:
        ssl.loss(list(views), None)
    rows = {}
    for record in tap.records:
        for view, where in tap.rows_of(record.images, views).items():
            rows[view] = record.embeds[where]
    assert sorted(rows) == SEEN[name]
    for view, embeds in rows.items():
        expected = ssl.neck(ssl.backbone(views[view]))[0]
        torch.testing.assert_close(embeds, expected, rtol=1e-5, atol=1e-5)
        (grad,) = torch.autograd.grad(
            embeds.sum(), ssl.backbone.conv1.weight, retain_graph=True
        )
        assert grad.abs().sum() > 0


def test_hooks_live_inside_the_block_only():
    ssl = MODELS.build(dict(TESTBEDS['MoCo'], backbone=BACKBONE))
    views = [torch.randn(4, 3, 32, 32) for _ in range(2)]
    with StudentTap(ssl) as tap:
        assert len(ssl.backbone._forward_hooks) == 1
        ssl.loss(views, None)
    assert not ssl.backbone._forward_hooks and not ssl.neck._forward_hooks
    assert not deepcopy(ssl).backbone._forward_hooks
    ssl.loss(views, None)
    assert len(tap.records) == 1  # the pass after the block is not recorded
    with pytest.raises(RuntimeError, match='inside'), StudentTap(ssl):
        raise RuntimeError('inside')
    assert not ssl.neck._forward_hooks


class Odd(nn.Module):
    """An algorithm with a neck that is called apart from its backbone."""

    def __init__(self, neck=True):
        super().__init__()
        self.backbone = nn.Flatten()
        if neck:
            self.neck = nn.Linear(12, 4)


def test_what_can_not_be_paired_is_refused_by_name():
    with pytest.raises(ValueError, match='Odd has no neck'):
        StudentTap(Odd(neck=False))
    ssl, images = Odd(), torch.randn(2, 3, 2, 2)
    with (
        pytest.raises(ValueError, match='Odd: 0 student passes and 1'),
        StudentTap(ssl),
    ):
        ssl.backbone(images)
    with (
        pytest.raises(ValueError, match="Odd: its neck .* can't pair"),
        StudentTap(ssl),
    ):
        ssl.neck(ssl.backbone(images)[:1])
    with StudentTap(ssl) as tap:
        ssl.neck(ssl.backbone(images))
    with pytest.raises(ValueError, match="Odd: can't find the 2 views in a batch"):
        tap.rows_of(images, [images + 1, images + 2])


MASKED = dict(
    MAE=dict(
        type='MAE',
        backbone=dict(type='MAEViT', arch='deit-t', img_size=32, patch_size=16),
        neck=dict(
            type='MAEPretrainDecoder',
            num_patches=4,
            patch_size=16,
            embed_dim=192,
            decoder_embed_dim=32,
            decoder_depth=1,
            decoder_num_heads=2,
        ),
        head=dict(
            type='MAEPretrainHead',
            patch_size=16,
            loss=dict(type='PixelReconstructionLoss', criterion='L2'),
        ),
    ),
    SparK=dict(
        type='SparK',
        enc_dec_norm_dim=2048,
        enc_dec_norm_cfg=dict(type='SparseSyncBatchNorm2d'),
        backbone=dict(
            type='SparseResNet', depth=50, out_indices=(0, 1, 2, 3), drop_path_rate=0.05
        ),
        neck=dict(
            type='SparKLightDecoder',
            feature_dim=512,
            upsample_ratio=32,
            mid_channels=0,
            last_act=False,
        ),
        head=dict(
            type='SparKPretrainHead',
            loss=dict(type='PixelReconstructionLoss', criterion='L2'),
        ),
    ),
)


@pytest.mark.parametrize('name', MASKED)
def test_masked_images_are_no_views(name):
    init_default_scope('mmpretrain')
    ssl = MODELS.build(deepcopy(MASKED[name]))
    with pytest.raises(ValueError, match=f'{name} learns from what it masks'):
        StudentTap(ssl)


def test_views_are_found_one_after_the_other_and_interleaved():
    tap = StudentTap(Odd())
    views = [torch.randn(3, 3, 2, 2) for _ in range(3)] + [torch.randn(3, 3, 4, 4)]
    rows = tap.rows_of(torch.cat(views[1:3]), views)
    assert rows == {1: slice(0, 3), 2: slice(3, 6)}
    images = torch.stack(views[:3], 1).flatten(0, 1)
    for view, rows in tap.rows_of(images, views).items():
        assert torch.equal(images[rows], views[view])
    assert tap.rows_of(views[3], views) == {3: slice(None)}
