"""Every training has its hooks, whichever version has written its config."""
import pytest
from mmengine.config import Config

from mmdisco.launch import add_hooks
from mmdisco.launch.hooks import HOOKS
from tests.tools import ROOT

CONFIGS = ('disco/r50_r18', 'quickstart/disco', 'benchmarks/linear_r18',
           'detection/voc/retinanet_r18-fpn_1x')


@pytest.mark.parametrize('config', CONFIGS)
def test_configs_name_them_and_older_ones_get_them(config):
    cfg = Config.fromfile(ROOT / f'configs/{config}.py',
                          import_custom_modules=False)
    wanted = cfg.to_dict()
    add_hooks(cfg)
    assert cfg.to_dict() == wanted
    scope = 'mmpretrain.' * (cfg.default_scope == 'mmdet')
    for name, kind in HOOKS.items():
        assert cfg.default_hooks.pop(name).type == scope + kind
    for _ in range(2):  # of a dumped config, too
        add_hooks(cfg)
        for name, kind in HOOKS.items():
            assert cfg.default_hooks[name].type == scope + kind


def test_hooks_that_are_named_or_left_out_stay_so():
    cfg = Config(dict(default_hooks=dict(signals=None), custom_hooks=[
        dict(type='mmpretrain.EpochSeedHook', without_workers=False)]))
    add_hooks(cfg)
    assert cfg.default_hooks == dict(signals=None)
    cfg = Config(dict())
    add_hooks(cfg)
    assert set(cfg.default_hooks) == set(HOOKS)
