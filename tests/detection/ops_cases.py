"""Inputs of mmcv's ops and, stored, what the compiled ops make of them.

``python -m tests.detection.ops_cases``, where mmcv has compiled ops, writes the
outputs to ``tests/data/mmcv_ops.npz``.
"""

import sys
from pathlib import Path

import numpy as np
import torch

from mmdisco.detection.ops import has_compiled_ops, provide_ops

provide_ops()
from mmcv.ops import nms, roi_align, soft_nms  # noqa: E402

STORED = Path(__file__).parents[1] / 'data' / 'mmcv_ops.npz'
EDGES = torch.tensor(
    [
        [0, 0, 0, 0],  # no area
        [5, 5, 5, 9],  # no width
        [-30, -20, -10, -5],  # outside the image
        [-4, -3, 8, 9],  # partly
        [20, 20, 90, 70],
        [0, 0, 16, 16],
        [0, 0, 16, 16],  # twice the same
    ],
    dtype=torch.float32,
)


def _numbers(count: int, start: int) -> torch.Tensor:
    """Numbers in [0, 1) without a random generator, which versions may change."""
    n = torch.arange(start, start + count, dtype=torch.float64)
    return (n * 0.6180339887498949 % 1 * 65536).floor().float() / 65536


def _boxes(count: int, size: float, start: int) -> torch.Tensor:
    corner = size * _numbers(2 * count, start).view(-1, 2)
    sides = size / 3 * _numbers(2 * count, 7 * start + 11).view(-1, 2)
    return torch.cat([corner, corner + sides], 1)


def nms_cases():
    """Arguments of nms: boxes, scores, IoU threshold, offset."""
    many = _boxes(300, 100, 5)
    sets = dict(
        many=(many, _numbers(300, 1)),
        edges=(EDGES, _numbers(len(EDGES), 3)),
        one=(many[:1], _numbers(1, 2)),
        none=(many[:0], many[:0, 0]),
    )
    for name, (boxes, scores) in sets.items():
        for threshold in (0.3, 0.5, 0.7):
            for offset in (0, 1):
                yield f'{name}/{threshold}/{offset}', boxes, scores, threshold, offset


def soft_nms_cases():
    """Those of nms, less the box whose IoU with another is 0 / 0."""
    for key, boxes, *rest in nms_cases():
        if key.startswith('edges'):
            yield key, boxes[1:], rest[0][1:], *rest[1:]
        else:
            yield key, boxes, *rest


def roi_cases():
    """Arguments of roi_align: maps, rois, size, scale, ratio, aligned."""
    maps = 2 * _numbers(2 * 3 * 12 * 17, 1).view(2, 3, 12, 17) - 1
    boxes = torch.cat([EDGES, _boxes(20, 60, 9)])
    rois = torch.cat([torch.arange(len(boxes))[:, None] % 2, boxes], 1)
    sets = dict(
        all=(maps, rois),
        no_box=(maps, rois[:0]),
        no_image=(maps[:0], rois[:0]),
        double=(maps.double(), rois.double()),
    )
    for name, (maps_, rois_) in sets.items():
        for size in ((7, 7), (3, 5)):
            for scale in (0.25, 1.0):
                for ratio in (0, 2):
                    for aligned in (True, False):
                        key = f'{name}/{size}/{scale}/{ratio}/{aligned}'
                        yield key, maps_, rois_, size, scale, ratio, aligned


def run_nms(boxes, scores, threshold, offset):
    """Detections and kept indices of mmcv's nms, without and with max_num."""
    dets, kept = nms(boxes, scores, threshold, offset)
    few = nms(boxes, scores, threshold, offset, score_threshold=0.4, max_num=5)[1]
    return dets, kept, few


def run_soft_nms(boxes, scores, threshold, offset):
    """Detections and kept indices of mmcv's soft_nms, by its three methods."""
    return [
        tensor
        for method in ('naive', 'linear', 'gaussian')
        for tensor in soft_nms(boxes, scores, threshold, method=method, offset=offset)
    ]


def run_roi_align(maps, rois, size, scale, ratio, aligned):
    """Result and gradient of mmcv's roi_align."""
    maps = maps.clone().requires_grad_()
    out = roi_align(maps, rois, size, scale, ratio, 'avg', aligned)
    # another weight for each value, so that the gradient tells them apart
    weight = 1 + _numbers(out.numel(), 4).view_as(out).to(out)
    (grad,) = torch.autograd.grad((out * weight).sum(), maps)
    return out.detach(), grad


def results():
    """Name and outputs of every case, by the ops that mmcv calls now."""
    for run, cases in (
        (run_nms, nms_cases()),
        (run_soft_nms, soft_nms_cases()),
        (run_roi_align, roi_cases()),
    ):
        for key, *inputs in cases:
            yield f'{run.__name__}/{key}', run(*inputs)


def main() -> None:
    """Store the outputs of the compiled ops."""
    if not has_compiled_ops():
        sys.exit("mmcv has no compiled ops: run 'make ops'")
    arrays = {}
    for key, outputs in results():
        for i, tensor in enumerate(outputs):
            array = tensor.numpy()
            small = np.int16 if array.dtype == np.int64 else np.float32
            arrays[f'{key}#{i}'] = array.astype(small)
    np.savez_compressed(STORED, **arrays)
    print(f'{STORED}: {len(arrays)} arrays, {STORED.stat().st_size / 1e3:.0f} kB')


if __name__ == '__main__':
    main()
