"""mmcv's compiled ops, which 'make venv-test' installs, are really there."""

import torch
import torchvision
from mmcv.ops import nms


def test_nms_equals_torchvision():
    torch.manual_seed(0)
    corners = 100 * torch.rand(200, 2)
    boxes = torch.cat([corners, corners + 5 + 20 * torch.rand(200, 2)], 1)
    scores = torch.rand(200)
    _, kept = nms(boxes, scores, iou_threshold=0.4)
    expected = torchvision.ops.nms(boxes, scores, 0.4)
    assert torch.equal(kept, expected) and len(kept) < 200
