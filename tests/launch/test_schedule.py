"""What a schedule must not be, in one line each."""
import pytest

from mmdisco.launch import check_schedule, read_config


@pytest.mark.parametrize('config', [
    'dino_vitt', 'byol_r18', 'simclr_r18', 'mocov3_r18', 'barlowtwins_r18'])
def test_a_run_shorter_than_its_warm_up_is_refused(config):
    cfg = read_config(f'configs/baselines/{config}.py')
    assert check_schedule(cfg) == []
    cfg.train_cfg.max_epochs = 10
    with pytest.raises(ValueError, match=r'param_scheduler.1 .* begins after '
                       '10 epochs, but train_cfg.max_epochs is 10'):
        check_schedule(cfg)
    cfg.train_cfg.max_epochs = 11
    assert check_schedule(cfg) == []


def test_the_tool_says_so_before_anything_runs(fails, tmp_path):
    line = fails('tools/train.py', 'configs/baselines/byol_r18.py',
                 '--work-dir', tmp_path / 'run', '--cfg-options',
                 'train_cfg.max_epochs=5')
    assert 'max_epochs is 5: set param_scheduler.1.begin' in line
    assert not (tmp_path / 'run').exists()
    line = fails('tools/train.py', 'configs/disco_dino/vits_vitt.py',
                 '--cfg-options',
                 'model.distill.adapter=dict(in_features=1,out_features=1)')
    assert 'a.b=1 a.c=2' in line


def test_one_scheduler_or_none_will_do():
    cfg = read_config('configs/baselines/mocov2_r18.py')
    for schedulers in (cfg.param_scheduler[0], None):
        cfg.param_scheduler, cfg.custom_hooks = schedulers, None
        assert check_schedule(cfg) == []


def test_a_predictor_that_is_not_scaled_is_told():
    cfg = read_config('configs/baselines/simsiam_r18.py')
    assert check_schedule(cfg) == []
    cfg.auto_scale_lr.enable = True
    note, = check_schedule(cfg)
    index = note.rpartition('custom_hooks.')[2].split('.')[0]
    assert cfg.custom_hooks[int(index)].type == 'SimSiamHook'
    assert 'lr of the predictor at 0.05' in note
