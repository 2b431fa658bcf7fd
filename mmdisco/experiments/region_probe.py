"""How well the features of objects tell their classes, before training."""

import torch
from mmdet.structures.bbox import bbox2roi
from mmengine.model import BaseModel
from mmengine.runner import Runner
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import Tensor
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils.data import DataLoader

from mmdisco.detection import DetectionStudentHook


def region_probe(runner: Runner) -> float:
    """Accuracy of a linear classifier on the true boxes' frozen features.

    The features are those of the shared head, pooled, of a C4 detector that
    has its student and was not trained; its batch norms have the statistics
    of the training images, each layer's of all boxes.

    Args:
        runner (Runner): Of a C4 detector, built.

    Returns:
        float: Of the test images' objects, from 0 to 1.
    """
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
        norm.momentum = None  # a mean over all batches
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
    """Features of the true boxes of all images.

    Args:
        model (BaseModel): A C4 detector, in the mode that is wanted.
        loader (DataLoader): Of images and their objects.
        original (bool): Whether boxes are in pixels of the original images,
            as pipelines of tests load them. Defaults to False.

    Returns:
        tuple[Tensor, Tensor]: Pooled features [N, C] and classes [N], on the
        CPU.
    """
    features, classes = [], []
    head = model.roi_head
    for data in loader:
        data = model.data_preprocessor(data, True)
        objects = [sample.gt_instances for sample in data['data_samples']]
        # the preprocessor has made tensors of them
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
