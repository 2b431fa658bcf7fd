import pytest
import torch
from mmpretrain.registry import MODELS

from mmdisco.models import DisCo, DisCoLoss, FrozenTeacher, RetroNeck
from tests.models.test_disco import EVAL
from tests.models.test_tap import TESTBEDS

HEAD = dict(
    type='NonLinearNeck',
    in_channels=64,
    hid_channels=16,
    out_channels=8,
    norm_cfg=dict(type='BN1d'),
)


@pytest.fixture
def teacher(tmp_path):
    """A teacher and its file."""
    torch.manual_seed(0)
    backbone, neck = MODELS.build(EVAL), MODELS.build(HEAD)
    torch.nn.init.uniform_(neck.bn0.weight)
    state = {
        f'{name}.{k}': v
        for name, part in (('backbone', backbone), ('neck', neck))
        for k, v in part.state_dict().items()
    }
    path = str(tmp_path / 'teacher.pth')
    torch.save(dict(state_dict=state), path)
    return FrozenTeacher(EVAL, HEAD, path)


def test_the_head_is_the_teachers_and_stays_so(teacher):
    narrow = dict(EVAL, base_channels=4)
    ssl = dict(
        TESTBEDS['MoCo'],
        backbone=narrow,
        neck=dict(
            type='RetroNeck',
            in_channels=32,
            head=HEAD,
            checkpoint=teacher.checkpoint,
            init_cfg=[dict(type='Normal', layer=['Conv2d', 'Linear'], std=0.1)],
        ),
    )
    model = DisCo(ssl, teacher, DisCoLoss(), extra_views=(1,))
    model.init_weights()
    model.train()
    neck = model.neck
    assert not any(m.training for m in neck.head.modules())
    feat = torch.randn(3, 32, 2, 2)
    pooled = feat.mean((2, 3))
    conv, norm, relu = neck.adapter
    neck.adapter.eval()
    adapted = relu(norm((pooled @ conv.weight[:, :, 0, 0].T)[..., None, None]))
    torch.testing.assert_close(neck((feat,))[0], teacher.neck((adapted,))[0])
    views = [torch.randn(4, 3, 32, 32) for _ in range(2)]
    loss, _ = model.parse_losses(model.loss(views))
    loss.backward()
    for key, value in neck.head.state_dict().items():
        assert torch.equal(value, teacher.neck.state_dict()[key]), key
    assert all(p.grad is None for p in neck.head.parameters())
    assert neck.adapter[0].weight.grad.abs().sum() > 0


def test_another_head_is_refused(teacher):
    with pytest.raises(ValueError, match='the head of .* does not fit'):
        RetroNeck(32, dict(HEAD, hid_channels=8), teacher.checkpoint)


def test_a_missing_file_and_another_file_are_named(teacher, tmp_path):
    with pytest.raises(FileNotFoundError, match="'none.pth' not found.*https"):
        RetroNeck(32, HEAD, 'none.pth', url='https://example.org/none.pth')
    other = str(tmp_path / 'other.pth')
    weights = torch.load(teacher.checkpoint)
    weights['state_dict']['backbone.conv1.weight'] += 1
    torch.save(weights, other)
    ssl = dict(TESTBEDS['SimCLR'], backbone=EVAL, neck=RetroNeck(64, HEAD, other))
    with pytest.raises(ValueError, match='RetroNeck has read another file'):
        DisCo(ssl, teacher, DisCoLoss())


def test_a_teacher_may_give_the_backbones_feature(teacher, tmp_path):
    """For a file with a head and a file without one."""
    pool = dict(type='GlobalAveragePooling')
    images = torch.randn(2, 3, 64, 64)
    expected = teacher.backbone(images)[-1].mean((2, 3))
    alone = str(tmp_path / 'alone.pth')
    torch.save(
        dict(
            state_dict={
                f'backbone.{k}': v for k, v in teacher.backbone.state_dict().items()
            }
        ),
        alone,
    )
    for path in (teacher.checkpoint, alone):
        torch.testing.assert_close(FrozenTeacher(EVAL, pool, path)(images), expected)
