"""Counts of networks, against arithmetic and real tensors."""

import json
import runpy
import sys

import pytest
import torch
from mmengine.registry import init_default_scope
from mmpretrain.registry import MODELS
from torch import nn
from torch.autograd.graph import saved_tensors_hooks

from mmdisco.checkpoints import arch_config
from mmdisco.deploy.complexity import (
    LiveBytes,
    complexity,
    forward_peak,
    multiply_adds,
    on_meta,
    saved_per_image,
)
from tests.tools import ROOT

TOOL = 'tools/analysis/complexity.py'


def tiny(inplace=False, device='meta'):
    return nn.Sequential(
        nn.Conv2d(3, 4, 3, padding=1),
        nn.BatchNorm2d(4),
        nn.ReLU(inplace),
        nn.Conv2d(4, 2, 1, bias=False),
    ).to(device)


def test_a_tiny_network_by_hand():
    """Images of 8 x 8: 64 positions, 4 bytes a number."""
    # BN scales and shifts: two for each of its numbers
    network = tiny(device='cpu')
    assert multiply_adds(network, 8) == 64 * (27 * 4 + 4 * 2 + 2 * 4)
    image, map4, map2 = (4 * 64 * channels for channels in (3, 4, 2))
    # the image is held by who calls; each layer needs its input and output,
    # and BN gives mean and deviation of its four channels
    assert forward_peak(tiny(), 8) == image + map4 + map4 + 2 * 4 * 4
    # the convolutions keep their inputs, BN its weights, ReLU what it gives,
    # which is what the second convolution takes
    assert saved_per_image(tiny(), 8) == image + map4 + map4
    # BN's output becomes ReLU's: the same
    assert saved_per_image(tiny(inplace=True), 8) == image + map4 + map4

    deeper = on_meta(nn.Sequential(nn.Conv2d(3, 4, 1), nn.ReLU(), nn.Conv2d(4, 2, 1)))
    assert forward_peak(deeper, 8) == image + map4 + map4
    deeper[1].inplace = True
    assert forward_peak(deeper, 8) == image + map4 + map2


def test_two_branches_are_alive_at_once():
    class Branches(nn.Module):
        def forward(self, x):
            a = x + 1
            b = a.view(-1) * 2  # a view is nothing new
            return a.sum() + b.sum()

    # image, a, b; both sums and their total
    assert forward_peak(Branches(), 8) == 3 * (4 * 3 * 64) + 3 * 4


@pytest.fixture
def one_thread():
    """Tiny maps gain nothing from a second one, and wait for it."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.mark.parametrize('arch', ['r18', 'mbv3'])
def test_counts_without_data_equal_those_of_real_tensors(arch, one_thread):
    init_default_scope('mmpretrain')
    network = MODELS.build(arch_config(arch).backbone)
    shapes = on_meta(network)
    network.eval()
    images = torch.randn(1, 3, 64, 64)
    with torch.no_grad(), LiveBytes() as live:
        live.add(images.untyped_storage())
        network(images)
    assert live.now == images.nbytes
    # BN gives no statistics on a CPU; 64 channels are the most at that moment
    assert 0 <= forward_peak(shapes, 64) - live.peak <= 2 * 4 * 64

    weights = {p.data_ptr() for p in network.parameters()}
    kept = {}

    def pack(tensor):  # by address: each tensor in the graph, once
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in weights:
            kept[storage.data_ptr()] = storage
        return tensor

    def saved(num):
        kept.clear()
        with saved_tensors_hooks(pack, lambda x: x):
            network(torch.randn(num, 3, 64, 64))
        return sum(storage.nbytes() for storage in kept.values())

    network.train()
    assert saved_per_image(shapes, 64) == saved(5) - saved(4)


def test_attention_is_counted():
    """ViT-tiny: 196 patches and a class token, 12 layers, 3 heads of 64."""
    tokens, width = 197, 192
    layer = tokens * width * width * (3 + 1 + 2 * 4)
    attention = 2 * 3 * tokens * tokens * 64
    norms = 25 * 5 * tokens * width  # five for each number
    assert complexity('vitt').multiply_adds == (
        196 * 768 * width + 12 * (layer + attention) + norms
    )


@pytest.mark.parametrize(
    'name, parameters, width, papers',
    [
        ('vitt', 5_524_416, 192, None),
        ('xcitt', 6_523_272, 192, None),
        ('r50', 23_508_032, 2048, 22.42),
        ('effb0', 4_007_548, 1280, 3.978),
        ('mbv3', 4_202_032, 1280, 4.164),
        ('r18', 11_176_512, 512, 10.721),
    ],
)
def test_parameters_are_those_of_the_papers_networks(name, parameters, width, papers):
    row = complexity(name, 32)
    assert row.parameters == parameters and row.width == width
    neck = dict(r50=2048 * 2049 + 128 * 2049).get(name, 2048 * (width + 1) + 128 * 2049)
    if name in ('vitt', 'xcitt'):
        neck = 2048 * (width + 1) + 2048 * 2049 + 256 * 2049
    assert row.with_neck == parameters + neck
    assert papers is None or row.papers_millions == pytest.approx(
        papers, abs=6e-4 if papers < 21 else 6e-3
    )


def test_the_tool_prints_and_writes_the_same(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(ROOT)
    out = tmp_path / 'deep' / 'sizes.json'
    monkeypatch.setattr(sys, 'argv', [TOOL, 'r18', '--json', str(out)])
    runpy.run_path(TOOL, run_name='__main__')
    text = capsys.readouterr().out
    assert '11,176,512' in text and '16.3 printed. 16.32' in text
    saved = json.loads(out.read_text())
    [row] = saved['rows']
    assert row['multiply_adds'] == 1_818_528_768 and saved['size'] == 224
    assert f'{row["saved_bytes"] / 2**20:.1f}' in text
    assert saved['commit'] and len(saved['impossible']) == 3


def test_faults_are_one_line(tmp_path, fails):
    assert "arch 'r19' is not known" in fails(TOOL, 'r19')
    assert 'is a folder' in fails(TOOL, 'r18', '--size', 32, '--json', tmp_path)
    assert 'images of 8 pixels are too small' in fails(TOOL, 'vitt', '--size', 8)
