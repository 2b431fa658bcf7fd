"""SGD on cached features equals the training of a runner."""

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmengine.runner import Runner
from mmpretrain.structures import DataSample
from sklearn.metrics import accuracy_score, log_loss
from torch import nn
from torch.nn import functional as F
from torch.utils.data import Dataset

from mmdisco.errors import InputError
from mmdisco.evaluation import sgd_probe
from mmdisco.evaluation.features.cache import Features
from mmdisco.evaluation.probes.choice import held_out_rows
from mmdisco.evaluation.protocols import linear_sgd
from mmdisco.models import LinearClassifier
from tests.evaluation.test_nearest import random_features

NUM, CLASSES, EPOCHS, BATCH, SEED = 50, 3, 4, 16, 5
OPTIONS = dict(epochs=EPOCHS, batch_size=BATCH, milestones=(2, 3), gamma=0.1, seed=SEED)


class Pictures(Dataset):
    """Images of which each class is bright elsewhere."""

    def __init__(self):
        torch.manual_seed(1)
        self.labels = torch.arange(NUM) % CLASSES
        self.images = torch.randint(0, 128, (NUM, 3, 6, 6)).byte()
        for image, label in zip(self.images, self.labels):
            image[:, 2 * label : 2 * label + 2] += 90

    def __len__(self):
        return NUM

    def __getitem__(self, index):
        return dict(
            inputs=self.images[index],
            data_samples=DataSample().set_gt_label(self.labels[index]),
        )


class Backbone(nn.Module):
    """Two convolutions; batch norm and dropout differ between training and eval."""

    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(3, 8, 3),
            nn.BatchNorm2d(8),
            nn.ReLU(),
            nn.Dropout(0.5),
            nn.Conv2d(8, 6, 3),
        )

    def forward(self, x):
        return (self.body(x),)


def trained_without_a_cache(tmp_path, rate, weight_decay):
    """Head that mmengine trains, its first weights, and the features."""
    init_default_scope('mmpretrain')
    torch.manual_seed(2)
    data = Pictures()
    model = LinearClassifier(
        Backbone(),
        dict(type='GlobalAveragePooling'),
        dict(type='LinearClsHead', num_classes=CLASSES, in_channels=6),
        data_preprocessor=dict(
            type='ClsDataPreprocessor',
            num_classes=CLASSES,
            mean=[80.0] * 3,
            std=[60.0] * 3,
        ),
    )
    for value in model.backbone.buffers():
        if value.is_floating_point():
            value.uniform_(0.5, 1.5)
    first = torch.empty(CLASSES, 6).normal_(
        0, 0.01, generator=torch.Generator().manual_seed(SEED)
    )
    model.head.fc.weight.data.copy_(first)
    model.head.fc.bias.data.zero_()
    model._is_init = True  # else the runner draws the weights
    features = model.backbone((data.images.float() - 80) / 60)[0].mean((2, 3))
    Runner(
        model,
        str(tmp_path),
        cfg=Config(),
        train_dataloader=dict(
            dataset=data,
            batch_size=BATCH,
            num_workers=0,
            sampler=dict(type='DefaultSampler', shuffle=True),
            collate_fn=dict(type='pseudo_collate'),
        ),
        train_cfg=dict(by_epoch=True, max_epochs=EPOCHS),
        optim_wrapper=dict(
            optimizer=dict(type='SGD', lr=rate, momentum=0.9, weight_decay=weight_decay)
        ),
        param_scheduler=dict(
            type='MultiStepLR', by_epoch=True, milestones=[2, 3], gamma=0.1
        ),
        default_hooks=dict(checkpoint=None, logger=None),
        randomness=dict(seed=SEED),
        log_level='ERROR',
        experiment_name=tmp_path.name,
    ).train()
    return model.head.fc, first, features, data.labels


@pytest.mark.parametrize('rate, weight_decay', [(0.3, 0.0), (3.0, 0.01)])
def test_it_equals_mmpretrain_without_a_cache(tmp_path, rate, weight_decay):
    fc, first, features, labels = trained_without_a_cache(tmp_path, rate, weight_decay)
    probe = sgd_probe(
        features[None], labels, CLASSES, [rate], **OPTIONS, weight_decay=weight_decay
    )
    assert (fc.weight - first).abs().max() > 0.05  # it did learn
    assert torch.allclose(probe.weight[0].T, fc.weight, rtol=0, atol=1e-5)
    assert torch.allclose(probe.bias[0], fc.bias, rtol=0, atol=1e-5)
    torch.testing.assert_close(
        probe.logits(features, 0), fc(features), rtol=0, atol=1e-4
    )


def by_torch(views, labels, rate, weight_decay=0.0):
    """The same by autograd and torch.optim.SGD, [C, D] and [C]."""
    weight = torch.empty(CLASSES, views.shape[2]).normal_(
        0, 0.01, generator=torch.Generator().manual_seed(SEED)
    )
    weight.requires_grad_()
    bias = torch.zeros(CLASSES, requires_grad=True)
    optimizer = torch.optim.SGD(
        [weight, bias], rate, momentum=0.9, weight_decay=weight_decay
    )
    for epoch in range(EPOCHS):
        optimizer.param_groups[0]['lr'] = rate * [1, 1, 0.1, 0.01][epoch]
        order = torch.randperm(
            NUM, generator=torch.Generator().manual_seed(SEED + epoch)
        )
        for start in range(0, NUM, BATCH):
            rows = order[start : start + BATCH]
            optimizer.zero_grad()
            F.cross_entropy(
                F.linear(views[epoch % len(views), rows].float(), weight, bias),
                labels[rows],
            ).backward()
            optimizer.step()
    return weight.detach(), bias.detach()


@pytest.mark.parametrize('num_views', [1, 2, 3, 7])
@pytest.mark.parametrize('weight_decay', [0.0, 0.05])
def test_views_in_turn_and_weight_decay(num_views, weight_decay):
    views = torch.stack([random_features(NUM, 6, i) for i in range(num_views)])
    labels = torch.arange(NUM) % CLASSES
    probe = sgd_probe(
        views, labels, CLASSES, [0.5], **OPTIONS, weight_decay=weight_decay
    )
    weight, bias = by_torch(views, labels, 0.5, weight_decay)
    torch.testing.assert_close(probe.weight[0].T, weight, rtol=0, atol=1e-5)
    torch.testing.assert_close(probe.bias[0], bias, rtol=0, atol=1e-5)


def test_rates_of_a_sweep_are_each_as_alone():
    views = random_features(NUM, 6, 0)[None].half()
    labels = torch.arange(NUM) % CLASSES
    rates = (0.01, 0.5, 20.0)
    swept = sgd_probe(views, labels, CLASSES, rates, **OPTIONS)
    assert swept.rates == [*rates]
    assert swept.weight.shape == (3, 6, CLASSES)
    for i, rate in enumerate(rates):
        alone = sgd_probe(views, labels, CLASSES, [rate], **OPTIONS)
        torch.testing.assert_close(
            swept.weight[i], alone.weight[0], rtol=1e-4, atol=1e-5
        )
        torch.testing.assert_close(
            swept.logits(views[0], i), alone.logits(views[0], 0), rtol=1e-4, atol=1e-4
        )
        weight, _ = by_torch(views, labels, rate)
        torch.testing.assert_close(swept.weight[i].T, weight, rtol=1e-4, atol=1e-5)


def test_seeds_draw_other_weights_and_orders():
    views, labels = random_features(NUM, 6, 0)[None], torch.arange(NUM) % 3
    one, same, other = (
        sgd_probe(views, labels, 3, [0.1], **{**OPTIONS, 'seed': seed}).weight
        for seed in (0, 0, 1)
    )
    assert torch.equal(one, same) and not torch.allclose(one, other)


def test_the_protocol_chooses_the_rate_on_what_is_held_out():
    data = Pictures()
    pixels = data.images.float().mean((1, 3)) / 255  # [N, 6]
    train = Features(pixels[None], data.labels, [*'abc'], {})
    test = Features(pixels[None] + 0.1, data.labels.flip(0), [*'abc'], {})
    rates = (1e-4, 1.0, 3.0)
    found = linear_sgd(train, test, rates, 0.3, **OPTIONS)
    fit, val = held_out_rows(data.labels, 15, SEED)
    scores, losses = {}, {}
    for rate in rates:
        probe = sgd_probe(train.views[:, fit], data.labels[fit], 3, [rate], **OPTIONS)
        logits = pixels[val] @ probe.weight[0] + probe.bias[0]
        scores[rate] = 100 * accuracy_score(data.labels[val], logits.argmax(1))
        losses[rate] = log_loss(data.labels[val], logits.double().softmax(1))
    assert found['validation'] == pytest.approx(scores)
    best = max(scores, key=lambda rate: (scores[rate], -losses[rate]))
    assert found['rate'] == best and best != 1e-4
    weight, bias = by_torch(train.views, data.labels, best)
    guess = (test.plain @ weight.T + bias).argmax(1)
    assert found['top1'] == pytest.approx(100 * accuracy_score(test.labels, guess))
    alone = linear_sgd(train, test, (best,), **OPTIONS)
    assert alone['validation'] == {} and not alone['at_edge']
    assert alone['confusion'] == found['confusion']


def test_what_can_not_be_trained():
    views = random_features(9, 4, 0)[None]
    with pytest.raises(InputError, match='label 8 is outside the 8 classes'):
        sgd_probe(views, torch.arange(9), 8, [0.1])
    train = Features(views, torch.arange(9) % 3, [*'abc'], {})
    for rates, epochs in (((), 1), ((0.1,), 0)):
        with pytest.raises(InputError, match='set --rates and --epochs'):
            linear_sgd(train, train, rates, epochs=epochs)
