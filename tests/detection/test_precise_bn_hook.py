"""Batch norms of a detector get the mean statistics of training batches."""

from copy import deepcopy
from types import SimpleNamespace
from unittest.mock import MagicMock

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from mmdet.registry import DATASETS, MODELS
from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.model import (
    BaseModel,
    MMDistributedDataParallel,
    revert_sync_batchnorm,
)
from mmengine.optim import OptimWrapper
from mmengine.registry import DATASETS as ROOT_DATASETS
from mmengine.registry import init_default_scope
from mmengine.runner import Runner
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from mmdisco.detection import DetectionPreciseBNHook
from mmdisco.errors import InputError
from tests.detection.tiny_set import tiny_set
from tests.forkserver import ROOT, START

DETECTORS = ROOT / 'configs/quickstart/detection'


class Counted(BaseModel):
    """A norm of scalars that records its training batches."""

    def __init__(self):
        super().__init__()
        self.norm, self.trained = nn.BatchNorm1d(1), []

    def forward(self, x, mode='tensor'):
        out = self.norm(x)
        if torch.is_grad_enabled():
            self.trained.append(x.flatten().tolist())
        return dict(loss=out.square().mean()) if mode == 'loss' else out


@ROOT_DATASETS.register_module()
class Numbers(torch.utils.data.Dataset):
    def __len__(self):
        return 12

    def __getitem__(self, index):
        return dict(x=torch.tensor([float(index) ** 2]))


class Keep(Hook):
    """Record statistics after each iteration, before other hooks write."""

    priority = 'NORMAL'

    def __init__(self):
        self.statistics = []

    def after_train_iter(self, runner, *args, **kwargs):
        norm = runner.model.norm
        self.statistics.append((norm.running_mean.item(), norm.running_var.item()))


def runner_of(model, work_dir, loop, hooks, **loader):
    loader = dict(
        dict(
            batch_size=4,
            num_workers=0,
            persistent_workers=False,
            collate_fn=dict(type='default_collate'),
            dataset=dict(type='Numbers'),
            sampler=dict(type='InfiniteSampler', shuffle=True),
        ),
        **loader,
    )
    runner = Runner(
        model,
        str(work_dir),
        experiment_name=str(work_dir),
        train_cfg=loop,
        train_dataloader=loader,
        optim_wrapper=dict(optimizer=dict(type='SGD', lr=0.1)),
        default_hooks=dict(checkpoint=None),
        custom_hooks=hooks,
        randomness=dict(seed=3),
    )
    runner.cfg.train_dataloader = loader
    return runner


@pytest.mark.parametrize('workers', [0, 1])
def test_training_goes_on_as_it_would_without(tmp_path, scope, workers):
    """Batches of an InfiniteSampler come once each, in the same order."""
    init_default_scope('mmengine')
    loop = dict(type='IterBasedTrainLoop', max_iters=5)
    plain, precise = Counted(), Counted()
    loader = dict(num_workers=workers, persistent_workers=workers > 0)
    runner_of(plain, tmp_path / 'plain', loop, [], **loader).train()
    keep = Keep()
    runner_of(
        precise,
        tmp_path / 'precise',
        loop,
        [DetectionPreciseBNHook(interval=2, num_batches=3), keep],
        **loader,
    ).train()
    assert len(plain.trained) == 5 and precise.trained == plain.trained
    for a, b in zip(plain.norm.parameters(), precise.norm.parameters()):
        assert torch.equal(a, b)
    # after iterations 2, 4 and the last, as the evaluation: a mean over
    # the first three batches
    first = torch.tensor(plain.trained[:3])
    expected = first.mean(1).mean().item(), first.var(1).mean().item()
    for number in (1, 3, 4):
        assert keep.statistics[number] == pytest.approx(expected, rel=1e-5)
    assert precise.norm.momentum == 0.1
    assert keep.statistics[2][0] == pytest.approx(
        0.9 * expected[0] + 0.1 * sum(plain.trained[2]) / 4, rel=1e-5
    )


def test_evaluations_between_are_a_warning():
    logger = MagicMock()
    for every, val_loop, count in ((6, 1, 0), (3, 1, 0), (4, None, 0), (4, 1, 1)):
        DetectionPreciseBNHook(3).before_train(
            SimpleNamespace(
                train_loop=SimpleNamespace(val_interval=every),
                logger=logger,
                val_loop=val_loop,
            )
        )
        assert logger.warning.call_count == count
    assert (
        'interval 3, but train_cfg.val_interval 4' in (logger.warning.call_args.args[0])
    )


def test_a_loop_by_epochs(tmp_path, scope):
    init_default_scope('mmengine')
    model = Counted()
    runner_of(
        model,
        tmp_path,
        dict(type='EpochBasedTrainLoop', max_epochs=1),
        [DetectionPreciseBNHook(interval=1, num_batches=9)],
        sampler=dict(type='DefaultSampler', shuffle=False),
    ).train()
    batches = torch.arange(12.0).square().view(3, 4)  # all batches of the epoch
    assert model.norm.running_mean.item() == pytest.approx(
        batches.mean().item(), rel=1e-5
    )
    assert model.norm.running_var.item() == pytest.approx(
        batches.var(1).mean().item(), rel=1e-5
    )


def test_a_detectors_regions_are_those_of_training(tmp_path, scope):
    """Each batch of RoIs passes the shared head once."""
    init_default_scope('mmdet')
    cfg = Config.fromfile(DETECTORS / 'mask-rcnn_c4.py')
    cfg.model.roi_head.bbox_head.num_classes = 2
    cfg.model.roi_head.mask_head.num_classes = 2
    config = tiny_set(tmp_path / 'set')
    data = Config.fromfile(config).test_dataloader.dataset
    data.update(
        test_mode=False,
        filter_cfg=dict(filter_empty_gt=True),
        pipeline=cfg.train_dataloader.dataset.pipeline,
    )
    torch.manual_seed(0)
    model = revert_sync_batchnorm(MODELS.build(cfg.model)).train()
    loader = dict(
        batch_size=1,
        num_workers=0,
        dataset=data,
        collate_fn=dict(type='pseudo_collate'),
        sampler=dict(type='DefaultSampler', shuffle=False),
    )
    runner = SimpleNamespace(
        model=model,
        cfg=Config(dict(train_dataloader=loader)),
        seed=0,
        logger=MagicMock(),
        optim_wrapper=OptimWrapper(torch.optim.SGD(model.parameters(), 0.1)),
        train_dataloader=Runner.build_dataloader(loader),
        train_loop=None,
        build_dataloader=Runner.build_dataloader,
        epoch=0,
    )
    regions = []
    model.roi_head.shared_head.register_forward_hook(
        lambda module, inputs, output: regions.append(len(output))
    )
    plain = deepcopy(model)
    DetectionPreciseBNHook(1).after_train_epoch(runner)
    assert len(regions) == 3 and min(regions) > 0  # one image has no object
    assert max(regions) <= cfg.model.train_cfg.rcnn.sampler.num
    # the input of the first norm is computed directly from pixels
    norm, means, variances = plain.backbone.bn1, [], []
    norm.momentum = 1.0
    for sample in DATASETS.build(data):
        images = plain.data_preprocessor(
            dict(inputs=[sample['inputs']], data_samples=[sample['data_samples']]), True
        )['inputs']
        plain.backbone(images)
        means.append(norm.running_mean.clone())
        variances.append(norm.running_var.clone())
    torch.testing.assert_close(
        model.backbone.bn1.running_mean, torch.stack(means).mean(0)
    )
    torch.testing.assert_close(
        model.backbone.bn1.running_var, torch.stack(variances).mean(0)
    )
    for name, module in model.named_modules():
        if isinstance(module, _BatchNorm):
            assert module.running_var.min() > 0, name
            assert module.momentum == 0.1, name


def _rank(rank, port, path):
    torch.set_num_threads(1)
    dist.init_process_group('gloo', f'tcp://127.0.0.1:{port}', rank=rank, world_size=2)
    init_default_scope('mmengine')
    model = Counted()
    loader = dict(
        batch_size=3,
        num_workers=0,
        dataset=dict(type='Numbers'),
        collate_fn=dict(type='default_collate'),
        sampler=dict(type='DefaultSampler', shuffle=False),
    )
    DetectionPreciseBNHook(1).after_train_epoch(
        SimpleNamespace(
            model=MMDistributedDataParallel(model),
            seed=0,
            epoch=0,
            cfg=Config(dict(train_dataloader=loader)),
            train_loop=None,
            train_dataloader=Runner.build_dataloader(loader),
            logger=MagicMock(),
            optim_wrapper=OptimWrapper(torch.optim.SGD(model.parameters(), 0.1)),
            build_dataloader=Runner.build_dataloader,
        )
    )
    torch.save([model.norm.running_mean, model.norm.running_var], f'{path}/{rank}.pt')
    dist.destroy_process_group()


def test_two_ranks_have_the_mean_of_both(tmp_path, free_port):
    mp.start_processes(_rank, (free_port, str(tmp_path)), 2, start_method=START)
    first, second = (torch.load(tmp_path / f'{rank}.pt') for rank in (0, 1))
    # each rank gets every other image, three per batch
    batches = torch.arange(12.0).square().view(2, 3, 2).transpose(1, 2)
    assert first == second
    assert first[0].item() == pytest.approx(batches.mean().item(), rel=1e-5)
    assert first[1].item() == pytest.approx(batches.var(2).mean().item(), rel=1e-5)


def test_invalid_arguments(tmp_path, scope):
    for settings in (dict(interval=0), dict(interval=1, num_batches=0)):
        with pytest.raises(ValueError, match='both must be >= 1'):
            DetectionPreciseBNHook(**settings)
    init_default_scope('mmengine')
    model = Counted()
    runner = runner_of(
        model,
        tmp_path,
        dict(type='IterBasedTrainLoop', max_iters=1),
        [DetectionPreciseBNHook(interval=1)],
    )
    runner.cfg.train_dataloader = dict(
        runner.cfg.train_dataloader,
        batch_size=13,
        drop_last=True,
        sampler=dict(type='DefaultSampler', shuffle=False),
    )
    with pytest.raises(InputError, match='train_dataloader is empty'):
        runner.train()
