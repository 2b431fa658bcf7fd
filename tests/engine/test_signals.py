"""Losses and weights that are not finite stop a run; constant signals warn."""

from types import SimpleNamespace
from unittest.mock import MagicMock

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from mmengine.hooks import Hook
from mmengine.model import BaseModel, ImgDataPreprocessor
from mmengine.optim import AmpOptimWrapper
from mmengine.runner import Runner
from torch import nn

from mmdisco.engine import SignalHook
from mmdisco.errors import InputError
from tests.forkserver import START

NAN, INF = float('nan'), float('inf')
ITERS = 3  # iterations per epoch


class BadGradient(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        return x.clone()

    @staticmethod
    def backward(ctx, grad):
        return grad * NAN


class Toy(BaseModel):
    """Break in the way of ``kind`` at iteration ``at``."""

    def __init__(self, kind=None, at=4):
        super().__init__()
        self.layer, self.norm = nn.Linear(2, 2), nn.BatchNorm1d(2)
        self.kind, self.at, self.step = kind, at, 0

    def forward(self, inputs, mode='loss'):
        self.step += 1
        now = self.kind if self.step == self.at else None
        loss = self.norm(self.layer(inputs)).square().mean()
        factor = now if isinstance(now, float) else 1.0
        if now == 'gradient':
            loss = BadGradient.apply(loss)
        if now == 'statistics':
            self.norm.running_var.data[1] = INF
        return dict(loss_ssl=loss, loss_distill=loss * factor)


def train(
    work_dir,
    model=None,
    hook=None,
    iters=None,
    epochs=3,
    late=False,
    resume=None,
    custom=None,
    **wrapper,
):
    data = [
        dict(inputs=torch.randn(2, generator=torch.Generator().manual_seed(i)))
        for i in range(12)
    ]
    saves = dict(interval=1) if iters is None else dict(interval=2, by_epoch=False)
    hooks = dict(
        signals=hook or dict(type='SignalHook'),
        checkpoint=dict(type='CheckpointHook', max_keep_ckpts=3, **saves),
    )
    if late:
        hooks['runtime_info'] = dict(type='LateLogHook')
    runner = Runner(
        model or Toy(),
        str(work_dir),
        default_scope='mmpretrain',
        experiment_name=f'{work_dir}'.replace('/', '_'),
        log_level='ERROR',
        train_dataloader=dict(
            dataset=data,
            batch_size=4,
            num_workers=0,
            sampler=dict(type='DefaultSampler', shuffle=False),
            collate_fn=dict(type='default_collate'),
        ),
        train_cfg=(
            dict(by_epoch=True, max_epochs=epochs)
            if iters is None
            else dict(by_epoch=False, max_iters=iters)
        ),
        optim_wrapper=dict(optimizer=dict(type='SGD', lr=0.1), **wrapper),
        default_hooks=hooks,
        custom_hooks=custom,
        randomness=dict(seed=0),
        resume=bool(resume),
        load_from=resume and str(resume),
    )
    runner.logger.warning = MagicMock()
    runner.train()
    return runner


def kept(folder):
    """List the checkpoints; all weights in them must be finite."""
    for path in folder.glob('*.pth'):
        saved = torch.load(path, weights_only=False)['state_dict']
        assert all(v.isfinite().all() for v in saved.values())
    return sorted(path.stem for path in folder.glob('*.pth'))


@pytest.mark.parametrize('late', [False, True])
@pytest.mark.parametrize('value, words', [(NAN, 'nan'), (INF, 'inf')])
def test_a_loss_that_is_not_finite_stops_before_the_checkpoint(
    value, words, late, tmp_path
):
    with pytest.raises(
        InputError,
        match=(
            rf'^iteration 5: loss_distill is {words} \(loss_ssl is not\): .*'
            r'Lower optim_wrapper.optimizer.lr \(now 0.1\), or .*'
            'epoch_1.pth is from before$'
        ),
    ):
        train(tmp_path, Toy(value, at=5), late=late)
    assert kept(tmp_path) == ['epoch_1']


def test_the_first_iteration_points_at_its_inputs(tmp_path):
    model = Toy(NAN, at=1)
    model.teacher = nn.Identity()
    with pytest.raises(
        InputError,
        match=(
            'iteration 1, the first: loss_distill .* check the images, the '
            'teacher, and mean and std of the data_preprocessor'
        ),
    ):
        train(tmp_path, model)
    assert kept(tmp_path) == []


@pytest.mark.parametrize(
    'kind, words',
    [
        # at the last iteration of an epoch, with a finite loss
        ('gradient', r'after 6 iterations layer.weight is not finite, although'),
        ('statistics', r'after 6 iterations norm.running_var is not finite'),
    ],
)
@pytest.mark.parametrize('iters', [None, 8])
def test_weights_are_checked_before_a_checkpoint(kind, words, iters, tmp_path):
    with pytest.raises(InputError, match=words):
        train(tmp_path, Toy(kind, at=6), iters=iters)
    assert kept(tmp_path) == (['epoch_1'] if iters is None else ['iter_2', 'iter_4'])


def test_gradients_are_named_where_their_norm_is_known(tmp_path):
    with pytest.raises(
        InputError,
        match=(
            r'iteration 5: grad_norm is nan \(loss, loss_ssl, loss_distill '
            r'are not\)'
        ),
    ):
        train(tmp_path, Toy('gradient', at=5), clip_grad=dict(max_norm=1.0))


def test_a_step_that_a_loss_scaler_skips_is_no_error():
    hub = SimpleNamespace(
        log_scalars={'train/grad_norm': SimpleNamespace(current=lambda: INF)}
    )
    amp = MagicMock(spec=AmpOptimWrapper)
    outputs = dict(loss=torch.ones(()))
    for wrapper, stops in ((amp, False), (MagicMock(), True)):
        wrapper.get_lr.return_value = dict(lr=[0.1])
        runner = SimpleNamespace(
            message_hub=SimpleNamespace(log_scalars=hub.log_scalars, runtime_info={}),
            optim_wrapper=wrapper,
            iter=9,
            max_iters=99,
            model=nn.Identity(),
        )
        hook = SignalHook(look_interval=99)
        hook._first, hook._every, hook._savers = 0, 1, []
        hook.is_last_train_iter = lambda _: False
        if stops:
            with pytest.raises(InputError, match='grad_norm is inf'):
                hook.after_train_iter(runner, 9, None, outputs)
        else:
            hook.after_train_iter(runner, 9, None, outputs)


def test_losses_are_read_at_the_interval_with_late_logging(tmp_path, monkeypatch):
    read = []
    original = SignalHook._bad_loss
    monkeypatch.setattr(
        SignalHook,
        '_bad_loss',
        lambda self, runner: (
            read.append((runner.iter, len(self._steps))),
            original(self, runner),
        )[1],
    )
    hook = dict(type='SignalHook', interval=2)
    train(tmp_path / 'late', hook=hook, late=True, epochs=2)
    # every second of 2 x 3 iterations, and after each epoch
    assert read == [(1, 2), (3, 1), (3, 1), (5, 2)]
    read.clear()
    train(tmp_path / 'now', hook=hook, epochs=1)
    assert [number for _, number in read if number] == [1, 1, 1]


def test_initial_values_must_be_finite(tmp_path):
    model = Toy()
    model.layer.weight.data[0, 0] = NAN
    with pytest.raises(
        InputError,
        match='the initial model: layer.weight is not finite',
    ):
        train(tmp_path / 'model', model)
    model = Toy()
    object.__setattr__(model, 'teacher', nn.BatchNorm2d(3))
    model.teacher.running_var[1] = -1e-3
    with pytest.raises(
        InputError,
        match='the initial teacher: running_var, a '
        r'variance, is negative \(-0.001\)',
    ):
        train(tmp_path / 'teacher', model)
    for mean, std, words in (
        (1.0, 0.0, r'std of the data_preprocessor is \[1.0, 0.0, 1.0\]'),
        (1.0, -1.0, 'set data_preprocessor.std to numbers above 0'),
        (1.0, NAN, 'std'),
        (NAN, 1.0, 'set data_preprocessor.mean'),
    ):
        model = Toy()
        model.data_preprocessor = ImgDataPreprocessor(
            mean=[1.0, mean, 1.0], std=[1.0, std, 1.0]
        )
        with pytest.raises(InputError, match=words):
            train(tmp_path / 'images', model)


class Distilled(Toy):
    """Model with a teacher that returns ``embeds`` for each image."""

    def __init__(self, embeds):
        super().__init__()
        teacher = nn.Identity()
        teacher.forward = lambda x: embeds(len(x))
        object.__setattr__(self, 'teacher', teacher)

    def forward(self, inputs, mode='loss'):
        self.teacher(inputs)
        return super().forward(inputs)


@pytest.mark.parametrize(
    'embeds, words',
    [
        (lambda n: torch.zeros(n, 8), 'zero for all'),
        (lambda n: torch.ones(n, 8) + 1e-5 * torch.rand(n, 8), 'the same for all'),
        (lambda n: [torch.ones(n, 8)] * 2, 'the same for all'),
        (lambda n: torch.ones(n, 8) + 1e-2 * torch.rand(n, 8), None),
        (lambda n: [torch.ones(n, 8), -torch.ones(n, 8)], None),
    ],
)
def test_a_constant_teacher_is_a_warning(embeds, words, tmp_path):
    warn = train(tmp_path, Distilled(embeds)).logger.warning
    messages = [str(call) for call in warn.call_args_list if 'teacher' in str(call)]
    assert len(messages) == (words is not None)
    assert not messages or words in messages[0]


def test_constant_images_are_a_warning():
    generator = torch.Generator().manual_seed(0)
    photo = torch.randint(256, (3, 6, 6), generator=generator)
    colours = torch.randint(256, (4, 3, 1, 1), generator=generator)
    photos = torch.randint(256, (4, 3, 6, 6), generator=generator)
    black = torch.zeros(4, 3, 6, 6)
    for inputs, words in (
        (black, 'single colour'),
        ([black, black], 'single colour'),
        (colours.expand(4, 3, 6, 6), 'single colour'),
        ([torch.zeros(3, 6, 7), torch.ones(3, 5, 5)], 'single colour'),
        (photo.expand(4, 3, 6, 6), 'are identical'),
        ([photo, photo], None),  # views may differ in size
        (photos, None),
        ([photos, black], None),
        (torch.cat([black[:3], photos[:1]]), None),
        (None, None),
    ):
        hook, logger = SignalHook(), MagicMock()
        for _ in range(2):  # warned once
            hook._check_images(SimpleNamespace(logger=logger), dict(inputs=inputs))
        assert logger.warning.call_count == (words is not None), words
        assert words is None or words in str(logger.warning.call_args)


def test_images_are_checked_in_the_first_step_and_at_the_interval(tmp_path):
    seen = []

    class Look(SignalHook):
        def _check_images(self, runner, batch):
            seen.append((runner.iter, batch['inputs'].shape[0]))

    train(tmp_path, hook=Look(look_interval=4))
    assert seen == [(0, 4), (3, 4), (7, 4)]


def test_a_score_that_is_not_finite_is_a_warning():
    hook, runner = SignalHook(), MagicMock()
    for scores in (
        dict(top1=1.0, kind='a'),
        dict(top1=NAN),
        dict(top1=NAN),
        dict(other=INF),
        None,
    ):
        hook.after_val_epoch(runner, scores)
    words = [call.args[0][:12] for call in runner.logger.warning.call_args_list]
    assert words == ['top1 is nan:', 'other is inf']


class Saves(Hook):
    """Write a checkpoint at an unusual time."""

    priority = 'HIGH'

    def after_train_iter(self, runner, *_, **__):
        if runner.iter == 4:
            runner.save_checkpoint(runner.work_dir, 'more.pth')


def test_a_checkpoint_at_any_other_time_is_checked(tmp_path):
    with pytest.raises(InputError, match='after 4 iterations layer.weight'):
        train(tmp_path, Toy('gradient', at=5), custom=[Saves()])
    assert kept(tmp_path) == ['epoch_1']


def _one_rank_of_two(rank, path, port):
    torch.set_num_threads(1)
    dist.init_process_group('gloo', f'tcp://127.0.0.1:{port}', rank=rank, world_size=2)
    try:
        # the first epoch is good; DDP would make both ranks fail
        model = Toy(NAN if rank else None, at=4)
        hook = SignalHook(interval=2)
        hook._first, hook._every, hook._savers = 0, 2, []
        runner = MagicMock(iter=0, model=model, max_iters=9)
        runner.message_hub.log_scalars = {}
        runner.message_hub.runtime_info = {}
        runner.optim_wrapper.get_lr.return_value = dict(lr=[0.1])
        message = 'nothing'
        for runner.iter in range(8):
            losses = model(torch.randn(4, 2))
            try:
                hook.after_train_iter(runner, runner.iter, None, losses)
            except InputError as error:
                message = f'{runner.iter}: {error}'
                break
        path.joinpath(str(rank)).write_text(message)
    finally:
        dist.destroy_process_group()


def test_ranks_stop_together(tmp_path, free_port):
    mp.start_processes(
        _one_rank_of_two, args=(tmp_path, free_port), nprocs=2, start_method=START
    )
    message = [tmp_path.joinpath(str(rank)).read_text() for rank in (0, 1)]
    assert message[0] == message[1]
    assert message[0].startswith('3: rank 1, iteration 4: loss_distill is nan')


def test_a_training_that_diverges_keeps_its_checkpoints(fails, tmp_path):
    message = fails(
        'tools/train.py',
        'configs/quickstart/mocov2.py',
        '--work-dir',
        tmp_path,
        '--cfg-options',
        'train_cfg.max_epochs=3',
        'train_dataloader.dataset.stop=32',
        'train_dataloader.batch_size=16',
        'model.queue_len=16',
        'optim_wrapper.optimizer.lr=1e9',
        'val_cfg=None',
    )
    assert 'loss is nan: the training diverges. Lower optim_' in message
    kept(tmp_path)
