"""Standardised features equal NumPy's and scikit-learn's."""

from copy import deepcopy

import numpy as np
import pytest
import torch
from mmpretrain.registry import MODELS
from sklearn.decomposition import PCA

from mmdisco.models import DisCo, FeatureStandardizer, FrozenTeacher
from mmdisco.models.standardizer import hadamard
from tests.models.test_disco import EVAL, build
from tests.models.test_tap import MLP


def features(num=40, width=12, seed=0):
    """Correlated, all positive, of different variances."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(num, width)) @ rng.normal(size=(width, width))
    return torch.tensor(np.exp(0.5 * x) * np.arange(1, width + 1), dtype=torch.float32)


def estimate(mode, batches, num_images=40):
    standardizer = FeatureStandardizer(mode, num_images, batches[0].shape[1])
    for batch in batches:
        standardizer.update(batch)
    return standardizer


WIDTHS = (1, 2, 4, 8, 12, 20, 28, 36, 44, 60, 192, 320, 384, 512, 768, 960)


@pytest.mark.parametrize('order', (*WIDTHS, 1024, 1152, 1280, 1536, 2048))
def test_a_hadamard_matrix_is_orthogonal(order):
    matrix = hadamard(order).numpy().astype(np.float32)
    assert set(np.unique(matrix)) <= {-1.0, 1.0}
    np.testing.assert_array_equal(matrix @ matrix.T, order * np.eye(order))


@pytest.mark.parametrize('order', [3, 6, 92])
def test_other_widths_are_refused(order):
    with pytest.raises(ValueError, match=f"for {order}: set .*mode='mean-std'"):
        FeatureStandardizer('phi-s', embed_dim=order)
    FeatureStandardizer('mean-std', embed_dim=order)


def test_mean_and_deviation_equal_numpys():
    x = features()
    standardizer = estimate('mean-std', x.split(8))
    other = features(seed=1)
    expected = (other.numpy() - x.numpy().mean(0)) / x.numpy().std(0)
    np.testing.assert_allclose(standardizer(other), expected, rtol=1e-4, atol=1e-4)


def test_a_dimension_without_variance_stays_finite():
    x = features()
    x[:, 3] = 2
    y = estimate('mean-std', [x])(x)
    assert y.isfinite().all() and (y[:, 3] == 0).all()


def test_phi_s_equals_its_definition():
    x = features()
    standardizer = estimate('phi-s', x.split(10))
    y = standardizer(x).double().numpy()
    np.testing.assert_allclose(y.mean(0), 0, atol=1e-5)
    np.testing.assert_allclose(y.std(0), 1, rtol=1e-4)  # of each dimension
    # one scale for all directions: distances keep their proportions
    norms = [np.linalg.norm(z[:, None] - z[None], axis=2) for z in (x.numpy(), y)]
    ratio = norms[1][norms[0] > 0] / norms[0][norms[0] > 0]
    np.testing.assert_allclose(ratio, ratio[0], rtol=1e-4)
    assert ratio[0] == pytest.approx(x.numpy().var(0).mean() ** -0.5, rel=1e-4)
    # behind the Hadamard matrix, they are the principal components
    components = y @ hadamard(12).numpy() / 12**0.5 / ratio[0]
    expected = PCA().fit_transform(x.numpy())[:, ::-1]
    np.testing.assert_allclose(np.abs(components), np.abs(expected), atol=2e-3)


def test_before_the_last_images_it_uses_those_so_far():
    x = features()
    for mode in ('phi-s', 'mean-std'):
        standardizer = estimate(mode, x[:16].split(8))
        part = x[:16].numpy()
        deviation = part.std(0) if mode == 'mean-std' else part.var(0).mean() ** 0.5
        np.testing.assert_allclose(
            standardizer(x),
            (x.numpy() - part.mean(0)) / deviation,
            rtol=1e-3,
            atol=1e-4,
        )
        standardizer.update(x[16:])
        assert standardizer.fixed
        last = standardizer(x)
        standardizer.update(x + 5)  # too late
        assert torch.equal(standardizer(x), last) and standardizer.count == 40


@pytest.mark.parametrize('mode', ['phi-s', 'mean-std'])
@pytest.mark.parametrize('after', [1, 4])
def test_a_resumed_one_goes_on_exactly(mode, after):
    batches = features().split(10)
    whole = estimate(mode, batches)
    resumed = FeatureStandardizer(mode, 40, 12)
    # that it is fixed comes from the file, either way
    resumed.load_state_dict(whole.state_dict())
    resumed.load_state_dict(deepcopy(estimate(mode, batches[:after])).state_dict())
    for batch in batches[after:]:
        resumed.update(batch)
    resumed.update(batches[0])
    for name, value in whole.state_dict().items():
        assert torch.equal(resumed.state_dict()[name], value), name


def views(num=2):
    torch.manual_seed(1)
    return [torch.randn(4, 3, 32, 32) for _ in range(num)]


def test_losses_and_the_logged_cosine_see_standardised_embeddings():
    options = dict(type='FeatureStandardizer', num_images=16)
    model = build(standardize=options).train()
    assert model.standardize.embed_dim == 8  # the teacher's
    assert 'standardize.moment' in model.state_dict()
    model.ssl.neck.eval()
    for step in range(3):
        inputs = [v + step for v in views()]
        student = [model.neck(model.backbone(v))[0].detach() for v in inputs]
        losses = model.loss(list(inputs))
        # of the images so far, or of the first 16
        if step < 2:
            seen = torch.cat(
                [model.teacher(v + s) for s in range(step + 1) for v in views()]
            )
            assert len(seen) == model.standardize.count
        teacher = [model.standardize(model.teacher(v)) for v in inputs]
        if step == 0:
            expected = (model.teacher(inputs[0]) - seen.mean(0)) / (
                seen.var(0, unbiased=False).mean().sqrt()
            )
            torch.testing.assert_close(teacher[0], expected, rtol=1e-4, atol=1e-4)
        cosines = [
            torch.cosine_similarity(s, t).mean() for s, t in zip(student, teacher)
        ]
        torch.testing.assert_close(losses['cosine'], sum(cosines) / 2)
        torch.testing.assert_close(
            losses['loss_distill'], 32 * sum(2 - 2 * c for c in cosines), rtol=1e-3,
            atol=1e-3,
        )  # fmt: skip
    assert model.standardize.count == 16 and model.standardize.fixed
    model.eval()
    model.standardize.fixed.fill_(False)
    model.loss(views())
    assert model.standardize.count == 16


def test_what_makes_no_sense_is_refused_in_one_line():
    kind = 'FeatureStandardizer'
    for options, message in (
        (dict(type=kind, mode='pca'), "'phi-s' or 'mean-std', got 'pca'"),
        (dict(type=kind, num_images=1), 'num_images=1: set 2 or more'),
        (dict(type=kind, embed_dim=12), 'embed_dim is 12, the teacher gives 8-d'),
        (dict(type='SEEDLoss'), 'standardize is a SEEDLoss: set'),
    ):
        with pytest.raises(ValueError, match=message) as error:
            build(standardize=options)
        assert '\n' not in str(error.value)
    with pytest.raises(ValueError, match='compare feature maps: leave it out'):
        build(standardize=dict(type=kind), distill=dict(type='ATLoss'))
    with pytest.raises(ValueError, match='model.standardize.embed_dim'):
        FeatureStandardizer()
    reader = MODELS.build(dict(type='DisCoLoss'))
    reader.sha256 = 'a'
    with pytest.raises(ValueError, match='DisCoLoss uses layers of the teacher'):
        build(standardize=dict(type=kind), distill=reader)


def plain(**options):
    torch.manual_seed(0)
    teacher = FrozenTeacher(MODELS.build(EVAL), MODELS.build(MLP))
    ssl = dict(type='PlainStudent', backbone=EVAL, neck=MLP, views=(0, 1))
    return DisCo(ssl, teacher, dict(type='DisCoLoss'), **options).train()


@pytest.mark.parametrize('alpha', [1.0, 0.2])
def test_both_networks_see_the_same_mixed_images(alpha):
    model = plain(mixup=alpha)
    seen = dict(student=[], teacher=[])
    model.backbone.register_forward_pre_hook(
        lambda _, args: seen['student'].append(args[0])
    )
    model.teacher.backbone.register_forward_pre_hook(
        lambda _, args: seen['teacher'].append(args[0])
    )
    inputs = views()
    torch.manual_seed(5)
    model.loss(inputs)
    torch.manual_seed(5)
    share = torch.distributions.Beta(alpha, alpha).sample().item()
    partners = torch.randperm(4).tolist()
    assert 0 < share < 1 and partners != [0, 1, 2, 3]
    expected = [
        torch.stack(
            [
                share * view[i] + (1 - share) * view[other]
                for i, other in enumerate(partners)
            ]
        )
        for view in inputs
    ]
    torch.testing.assert_close(torch.cat(seen['student']), torch.cat(expected))
    torch.testing.assert_close(torch.cat(seen['teacher']), torch.cat(expected))
    assert torch.equal(inputs[0], views()[0])  # as they were


def test_mixup_is_for_students_without_a_task():
    with pytest.raises(ValueError, match='MoCo learns a task of its own') as error:
        build(mixup=1.0)
    assert '\n' not in str(error.value)
    with pytest.raises(ValueError, match='mixup is -1.0: set 0 or more'):
        plain(mixup=-1.0)
