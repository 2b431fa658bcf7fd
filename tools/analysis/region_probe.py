"""Linear probe of a student's features of objects, before detection training.

Extracts features of the ground-truth boxes with a C4 detector that has only the
student's weights, fits a linear classifier of their classes, and reports its
accuracy on the test images.
"""

import argparse
from pathlib import Path

import torch
from mmengine.config import DictAction
from mmengine.model import BaseModel
from mmengine.registry import init_default_scope
from mmengine.runner import Runner
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import Tensor
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils.data import DataLoader

from mmdisco.errors import InputError
from mmdisco.launch import apply_overrides, one_line_errors, read_config
from mmdisco.launch.student import set_student


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('config', help='config of a C4 detector')
    parser.add_argument(
        '--student',
        required=True,
        metavar='CKPT',
        help="the student's checkpoint, or 'random'",
    )
    parser.add_argument(
        '--work-dir', default='work_dirs/region_probe', help='folder of the log'
    )
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action=DictAction,
        help='override settings of the config',
    )
    return parser.parse_args()


def region_probe(runner: Runner) -> float:
    """Accuracy of a linear classifier on features of the ground-truth boxes.

    The features are the pooled output of the shared head, of a detector with the
    student's weights and no training. The statistics of its batch norms are
    means over the batches of the training set.

    Args:
        runner (Runner): Runner of a C4 detector.

    Returns:
        float: Accuracy on the objects of the test images, from 0 to 1.
    """
    from mmdisco.detection import DetectionStudentHook

    for hook in runner.hooks:
        if isinstance(hook, DetectionStudentHook):
            hook.before_train(runner)
    model = runner.model.eval()
    train, test = (
        runner.build_dataloader(
            dict(loader, sampler=dict(type='DefaultSampler', shuffle=False))
        )
        for loader in (runner.cfg.train_dataloader, runner.cfg.test_dataloader)
    )
    norms = [m for m in model.modules() if isinstance(m, _BatchNorm)]
    for norm in norms:
        norm.train().reset_running_stats()
        norm.momentum = None  # the mean over all batches
    region_features(model, train)
    for norm in norms:
        norm.eval()
    probe = make_pipeline(StandardScaler(), LogisticRegression(max_iter=2000))
    probe.fit(*region_features(model, train))
    return probe.score(*region_features(model, test, original=True))


@torch.no_grad()
def region_features(
    model: BaseModel, loader: DataLoader, original: bool = False
) -> tuple[Tensor, Tensor]:
    """Features of the ground-truth boxes of all images.

    Args:
        model (BaseModel): A C4 detector; its mode is not changed.
        loader (DataLoader): Images and their objects.
        original (bool): Whether boxes are in pixels of the original images, as
            test pipelines load them. Defaults to False.

    Returns:
        tuple[Tensor, Tensor]: Pooled features [N, C] and classes [N], on the
        CPU.
    """
    from mmdet.structures.bbox import bbox2roi

    features, classes = [], []
    head = model.roi_head
    for data in loader:
        data = model.data_preprocessor(data, True)
        objects = [sample.gt_instances for sample in data['data_samples']]
        # tensors, by the preprocessor
        boxes = [o.bboxes for o in objects]
        if original:
            boxes = [
                box * box.new_tensor(sample.scale_factor).repeat(2)
                for box, sample in zip(boxes, data['data_samples'])
            ]
        maps = model.backbone(data['inputs'])
        regions = head.bbox_roi_extractor(maps[:1], bbox2roi(boxes))
        features.append(head.shared_head(regions).mean((2, 3)))
        classes += [o.labels for o in objects]
    return torch.cat(features).cpu(), torch.cat(classes).cpu()


def main() -> None:
    args = parse_args()
    cfg = read_config(args.config)
    init_default_scope(cfg.get('default_scope', 'mmpretrain'))
    if not cfg.model.get('roi_head', {}).get('shared_head'):
        raise InputError(
            f"'{args.config}' is not a C4 detector: it has no roi_head.shared_head"
        )
    apply_overrides(cfg, args.cfg_options)
    set_student(cfg, args.student)
    cfg.work_dir = str(Path(args.work_dir))
    runner = Runner.from_cfg(cfg)
    runner._init_model_weights()
    print(
        f'linear probe of ground-truth boxes, {args.student}: '
        f'{100 * region_probe(runner):.2f} %'
    )


if __name__ == '__main__':
    with one_line_errors():
        main()
