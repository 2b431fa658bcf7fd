"""Detection ops from torchvision, against mmcv's compiled ones and plain loops."""

import math
import sys

import mmcv
import numpy as np
import pytest
import torch
import torchvision
from mmcv.ops import RoIAlign, nms, roi_align, sigmoid_focal_loss, soft_nms

from mmdisco.detection import ops
from mmdisco.errors import InputError
from tests.detection import ops_cases


def without_compiled_ops(monkeypatch):
    """Let mmcv call torchvision's ops even where it has compiled ones."""
    module = ops.stand_in()
    for name in ('nms', 'roi_align', 'focal_loss'):
        monkeypatch.setattr(sys.modules[f'mmcv.ops.{name}'], 'ext_module', module)


compiled = pytest.mark.skipif(
    not ops.has_compiled_ops(), reason="mmcv's ops are not compiled here"
)


def test_ops_equal_the_stored_outputs_of_compiled_ones(monkeypatch):
    without_compiled_ops(monkeypatch)
    with np.load(ops_cases.STORED) as stored:
        left = set(stored.files)
        for key, outputs in ops_cases.results():
            for i, tensor in enumerate(outputs):
                expected = torch.from_numpy(stored[f'{key}#{i}'])
                left.remove(f'{key}#{i}')
                torch.testing.assert_close(
                    tensor.to(expected.dtype), expected, equal_nan=True, msg=key
                )
    assert not left


@compiled
def test_ops_equal_the_compiled_ones(monkeypatch):
    expected = dict(ops_cases.results())
    without_compiled_ops(monkeypatch)
    for key, outputs in ops_cases.results():
        for tensor, other in zip(outputs, expected[key], strict=True):
            assert tensor.dtype == other.dtype and tensor.shape == other.shape, key
            torch.testing.assert_close(tensor, other, equal_nan=True, msg=key)


@compiled
def test_half_precision_equals_the_compiled_op(monkeypatch):
    cases = [inputs for key, *inputs in ops_cases.roi_cases() if key.startswith('all')]
    halves = [(maps.half(), rois.half(), *rest) for maps, rois, *rest in cases]
    expected = [ops_cases.run_roi_align(*case) for case in halves]
    without_compiled_ops(monkeypatch)
    for case, outputs in zip(halves, expected, strict=True):
        for tensor, other in zip(ops_cases.run_roi_align(*case), outputs, strict=True):
            assert tensor.dtype == torch.float16
            torch.testing.assert_close(tensor, other, atol=0.02, rtol=0.02)


def test_half_precision_is_near_single_precision(monkeypatch):
    without_compiled_ops(monkeypatch)
    maps = torch.linspace(-1, 1, 2 * 8 * 8).view(1, 2, 8, 8)
    rois = torch.tensor([[0, 0.5, 1, 6, 7], [0, 2, 2, 4, 4]])
    for dtype in (torch.float16, torch.bfloat16):
        small = roi_align(maps.to(dtype), rois.to(dtype), (3, 3), 1.0, 2)
        assert small.dtype == dtype
        expected = roi_align(maps, rois, (3, 3), 1.0, 2)
        torch.testing.assert_close(small.float(), expected, atol=0.02, rtol=0.02)
    boxes = ops_cases.EDGES.half()
    assert len(ops.nms(boxes, torch.ones(len(boxes)).half(), 0.5, 0)) == 6


def plain_roi_align(maps, rois, size, scale, ratio, aligned):
    """RoIAlign with a loop over every sample."""
    height, width = maps.shape[2:]
    shift = 0.5 if aligned else 0.0
    out = torch.zeros(len(rois), maps.shape[1], *size, dtype=maps.dtype)
    for r, (image, *corners) in enumerate(rois.tolist()):
        x1, y1, x2, y2 = (c * scale - shift for c in corners)
        w, h = x2 - x1, y2 - y1
        if not aligned:
            w, h = max(w, 1), max(h, 1)
        rows = ratio or math.ceil(h / size[0])
        columns = ratio or math.ceil(w / size[1])
        for i in range(size[0]):
            for j in range(size[1]):
                for a in range(rows):
                    for b in range(columns):
                        y = y1 + (i + (a + 0.5) / rows) * h / size[0]
                        x = x1 + (j + (b + 0.5) / columns) * w / size[1]
                        if not (-1 <= y <= height and -1 <= x <= width):
                            continue
                        y, x = (
                            min(max(v, 0), side - 1)
                            for v, side in ((y, height), (x, width))
                        )
                        top, left = int(y), int(x)
                        for row, wy in ((top, 1 - y + top), (top + 1, y - top)):
                            for column, wx in (
                                (left, 1 - x + left),
                                (left + 1, x - left),
                            ):
                                if wy * wx:
                                    value = maps[int(image), :, row, column]
                                    out[r, :, i, j] += wy * wx * value
                out[r, :, i, j] /= max(rows * columns, 1)
    return out


@pytest.mark.parametrize('aligned', [True, False])
@pytest.mark.parametrize('ratio', [0, 2])
def test_roi_align_and_its_gradient_equal_a_plain_loop(monkeypatch, aligned, ratio):
    without_compiled_ops(monkeypatch)
    torch.manual_seed(0)
    maps = torch.randn(2, 2, 6, 7, dtype=torch.double, requires_grad=True)
    rois = torch.tensor(
        [[0, 1, 2, 20, 15], [1, -9, -9, 12, 40], [0, 3, 3, 3, 3], [1, 4, 4, 5, 9.5]],
        dtype=torch.double,
    )
    args = (rois, (3, 2), 0.5, ratio, aligned)
    align = RoIAlign((3, 2), 0.5, ratio, aligned=aligned)
    ours, expected = align(maps, rois), plain_roi_align(maps, *args)
    torch.testing.assert_close(ours, expected)
    weight = torch.randn_like(ours)
    grads = [
        torch.autograd.grad((out * weight).sum(), maps)[0] for out in (ours, expected)
    ]
    torch.testing.assert_close(*grads)


@pytest.mark.parametrize('threshold', [0.1, 0.3, 0.7])
def test_an_iou_equal_to_the_threshold_keeps_the_box(monkeypatch, threshold):
    without_compiled_ops(monkeypatch)
    # the IoU is 10 * side / 100, rounded to float32
    boxes = torch.tensor([[0, 0, 10, 10], [0, 0, 10, 10 * threshold]])
    _, kept = nms(boxes, torch.tensor([0.9, 0.8]), threshold)
    assert kept.tolist() == [0, 1]


def test_focal_loss_equals_a_plain_loop_and_torchvision(monkeypatch):
    without_compiled_ops(monkeypatch)
    torch.manual_seed(0)
    logits = 4 * torch.randn(6, 3, dtype=torch.double)
    logits[0, 0], logits[1, 1] = 40, -40
    target = torch.tensor([0, 1, 2, 3, 3, 0])  # 3 is the background
    weight = torch.tensor([0.5, 2, 3], dtype=torch.double)
    for weights in (None, weight):
        x = logits.clone().requires_grad_()
        losses = sigmoid_focal_loss(x, target, 2.0, 0.25, weights, 'none')
        expected = torch.zeros_like(logits)
        for n in range(6):
            for c in range(3):
                p = 1 / (1 + math.exp(-logits[n, c]))
                right, factor = (p, 0.25) if target[n] == c else (1 - p, 0.75)
                loss = -factor * (1 - right) ** 2 * math.log(max(right, 1e-300))
                if weights is not None and target[n] < 3:
                    loss *= float(weight[target[n]])
                expected[n, c] = loss
        torch.testing.assert_close(losses, expected)
        (grad,) = torch.autograd.grad((losses * losses.detach().cos()).sum(), x)
        x = logits.clone().requires_grad_()
        hits = torch.nn.functional.one_hot(target, 4)[:, :3].double()
        reference = torchvision.ops.sigmoid_focal_loss(x, hits, 0.25, 2.0)
        if weights is not None:
            reference = reference * torch.tensor([0.5, 2, 3, 1])[target][:, None]
        torch.testing.assert_close(losses.detach(), reference.detach())
        (other,) = torch.autograd.grad((reference * reference.detach().cos()).sum(), x)
        torch.testing.assert_close(grad, other)
    third = sigmoid_focal_loss(logits, target, 2.0, 1 / 3, None, 'none')
    reference = torchvision.ops.sigmoid_focal_loss(logits, hits, 1 / 3, 2.0)
    torch.testing.assert_close(third, reference, rtol=1e-12, atol=0)
    half = sigmoid_focal_loss(logits.half(), target, 2.0, 0.25, None, 'mean')
    single = sigmoid_focal_loss(logits.float(), target, 2.0, 0.25, None, 'mean')
    assert half.dtype == torch.float16 and abs(half.float() - single) < 0.01
    none = sigmoid_focal_loss(logits[:0], target[:0], 2.0, 0.25, None, 'sum')
    assert none == 0


def test_soft_nms_lowers_the_overlapping_box(monkeypatch):
    without_compiled_ops(monkeypatch)
    boxes = torch.tensor([[0, 0, 10, 10], [0, 0, 10, 5], [50, 50, 60, 60.0]])
    scores = torch.tensor([0.9, 0.8, 0.7])
    dets, kept = soft_nms(boxes, scores, 0.4, sigma=0.5, method='gaussian')
    assert kept.tolist() == [0, 2, 1]
    expected = [0.9, 0.7, 0.8 * math.exp(-(0.5**2) / 0.5)]
    assert dets[:, 4].tolist() == pytest.approx(expected)
    dets, kept = soft_nms(boxes, scores, 0.4, method='linear')
    assert dets[:, 4].tolist() == pytest.approx([0.9, 0.7, 0.4])
    assert torch.equal(dets[:, :4], boxes[kept])
    # boxes without area do not overlap, also where the compiled op divides by 0
    dots = torch.tensor([[1, 1, 1, 1], [1, 1, 1, 1.0]])
    dets, _ = soft_nms(dots, scores[:2], 0.4, method='gaussian')
    assert dets[:, 4].tolist() == pytest.approx([0.9, 0.8])


def test_any_other_op_is_named_with_the_command_that_compiles_it(monkeypatch):
    module = ops.stand_in()
    assert hasattr(module, 'deform_conv_forward')  # mmcv asks at import
    with pytest.raises(InputError, match="'deform_conv_forward' is not among") as error:
        module.deform_conv_forward(torch.ones(1), kernel=3)
    assert '\n' not in str(error.value)
    command = str(error.value).split("'")[-2]
    assert command.startswith('MMCV_WITH_OPS=1 pip install')
    assert command.split()[-1] in (
        f'onedl-mmcv=={mmcv.__version__}',
        f'mmcv=={mmcv.__version__}',
    )

    def not_installed(name):
        raise ops.PackageNotFoundError(name)

    monkeypatch.setattr(ops, 'version', not_installed)
    with pytest.raises(InputError, match=f" mmcv=={mmcv.__version__}'$"):
        module.deform_conv_forward()
    maps = torch.ones(1, 1, 4, 4)
    roi = torch.tensor([[0, 1, 1, 3, 3.0]])
    place = (maps[:, :, :2, :2].clone(), maps[:0], maps[:0], 2, 2, 1.0, 2)
    with pytest.raises(InputError, match="pool_mode='max' is not among"):
        module.roi_align_forward(maps, roi, *place, 0, True)
    with pytest.raises(InputError, match='a box has a negative side'):
        module.roi_align_forward(maps, roi[:, [0, 3, 2, 1, 4]], *place, 1, True)


def test_compiled_ops_are_left_alone(monkeypatch):
    own = object()
    monkeypatch.setitem(sys.modules, 'mmcv._ext', own)
    ops.provide_ops()
    assert sys.modules['mmcv._ext'] is own
    monkeypatch.delitem(sys.modules, 'mmcv._ext')
    monkeypatch.setattr(ops, 'find_spec', lambda name: object())
    ops.provide_ops()
    assert 'mmcv._ext' not in sys.modules
    monkeypatch.setattr(ops, 'find_spec', lambda name: None)
    ops.provide_ops()
    assert sys.modules['mmcv._ext'].nms is ops.nms
    assert not ops.has_compiled_ops()
