"""Networks are read from config texts without running them."""

import pytest
from mmengine.config import Config

from mmdisco.checkpoints.config_text import read_parts
from mmdisco.checkpoints.network import find_network, name_of
from mmdisco.errors import InputError
from tests.tools import ROOT


@pytest.mark.parametrize('name', ['disco/r50_mbv3', 'baselines/mocov2_r18'])
def test_the_text_that_mmengine_saves_is_read_as_mmengine_reads_it(name):
    config = Config.fromfile(ROOT / 'configs' / f'{name}.py')
    model = Config.fromstring(config.pretty_text, '.py').model
    host = model.get('ssl', model).to_dict()
    parts = read_parts(config.pretty_text)
    assert parts == (model.type, host['backbone'], host['neck'])


def test_archs_are_identified_by_their_settings():
    assert (
        name_of(
            dict(
                type='ResNet',
                depth=50,
                frozen_stages=2,
                num_stages=4,
                norm_cfg=dict(type='SyncBN'),
                out_indices=(3,),
                init_cfg=dict(type='Pretrained'),
            )
        )
        == 'r50'
    )
    assert (
        name_of(dict(type='ResNet', depth=50, stem_channels=128, base_channels=128))
        == 'r50w2'
    )
    assert name_of(dict(type='MobileNetV3Pooled', norm_eval=True)) == 'mbv3'
    assert name_of(dict(type='ResNet', depth=50, stem_channels=32)) is None


BACKBONE = "backbone=dict(type='ResNet', depth=18)"


@pytest.mark.parametrize(
    'text, words',
    [
        ("model = dict(backbone=dict(type='ResNet', depth=RUN))", 'plain values'),
        ("model = dict(backbone=dict(type='ResNet', **RUN))", 'plain values'),
        ("model = dict(backbone=dict([('type', RUN)]))", 'plain values'),
        (
            "model = dict(backbone=dict(type='os.system', command='true'))",
            "type 'os.system'",
        ),
        (
            "model = dict(backbone=dict(type='ResNet', norm_cfg=dict(type='os')))",
            "type 'os'",
        ),
        ('model = dict(backbone=dict(depth=18))', 'type of its backbone'),
        (f'model = RUN or dict({BACKBONE})', 'neither model.backbone'),
        ('model = (', 'not valid Python'),
        ('x = 1', 'neither model.backbone'),
    ],
)
def test_untrusted_text_is_rejected_without_running_it(text, words, tmp_path):
    trace = tmp_path / 'trace'
    text = text.replace('RUN', f"open('{trace}', 'w')")
    with pytest.raises(InputError, match=words):
        find_network(dict(cfg=text))
    assert not trace.exists()


def test_only_needed_values_are_read(tmp_path):
    trace = tmp_path / 'trace'
    network = find_network(
        dict(
            cfg=(
                f"x = open('{trace}', 'w')\n"
                f'model = dict({BACKBONE}, head=dict(loss=x), type="MoCo")\n'
            )
        )
    )
    assert network.arch == 'r18' and network.algorithm == 'MoCo'
    assert network.neck is None and not trace.exists()


def test_a_name_for_another_pre_training_of_the_same_network_is_fine():
    meta = dict(backbone=dict(type='ResNet', depth=50), arch='r50')
    assert find_network(meta, 'swavr50').backbone['depth'] == 50
    with pytest.raises(InputError, match="holds 'r50', but --arch says 'r18'"):
        find_network(meta, 'r18')
    assert find_network({}, 'r18').neck['hid_channels'] == 2048
