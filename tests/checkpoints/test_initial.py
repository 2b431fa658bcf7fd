"""Initial weights: all tensors of a file, or an error."""

import pytest
import torch
from mmpretrain.registry import MODELS
from safetensors.torch import save_file
from torch import nn

from mmdisco.checkpoints import initial_weights, sha256_of
from mmdisco.errors import InputError
from mmdisco.models import DisCo, FrozenTeacher
from tests.models.test_tap import BACKBONE, BN_MLP, MLP, TESTBEDS

PREDICTOR = dict(
    type='NonLinearNeck',
    in_channels=8,
    hid_channels=8,
    out_channels=8,
    with_avg_pool=False,
    norm_cfg=dict(type='BN1d'),
)
HOSTED = dict(
    TESTBEDS,
    BYOL=dict(
        type='BYOL',
        neck=BN_MLP,
        head=dict(
            type='LatentPredictHead',
            predictor=PREDICTOR,
            loss=dict(type='CosineSimilarityLoss'),
        ),
    ),
)


def build(name='MoCo', seed=0, disco=False, **changes):
    torch.manual_seed(seed)
    ssl = MODELS.build(dict(HOSTED[name], backbone=BACKBONE, **changes))
    for value in ssl.parameters():  # distinct values, also in norms
        nn.init.normal_(value)
    if not disco:
        return ssl
    teacher = FrozenTeacher(MODELS.build(BACKBONE), MODELS.build(MLP))
    return DisCo(ssl, teacher, dict(type='DisCoLoss'))


def classifier(classes=3, seed=0):
    torch.manual_seed(seed)
    return MODELS.build(
        dict(
            type='ImageClassifier',
            backbone=BACKBONE,
            neck=dict(type='GlobalAveragePooling'),
            head=dict(type='LinearClsHead', in_channels=64, num_classes=classes),
        )
    )


def save(path, state_dict, **beside):
    torch.save(dict(state_dict=state_dict, **beside), path)
    return str(path)


def renamed(model, **names):
    """Tensors of the given parts under other prefixes."""
    return {
        new + key.removeprefix(f'{part}.'): value
        for part, new in names.items()
        for key, value in model.state_dict().items()
        if key.startswith(f'{part}.')
    }


@pytest.mark.parametrize('disco', [False, True])
@pytest.mark.parametrize('name', HOSTED)
def test_a_whole_model_is_loaded_whole(tmp_path, name, disco):
    saved, model = build(name, 0, disco), build(name, 1, disco)
    path = save(tmp_path / 'a.pth', saved.state_dict(), optimizer={})
    tensors, report = initial_weights(model, path)
    assert tensors.keys() == model.state_dict().keys()
    count = len(tensors)
    assert report == (
        f"loaded {count}/{count} tensors of all from '{path}' "
        f'(sha256 {sha256_of(path)[:12]})'
    )


@pytest.mark.parametrize('disco', [False, True])
@pytest.mark.parametrize('name', HOSTED)
def test_a_student_takes_backbone_and_momentum_encoder(tmp_path, name, disco):
    saved, model = build(name, 0), build(name, 1, disco)
    backbone = saved.backbone.state_dict()
    path = save(tmp_path / 'a.pth', renamed(saved, backbone='backbone.'))
    tensors, report = initial_weights(model, path)
    scope = 'ssl.' if disco else ''
    momentum = dict(MoCo='encoder_k', BYOL='target_net').get(name)
    expected = {f'{scope}backbone.{key}': value for key, value in backbone.items()}
    if momentum:
        expected.update(
            (f'{scope}{momentum}.module.0.{key}', value)
            for key, value in backbone.items()
        )
    assert tensors.keys() == expected.keys()
    for key, value in expected.items():
        assert torch.equal(tensors[key], value), key
    count = len(backbone)
    assert report.startswith(f'loaded {count}/{count} tensors of backbone ')
    assert (f'{count} of the momentum encoder follow' in report) == bool(momentum)
    assert f'as initialised: {scope}neck (' in report.replace(
        f'{scope}queue (1), {scope}queue_ptr (1), ', ''
    )


def published(kind, saved):
    """A checkpoint with MoCo-v2's MLP in another project's layout."""
    backbone = saved.backbone.state_dict()
    mlp = {
        f'fc.{key.removeprefix("mlp.")}': value
        for key, value in saved.neck.state_dict().items()
    }
    if kind == 'moco':
        return dict(
            state_dict={
                **{f'module.encoder_q.{k}': v for k, v in {**backbone, **mlp}.items()},
                'module.encoder_k.conv1.weight': torch.zeros(1),
                'module.queue': torch.zeros(8, 4),
            }
        )
    if kind == 'torchvision':
        return backbone
    return dict(state_dict={f'module.{k}': v for k, v in backbone.items()})


@pytest.mark.parametrize(
    'kind', ['moco', 'torchvision', 'ddp', 'disco', 'other queue', 'safetensors']
)
def test_every_known_layout_is_read(tmp_path, kind):
    saved, model = build(seed=0), build(seed=1, disco=True)
    path, neck = tmp_path / 'a.pth', kind in ('moco', 'disco', 'other queue')
    if kind == 'disco':
        save(path, build(seed=0, disco=True).state_dict())
        model = build(seed=1)
    elif kind == 'other queue':
        saved = build(seed=0, queue_len=64)
        save(path, saved.state_dict())
        model = build(seed=1)
    elif kind == 'safetensors':
        path = tmp_path / 'a.safetensors'
        save_file(renamed(saved, backbone='backbone.'), str(path))
    else:
        torch.save(published(kind, saved), path)
    tensors, report = initial_weights(model, str(path))
    scope = 'ssl.' if hasattr(model, 'ssl') else ''
    for part in ('backbone', 'neck')[: 1 + neck]:
        for key, value in getattr(saved, part).state_dict().items():
            assert torch.equal(tensors[f'{scope}{part}.{key}'], value), key
    assert ('left out: ' in report and 'queue of keys' in report) == neck
    assert f'{scope}queue (1)' in report.split('as initialised')[1]


def test_a_classifier_takes_a_backbone_and_names_its_head(tmp_path):
    path = save(tmp_path / 'a.pth', build().state_dict())
    tensors, report = initial_weights(classifier(), path)
    assert {key.split('.')[0] for key in tensors} == {'backbone'}
    assert '4 projection head' in report
    assert report.endswith('as initialised: head (2)')
    path = save(tmp_path / 'b.pth', classifier(5).state_dict())
    _, report = initial_weights(classifier(3), path)
    assert '2 not the student' in report
    assert report.endswith('as initialised: head (2)')


class Detector(nn.Module):
    """Parts with the names of a detector's."""

    def __init__(self, classes=3):
        super().__init__()
        self.backbone = MODELS.build(BACKBONE)
        self.neck = nn.Conv2d(64, 8, 1)
        self.bbox_head = nn.Linear(8, classes)


def test_a_detector_is_loaded_whole_or_takes_a_backbone(tmp_path):
    saved, model = Detector(), Detector()
    path = save(tmp_path / 'a.pth', saved.state_dict())
    tensors, _ = initial_weights(model, path)
    assert tensors.keys() == model.state_dict().keys()
    with pytest.raises(
        InputError,
        match=r'bbox_head.weight \(\[3, 8\] in the '
        r'file, \[5, 8\] in the model\)',
    ):
        initial_weights(Detector(5), path)
    path = save(tmp_path / 'b.pth', renamed(saved, backbone='backbone.'))
    tensors, report = initial_weights(model, path)
    assert {key.split('.')[0] for key in tensors} == {'backbone'}
    assert report.endswith('as initialised: neck (2), bbox_head (2)')


def wider(state_dict):
    return {**state_dict, 'backbone.conv1.weight': torch.zeros(9, 3, 7, 7)}


def without(state_dict):
    return {k: v for k, v in state_dict.items() if k[:16] != 'backbone.layer4.'}


def with_more(state_dict):
    return {**state_dict, 'backbone.layer9.weight': torch.zeros(1)}


def not_finite(state_dict):
    key = 'backbone.conv1.weight'
    return {**state_dict, key: state_dict[key] * torch.nan}


def of_nobody(state_dict):
    return {k.replace('backbone', 'trunk'): v for k, v in state_dict.items()}


@pytest.mark.parametrize(
    'change, words',
    [
        (wider, r'conv1.weight \(\[9, 3, 7, 7\] in the file, \[8, 3, 7, 7\]'),
        (without, 'missing, e.g. layer4'),
        (with_more, 'unexpected, e.g. layer9.weight'),
        (not_finite, 'conv1.weight is not finite'),
        (of_nobody, "first key is 'trunk"),
        (lambda state: {}, 'not a checkpoint of any known family'),
    ],
)
@pytest.mark.parametrize('disco', [False, True])
def test_weights_that_do_not_fit_stop_the_run(tmp_path, change, words, disco):
    path = save(tmp_path / 'a.pth', change(renamed(build(), backbone='backbone.')))
    with pytest.raises(InputError, match=words):
        initial_weights(build(disco=disco), path)


def test_another_head_names_the_remedy(tmp_path):
    path = save(tmp_path / 'a.pth', build().state_dict())
    other = build(neck=dict(MLP, hid_channels=32))
    with pytest.raises(InputError, match='neck of .*with tools/extract_backbone'):
        initial_weights(other, path)


def init(path, **options):
    backbone = MODELS.build(
        dict(
            BACKBONE, init_cfg=dict(type='Pretrained', checkpoint=str(path), **options)
        )
    )
    backbone.init_weights()
    return backbone.state_dict()


def test_init_cfg_is_strict_too(tmp_path):
    saved = build()
    whole = save(tmp_path / 'whole.pth', saved.state_dict())
    moco = tmp_path / 'moco.pth'
    torch.save(published('moco', saved), moco)
    for path, prefix in (
        (whole, 'backbone.'),
        (whole, 'backbone'),
        (whole, None),
        (moco, None),
        (whole, 'encoder_k.module.0'),
    ):
        source = (
            saved.encoder_k.module[0]
            if (prefix or '').startswith('encoder')
            else saved.backbone
        )
        expected, loaded = source.state_dict(), init(path, prefix=prefix)
        for key, value in expected.items():
            assert torch.equal(loaded[key], value), (path, prefix, key)
    with pytest.raises(
        InputError,
        match="nothing below the prefix 'student.'"
        '.*begin with queue, queue_ptr, backbone',
    ):
        init(whole, prefix='student.')
    with pytest.raises(InputError, match="below 'neck.', does not fit"):
        init(whole, prefix='neck.')
    with pytest.raises(InputError, match='not found'):
        init(tmp_path / 'none.pth')
    with pytest.raises(InputError, match='does not fit'):
        init(save(tmp_path / 'b.pth', wider(saved.state_dict())), prefix='backbone.')


def test_a_whole_algorithm_by_init_cfg(tmp_path):
    saved = build()
    path = save(tmp_path / 'a.pth', saved.state_dict())
    model = build(seed=1, pretrained=path)
    model.init_weights()
    for key, value in saved.state_dict().items():
        assert torch.equal(model.state_dict()[key], value), key


def test_another_epsilon_of_batch_norm_is_refused(tmp_path):
    text = (
        "model = dict(type='MoCo', backbone=dict(type='ResNet', depth=18, "
        "norm_cfg=dict(type='BN', eps=0.001)))"
    )
    path = save(tmp_path / 'a.pth', build().state_dict(), meta=dict(cfg=text))
    for name in ('MoCo', 'SimCLR'):  # the whole model, and only its backbone
        with pytest.raises(InputError, match='BN eps 0.001, .* has 1e-05'):
            initial_weights(build(name), path)


def test_a_url_is_read_by_its_scheme(tmp_path):
    with pytest.raises(InputError, match='download it manually, and pass the file'):
        initial_weights(build(), 'http://127.0.0.1:9/none.pth')


@pytest.mark.parametrize('prefix', [None, 'backbone.'])
def test_a_backbone_of_three_stages_leaves_the_fourth_out(tmp_path, prefix):
    whole = MODELS.build(dict(BACKBONE, out_indices=(3,)))
    path = tmp_path / 'whole.pth'
    torch.save(
        dict(
            state_dict={
                f'backbone.{key}': value for key, value in whole.state_dict().items()
            }
        ),
        path,
    )
    part = MODELS.build(
        dict(
            BACKBONE,
            num_stages=3,
            out_indices=(2,),
            strides=(1, 2, 2),
            dilations=(1, 1, 1),
        )
    )
    initial = initial_weights(part, str(path), prefix, parts=True)
    left = len(whole.state_dict()) - len(part.state_dict())
    assert initial.report.endswith(f'; left out: layer4 ({left})')
    assert initial.tensors.keys() == part.state_dict().keys()
    for key, value in initial.tensors.items():
        assert torch.equal(value, whole.state_dict()[key])
    with pytest.raises(InputError, match='unexpected, e.g. layer4'):
        initial_weights(part, str(path), prefix)


@pytest.mark.parametrize('prefix', [None, 'backbone.'])
def test_a_shallower_backbone_does_not_take_part_of_a_deeper_one(tmp_path, prefix):
    deep = MODELS.build(dict(BACKBONE, depth=34))
    path = tmp_path / 'deep.pth'
    torch.save(
        dict(
            state_dict={
                f'backbone.{key}': value for key, value in deep.state_dict().items()
            }
        ),
        path,
    )
    with pytest.raises(InputError, match='unexpected, e.g. layer1.2'):
        initial_weights(MODELS.build(BACKBONE), str(path), prefix, parts=True)
