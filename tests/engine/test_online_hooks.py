"""Online scores are right, and leave the training unchanged."""

import json
import random
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmpretrain.registry import DATASETS, HOOKS, LOOPS
from torch import nn

from mmdisco.datasets import IDXImages
from mmdisco.engine import OnlineKNNHook
from mmdisco.engine.online import (
    FirstView,
    KNNScorer,
    OnlineLoop,
    Probe,
    ProbeScorer,
    QualityScorer,
    TeacherKNNScorer,
    rows_of,
    undisturbed,
)
from mmdisco.launch import apply_overrides, check_config
from tests.engine.online_runs import ALL, DEMO, LOOP, SMALL, logged, model_of, run
from tests.tools import ROOT


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def state_of(runner):
    """All weights, buffers, momenta and random states after a run."""
    optimizer = runner.optim_wrapper.optimizer
    return (
        runner.model.state_dict(),
        [s['momentum_buffer'] for s in optimizer.state.values()],
        torch.get_rng_state(),
        np.random.get_state()[1].tolist(),
        random.getstate(),
    )


def modes_of(model):
    return {name: m.training for name, m in model.named_modules()}


@pytest.mark.parametrize('form', ['hooks', 'loop'])
@pytest.mark.parametrize('name', ['DisCo', 'SimCLR'])
def test_a_run_is_bit_by_bit_the_same(name, form, tmp_path):
    plain = run(tmp_path / 'plain', {}, name)
    wanted = state_of(plain)
    settings = dict(hooks=ALL) if form == 'hooks' else dict(hooks={}, online=LOOP)
    watched = run(tmp_path / 'watched', name=name, **settings)
    assert len(logged(watched, 'val/knn_top1')) == 2
    assert len(logged(watched, 'val/probe_top1')) == 2
    found = state_of(watched)
    for key, value in wanted[0].items():
        assert torch.equal(value, found[0][key]), key
    assert all(map(torch.equal, wanted[1], found[1]))
    assert torch.equal(wanted[2], found[2]) and wanted[3:] == found[3:]
    assert modes_of(plain.model) == modes_of(watched.model)
    assert not watched.model.backbone._forward_hooks


@pytest.mark.parametrize('k', [5, 20])
def test_the_score_is_that_of_a_plain_loop(k, tmp_path):
    hooks = dict(
        knn=dict(ALL['online_knn'], num_train=150, num_test=55, k=k, temperature=0.1)
    )
    runner = run(tmp_path, hooks, 'DisCo', images=240)
    train, test = (sample.loader.dataset.indices for sample in runner.val_loop.samples)
    assert len(set(train) | set(test)) == 150 + 55
    data = runner.train_dataloader.dataset
    backbone = runner.model.backbone
    backbone.eval()

    def feature(i):
        image = (data.images[i].expand(3, -1, -1).float() - 73) / 90
        with torch.no_grad():
            return backbone(image[None])[-1].numpy()[0].mean((1, 2))

    hits = 0
    bank = [(feature(i), int(data.labels[i])) for i in train]
    for i in test:
        query = feature(i)
        near = sorted(
            (float(query @ f / np.linalg.norm(query) / np.linalg.norm(f)), label)
            for f, label in bank
        )[-k:]
        votes = np.zeros(10)
        for cosine, label in near:
            votes[label] += np.exp(cosine / 0.1)
        hits += votes.argmax() == data.labels[i]
    assert logged(runner, 'val/knn_top1')[-1] == pytest.approx(100 * hits / 55)
    assert hits > 15  # chance is five


def test_quality_is_of_the_sample(tmp_path):
    runner = run(tmp_path, ALL, 'SimCLR')
    loop = runner.val_loop
    features = loop.features(runner.model.backbone, runner.model.backbone)
    part = features.train[:20].double().numpy()
    shares = np.linalg.svd(part, compute_uv=False)
    shares = shares / shares.sum() + 1e-7
    assert logged(runner, 'val/rank_me')[-1] == pytest.approx(
        np.exp(-(shares * np.log(shares)).sum()), rel=1e-4
    )
    unit = part / np.linalg.norm(part, axis=1, keepdims=True)
    potentials = [
        np.exp(-2 * ((a - b) ** 2).sum()) for i, a in enumerate(unit) for b in unit[:i]
    ]
    assert logged(runner, 'val/uniformity')[-1] == pytest.approx(
        np.log(np.mean(potentials)), rel=1e-3
    )
    apart = logged(runner, 'val/alignment')
    assert len(apart) == 2 and 0 < min(apart) <= max(apart) < 2


def test_samples_have_all_classes_alike(tmp_path):
    runner = run(
        tmp_path,
        dict(knn=dict(type='OnlineKNNHook', num_train=100, num_test=20)),
        images=600,
        epochs=1,
    )
    train, test = runner.val_loop.samples
    assert train.labels.bincount().tolist() == [10] * 10
    assert test.labels.bincount().tolist() == [2] * 10
    again = run(
        tmp_path / 'again',
        dict(knn=dict(type='OnlineKNNHook', num_train=100, num_test=20)),
        images=600,
        epochs=1,
    ).val_loop
    assert again.samples[0].loader.dataset.indices == train.loader.dataset.indices


def test_data_sets_of_its_own_and_interval(tmp_path):
    """Also the last epoch is scored, whatever the interval."""
    own = dict(type='IDXImages', data_root=DEMO)
    runner = run(
        tmp_path,
        dict(
            knn=dict(
                ALL['online_knn'],
                train=dict(own, split='train', stop=90),
                test=dict(own, split='test', stop=7),
                interval=2,
            )
        ),
        epochs=3,
        dataset='IDXImages',
    )
    train, test = runner.val_loop.samples
    assert len(train) == 30 and len(test) == 7
    assert sorted(test.labels.tolist()) == sorted(
        DATASETS.build(dict(own, split='test', stop=7)).labels.tolist()
    )
    assert len(logged(runner, 'val/knn_top1')) == 2
    lines = [
        json.loads(line)
        for line in next(tmp_path.glob('*/vis_data/scalars.json'))
        .read_text()
        .splitlines()
    ]
    assert [line['step'] for line in lines if 'knn_top1' in line] == [2, 3]


def test_iterations_may_be_counted(tmp_path):
    from mmengine.runner import Runner

    runner = Runner(
        model_of('MoCo'),
        str(tmp_path),
        experiment_name='iterations',
        train_dataloader=dict(
            dataset=dict(type='LabelledItems', data_root=DEMO, stop=48),
            sampler=dict(type='InfiniteSampler', seed=0),
            batch_size=8,
            num_workers=0,
            collate_fn=dict(type='default_collate'),
        ),
        train_cfg=dict(by_epoch=False, max_iters=5, val_interval=100),
        optim_wrapper=dict(optimizer=dict(type='SGD', lr=0.05)),
        default_hooks=dict(
            ALL,
            online_knn=dict(ALL['online_knn'], interval=2),
            checkpoint=dict(type='CheckpointHook', by_epoch=False),
        ),
        log_processor=dict(by_epoch=False),
        log_level='WARNING',
        default_scope='mmpretrain',
    )
    runner.train()
    assert len(logged(runner, 'val/knn_top1')) == 3  # 2, 4 and 5
    assert len(logged(runner, 'val/alignment')) == 3


class Scores(OnlineKNNHook):
    """Gives the scores that it is given."""

    def top1(self, features):
        return self.given.pop(0)


def test_the_best_is_kept_also_across_a_resume(tmp_path):
    HOOKS.register_module(module=Scores, force=True)
    hooks, best = dict(knn=dict(type='Scores', **SMALL)), dict(save_best='knn_top1')
    Scores.given = [40.0, 60.0, 50.0]
    run(tmp_path, hooks, epochs=3, checkpoint=best)
    (kept,) = tmp_path.glob('best*.pth')
    assert kept.name == 'best_knn_top1_epoch_2.pth'
    weights = torch.load(kept, weights_only=False)['state_dict']
    then = torch.load(tmp_path / 'epoch_2.pth', weights_only=False)
    assert then['meta']['epoch'] == 2
    assert all(torch.equal(weights[k], v) for k, v in then['state_dict'].items())
    Scores.given = [55.0, 70.0]  # of epochs 4 and 5
    run(tmp_path, hooks, epochs=5, checkpoint=best, resume=tmp_path / 'epoch_3.pth')
    (kept,) = tmp_path.glob('best*.pth')
    assert kept.name == 'best_knn_top1_epoch_5.pth'


@pytest.mark.parametrize('name', ['MoCo', 'SimCLR'])
def test_a_resumed_probe_goes_on(name, tmp_path):
    """Also of a run whose scores were hooks, with the loop."""
    hooks = dict(seeds=dict(type='EpochSeedHook'))
    whole = run(tmp_path / 'whole', dict(ALL, **hooks), name, epochs=4)
    saved = torch.load(tmp_path / 'whole' / 'epoch_4.pth', weights_only=False)
    run(tmp_path / 'part', dict(ALL, **hooks), name, epochs=2)
    part = run(
        tmp_path / 'part',
        hooks,
        name,
        online=LOOP,
        epochs=4,
        resume=tmp_path / 'part' / 'epoch_2.pth',
    )
    again = torch.load(tmp_path / 'part' / 'epoch_4.pth', weights_only=False)
    for key, value in saved['online_probe']['network'].items():
        assert torch.equal(value, again['online_probe']['network'][key]), key
    assert saved['online_probe']['network']['1.weight'].abs().sum() > 0
    # the checkpoint of epoch 2 is from before its score, as mmengine has it
    assert logged(whole, 'val/probe_top1')[2:] == logged(part, 'val/probe_top1')[1:]


def test_the_probe_is_logged_when_the_log_is_written(tmp_path):
    """Each third iteration of six, and at the end of an epoch."""
    runner = run(tmp_path, dict(online_probe=ALL['online_probe']))
    scores = logged(runner, 'train/probe_top1')
    assert len(scores) == 2 * 2
    # of 24 images, then of 48
    hits = [score * 24 * (1 + i % 2) / 100 for i, score in enumerate(scores)]
    assert hits == pytest.approx([round(x) for x in hits])
    assert 0 < hits[1] < 48
    assert not runner.message_hub.log_scalars.keys() & {'val/probe_top1'}


def test_a_probe_is_softmax_regression_of_standardised_features():
    random = np.random.RandomState(0)
    probe = Probe(6, 3, 0.2, torch.device('cpu'))
    weight, bias = np.zeros((3, 6)), np.zeros(3)
    speed = [np.zeros((3, 6)), np.zeros(3)]
    for _ in range(4):
        features = random.randn(9, 6) * 5 + 2
        labels = random.randint(3, size=9)
        features[:, 0] += 9 * labels
        hits = probe.step(torch.from_numpy(features).float(), torch.from_numpy(labels))
        x = (features - features.mean(0)) / np.sqrt(features.var(0) + 1e-5)
        logits = x @ weight.T + bias
        assert int(hits) == (logits.argmax(1) == labels).sum()
        error = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
        error[range(9), labels] -= 1
        for i, gradient in enumerate((error.T @ x / 9, error.mean(0))):
            speed[i] = 0.9 * speed[i] + gradient
        weight -= 0.2 * speed[0]
        bias -= 0.2 * speed[1]
    linear = probe.network[1]
    np.testing.assert_allclose(linear.weight.detach(), weight, atol=1e-5)
    np.testing.assert_allclose(linear.bias.detach(), bias, atol=1e-5)
    assert hits > 5


@pytest.mark.parametrize('name', ['MoCo', 'SimCLR', 'SimSiam', 'DisCo'])
def test_the_probe_sees_the_first_view(name):
    model = model_of(name).train()
    watch = FirstView(model)
    for _ in range(2):
        views = list(torch.randn(2, 4, 3, 32, 32))
        assert watch.take() is None
        model(views, None, mode='loss')
        features = watch.take()
        batch = views[0] if name != 'SimCLR' else torch.stack(views, 1).flatten(0, 1)
        wanted = model.backbone(batch)[-1].mean((2, 3))  # by its BN
        torch.testing.assert_close(
            features, wanted[::2] if name == 'SimCLR' else wanted, rtol=1e-5, atol=1e-5
        )
        assert not features.requires_grad
    watch.remove()
    model(views, None, mode='loss')
    assert watch.take() is None and not model._forward_pre_hooks


@DATASETS.register_module(force=True)
class Unlabelled(IDXImages):
    """Pictures of which nothing is known."""

    def __init__(self, data_root, stop):
        super().__init__(data_root, stop=stop)
        del self.labels

    def __getitem__(self, index):
        return dict(inputs=self.images[index])


def test_without_labels_all_is_as_before(tmp_path):
    for settings in (dict(hooks=ALL), dict(hooks={}, online=LOOP)):
        runner = run(tmp_path, name='DisCo', dataset='Unlabelled', **settings)
        assert runner.val_loop is None or runner.val_loop.run() == {}
        assert not any(
            'probe' in key or key.startswith('val/')
            for key in runner.message_hub.log_scalars
        )
    images = dict(type='Unlabelled', data_root=DEMO, stop=30)
    with pytest.raises(
        ValueError, match='the data set train, Unlabelled, has no labels'
    ):
        run(
            tmp_path / 'asked',
            dict(knn=dict(ALL['online_knn'], train=images, test=images)),
        )


def teacher_run(features, labels):
    """What is logged about a teacher with these features."""
    lines = []
    logger = SimpleNamespace(
        **{
            level: lambda text, level=level: lines.append((level, text))
            for level in ('info', 'warning')
        }
    )
    loop = object.__new__(OnlineLoop)
    loop.samples = range(2)
    loop.features = lambda network, encode: SimpleNamespace(
        train=features[0], train_labels=labels, test=features[1], test_labels=labels
    )
    scalars = {}
    loop._runner = runner = SimpleNamespace(
        hooks=[KNNScorer(k=1)],
        model=SimpleNamespace(teacher=nn.Identity()),
        val_loop=loop,
        _resume=False,
        logger=logger,
        message_hub=SimpleNamespace(update_scalar=scalars.__setitem__),
    )
    TeacherKNNScorer().before_train(runner)
    runner._resume = True
    TeacherKNNScorer().before_train(runner)
    ((level, text),) = lines  # not in a resumed run
    assert '\n' not in text
    return level, text, scalars['val/teacher_knn_top1']


def test_a_teacher_at_chance_is_a_loud_warning():
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(4).repeat(25)
    good = torch.eye(4)[labels]
    level, text, score = teacher_run((good, good), labels)
    assert (level, score) == ('info', 100) and 'chance is 25.00 %' in text
    noise = torch.randn(2, 100, 16, generator=generator)
    level, text, score = teacher_run(noise, labels)
    assert level == 'warning' and 'NO BETTER THAN CHANCE' in text
    assert 'model.teacher.checkpoint' in text and 10 < score < 40
    few = torch.tensor([0, 1, 2])  # too few to decide
    level, _, _ = teacher_run(noise[:, :3], few)
    assert level == 'info'


def test_modes_and_random_states_are_put_back():
    network = nn.Sequential(nn.BatchNorm2d(3), nn.Sequential(nn.Dropout()))
    network.train()
    network[1].eval()
    before = modes_of(network)
    states = torch.get_rng_state(), np.random.get_state()[1].tolist()
    with pytest.raises(KeyError), undisturbed(network):
        assert not any(modes_of(network).values())
        network(torch.randn(2, 3, 4, 4)), np.random.rand(), random.random()
        raise KeyError
    assert modes_of(network) == before
    assert network[0].num_batches_tracked == 0
    assert torch.equal(torch.get_rng_state(), states[0])
    assert np.random.get_state()[1].tolist() == states[1]


def test_rows_of_the_first_view():
    views = torch.randn(2, 4, 3, 2, 2)
    assert rows_of(views[0], torch.cat([*views])) == slice(0, 4)
    mixed = views.transpose(0, 1).flatten(0, 1)  # as SimCLR's
    assert torch.equal(mixed[rows_of(views[0], mixed)], views[0])
    assert rows_of(views[0], views[1]) is None
    assert rows_of(views[0], torch.zeros(3, 3, 2, 2)) is None


@pytest.mark.parametrize(
    'settings, words',
    [
        (dict(train=dict()), 'only one of train and test'),
        (dict(num_test=0), 'num_test=0.*must all be at least 1'),
        (dict(batch_size=0), 'batch_size=0.*must all be at least 1'),
        (dict(k=0), 'k=0.*must be at least 1'),
        (dict(temperature=0), 'temperature=0.*above 0'),
        (dict(interval=-1), 'interval=-1.*must be at least 0'),
    ],
)
def test_bad_settings_are_refused(settings, words):
    with pytest.raises(ValueError, match=words):
        OnlineKNNHook(**settings)


@pytest.mark.parametrize(
    'settings, words',
    [
        (dict(val_cfg=dict(train=dict(type='Unlabelled'))), 'only one of train'),
        (dict(val_cfg=dict(num_train=0)), 'num_train=0.*must all be at least 1'),
        (dict(val_dataloader=dict(batch_size=0)), 'batch_size=0.*at least 1'),
        (dict(val_dataloader=dict(dataset=dict(type='IDXImages'))), 'neither val_'),
        (dict(val_evaluator=[dict(type='Accuracy')]), 'set val_evaluator=..'),
        (dict(val_cfg=dict(scorers=[dict(type='KNNScorer', k=0)])), 'k=0.*at least 1'),
        (dict(val_cfg=dict(scorers=[dict(type='IterTimerHook')])), 'not a scorer'),
    ],
)
def test_bad_settings_of_the_loop_are_refused(settings, words, tmp_path):
    online = {**LOOP, **settings}
    online['val_cfg'] = {**LOOP['val_cfg'], **settings.get('val_cfg', {})}
    with pytest.raises(ValueError, match=words):
        run(tmp_path, {}, online=online, epochs=1)


def test_views_and_other_evaluations_are_refused(tmp_path):
    @DATASETS.register_module(force=True)
    class InViews(IDXImages):
        def __getitem__(self, index):
            return dict(inputs=[self.images[index]] * 2)

    for settings in (dict(hooks=ALL), dict(hooks={}, online=LOOP)):
        with pytest.raises(ValueError, match='InViews gives lists of views'):
            run(tmp_path, dataset='InViews', **settings)
    with pytest.raises(ValueError, match='or set its interval to 0'):
        run(tmp_path, ALL, online=LOOP)
    knn = dict(ALL['online_knn'], interval=0)
    assert run(tmp_path, dict(ALL, online_knn=knn), epochs=1).val_loop is None


def test_the_loop_of_imagenet_is_inherited(tmp_path):
    """And by a config that takes over the hooks of earlier versions."""
    path = tmp_path / 'mine.py'
    path.write_text(
        f"_base_ = ['{ROOT}/configs/disco/r50_r18.py',\n"
        f"          '{ROOT}/configs/_base_/online_eval.py']\n"
        'default_hooks = dict(checkpoint=dict(save_best="knn_top1"), '
        '**_base_.online_hooks)\n'
        'train_cfg = dict(val_interval=5)\n'
    )
    cfg = Config.fromfile(path)
    check_config(cfg, ())
    assert cfg.default_hooks.checkpoint.backend_args.backend == 'atomic'
    assert cfg.train_cfg.val_interval == 5
    loop = cfg.val_cfg
    assert LOOPS.get(loop.type) is OnlineLoop
    assert loop.train.data_prefix == 'train' and loop.test.data_prefix == 'val'
    assert Path(loop.test.data_root).parts == ('data', 'imagenet')
    assert [HOOKS.build(scorer).__class__ for scorer in loop.scorers] == [
        KNNScorer,
        ProbeScorer,
        QualityScorer,
        TeacherKNNScorer,
    ]
    apply_overrides(cfg, {'data_root': 'elsewhere', 'val_cfg.scorers.1': None})
    assert loop.train.data_root == loop.test.data_root == 'elsewhere'
    assert len(cfg.val_cfg.scorers) == 3


@pytest.mark.parametrize('order', [(0, 1, 2, 3), (3, 2, 1, 0), (2, 3, 0, 1)])
def test_any_order_of_hooks_gives_the_scores_of_the_loop(order, tmp_path):
    """Bit for bit, with the hooks among the default ones or the custom ones."""
    wanted = run(tmp_path / 'loop', {}, 'DisCo', online=LOOP)
    names = [
        'val/knn_top1',
        'val/teacher_knn_top1',
        'val/probe_top1',
        'train/probe_top1',
        'val/rank_me',
        'val/uniformity',
        'val/alignment',
    ]
    assert [len(logged(wanted, name)) for name in names] == [2, 1, 2, 4, 2, 2, 2]
    state = state_of(wanted)
    hooks = [list(ALL.items())[i] for i in order]
    knn = dict(LOOP['val_cfg'], scorers=LOOP['val_cfg']['scorers'][:1])
    for form, settings in dict(
        default=dict(hooks=dict(hooks)),
        # all of one priority: in the order of the list
        custom=dict(hooks={}, custom=[dict(hook, priority=50) for _, hook in hooks]),
        # the loop of the config, and scorers among the hooks
        both=dict(
            hooks={name: hook for name, hook in hooks if name != 'online_knn'},
            online=dict(LOOP, val_cfg=knn),
        ),
    ).items():
        runner = run(tmp_path / form, name='DisCo', **settings)
        for name in names:
            assert logged(runner, name) == logged(wanted, name), (form, name)
        other = state_of(runner)
        for key, value in state[0].items():
            assert torch.equal(value, other[0][key]), key
        assert torch.equal(state[2], other[2]) and state[3:] == other[3:]


def test_an_order_of_hooks_keeps_no_state_of_the_runner(tmp_path):
    """A loop is for one training: a test of the same runner has no part in it."""
    runner = run(tmp_path, ALL, epochs=1)
    loop = runner.val_loop
    runner.call_hook('before_run')
    assert runner.val_loop is loop


@DATASETS.register_module(force=True)
class DrawingIDXImages(IDXImages):
    """Pictures with noise of the global generator."""

    def __getitem__(self, index):
        noise = torch.randint(2, (), dtype=torch.uint8)
        return dict(inputs=self.images[index] // 2 + noise, label=self.labels[index])


def test_a_pipeline_that_draws_does_not_disturb_the_training(tmp_path):
    """The samples are drawn before the weights are initialised."""
    states = []
    for form, settings in dict(
        plain=dict(hooks={}), hooks=dict(hooks=ALL), loop=dict(hooks={}, online=LOOP)
    ).items():
        model = model_of('MoCo')
        model.backbone.init_cfg = [dict(type='Normal', layer='Conv2d', std=0.1)]
        runner = run(
            tmp_path / form, model=model, dataset='DrawingIDXImages', **settings
        )
        states.append(state_of(runner))
    for state in states[1:]:
        for key, value in states[0][0].items():
            assert torch.equal(value, state[0][key]), key
        assert torch.equal(states[0][2], state[2]) and states[0][3:] == state[3:]


def test_a_compiled_network_is_not_compiled_once_more():
    shapes = []

    def backend(graph, inputs):
        shapes.append(1)
        return graph.forward

    network = nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4))
    images = torch.randn(4, 3, 5, 5)
    wanted = network.eval()(images)
    compiled = torch.compile(network.train(), backend=backend)
    compiled(images.add(1))
    assert len(shapes) == 1
    network[1].reset_running_stats()
    with undisturbed(network):
        torch.testing.assert_close(compiled(images), wanted)
    assert len(shapes) == 1
    compiled(images)
    assert len(shapes) == 1
