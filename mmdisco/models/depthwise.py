import torch
from torch import Tensor, nn

aten = torch.ops.aten


class HalfDepthwise(torch.autograd.Function):
    """Depthwise convolution, forward in bf16, backward in fp32.

    On a CPU, the backward pass of a strided depthwise convolution takes up to
    nine times as long in bf16 as in fp32; the forward pass gains from bf16.
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
        """Keep the bf16 images: an fp32 copy is made when it is needed."""
        images, weight, *ctx.geometry = inputs
        ctx.save_for_backward(images, weight)

    @staticmethod
    def backward(ctx, grad: Tensor) -> tuple:
        """Gradients of images, in bf16, and weights, in fp32."""
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
    """Let depthwise convolutions use :class:`HalfDepthwise` under autocast.

    Weights, state-dict keys and the fp32 path stay as they are.

    Args:
        network (nn.Module): On a CPU.

    Returns:
        int: How many there are.
    """
    found = [
        m
        for m in network.modules()
        if type(m) is nn.Conv2d
        and m.groups == m.in_channels > 1
        and m.bias is None
        and m.padding_mode == 'zeros'
        and isinstance(m.padding, tuple)
    ]
    for module in found:
        module.forward = _forward.__get__(module)
    return len(found)
