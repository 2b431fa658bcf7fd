"""Parts that do not fit raise when the model is built, not in the first step."""

import logging

import pytest
import torch
from mmengine.logging import MMLogger
from mmpretrain.registry import MODELS

from mmdisco.models import (
    BINGOLoss,
    CompRessLoss,
    DisCo,
    DisCoLoss,
    FrozenTeacher,
    RKDLoss,
    SEEDLoss,
    SimRegLoss,
)
from mmdisco.models.tap import width_of
from tests.models.test_disco import EVAL
from tests.models.test_tap import MLP

POOL = dict(type='GlobalAveragePooling')
ADAPTER = dict(in_features=32, out_features=64)


def build(losses, neck=MLP, kind='PlainStudent', narrow=False, **options):
    torch.manual_seed(0)
    student = dict(EVAL, base_channels=4) if narrow else EVAL  # 32 or 64
    target = MLP if neck is MLP else POOL
    return DisCo(
        dict(type=kind, backbone=student, neck=neck, **options),
        FrozenTeacher(MODELS.build(EVAL), MODELS.build(target)),
        losses,
    )


@pytest.mark.parametrize(
    'losses, options, words',
    [
        (
            CompRessLoss(99, 64),
            dict(neck=POOL),
            'model.distill.teacher_dim is 99, '
            'the teacher gives 64-d embeddings: set it to 64',
        ),
        (
            [DisCoLoss(), CompRessLoss(64, 7)],
            dict(neck=POOL),
            r'model.distill.1.student_dim is 7, the student gives 64-d',
        ),
        (
            CompRessLoss(64, adapter=dict(in_features=3, out_features=64)),
            dict(neck=POOL),
            'adapter goes from 3 to 64, but the student gives 64-d',
        ),
        (SEEDLoss(9, queue_len=16), {}, 'embed_dim is 9, the teacher gives 8-d'),
        (
            DisCoLoss(),
            dict(neck=POOL, narrow=True),
            'teacher gives 64-d embeddings, the student 32-d',
        ),
        (
            SimRegLoss(),
            dict(neck=dict(type='SimRegNeck', in_channels=64, out_channels=50)),
            'teacher gives 64-d embeddings, the student 50-d',
        ),
        (
            BINGOLoss(8, 16),
            dict(views=(0, 1)),
            'BINGOLoss needs the views 0 and 2 of the student, which embeds '
            r'\[0, 1\]: set model.ssl.views',
        ),
        (
            RKDLoss(views=(3,)),
            {},
            r'for the views \[3\], the student embeds \[0\]: set its views',
        ),
        (
            CompRessLoss(64, adapter=dict(in_features=64, out_features=64)),
            dict(neck=POOL, kind='MomentumStudent'),
            'one memory, of the teacher',
        ),
    ],
)
def test_what_does_not_fit_is_named(losses, options, words):
    with pytest.raises(ValueError, match=words):
        build(losses, **options)


def test_what_fits_is_built_and_left_as_it_was():
    model = build(CompRessLoss(64, 32), POOL, 'MomentumStudent', narrow=True)
    assert (width_of(model.ssl), width_of(model.teacher)) == (32, 64)
    assert all(m.training for m in model.backbone.modules())
    assert not any(m.training for m in model.teacher.modules())
    assert model.backbone.norm1.num_batches_tracked == 0
    build(CompRessLoss(64, adapter=ADAPTER), POOL, narrow=True)


def test_a_memory_without_a_moving_average_logs_a_warning(caplog):
    logger = MMLogger.get_instance('checks')
    logger.addHandler(caplog.handler)
    with caplog.at_level(logging.WARNING):
        build(CompRessLoss(64, 64), POOL)
    assert 'PlainStudent has no moving average' in caplog.text


def test_missing_views_are_named():
    model = build(SEEDLoss(8, queue_len=16), views=(0, 2))
    with pytest.raises(
        ValueError,
        match=r'embeds the views \[0, 2\], the '
        'data give 2',
    ):
        model.loss([torch.zeros(2, 3, 64, 64)] * 2)


def test_the_teacher_sees_the_views_that_a_loss_is_for():
    model = build(
        [SEEDLoss(8, queue_len=16, views=(1,)), BINGOLoss(8, 16)], views=(0, 1, 2)
    )
    shown = []
    model.teacher.backbone.register_forward_pre_hook(
        lambda _, args: shown.append(len(args[0]))
    )
    views = [torch.randn(2, 3, 64, 64) for _ in range(3)]
    losses = model.loss(views)
    assert sum(shown) == 2  # view 1, of both
    assert 'cosine' in losses
    assert 'cosine' not in build(RKDLoss()).loss(views)
