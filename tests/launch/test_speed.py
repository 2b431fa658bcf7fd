"""Settings of --speed on simulated hardware."""

import pytest
import torch
from mmengine.config import Config

from mmdisco.datasets.transforms import ViewRecipe
from mmdisco.launch import apply_speed, read_config, speed
from mmdisco.zoo import teacher_config

ROOT = 'configs/disco/r50_mbv3.py'


@pytest.fixture
def hardware(monkeypatch):
    """Simulate fast hardware."""
    monkeypatch.setattr(speed, 'bf16_pays', lambda: True)
    monkeypatch.setattr(speed, 'why_no_compiler', lambda: None)
    monkeypatch.setattr(speed, 'can_keep_freed_memory', lambda: True)
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: False)


def test_off_changes_nothing(hardware):
    cfg = read_config(ROOT)
    before = cfg.pretty_text
    assert apply_speed(cfg, 'off') == []
    assert cfg.pretty_text == before


def test_exact_stays_in_fp32_and_keeps_the_views(hardware):
    cfg, before = read_config(ROOT), read_config(ROOT)
    note, wait = apply_speed(cfg, 'exact')
    assert note == ('speed exact: fp32, channels last, compiled, freed memory kept')
    assert 'first iteration waits for the compiler' in wait
    assert cfg.model.teacher == dict(
        before.model.teacher, fuse=True, channels_last=True, compile=True
    )
    assert cfg.model.ssl.type == 'LeanMoCo'
    assert cfg.model.ssl.head == dict(type='InfoNCEHead', temperature=0.2)
    assert cfg.optim_wrapper == dict(
        before.optim_wrapper, optimizer=dict(before.optim_wrapper.optimizer, fused=True)
    )
    assert cfg.train_dataloader == before.train_dataloader
    assert cfg.data_preprocessor == before.data_preprocessor
    assert 'model_wrapper_cfg' not in cfg
    assert cfg.speed == dict(
        channels_last=True,
        compile=True,
        draw_as_eager=True,
        spare_activations=False,
        keep_memory=True,
    )


@pytest.mark.parametrize(
    'name, compiled',
    [('dinov2_vits14', False), ('efflite0', True), ('dinov3_convnext_tiny', True)],
)
def test_a_vit_is_compiled_on_a_gpu_only(hardware, monkeypatch, name, compiled):
    """On a CPU it gains nothing (docs/speed.md), and the compiler takes its time."""
    cfg = read_config(ROOT)
    cfg.model.teacher = teacher_config(name)
    apply_speed(cfg, 'exact')
    assert cfg.model.teacher.compile == compiled
    assert cfg.speed.compile and cfg.model.teacher.channels_last
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: True)
    cfg = read_config(ROOT)
    cfg.model.teacher = teacher_config(name)
    apply_speed(cfg, 'exact')
    assert cfg.model.teacher.compile


def test_auto_computes_in_bf16_where_the_hardware_does(hardware, monkeypatch):
    cfg = read_config(ROOT)
    note, _ = apply_speed(cfg, 'auto')
    assert note.startswith('speed auto: bf16, channels last, compiled')
    assert note.endswith('fast views')
    assert cfg.optim_wrapper.type == 'BF16OptimWrapper'
    assert cfg.model.teacher.dtype == 'bf16'
    monkeypatch.setattr(speed, 'bf16_pays', lambda: False)
    cfg = read_config(ROOT)
    note, _ = apply_speed(cfg, 'auto')
    assert 'fp32 (bf16 would be emulated here)' in note
    assert cfg.optim_wrapper.type == 'OptimWrapper'
    assert 'dtype' not in cfg.model.teacher


def test_fast_views_keep_the_settings_of_the_loader(hardware):
    """They also replace mmcv's loader."""
    for load, kept in (
        (dict(type='LoadPhoto', background=[0, 0, 9]), dict(background=[0, 0, 9])),
        (dict(type='LoadPhoto'), {}),
        (dict(type='LoadImageFromFile', imdecode_backend='pillow'), {}),
    ):
        cfg = read_config(ROOT)
        pipeline = cfg.train_dataloader.dataset.pipeline
        pipeline[0] = load
        for _ in range(2):  # then like a dumped config
            assert 'fast views' in apply_speed(cfg, 'auto')[0]
            first = cfg.train_dataloader.dataset.pipeline[0]
            assert first == dict(
                type='LoadCrops',
                size=224,
                num_views=2,
                scale=(0.2, 1.0),
                channels_last=True,
                **kept,
            )
    cfg = read_config(ROOT)
    cfg.train_dataloader.dataset.pipeline[0] = dict(type='LoadImageFromFile')
    assert 'fast views' not in apply_speed(cfg, 'auto')[0]  # loaded by OpenCV


@pytest.mark.parametrize(
    'config, size, num_views, scale, recipe',
    [
        ('comparators/seed_r50_mbv3.py', 224, 1, (0.2, 1.0), {}),
        ('comparators/seed_r50_mbv3.py', 96, 1, (0.2, 1.0), {}),
        (
            'comparators/simreg_r50_mbv3.py',
            224,
            1,
            (0.2, 1.0),
            dict(jitter_prob=0.0, gray_prob=0.0, blur_prob=0.0),
        ),
        (
            'baselines/simclr_r18.py',
            128,
            2,
            (0.08, 1.0),
            dict(brightness=0.8, contrast=0.8, saturation=0.8, hue=0.2),
        ),
    ],
)
def test_other_numbers_and_sizes_of_views_are_fast_too(
    hardware, config, size, num_views, scale, recipe
):
    cfg = read_config(f'configs/{config}')
    cfg.train_dataloader.dataset.pipeline[1].transforms[0][0].scale = size
    assert 'fast views' in apply_speed(cfg, 'auto')[0]
    load, views, pack = cfg.train_dataloader.dataset.pipeline
    assert load == dict(
        type='LoadCrops',
        size=size,
        num_views=num_views,
        scale=scale,
        channels_last=True,
    )
    assert (views.type, views.num_views) == ('PhotometricViews', num_views)
    drawn = ViewRecipe(**views.get('views', [{}])[0])
    assert drawn == ViewRecipe(**recipe)
    assert cfg.data_preprocessor.to_rgb is False
    before = cfg.pretty_text
    assert 'fast views' in apply_speed(cfg, 'auto')[0]  # a dumped config
    assert cfg.pretty_text == before


@pytest.mark.parametrize(
    'change',
    [
        lambda view: view[0].update(interpolation='lanczos'),
        lambda view: view[0].update(backend='cv2'),
        lambda view: view[0].update(scale=(224, 192)),
        lambda view: view[0].update(aspect_ratio_range=(0.5, 2.0)),
        lambda view: view[1].transforms[0].update(hue=(0.0, 0.1)),
        lambda view: view[2].update(channel_weights=(0.3, 0.3, 0.4)),
        lambda view: view[3].update(magnitude_std=0.5),
        lambda view: view[4].update(direction='vertical'),
        lambda view: view.append(dict(type='Solarize', thr=100, prob=0.2)),
        lambda view: view.insert(1, dict(type='Solarize', thr=128, prob=0.2)),
        lambda view: view.insert(1, view.pop(2)),  # another order
        lambda view: view.append(dict(view[1])),  # twice
    ],
)
def test_other_views_stay(hardware, change):
    cfg = read_config(ROOT)
    change(cfg.train_dataloader.dataset.pipeline[1].transforms[0])
    before = cfg.train_dataloader.to_dict()
    assert 'fast views' not in apply_speed(cfg, 'auto')[0]
    assert cfg.train_dataloader.to_dict() == before


def test_views_of_a_model_with_its_own_preprocessor_stay(hardware):
    cfg = read_config(ROOT)
    cfg.model.data_preprocessor = dict(cfg.data_preprocessor)
    assert 'fast views' not in apply_speed(cfg, 'auto')[0]
    assert cfg.data_preprocessor == cfg.model.data_preprocessor


def test_the_note_has_the_precision_of_amp(hardware):
    cfg = read_config(ROOT)
    cfg.optim_wrapper.type = 'AmpOptimWrapper'
    assert apply_speed(cfg, 'auto')[0].startswith('speed auto: mixed precision,')
    del cfg.optim_wrapper['type']  # mmengine's default
    assert apply_speed(cfg, 'exact')[0].startswith('speed exact: fp32,')


def test_on_a_gpu_views_are_made_there_and_prefetched(hardware, monkeypatch):
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: True)
    cfg = read_config(ROOT)
    apply_speed(cfg, 'auto')
    assert cfg.data_preprocessor.type == 'DeviceViews'
    assert cfg.custom_hooks[-1] == dict(type='PrefetchHook')
    assert cfg.speed == dict(
        channels_last=True,
        compile=True,
        draw_as_eager=False,
        spare_activations=True,
        keep_memory=False,
    )  # the C library's memory does not matter there
    cfg = read_config(ROOT)
    apply_speed(cfg, 'exact')
    assert not cfg.speed.channels_last and cfg.speed.compile


def test_without_a_compiler_it_says_so_in_a_line(hardware, monkeypatch):
    monkeypatch.setattr(speed, 'why_no_compiler', lambda: 'no g++')
    cfg = read_config(ROOT)
    (note,) = apply_speed(cfg, 'exact')
    assert 'not compiled (no g++)' in note
    assert not cfg.speed.compile and not cfg.model.teacher.compile


def test_settings_that_do_not_fit_are_unchanged(hardware):
    cfg = read_config(ROOT)
    cfg.model.teacher.norm_mode = 'batch'
    cfg.model.ssl.head.loss = dict(type='LabelSmoothLoss')
    cfg.model.ssl.head.temperature = 0.1
    cfg.optim_wrapper.optimizer = dict(type='LARS', lr=1.0)
    head = cfg.model.ssl.head.to_dict()
    apply_speed(cfg, 'exact')
    assert not cfg.model.teacher.fuse
    assert cfg.model.ssl.head.to_dict() == head
    assert cfg.optim_wrapper.optimizer == dict(type='LARS', lr=1.0)


def test_ddp_relies_on_a_static_graph_where_there_is_one(hardware):
    cfg = read_config(ROOT)
    cfg.launcher = 'pytorch'
    apply_speed(cfg, 'exact')
    assert cfg.model_wrapper_cfg == dict(
        type='MMDistributedDataParallel',
        broadcast_buffers=False,
        static_graph=True,
        gradient_as_bucket_view=True,
    )
    cfg = read_config(ROOT)
    cfg.merge_from_dict(
        dict(
            launcher='pytorch',
            model_wrapper_cfg=dict(type='GlooDistributedDataParallel', device_ids=None),
        )
    )
    apply_speed(cfg, 'exact')
    assert cfg.model_wrapper_cfg.static_graph  # also without a GPU
    for change in (
        dict(find_unused_parameters=True),
        dict(optim_wrapper=dict(accumulative_counts=2)),
        dict(model_wrapper_cfg=dict(find_unused_parameters=True)),
        dict(model_wrapper_cfg=dict(type='MMFullyShardedDataParallel')),
    ):
        cfg = read_config(ROOT)
        cfg.merge_from_dict(dict(launcher='pytorch', **change))
        before = cfg.get('model_wrapper_cfg')
        apply_speed(cfg, 'exact')
        assert cfg.get('model_wrapper_cfg') == before


def test_another_runner_is_an_error(hardware):
    cfg = Config(dict(read_config(ROOT), runner_type='FlexibleRunner'))
    with pytest.raises(ValueError, match="runner_type='FlexibleRunner'"):
        apply_speed(cfg, 'auto')


def test_why_no_compiler(monkeypatch):
    def fail(function):
        raise RuntimeError('No C++ compiler found\nand more')

    monkeypatch.setattr(torch, 'compile', fail)
    assert speed.why_no_compiler() == 'No C++ compiler found'
