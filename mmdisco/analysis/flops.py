import torch
from mmengine.analysis import FlopAnalyzer
from torch import nn


def _attention(inputs, outputs) -> int:
    """Of both products of torch's fused attention, unknown to mmengine."""
    (n, heads, queries, width), keys = (x.type().sizes() for x in inputs[:2])
    return 2 * n * heads * queries * keys[2] * width


def multiply_adds(network: nn.Module, size: int) -> int:
    """Multiply-adds of a forward pass of one image, as OpenMMLab counts them.

    By mmengine's FlopAnalyzer, which counts normalisation and pooling, too;
    with fused attention added. OpenMMLab's metafiles call them FLOPs.

    Args:
        network (nn.Module): Left in eval mode.
        size (int): Height and width of the image.
    """
    network.eval()
    device = next(network.parameters()).device
    analyzer = FlopAnalyzer(network, (torch.zeros(1, 3, size, size, device=device),))
    analyzer.set_op_handle('aten::scaled_dot_product_attention', _attention)
    analyzer.unsupported_ops_warnings(False).uncalled_modules_warnings(False)
    with torch.no_grad():
        return int(analyzer.total())
