"""Detection ops from torchvision, for an mmcv without compiled ops.

mmcv's ``mmcv.ops`` calls a compiled module, ``mmcv._ext``. Where it is missing,
:func:`provide_ops` puts a module of this name in its place, with the ops of the
detectors of ``configs/detection``, for any device that torchvision supports. Every
other op raises an error at its call.
"""

import sys
from importlib.machinery import ModuleSpec
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from types import ModuleType

import mmcv
import numpy as np
import torch
import torchvision
from torch import Tensor
from torch.nn.functional import logsigmoid

from mmdisco.errors import InputError

_AVERAGE = 1  # pool_mode of roi_align; 0 is the maximum


class _Ops(ModuleType):
    """Module ``mmcv._ext`` that knows a few ops."""

    def __getattr__(self, name: str):
        if name.startswith('__'):
            raise AttributeError(name)

        def missing(*args, **kwargs):
            raise InputError(
                f"'{name}' is not among the ops that mmdisco takes from torchvision "
                f'({", ".join(sorted(_PROVIDED))}): compile those of mmcv, '
                f"'{_compile_command()}'"
            )

        return missing


def _compile_command() -> str:
    """Command that installs the same mmcv with compiled ops."""
    try:
        pin = f'onedl-mmcv=={version("onedl-mmcv")}'
    except PackageNotFoundError:
        pin = f'mmcv=={mmcv.__version__}'
    # without the cache, since pip keeps there the wheel that it built without ops
    return (
        'MMCV_WITH_OPS=1 pip install --force-reinstall --no-deps --no-cache-dir '
        f'--no-build-isolation --no-binary :all: {pin}'
    )


def has_compiled_ops() -> bool:
    """Whether mmcv's own compiled ops are installed.

    Returns:
        bool: False if they are missing or provided by :func:`provide_ops`.
    """
    if isinstance(sys.modules.get('mmcv._ext'), _Ops):
        return False
    return find_spec('mmcv._ext') is not None


def stand_in() -> ModuleType:
    """Module to put in the place of ``mmcv._ext``.

    Returns:
        ModuleType: With the ops of this file; any other raises an InputError that
        says how to compile mmcv's, when it is called.
    """
    module = _Ops('mmcv._ext', __doc__)
    module.__spec__ = ModuleSpec('mmcv._ext', None, origin=__file__)
    for name, op in _PROVIDED.items():
        setattr(module, name, op)
    return module


def provide_ops() -> bool:
    """Provide the ops of ``mmcv.ops`` if mmcv has none; call it before mmdet.

    Returns:
        bool: Whether it did.
    """
    if 'mmcv._ext' in sys.modules or has_compiled_ops():
        return False
    sys.modules['mmcv._ext'] = stand_in()
    return True


def nms(boxes: Tensor, scores: Tensor, iou_threshold: float, offset: int) -> Tensor:
    """Non-maximum suppression.

    Args:
        boxes (Tensor): x1, y1, x2, y2 of shape (N, 4).
        scores (Tensor): Scores of shape (N, ).
        iou_threshold (float): A box whose IoU with a better one is above it is
            removed.
        offset (int): 0, or 1 where a box includes its last pixel.

    Returns:
        Tensor: Indices of the boxes that are kept, by descending score.
    """
    boxes = boxes.float()
    if offset:
        boxes = boxes + boxes.new_tensor([0, 0, offset, offset])
    # mmcv compares with a float32
    threshold = float(np.float32(iou_threshold))
    return torchvision.ops.nms(boxes, scores.float(), threshold)


def softnms(
    boxes: Tensor,
    scores: Tensor,
    dets: Tensor,
    iou_threshold: float,
    sigma: float,
    min_score: float,
    method: int,
    offset: int,
) -> Tensor:
    """Soft-NMS (`arXiv:1704.04503 <https://arxiv.org/abs/1704.04503>`_, Fig. 2).

    Args:
        boxes (Tensor): x1, y1, x2, y2 of shape (N, 4), on the CPU.
        scores (Tensor): Scores of shape (N, ).
        dets (Tensor): Of shape (N, 5); its first M rows receive the kept boxes and
            their lowered scores.
        iou_threshold (float): Overlap from which a box is removed (``method`` 0)
            or its score lowered (1).
        sigma (float): Width of the Gaussian (2).
        min_score (float): A box with a lower score is removed.
        method (int): 0 removes, 1 lowers linearly, 2 by a Gaussian.
        offset (int): 0, or 1 where a box includes its last pixel.

    Returns:
        Tensor: Indices of the M boxes that are kept, by descending score.
    """
    left = torch.arange(len(boxes))
    scores = scores.clone()
    kept: list[int] = []
    while len(left):
        best = left[scores[left].argmax()]
        dets[len(kept)] = torch.cat([boxes[best], scores[best, None]])
        kept.append(int(best))
        left = left[left != best]
        overlap = _ious(boxes[best], boxes[left], offset)
        if method == 2:
            weight = torch.exp(-(overlap**2) / sigma)
        else:
            lowered = 1 - overlap if method == 1 else torch.zeros_like(overlap)
            weight = torch.where(overlap >= iou_threshold, lowered, 1.0)
        scores[left] *= weight
        left = left[~(scores[left] < min_score)]
    return torch.tensor(kept, dtype=torch.long)


def _ious(box: Tensor, boxes: Tensor, offset: int) -> Tensor:
    """IoU of a box (4, ) with boxes (N, 4).

    It is 0 for two boxes without area, where mmcv's compiled op divides by 0.
    """
    sides = torch.minimum(box[2:], boxes[:, 2:]) - torch.maximum(box[:2], boxes[:, :2])
    inter = (sides + offset).clamp(min=0).prod(1)
    area, areas = (
        (some[..., 2:] - some[..., :2] + offset).prod(-1) for some in (box, boxes)
    )
    return (inter / (area + areas - inter)).nan_to_num(nan=0.0)


def roi_align_forward(
    input: Tensor,
    rois: Tensor,
    output: Tensor,
    argmax_y: Tensor,
    argmax_x: Tensor,
    aligned_height: int,
    aligned_width: int,
    spatial_scale: float,
    sampling_ratio: int,
    pool_mode: int,
    aligned: bool,
) -> None:
    """Average of each cell of each box by bilinear interpolation.

    Mask R-CNN's RoIAlign (`arXiv:1703.06870 <https://arxiv.org/abs/1703.06870>`_).

    Args:
        input (Tensor): Feature maps of shape (N, C, H, W).
        rois (Tensor): Image index, x1, y1, x2, y2 of shape (R, 5).
        output (Tensor): Receives the result, of shape (R, C, aligned_height,
            aligned_width).
        argmax_y (Tensor): Not used.
        argmax_x (Tensor): Not used.
        aligned_height (int): Rows of cells.
        aligned_width (int): Columns of cells.
        spatial_scale (float): Pixels of the feature map per unit of the boxes.
        sampling_ratio (int): Samples per cell and axis; 0 takes about one per pixel.
        pool_mode (int): 1, the average.
        aligned (bool): Whether pixel centres are at halves, and boxes may be
            smaller than a pixel.

    Raises:
        InputError: If ``pool_mode`` is the maximum, or a box has a negative side
            and lies on the CPU.
    """
    _check_rois(rois, pool_mode, aligned)
    output.copy_(
        # torchvision.ops.roi_align replaces it by a slow form where torch's algorithms
        # must be deterministic, for the sake of a gradient that is not taken here
        torch.ops.torchvision.roi_align(
            *_widened(input, rois),
            spatial_scale,
            aligned_height,
            aligned_width,
            sampling_ratio,
            aligned,
        )
    )


def roi_align_backward(
    grad_output: Tensor,
    rois: Tensor,
    argmax_y: Tensor,
    argmax_x: Tensor,
    grad_input: Tensor,
    aligned_height: int,
    aligned_width: int,
    spatial_scale: float,
    sampling_ratio: int,
    pool_mode: int,
    aligned: bool,
) -> None:
    """Gradient of :func:`roi_align_forward` with respect to the feature maps.

    Args:
        grad_output (Tensor): Gradient of the result, of shape (R, C, aligned_height,
            aligned_width).
        rois (Tensor): Boxes of shape (R, 5).
        argmax_y (Tensor): Not used.
        argmax_x (Tensor): Not used.
        grad_input (Tensor): Receives the gradient, of shape (N, C, H, W).
        aligned_height (int): As in the forward pass, like all that follow.
        aligned_width (int): Columns of cells.
        spatial_scale (float): Pixels of the feature map per unit of the boxes.
        sampling_ratio (int): Samples per cell and axis.
        pool_mode (int): 1, the average.
        aligned (bool): Whether pixel centres are at halves.

    Raises:
        InputError: As in the forward pass.
    """
    _check_rois(rois, pool_mode, aligned)
    grad_input.copy_(
        torch.ops.torchvision._roi_align_backward(
            *_widened(grad_output, rois),
            spatial_scale,
            aligned_height,
            aligned_width,
            *grad_input.shape,
            sampling_ratio,
            aligned,
        )
    )


def _widened(*tensors: Tensor) -> tuple[Tensor, ...]:
    """Tensors in a type that torchvision's op has; the result is copied back."""
    return tuple(t.float() if t.dtype == torch.bfloat16 else t for t in tensors)


def _check_rois(rois: Tensor, pool_mode: int, aligned: bool) -> None:
    if pool_mode != _AVERAGE:
        raise InputError(
            "RoIAlign with pool_mode='max' is not among the ops that mmdisco takes "
            "from torchvision: use 'avg', or compile mmcv's ops"
        )
    # as mmcv does: on a GPU the check would wait for the device
    if aligned and not rois.is_cuda and (rois[:, 3:] < rois[:, 1:3]).any():
        raise InputError('RoIAlign: a box has a negative side; clip or remove it')


def sigmoid_focal_loss_forward(
    input: Tensor,
    target: Tensor,
    weight: Tensor,
    output: Tensor,
    gamma: float,
    alpha: float,
) -> None:
    """RetinaNet's loss (`arXiv:1708.02002 <https://arxiv.org/abs/1708.02002>`_, Eq. 5).

    Args:
        input (Tensor): Logits of shape (N, C).
        target (Tensor): Class indices of shape (N, ); C is the background.
        weight (Tensor): Weight of each target class, of shape (C, ), or empty. The
            background weighs 1.
        output (Tensor): Receives the losses, of shape (N, C).
        gamma (float): Exponent.
        alpha (float): Weight of the target class; the others have 1 - alpha.
    """
    logits, hit, scale = _focal_terms(input, target, weight, alpha)
    p = logits.sigmoid()
    loss = torch.where(
        hit,
        (1 - p) ** gamma * logsigmoid(logits),
        p**gamma * logsigmoid(-logits),
    )
    output.copy_(-scale * loss)


def sigmoid_focal_loss_backward(
    input: Tensor,
    target: Tensor,
    weight: Tensor,
    grad_input: Tensor,
    gamma: float,
    alpha: float,
) -> None:
    """Derivative of each loss of :func:`sigmoid_focal_loss_forward`.

    Args:
        input (Tensor): Logits of shape (N, C).
        target (Tensor): Class indices of shape (N, ).
        weight (Tensor): Weight of each class, of shape (C, ), or empty.
        grad_input (Tensor): Receives the derivatives, of shape (N, C).
        gamma (float): Exponent.
        alpha (float): Weight of the target class.
    """
    logits, hit, scale = _focal_terms(input, target, weight, alpha)
    p, q = logits.sigmoid(), (-logits).sigmoid()
    slope = torch.where(
        hit,
        q**gamma * (q - gamma * p * logsigmoid(logits)),
        p**gamma * (gamma * q * logsigmoid(-logits) - p),
    )
    grad_input.copy_(-scale * slope)


def _focal_terms(
    input: Tensor, target: Tensor, weight: Tensor, alpha: float
) -> tuple[Tensor, Tensor, Tensor]:
    """Logits in float32 or float64, where the target is, factor of each loss."""
    logits = input if input.dtype == torch.float64 else input.float()
    hit = target[:, None] == torch.arange(input.shape[1], device=target.device)
    scale = torch.where(hit, logits.new_full((), alpha), 1 - alpha)
    if weight.numel():
        scale = scale * torch.cat([weight, weight.new_ones(1)])[target, None]
    return logits, hit, scale


def get_compiler_version() -> str:
    """What environment reports print as mmcv's compiler.

    Returns:
        str: That there is none.
    """
    return f'none, ops of torchvision {torchvision.__version__}'


def get_compiling_cuda_version() -> str:
    """What environment reports print as the CUDA version of mmcv's ops.

    Returns:
        str: torch's.
    """
    return torch.version.cuda or 'not available'


_PROVIDED = {
    op.__name__: op
    for op in (
        get_compiler_version,
        get_compiling_cuda_version,
        nms,
        roi_align_backward,
        roi_align_forward,
        sigmoid_focal_loss_backward,
        sigmoid_focal_loss_forward,
        softnms,
    )
}
