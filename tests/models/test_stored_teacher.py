"""A training with stored embeddings equals one with the teacher itself."""

import copy
import re
import shutil
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import timm
import torch
from mmengine.config import Config
from mmengine.dataset import default_collate
from mmengine.optim import build_optim_wrapper
from mmengine.registry import init_default_scope
from mmpretrain.registry import DATASETS, MODELS, TRANSFORMS

from mmdisco.apis.recipe import Choices, recipe_of
from mmdisco.apis.store import store_teacher
from mmdisco.apis.store_header import StoreOptions
from mmdisco.apis.training import TrainOptions, configure
from mmdisco.datasets.stored import Store
from mmdisco.errors import InputError
from mmdisco.launch import check_commercial, teacher_store, use_store
from mmdisco.launch.smoke import photo_tiles
from mmdisco.launch.views import views_of
from mmdisco.models import StoredTeacher
from tests.tools import run

SIZE, IMAGES, VIEWS = 32, 12, 3


@pytest.fixture(scope='module')
def files(tmp_path_factory):
    """Photos, a teacher's file, and its store."""
    init_default_scope('mmpretrain')
    folder = tmp_path_factory.mktemp('files')
    photo_tiles(folder / 'photos', IMAGES, 64)
    torch.manual_seed(0)
    network = timm.create_model('test_vit', dynamic_img_size=True)
    torch.save(network.state_dict(), folder / 'teacher.pth')
    write(folder, config(folder, 'disco'), folder / 'store')
    return folder


def config(files, method='disco', seed=0):
    choices = Choices(
        method,
        epochs=2,
        batch_size=4,
        size=SIZE,
        workers=0,
        seed=seed,
        checkpoint=str(files / 'teacher.pth'),
    )
    return recipe_of(
        str(files / 'photos'), 'timm:test_resnet', 'timm:test_vit', choices
    ).cfg


def write(files, cfg, out, views=VIEWS, dtype='fp32', speed='off', **options):
    return store_teacher(
        cfg, out, StoreOptions(views, dtype, 0, 16, 0, speed, **options), 'COMMAND'
    )


def batches(cfg, seed=0):
    """Batches of an epoch."""
    torch.manual_seed(seed)
    dataset = DATASETS.build(cfg.train_dataloader.dataset)
    order = torch.randperm(len(dataset)).tolist()
    return [
        default_collate([dataset[i] for i in order[start : start + 4]])
        for start in range(0, len(order), 4)
    ]


def steps(cfg, data):
    """Logged values of each step of a training."""
    torch.manual_seed(1)
    model = MODELS.build(
        dict(cfg.model.to_dict(), data_preprocessor=cfg.data_preprocessor.to_dict())
    )
    model.init_weights()
    generator = torch.Generator().manual_seed(2)
    for parameter in model.parameters():  # building a teacher draws numbers, too
        noise = torch.randn(parameter.shape, generator=generator)
        parameter.data.copy_(0.1 * noise + (parameter.dim() == 1))
    for name, value in model.state_dict().items():
        if name.endswith('queue') or 'queue.rows' in name:
            value.copy_(torch.randn(value.shape, generator=generator))
    model.train()
    optim = build_optim_wrapper(model, dict(optimizer=dict(type='SGD', lr=1e-4)))
    return [
        {k: float(v) for k, v in model.train_step(batch, optim).items()}
        for batch in copy.deepcopy(data)
    ]


@pytest.mark.parametrize('method', ['disco', 'seed', 'simreg', 'coss', 'queue_kl'])
def test_losses_equal_those_with_the_teacher(files, method):
    """Of all methods, with standardised embeddings where they have them.

    One store serves them all: they draw one view, or two of the same kind.
    """
    cfg = config(files, method)
    teacher = copy.deepcopy(cfg.model.teacher)
    (note,) = use_store(cfg, str(files / 'store'))
    assert f'{VIEWS} views of {IMAGES} images, fp32, by teacher.pth' in note
    assert cfg.model.teacher.type == 'StoredTeacher'
    data = batches(cfg)
    stored = steps(cfg, data)
    cfg.model.teacher = teacher
    live = steps(cfg, data)
    assert len(stored) == 3
    for a, b in zip(stored, live):
        assert a == pytest.approx(b, rel=2e-4, abs=2e-5)
    # another teacher's embeddings would be noticed
    wrong = [dict(d, data_samples=d['data_samples'].flip(0)) for d in data]
    cfg = config(files, method)
    use_store(cfg, str(files / 'store'))
    assert steps(cfg, wrong)[0] != pytest.approx(live[0], rel=1e-2)


def test_each_epoch_draws_other_views_and_pairs(files):
    cfg = config(files)
    use_store(cfg, str(files / 'store'))
    (step,) = cfg.train_dataloader.dataset.pipeline
    transform = TRANSFORMS.build(step)
    store = Store(files / 'store')
    path = str(files / 'photos' / store.names[5])
    all_views = store.embeds(5, 0, range(VIEWS))
    torch.manual_seed(0)
    pairs = Counter()
    for _ in range(120):
        embeds = transform(dict(img_path=path))['data_samples'].numpy()
        pair = tuple(
            next(k for k in range(VIEWS) if (all_views[k] == row).all())
            for row in embeds
        )
        pairs[pair] += 1
    assert {*pairs} == {(a, b) for a in range(3) for b in range(3) if a != b}
    assert min(pairs.values()) > 8  # of 20


def test_the_first_views_alone_may_be_used(files):
    cfg = config(files)
    use_store(cfg, str(files / 'store'))
    store = Store(files / 'store')
    (step,) = cfg.train_dataloader.dataset.pipeline
    step.num_views = 2
    dataset = DATASETS.build(cfg.train_dataloader.dataset)
    for i in range(IMAGES):
        path = Path(dataset.get_data_info(i)['img_path'])
        (row,) = store.rows_of([str(path.relative_to(files / 'photos'))])
        embeds = dataset[i]['data_samples'].tolist()
        assert sorted(embeds) == sorted(store.embeds(row, 0, range(2)).tolist())
    step.num_views = VIEWS + 1
    with pytest.raises(InputError, match='num_views is 4, the store .* has 3'):
        DATASETS.build(cfg.train_dataloader.dataset)


def test_one_view_may_be_stored(files, tmp_path):
    cfg = config(files)
    write(files, cfg, tmp_path / 'store', views=1)
    use_store(cfg, str(tmp_path / 'store'))
    views = batches(cfg)[0]['inputs']
    assert torch.equal(*views)


def test_a_config_is_trained_from_a_store_by_the_tool(files, tmp_path):
    """As documented; the config that it leaves names the store."""
    path = tmp_path / 'disco.py'
    config(files).dump(path)
    words = 'python', 'tools/train.py'
    more = '--work-dir', tmp_path / 'run', '--speed', 'auto', '--no-compile'
    done = run(*words, path, '--teacher-store', files / 'store', *more)
    assert f"teacher store '{files / 'store'}': {VIEWS} views" in done.stdout
    saved = torch.load(tmp_path / 'run' / 'iter_6.pth', weights_only=False)
    assert any(key.startswith('ssl.backbone.') for key in saved['state_dict'])
    cfg = Config.fromfile(tmp_path / 'run' / 'disco.py')
    assert cfg.model.teacher.type == 'StoredTeacher'
    assert (cfg.train_cfg.max_iters, len(cfg.train_dataloader.dataset.pipeline)) == (
        6,
        1,
    )


def test_ranks_and_workers_train_from_a_store_at_once(files, tmp_path, free_port):
    done = run(
        'python',
        'tools/torchrun.py',
        '--nproc-per-node=2',
        f'--master-port={free_port}',
        'mmdisco/__main__.py',
        'distill',
        files / 'photos',
        '--teacher=timm:test_vit',
        f'--teacher-checkpoint={files / "teacher.pth"}',
        f'--teacher-store={files / "store"}',
        '--student=timm:test_resnet',
        f'--size={SIZE}',
        '--epochs=2',
        '--batch-size=2',
        '--workers=1',
        '--method=disco',
        f'--out={tmp_path / "run"}',
    )
    assert (tmp_path / 'run' / 'student.pth').is_file()
    assert "teacher store '" in done.stdout
    cfg = Config.fromfile(tmp_path / 'run' / 'config.py')
    assert cfg.model.teacher.type == 'StoredTeacher'
    # the dumped config is configured to the same again, without the option
    again, _ = configure(TrainOptions(str(tmp_path / 'run' / 'config.py')))
    assert again.model.teacher == cfg.model.teacher
    assert again.train_dataloader.dataset == cfg.train_dataloader.dataset


def refused(files, message, method='disco', store=None, change=None):
    cfg = config(files, method)
    if change:
        change(cfg)
    with pytest.raises(InputError, match=message):
        use_store(cfg, str(store or files / 'store'))


def crops(cfg):
    return cfg.train_dataloader.dataset.pipeline[1].transforms[0]


@pytest.mark.parametrize(
    'change, message',
    [
        (
            lambda cfg: crops(cfg)[0].update(crop_ratio_range=(0.1, 1.0)),
            r': scale \[0.1, 1.0\] in the config, \[0.2, 1.0\] in the store$',
        ),
        (
            lambda cfg: crops(cfg)[-1].update(prob=0.25),
            ': flip_prob 0.25 in the config, 0.5 in the store$',
        ),
        (
            lambda cfg: cfg.train_dataloader.dataset.pipeline[1].transforms[0].pop(),
            ': flip_prob 0.0 in the config, 0.5 in the store$',
        ),
        (lambda cfg: cfg.model.update(mixup=0.5), 'mixup=0.5 mixes images'),
        (
            lambda cfg: cfg.model.update(
                distill=[cfg.model.distill, dict(type='ATLoss')]
            ),
            'ATLoss compares feature maps',
        ),
        (
            lambda cfg: cfg.model.teacher.update(norm_mode='batch'),
            'norm_mode is batch',
        ),
        (
            lambda cfg: cfg.model.teacher.neck.update(type='PooledNeck'),
            'another teacher: model.teacher.neck is .*PooledNeck.*ClassTokenNeck',
        ),
        (
            lambda cfg: cfg.model.teacher.update(checkpoint='no/such.pth'),
            "file 'teacher.pth', the config names 'no/such.pth'",
        ),
        (lambda cfg: cfg.update(model=cfg.model.ssl), 'model.type=DisCo'),
        (
            lambda cfg: cfg.data_preprocessor.update(to_rgb=False),
            'data_preprocessor.to_rgb=True',
        ),
        (
            lambda cfg: cfg.update(data_preprocessor=dict(type='BatchViews')),
            'BatchViews makes them of batches',
        ),
        (
            lambda cfg: cfg.train_dataloader.dataset.update(type='Bags'),
            'images of a folder .*has Bags',
        ),
    ],
)
def test_a_config_that_the_store_does_not_suit_is_refused(files, change, message):
    refused(files, message, change=change)


def test_images_that_are_not_stored_are_counted(files, tmp_path):
    photo_tiles(tmp_path, IMAGES + 3, 64)
    cfg = config(files)
    cfg.train_dataloader.dataset.data_root = str(tmp_path)
    with pytest.raises(
        InputError,
        match="3 of 15 images in .* are not in the store .*'photo0/012.jpg': add "
        'them by COMMAND',
    ):
        use_store(cfg, str(files / 'store'))


def test_a_changed_image_is_refused_when_it_is_read(files, tmp_path):
    shutil.copytree(files / 'photos', tmp_path / 'photos')
    cfg = config(files)
    cfg.train_dataloader.dataset.data_root = str(tmp_path / 'photos')
    use_store(cfg, str(files / 'store'))  # the folder has moved: no matter
    dataset = DATASETS.build(cfg.train_dataloader.dataset)
    path = Path(dataset.get_data_info(0)['img_path'])
    path.write_bytes(path.read_bytes() + b'\0')
    with pytest.raises(InputError, match='bytes, .* when it was stored'):
        dataset[0]


def test_other_versions_and_other_pixels_are_refused(files, monkeypatch):
    versions = teacher_store.versions_of
    with monkeypatch.context() as patch:
        patch.setattr(
            teacher_store, 'versions_of', lambda p: dict(versions(p), pillow='1.0')
        )
        refused(files, r"can't be replayed: pillow [\d.]+ in the store, 1.0 here")
    monkeypatch.setattr(np.random, 'seed', lambda *_: None)
    refused(files, "can't be replayed: pixels differ by")


def test_a_fast_pipeline_and_the_slow_one_are_the_same_recipe(files, tmp_path):
    slow = config(files)
    write(files, slow, tmp_path / 'fast', dtype='fp16', speed='auto')
    header = Store(tmp_path / 'fast').header
    assert [s['type'] for s in header['kinds'][0]['pipeline']] == [
        'LoadCrops',
        'PhotometricViews',
    ]
    fast = copy.deepcopy(slow)
    fast.train_dataloader.dataset.pipeline = [
        dict(type='LoadCrops', size=SIZE, num_views=2, scale=(0.2, 1.0)),
        dict(type='PhotometricViews', num_views=2),
        dict(type='PackInputs'),
    ]
    fast.data_preprocessor.to_rgb = False
    device = copy.deepcopy(fast)
    device.train_dataloader.dataset.pipeline.pop(1)
    statistics = {k: slow.data_preprocessor[k] for k in ('mean', 'std')}
    device.data_preprocessor = dict(type='DeviceViews', num_views=2, **statistics)
    for cfg in (slow, fast, device):
        assert views_of(cfg).recipes == [header['kinds'][0]['recipe']]
        for store in ('fast', None):
            own = copy.deepcopy(cfg)
            use_store(own, str(tmp_path / store if store else files / 'store'))
            assert own.data_preprocessor.to_rgb == (store is None)
    # the same colours either way
    means = []
    for store in (tmp_path / 'fast', files / 'store'):
        cfg = config(files)
        use_store(cfg, str(store))
        images = [
            v for seed in range(4) for b in batches(cfg, seed) for v in b['inputs']
        ]
        inputs = torch.cat(images).float()
        if cfg.data_preprocessor.to_rgb:
            inputs = inputs.flip(1)
        red, _, blue = inputs.mean((0, 2, 3))
        means.append((red - blue).item())
    assert means[0] == pytest.approx(means[1], rel=0.4)


def test_the_teacher_must_be_the_file_that_was_stored(files, tmp_path):
    torch.manual_seed(1)
    network = timm.create_model('test_vit', dynamic_img_size=True)
    torch.save(network.state_dict(), tmp_path / 'teacher.pth')
    refused(
        files,
        "another teacher: '.*teacher.pth' has sha256 .{12}, the store has .{12} ",
        change=lambda cfg: cfg.model.teacher.update(
            checkpoint=str(tmp_path / 'teacher.pth')
        ),
    )
    # where its file is not at hand, its name must be the same
    cfg = config(files)
    cfg.model.teacher.checkpoint = 'elsewhere/teacher.pth'
    use_store(cfg, str(files / 'store'))


def test_a_stored_teacher_needs_its_embeddings(files):
    teacher = StoredTeacher(str(files / 'store'), [0, 1])
    assert teacher.width == 64 and not list(teacher.parameters())
    for wrong in (None, [], torch.zeros(4, 3, 32, 32), torch.zeros(4, 1, 64)):
        with pytest.raises(InputError, match='with the images'):
            teacher(wrong)
    cfg = config(files)
    use_store(cfg, str(files / 'store'))
    cfg.model.teacher.views = [0]
    cfg.train_dataloader.dataset.pipeline[0].kinds = [0, 0]
    data = batches(cfg)
    data[0]['data_samples'] = data[0]['data_samples'][:, :1]
    with pytest.raises(InputError, match=r'needs view 1, the store has the views \[0'):
        steps(cfg, data)


def test_small_crops_that_the_teacher_does_not_see_are_drawn_live(files, tmp_path):
    cfg = config(files)
    views = cfg.train_dataloader.dataset.pipeline[1]
    small = copy.deepcopy(views.transforms[0])
    small[0].update(scale=16, crop_ratio_range=(0.05, 0.2))
    views.transforms, views.num_views = [views.transforms[0], small], [2, 2]
    cfg.model.distill_crops = 'global'
    write(files, cfg, tmp_path / 'store')
    assert len(Store(tmp_path / 'store').header['kinds']) == 1
    both = copy.deepcopy(cfg)
    both.model.distill_crops = 'all'
    with pytest.raises(InputError, match='size 16 in the config, 32 in the store'):
        use_store(both, str(tmp_path / 'store'))
    write(files, both, tmp_path / 'both')
    for own, store, kinds in (
        (cfg, 'store', [0, 0, -1, -1]),
        (both, 'both', [0, 0, 1, 1]),
    ):
        use_store(own, str(tmp_path / store))
        pipeline = own.train_dataloader.dataset.pipeline[0]
        assert pipeline.kinds == kinds
        data = batches(own)[0]
        assert [v.shape[-1] for v in data['inputs']] == [32, 32, 16, 16]
        assert data['data_samples'].shape[1] == sum(kind >= 0 for kind in kinds)
        again = batches(own, seed=5)[0]
        assert not torch.equal(data['inputs'][2], again['inputs'][2])


def test_the_licence_is_that_of_the_stored_file(files):
    cfg = config(files)
    use_store(cfg, str(files / 'store'))
    (note,) = check_commercial(cfg)
    assert "licence not known: 'teacher.pth'" in note


def test_smoke_and_a_store_exclude_each_other(files, tmp_path):
    path = tmp_path / 'config.py'
    path.write_text(config(files).pretty_text)
    options = dict(work_dir=str(tmp_path), teacher_store=str(files / 'store'))
    with pytest.raises(InputError, match='leave one of them out'):
        configure(TrainOptions(str(path), smoke=True, **options))
    cfg, notes = configure(
        TrainOptions(str(path), speed='auto', compile=False, **options)
    )
    assert cfg.model.teacher == dict(
        type='StoredTeacher', store=str(files / 'store'), views=[0, 1]
    )
    assert any(re.search("teacher store '.*store'", note) for note in notes)
