"""Every training has its hooks, also with configs of older versions."""

import pytest
from mmengine.config import Config

from mmdisco.launch import add_hooks, apply_overrides, read_config
from mmdisco.launch.scope import HOOKS
from tests.tools import ROOT

CONFIGS = (
    'disco/r50_r18',
    'quickstart/disco',
    'benchmarks/linear_r18',
    'detection/voc/retinanet_r18-fpn_1x',
)


@pytest.mark.parametrize('config', CONFIGS)
def test_configs_name_them_and_older_ones_get_them(config):
    cfg = Config.fromfile(ROOT / f'configs/{config}.py', import_custom_modules=False)
    wanted = cfg.to_dict()
    add_hooks(cfg)
    assert cfg.to_dict() == wanted
    scope = 'mmpretrain.' * (cfg.default_scope == 'mmdet')
    for name, kind in HOOKS.items():
        assert cfg.default_hooks.pop(name).type == scope + kind
    for _ in range(2):  # also in a dumped config
        add_hooks(cfg)
        for name, kind in HOOKS.items():
            assert cfg.default_hooks[name].type == scope + kind


def test_named_hooks_are_unchanged():
    cfg = Config(
        dict(
            custom_hooks=[dict(type='mmpretrain.EpochSeedHook', without_workers=False)]
        )
    )
    add_hooks(cfg)
    assert [*cfg.default_hooks] == ['signals']
    cfg = Config(dict())
    add_hooks(cfg)
    assert set(cfg.default_hooks) == set(HOOKS)


def test_removed_hooks_are_not_added(tmp_path):
    cfg = read_config(str(ROOT / 'configs/disco/r50_r18.py'))
    apply_overrides(cfg, {'default_hooks.signals': None, 'default_hooks.logger': None})
    add_hooks(cfg)
    assert 'signals' not in cfg.default_hooks
    assert 'epoch_seed' in cfg.default_hooks
    cfg.dump(tmp_path / 'dumped.py')
    again = read_config(str(tmp_path / 'dumped.py'))
    apply_overrides(again, {'default_hooks.epoch_seed': None})
    add_hooks(again)
    assert not {'signals', 'epoch_seed'} & {*again.default_hooks}
