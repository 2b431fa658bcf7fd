"""DDP's options, under the names of the installed torch."""

import inspect

import pytest
import torch.distributed as dist
from mmengine.config import ConfigDict
from mmengine.runner import Runner
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from mmdisco.engine import runner
from mmdisco.engine.runner import (
    FastRunner,
    GlooDistributedDataParallel,
    buffer_options,
)


@pytest.fixture
def group(free_port):
    dist.init_process_group(
        'gloo', f'tcp://127.0.0.1:{free_port}', rank=0, world_size=1
    )
    yield
    dist.destroy_process_group()


@pytest.mark.parametrize('broadcast', [False, True])
def test_buffers_are_broadcast_on_demand(group, broadcast):
    model = GlooDistributedDataParallel(
        nn.Sequential(nn.Linear(1, 1), nn.BatchNorm1d(1)), broadcast_buffers=broadcast
    )
    [name] = buffer_options()
    assert getattr(model, name) is broadcast


@pytest.mark.parametrize('name', ['forward_sync_buffers', 'broadcast_buffers'])
def test_the_option_has_the_name_of_this_torch(monkeypatch, name):
    """Configs keep the old name, for any version of torch."""

    def signature(kind):
        assert kind is DistributedDataParallel
        return inspect.Signature(
            [inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY)]
        )

    monkeypatch.setattr(runner.inspect, 'signature', signature)
    monkeypatch.setattr(runner, 'set_up_process', lambda speed: None)
    monkeypatch.setattr(runner, 'speed_up_student', lambda *args: None)
    monkeypatch.setattr(Runner, 'wrap_model', lambda self, cfg, model: cfg)

    fast = FastRunner.__new__(FastRunner)
    fast.cfg = ConfigDict(speed=dict(channels_last=False, compile=False))
    for config, expected in (
        (None, None),
        (dict(type='FSDP'), dict(type='FSDP')),
        (dict(static_graph=True), dict(static_graph=True)),
        (dict(broadcast_buffers=True), {name: True}),
        (
            dict(type='MMDistributedDataParallel', broadcast_buffers=False),
            {'type': 'MMDistributedDataParallel', name: False},
        ),
        (
            dict(type='GlooDistributedDataParallel', broadcast_buffers=False),
            dict(type='GlooDistributedDataParallel', broadcast_buffers=False),
        ),
    ):
        assert fast.wrap_model(config, nn.Linear(1, 1)) == expected
