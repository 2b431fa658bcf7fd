import pytest
import torch
from mmpretrain.models import MoCoV2Neck
from mmpretrain.registry import MODELS

from mmdisco.models import FrozenTeacher
from tests.models.toy import ToyBackbone

BACKBONE = dict(type='ResNet', depth=18, stem_channels=8, base_channels=8)
NECK = dict(
    type='NonLinearNeck',
    in_channels=64,
    hid_channels=16,
    out_channels=8,
    norm_cfg=dict(type='BN1d'),
)


@pytest.fixture
def networks():
    torch.manual_seed(0)
    backbone, neck = MODELS.build(BACKBONE), MODELS.build(NECK)
    for module in backbone.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.normal_()
            module.running_var.uniform_(0.5, 2)
    return backbone, neck


def save(path, networks, names=('backbone.', 'neck.')):
    state_dict = {
        name + key: value
        for name, net in zip(names, networks)
        for key, value in net.state_dict().items()
    }
    torch.save(dict(state_dict=state_dict), path)
    return str(path)


def test_eval_mode_is_always_the_plain_network(networks):
    backbone, neck = networks
    teacher = FrozenTeacher(backbone, neck)
    teacher.train()
    images = torch.randn(3, 3, 32, 32)
    single = torch.cat([teacher(image[None]) for image in images])
    torch.testing.assert_close(teacher(images), single, rtol=1e-4, atol=1e-5)
    views = teacher([images, images[:2]])
    torch.testing.assert_close(views[0], teacher(images))
    torch.testing.assert_close(views[1], single[:2], rtol=1e-4, atol=1e-5)
    assert not teacher(images).requires_grad
    assert not any(p.requires_grad for p in teacher.parameters())


def test_batch_mode_uses_the_batch_and_leaves_running_statistics(networks):
    backbone, neck = networks
    teacher = FrozenTeacher(backbone, neck, norm_mode='batch')
    before = {k: v.clone() for k, v in teacher.state_dict().items()}
    images = torch.randn(4, 3, 32, 32)
    actual = teacher(images)
    for key, value in teacher.state_dict().items():
        assert torch.equal(value, before[key]), key
    # the same networks in plain train mode, as in the released code
    for module in (backbone, neck):
        for part in module.modules():
            part.training = True
            if hasattr(part, 'track_running_stats'):
                part.track_running_stats = True
    expected = neck(backbone(images))[0]
    torch.testing.assert_close(actual, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    'names', [('backbone.', 'neck.'), ('ssl.backbone.', 'ssl.neck.')]
)
def test_it_reads_this_projects_files(tmp_path, networks, names):
    path = save(tmp_path / 'teacher.pth', networks, names)
    teacher = FrozenTeacher(BACKBONE, NECK, path)
    plain = FrozenTeacher(*networks)
    images = torch.randn(2, 3, 32, 32)
    torch.testing.assert_close(teacher(images), plain(images))


def test_it_reads_the_public_moco_file_and_leaves_the_rest(tmp_path):
    toy = ToyBackbone(4, 8), MoCoV2Neck(8, 16, 4)
    state = {f'module.encoder_q.{k}': v for k, v in toy[0].state_dict().items()}
    state |= {
        f'module.encoder_q.fc.{k.removeprefix("mlp.")}': v
        for k, v in toy[1].state_dict().items()
    }
    state |= {
        'module.encoder_k.conv1.weight': torch.zeros(4, 3, 3, 3),
        'module.queue': torch.zeros(4, 8),
        'module.queue_ptr': torch.zeros(1),
    }
    path = tmp_path / 'moco.pth.tar'
    torch.save(dict(epoch=200, arch='resnet50', state_dict=state), path)
    teacher = FrozenTeacher(ToyBackbone(4, 8), MoCoV2Neck(8, 16, 4), str(path))
    images = torch.randn(2, 3, 32, 32)
    plain = FrozenTeacher(*toy)
    torch.testing.assert_close(teacher(images), plain(images))


def test_a_missing_file_is_named_with_its_address(networks):
    with pytest.raises(FileNotFoundError, match='download it from https://a.b/c'):
        FrozenTeacher(*networks, checkpoint='nowhere.pth', url='https://a.b/c')


def test_weights_learned_with_other_settings_are_refused(tmp_path, networks):
    """Settings are read from a converted file; otherwise the network would differ."""
    path = save(tmp_path / 'eps.pth', networks)
    content = torch.load(path)
    norm = dict(type='BN', eps=1e-3, momentum=0.01)
    content['meta'] = dict(overrides=dict(norm_cfg=norm))
    torch.save(content, path)
    for backbone in (BACKBONE, networks[0]):
        with pytest.raises(ValueError, match='set model.teacher.backbone'):
            FrozenTeacher(backbone, NECK, checkpoint=path)
    FrozenTeacher(
        dict(BACKBONE, norm_cfg=dict(type='BN', eps=1e-3)), NECK, checkpoint=path
    )


def test_weights_that_are_not_finite_are_refused(tmp_path, networks):
    networks[1].fc1.weight.data[0, 0] = float('nan')
    path = save(tmp_path / 'nan.pth', networks)
    with pytest.raises(ValueError, match='neck.fc1.weight is not finite'):
        FrozenTeacher(BACKBONE, NECK, checkpoint=path)


def test_faults_of_a_file_are_named_in_one_line(tmp_path, networks):
    cases = [(str(tmp_path / 'none.pth'), FileNotFoundError, "none.pth' not")]
    bare = save(tmp_path / 'bare.pth', networks[:1])
    cases.append((bare, ValueError, 'no projection head'))
    junk = tmp_path / 'junk.pth'
    junk.write_text('<html>404</html>')
    cases.append((str(junk), ValueError, "junk.pth' is no"))
    whole = save(tmp_path / 'whole.pth', networks)
    half = tmp_path / 'half.pth'
    data = open(whole, 'rb').read()
    half.write_bytes(data[: len(data) // 2])
    cases.append((str(half), ValueError, "half.pth' is no"))
    other = tmp_path / 'other.pth'
    torch.save(dict(model=torch.zeros(1)), other)
    cases.append((str(other), ValueError, 'no known backbone'))
    for path, kind, words in cases:
        with pytest.raises(kind, match=words) as error:
            FrozenTeacher(BACKBONE, NECK, path)
        assert '\n' not in str(error.value)
    wrong = dict(BACKBONE, base_channels=16)
    with pytest.raises(ValueError, match='of another shape or kind, e.g.'):
        FrozenTeacher(wrong, NECK, whole)
    with pytest.raises(ValueError, match='missing, e.g. backbone.layer'):
        FrozenTeacher(dict(BACKBONE, depth=34), NECK, whole)
    with pytest.raises(ValueError, match='set model.teacher.checkpoint'):
        FrozenTeacher(BACKBONE, NECK)
    with pytest.raises(ValueError, match="'eval' or 'batch', got 'train'"):
        FrozenTeacher(*networks, norm_mode='train')
    with pytest.raises(ValueError, match="fuse=True .* norm_mode='batch'"):
        FrozenTeacher(*networks, norm_mode='batch', fuse=True)
    with pytest.raises(ValueError, match="fp32, bf16, fp16, got 'int8'"):
        FrozenTeacher(*networks, dtype='int8')
