import time
from types import SimpleNamespace

import pytest
import torch
from mmengine.runner import EpochBasedTrainLoop, IterBasedTrainLoop
from mmpretrain.registry import HOOKS
from torch.utils.data import DataLoader

from mmdisco.engine import CudaPrefetcher, prefetch

CPU = torch.device('cpu')


@pytest.fixture
def events(monkeypatch):
    """Replace CUDA streams by a list of events."""
    log, active = [], ['main']

    class Stream:
        def __init__(self, _=None, name='side'):
            self.name = name

        def wait_stream(self, other):
            log.append(f'{self.name} waits for {other.name}')

    class Use:
        def __init__(self, stream):
            self.stream = stream

        def __enter__(self):
            active.append(self.stream.name)

        def __exit__(self, *_):
            active.pop()

    def to(tensor, device, non_blocking):
        assert device == CPU and non_blocking
        log.append(f'copy {tensor.flatten()[0]:.0f} on {active[-1]}')
        return tensor + 0

    monkeypatch.setattr(torch.cuda, 'Stream', Stream)
    monkeypatch.setattr(torch.cuda, 'stream', Use)
    monkeypatch.setattr(torch.cuda, 'current_stream', lambda _: Stream(name='main'))
    monkeypatch.setattr(torch.Tensor, 'to', to)
    monkeypatch.setattr(
        torch.Tensor,
        'record_stream',
        lambda x, stream: log.append(f'{x.flatten()[0]:.0f} is used on {stream.name}'),
    )
    return log


def test_the_next_batch_is_copied_while_this_one_is_used(events):
    data = [torch.full((2,), float(i)) for i in range(6)]
    batches = []
    for batch in CudaPrefetcher(DataLoader(data, batch_size=2), CPU):
        events.append(f'train on {batch[0, 0]:.0f}')
        batches.append(batch)
    assert torch.equal(torch.cat(batches), torch.stack(data))
    assert events == [
        'copy 0 on side',
        'main waits for side',
        '0 is used on main',
        'copy 2 on side',
        'train on 0',
        'main waits for side',
        '2 is used on main',
        'copy 4 on side',
        'train on 2',
        'main waits for side',
        '4 is used on main',
        'train on 4',
    ]


def test_nested_batches_and_no_batches(events):
    sample = object()
    batch = dict(inputs=[torch.zeros(1), (torch.ones(1),)], data_samples=[sample, None])
    (out,) = CudaPrefetcher([batch], CPU)
    assert events[:2] == ['copy 0 on side', 'copy 1 on side']
    assert torch.equal(out['inputs'][1][0], torch.ones(1))
    assert out['data_samples'] == [sample, None]
    assert list(CudaPrefetcher([], CPU)) == []


def test_it_has_the_attributes_of_the_loader():
    loader = DataLoader(list(range(6)), batch_size=2, drop_last=True)
    prefetcher = CudaPrefetcher(loader, CPU)
    assert len(prefetcher) == 3
    for name in ('sampler', 'dataset', 'batch_size', 'batch_sampler'):
        assert getattr(prefetcher, name) is getattr(loader, name)
    with pytest.raises(AttributeError, match='nonsense'):
        prefetcher.nonsense  # noqa: B018


def test_the_hook_wraps_on_cuda_only(monkeypatch):
    loop = EpochBasedTrainLoop.__new__(EpochBasedTrainLoop)
    loop.dataloader = loader = DataLoader([0])

    def run(device, loop):
        weight = SimpleNamespace(device=torch.device(device))
        HOOKS.build(dict(type='PrefetchHook')).before_train(
            SimpleNamespace(
                model=SimpleNamespace(parameters=lambda: iter([weight])),
                train_loop=loop,
            )
        )

    run('cpu', loop)
    assert loop.dataloader is loader
    run('cuda:0', loop)
    assert isinstance(loop.dataloader, prefetch.CudaPrefetcher)
    assert loop.dataloader.loader is loader
    assert loop.dataloader.device == torch.device('cuda:0')


@pytest.mark.parametrize('started', [False, True])
def test_loops_by_iterations_are_prefetched(events, monkeypatch, started):
    """From the batch that comes next, also past the end of the loader."""
    data = [torch.full((2,), float(i)) for i in range(4)]
    loader = DataLoader(data, batch_size=2)
    model = SimpleNamespace(parameters=lambda: iter([torch.zeros(1)]))
    loop = IterBasedTrainLoop(SimpleNamespace(model=model), loader, max_iters=9)
    if started:
        assert next(loop.dataloader_iterator)[0, 0] == 0
    weight = SimpleNamespace(device=torch.device('cuda:0'))
    monkeypatch.setattr(
        prefetch, 'CudaPrefetcher', lambda loader, _: CudaPrefetcher(loader, CPU)
    )
    HOOKS.build(dict(type='PrefetchHook')).before_train(
        SimpleNamespace(
            model=SimpleNamespace(parameters=lambda: iter([weight])), train_loop=loop
        )
    )
    monkeypatch.setattr(time, 'sleep', lambda _: None)
    values = [int(next(loop.dataloader_iterator)[0, 0]) for _ in range(4)]
    assert values == ([2, 0, 2, 0] if started else [0, 2, 0, 2])
    assert loop.dataloader.sampler is loader.sampler
    assert 'copy 2 on side' in events
