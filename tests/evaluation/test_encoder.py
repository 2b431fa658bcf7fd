"""The encoder of a checkpoint, a named model or a config gives its features."""

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmpretrain.apis import get_model
from mmpretrain.registry import MODELS

from mmdisco.checkpoints import sha256_of
from mmdisco.errors import InputError, MissingFileError
from mmdisco.evaluation.features.encoder import IMAGENET, open_encoder
from mmdisco.zoo import get_model as get_ours
from tests.evaluation.tiny import CONFIG, MEAN, STD, checkpoint
from tests.tools import ROOT, run

QUICKSTART = [MEAN] * 3, [STD] * 3
TEACHER = ROOT / 'demo/teacher/quickstart_r18w32.pth'
CLASSIFIER = """
model = dict(
    type='ImageClassifier',
    backbone=dict(type='ResNet', depth=18, stem_channels=4, base_channels=4),
    neck=dict(type='GlobalAveragePooling'),
    head=dict(type='LinearClsHead', num_classes=2, in_channels=32))
data_preprocessor = dict(mean=[1., 2., 3.], std=[4., 5., 6.], to_rgb=True)
"""


@pytest.fixture(scope='module')
def student(tmp_path_factory):
    path = tmp_path_factory.mktemp('student') / 'epoch_1.pth'
    return path, checkpoint(path)


def images(size=28):
    return torch.randint(
        0,
        256,
        (5, 3, size, size),
        dtype=torch.uint8,
        generator=torch.Generator().manual_seed(0),
    )


@torch.no_grad()
def check(encoder, backbone, normalisation, path, size=28):
    """Its features with those of a plain loop over the channels."""
    x = images(size).float()
    for c, (mean, std) in enumerate(zip(*normalisation)):
        x[:, c] = (x[:, c] - mean) / std
    backbone.eval()
    expected = backbone(x)[-1].mean((2, 3))
    found = encoder(images(size))
    assert not found.requires_grad and found.dtype == torch.float
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)
    for mean_or_std, expected in zip(encoder.normalisation, normalisation):
        assert mean_or_std == pytest.approx(expected)
    assert encoder.sha256 == sha256_of(str(path))
    assert not any(m.training for m in encoder.modules())


def test_a_checkpoint_of_a_pre_training(student):
    path, backbone = student
    check(open_encoder(str(path)), backbone, QUICKSTART, path)


def test_a_given_normalisation_is_used(student):
    path, backbone = student
    normalisation = [10.0, 20.0, 30.0], [40.0, 50.0, 60.0]
    encoder = open_encoder(str(path), normalisation=normalisation)
    check(encoder, backbone, normalisation, path)


def test_an_extracted_backbone(student, tmp_path):
    """It keeps network and normalisation, and a config may give them, too."""
    path, backbone = student
    for name in ('backbone.pth', 'backbone.safetensors'):
        out = tmp_path / name
        run('python', 'tools/extract_backbone.py', path, out)
        check(open_encoder(str(CONFIG), str(out)), backbone, QUICKSTART, out)
        check(open_encoder(str(out)), backbone, QUICKSTART, out)


def test_a_published_student_keeps_its_normalisation(student, tmp_path):
    path, backbone = student
    run('python', 'tools/publish_model.py', path, tmp_path / 'student.pth')
    [out] = tmp_path.glob('student-*.pth')
    check(open_encoder(str(out)), backbone, QUICKSTART, out)


def test_an_extracted_backbone_of_an_unknown_network(r18, tmp_path):
    path, _ = r18
    out = tmp_path / 'backbone.pth'
    run('python', 'tools/extract_backbone.py', path, out)
    with pytest.raises(InputError, match='does not record .* add --arch'):
        open_encoder(str(out))


@pytest.mark.parametrize(
    'kept',
    [
        'rgb',
        [1, 2],
        [[1, 2], [3, 4]],
        [[0, 0, 0], [1, 1, 0]],
        [[0, 0, float('nan')], [1, 1, 1]],
    ],
)
def test_a_normalisation_that_is_not_one(student, tmp_path, kept):
    content = torch.load(student[0], weights_only=True)
    path = tmp_path / 'odd.pth'
    torch.save(
        dict(
            content,
            meta=dict(
                backbone=Config.fromfile(CONFIG).model.backbone.to_dict(),
                normalisation=kept,
            ),
        ),
        path,
    )
    with pytest.raises(InputError, match="odd.pth': its normalisation is"):
        open_encoder(str(path))


@pytest.fixture(scope='module')
def r18(tmp_path_factory):
    """A bare ResNet-18, which does not record its network."""
    init_default_scope('mmpretrain')
    torch.manual_seed(0)
    backbone = MODELS.build(dict(type='ResNet', depth=18))
    path = tmp_path_factory.mktemp('r18') / 'r18.pth'
    torch.save(
        dict(state_dict={f'backbone.{k}': v for k, v in backbone.state_dict().items()}),
        path,
    )
    return path, backbone


def test_a_file_that_does_not_tell_its_network(r18):
    path, backbone = r18
    check(open_encoder(str(path), arch='r18'), backbone, IMAGENET, path, 64)
    with pytest.raises(InputError, match='does not record .* add --arch'):
        open_encoder(str(path))


def test_a_file_that_tells_its_network(r18, tmp_path):
    path, backbone = tmp_path / 'named.pth', r18[1]
    torch.save(dict(torch.load(r18[0]), meta=dict(arch='r18')), path)
    for arch in (None, 'r18'):
        check(open_encoder(str(path), arch=arch), backbone, IMAGENET, path, 64)


def test_another_architecture_than_given(r18, student):
    for path, arch, said in (
        (r18[0], 'r50', 'does not fit this architecture'),
        (r18[0], 'r34', 'does not fit this architecture'),
        (student[0], 'r18', "but --arch says 'r18'"),
        (r18[0], 'r999', "arch 'r999' is not known"),
    ):
        with pytest.raises(InputError) as caught:
            open_encoder(str(path), arch=arch)
        assert said in str(caught.value) and '\n' not in str(caught.value)


def test_a_model_of_the_zoo(student):
    path, backbone = student
    encoder = open_encoder('quickstart_mocov2', str(path))
    check(encoder, backbone, QUICKSTART, path)


def test_a_teacher_of_the_zoo():
    teacher = get_ours('quickstart', str(TEACHER))
    encoder = open_encoder('quickstart', str(TEACHER))
    check(encoder, teacher.backbone, encoder.normalisation, TEACHER)


def test_a_config_of_a_pre_training(student):
    path, backbone = student
    check(open_encoder(str(CONFIG), str(path)), backbone, QUICKSTART, path)


def test_a_config_of_mmpretrain(tmp_path):
    config, path = tmp_path / 'classifier.py', tmp_path / 'model.pth'
    config.write_text(CLASSIFIER)
    init_default_scope('mmpretrain')
    torch.manual_seed(1)
    model = MODELS.build(Config.fromfile(config).model)
    torch.save(dict(state_dict=model.state_dict(), meta={}), path)
    check(
        open_encoder(str(config), str(path)),
        model.backbone,
        ([1.0, 2.0, 3.0], [4.0, 5.0, 6.0]),
        path,
    )
    config.write_text(CLASSIFIER.replace('depth=18', 'depth=34'))
    with pytest.raises(InputError, match='does not fit this architecture'):
        open_encoder(str(config), str(path))
    with pytest.raises(InputError, match='has no weights: add --checkpoint'):
        open_encoder(str(config))


def test_a_model_of_mmpretrain(r18, tmp_path):
    """Its file fits, or it is an error: nothing is left at random."""
    path, backbone = r18
    processor = get_model('resnet18_8xb32_in1k').data_preprocessor
    normalisation = [*map(float, processor.mean)], [*map(float, processor.std)]
    check(
        open_encoder('resnet18_8xb32_in1k', str(path)),
        backbone,
        normalisation,
        path,
        64,
    )
    with pytest.raises(InputError, match='does not fit this architecture'):
        open_encoder('resnet34_8xb32_in1k', str(path))
    with pytest.raises(InputError, match='does not fit this architecture'):
        open_encoder('quickstart_mocov2', str(path))


def test_models_that_do_not_exist(student, tmp_path):
    with pytest.raises(MissingFileError, match='neither a file nor the name'):
        open_encoder('resnet19')
    with pytest.raises(InputError, match='is a checkpoint: --checkpoint is'):
        open_encoder(str(student[0]), str(student[0]))
    for model in ('quickstart_mocov2', str(CONFIG)):
        with pytest.raises(MissingFileError, match="none.pth' not found"):
            open_encoder(model, str(tmp_path / 'none.pth'))
        with pytest.raises(InputError, match='--arch is for checkpoints'):
            open_encoder(model, str(student[0]), arch='r18')
