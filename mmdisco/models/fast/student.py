"""Faster encoders of a student: channels last, compiled, and some single layers."""

import torch
from mmengine.model import BaseAveragedModel
from torch import Tensor, nn

aten = torch.ops.aten


class HalfDepthwise(torch.autograd.Function):
    """Depthwise convolution, forward in bf16, backward in fp32.

    On a CPU, the backward pass of a strided depthwise convolution takes up to
    nine times as long in bf16 as in fp32, while the forward pass is faster.
    """

    @staticmethod
    def forward(
        images: Tensor,
        weight: Tensor,
        stride: list[int],
        padding: list[int],
        dilation: list[int],
        groups: int,
    ) -> Tensor:
        """Convolve bf16 images [N, C, H, W] with fp32 weights [C, 1, h, w]."""
        return aten.convolution(
            images,
            weight.to(images.dtype),
            None,
            stride,
            padding,
            dilation,
            False,
            [0, 0],
            groups,
        )

    @staticmethod
    def setup_context(ctx, inputs: tuple, output: Tensor) -> None:
        """Save the bf16 images; the backward pass makes an fp32 copy."""
        images, weight, *ctx.geometry = inputs
        ctx.save_for_backward(images, weight)

    @staticmethod
    def backward(ctx, grad: Tensor) -> tuple:
        """Gradients of the images, in bf16, and of the weights, in fp32."""
        images, weight = ctx.saved_tensors
        stride, padding, dilation, groups = ctx.geometry
        needed = [*ctx.needs_input_grad[:2], False]
        of_images, of_weight, _ = aten.convolution_backward(
            grad.float(),
            images.float(),
            weight,
            None,
            stride,
            padding,
            dilation,
            False,
            [0, 0],
            groups,
            needed,
        )
        if of_images is not None:
            of_images = of_images.to(images.dtype)
        return of_images, of_weight, None, None, None, None


def _forward(self: nn.Conv2d, images: Tensor) -> Tensor:
    if not torch.is_autocast_enabled('cpu') or not torch.is_grad_enabled():
        return nn.Conv2d.forward(self, images)
    return HalfDepthwise.apply(
        images.to(torch.get_autocast_dtype('cpu')),
        self.weight,
        list(self.stride),
        list(self.padding),
        list(self.dilation),
        self.groups,
    )


def fast_depthwise(network: nn.Module) -> int:
    """Use :class:`HalfDepthwise` for depthwise convolutions under autocast.

    Weights, state-dict keys and the fp32 path do not change.

    Args:
        network (nn.Module): The network, on a CPU.

    Returns:
        int: Number of depthwise convolutions.
    """
    convolutions = [
        m
        for m in network.modules()
        if type(m) is nn.Conv2d
        and m.groups == m.in_channels > 1
        and m.bias is None
        and m.padding_mode == 'zeros'
        and isinstance(m.padding, tuple)
    ]
    for module in convolutions:
        module.forward = _forward.__get__(module)  # type: ignore[method-assign]
    return len(convolutions)


@torch.library.custom_op('mmdisco::max_pool2d', mutates_args=())
def _max_pool2d(
    images: Tensor,
    kernel: list[int],
    stride: list[int],
    padding: list[int],
    dilation: list[int],
    ceil: bool,
) -> tuple[Tensor, Tensor]:
    """Maxima [N, C, h, w] of images [N, C, H, W], and their indices."""
    return aten.max_pool2d_with_indices(images, kernel, stride, padding, dilation, ceil)


@torch.library.custom_op('mmdisco::max_pool2d_backward', mutates_args=())
def _max_pool2d_backward(
    grad: Tensor,
    images: Tensor,
    kernel: list[int],
    stride: list[int],
    padding: list[int],
    dilation: list[int],
    ceil: bool,
    indices: Tensor,
) -> Tensor:
    """Gradient of the images, [N, C, H, W]."""
    return aten.max_pool2d_with_indices_backward(
        grad, images, kernel, stride, padding, dilation, ceil, indices
    )


@_max_pool2d.register_fake
def _(images, kernel, stride, padding, dilation, ceil):
    return aten.max_pool2d_with_indices(images, kernel, stride, padding, dilation, ceil)


@_max_pool2d_backward.register_fake
def _(grad, images, kernel, stride, padding, dilation, ceil, indices):
    return aten.max_pool2d_with_indices_backward(
        grad, images, kernel, stride, padding, dilation, ceil, indices
    )


def _save_for_pooling(ctx, inputs: tuple, output: tuple) -> None:
    images, *ctx.geometry = inputs
    ctx.save_for_backward(images, output[1])


def _pooling_backward(ctx, grad: Tensor, _: Tensor) -> tuple:
    images, indices = ctx.saved_tensors
    grad = _max_pool2d_backward(grad, images, *ctx.geometry, indices)
    return grad, None, None, None, None, None


_max_pool2d.register_autograd(_pooling_backward, setup_context=_save_for_pooling)


def _pool(self: nn.MaxPool2d, images: Tensor) -> Tensor:
    if images.device.type != 'cpu':
        return nn.MaxPool2d.forward(self, images)
    kernel, stride, padding, dilation = (
        [size, size] if isinstance(size, int) else list(size)
        for size in (self.kernel_size, self.stride, self.padding, self.dilation)
    )
    pooled, _ = _max_pool2d(images, kernel, stride, padding, dilation, self.ceil_mode)
    return pooled


def fast_pooling(network: nn.Module) -> int:
    """Leave max pooling to torch's own kernels when a network is compiled.

    On a CPU, the compiler's code adds up gradients one by one, and takes several
    times as long. Results are the same.

    Args:
        network (nn.Module): The network.

    Returns:
        int: Number of pooling layers.
    """
    layers = [
        m for m in network.modules() if type(m) is nn.MaxPool2d and not m.return_indices
    ]
    for module in layers:
        module.forward = _pool.__get__(module)  # type: ignore[method-assign]
    return len(layers)


def encoders(model: nn.Module) -> list[nn.Module]:
    """Find backbone and neck of the student and of its momentum encoders.

    Args:
        model (nn.Module): A self-supervised algorithm, or a model with one
            as ``ssl``.

    Returns:
        list[nn.Module]: The student's parts, then each momentum encoder's.
    """
    ssl = getattr(model, 'ssl', model)
    parts = [getattr(ssl, name, None) for name in ('backbone', 'neck')]
    for module in ssl.modules():
        if isinstance(module, BaseAveragedModel) and isinstance(
            module.module, nn.Sequential
        ):
            parts += list(module.module)
    return [part for part in parts if part is not None]


def speed_up_student(model: nn.Module, channels_last: bool, compile: bool) -> None:
    """Speed up a model's encoders without renaming weights.

    Call it before DDP wraps the model, since DDP's buckets take the memory
    format of the weights.

    Args:
        model (nn.Module): The model, changed in place.
        channels_last (bool): Whether weights, and hence activations, have the
            memory format channels-last.
        compile (bool): Whether to ``torch.compile`` each encoder. Hooks on the
            encoder itself still see its inputs and outputs.
    """
    if channels_last:
        model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    for part in encoders(model):
        fast_depthwise(part)
        if compile:
            fast_pooling(part)
            # a method, so that a copy of the part runs its own weights
            compiled = torch.compile(type(part).forward)
            part.forward = compiled.__get__(part)
