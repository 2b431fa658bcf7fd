"""The benchmark of the number of stored views: its store, runs and table."""

import timm
import torch
from mmengine.config import Config
from mmpretrain.registry import DATASETS

from mmdisco.experiments import stored as lab
from mmdisco.experiments.pictures import ARMS, LR, PHI_S, STANDARDIZE, Pictures
from mmdisco.experiments.stats import csv_text
from mmdisco.zoo import teacher_config


def test_runs_differ_in_their_number_of_views_alone(tmp_path, monkeypatch):
    torch.manual_seed(0)
    network = timm.create_model('test_vit', dynamic_img_size=True)
    torch.save(network.state_dict(), tmp_path / 'teacher.pth')
    teacher = Config(dict(teacher_config('timm:test_vit')))
    teacher.checkpoint = str(tmp_path / 'teacher.pth')
    for module in ('stored', 'pictures'):
        name = f'mmdisco.experiments.{module}.teacher_config'
        monkeypatch.setattr(name, lambda: teacher._cfg_dict)
    images = torch.randint(0, 256, (6, 3, 128, 128)).byte()
    rows = torch.arange(6)
    pictures = Pictures(images, rows, rows[:4], rows[4:], rows[4:])
    lab.write_photos(pictures, tmp_path / 'photos')
    lab.write_photos(pictures, tmp_path / 'photos')
    assert len([*(tmp_path / 'photos').glob('*.png')]) == 4
    arm = next(arm for arm in ARMS if arm.name == 'CoSS')
    setting = {LR: 0.002, STANDARDIZE: PHI_S}
    cfg = lab.live_config(arm, setting, 7, tmp_path)
    store = lab.write_store(cfg, tmp_path, 3)
    assert (len(store), store.num_views) == (4, 3)
    assert lab.megabytes(store, 2) == 4 * 2 * 64 * 2 / 1e6
    assert float((tmp_path / 'store_seconds.json').read_text()) > 0
    live = Config.fromfile(lab.job(cfg, arm, lab.LIVE, 1, store, tmp_path).config)
    assert live.model.teacher.type == 'FrozenTeacher'
    assert live.optim_wrapper.optimizer.lr == 0.002
    assert live.train_cfg.max_epochs == 7
    for number in (1, 3):
        run = lab.job(cfg, arm, number, 1, store, tmp_path)
        own = Config.fromfile(run.config)
        assert run.options == {'randomness.seed': 1}
        assert own.model.teacher.type == 'StoredTeacher'
        for name in ('ssl', 'distill', 'standardize'):
            assert own.model[name] == live.model[name]
        dataset = DATASETS.build(own.train_dataloader.dataset)
        drawn = {tuple(dataset[0]['data_samples'][0].tolist()) for _ in range(40)}
        assert len(drawn) == number


def test_differences_are_paired_by_seed(tmp_path):
    rows = [
        dict(
            method='CoSS',
            views=views,
            seed=seed,
            knn=knn,
            linear=knn + 20,
            seconds=100.0 + seed,
            store_seconds=50.0,
            megabytes=12.0,
            command='python x',
            commit='abc',
            machine='2 cores',
        )
        for views, scores in ((lab.LIVE, (40.0, 44.0)), (5, (39.0, 45.0)))
        for seed, knn in enumerate(scores)
    ]
    lines = lab.table(rows)
    assert lines[2].startswith('| CoSS | live | 42.00 ± 2.83 |  | 62.00 ± 2.83 |')
    # differences of -1 and 1: mean 0, standard error 1
    assert '| CoSS | 5 | 42.00 ± 4.24 | +0.00 ± 1.00 |' in lines[3]
    assert lines[3].endswith('| 100 | 50 | 12 |')
    assert 'python x' in lab.markdown(rows, 4, 7)
    assert csv_text(rows, lab.COLUMNS).count('\n') == 5
    lab.draw(rows, tmp_path / 'store.png')
    assert (tmp_path / 'store.png').read_bytes().startswith(b'\x89PNG')
