from torch import Tensor, nn


def _stages(backbone: nn.Module) -> list[nn.Module]:
    """Children of a backbone, and those of its lists of layers."""
    found = []
    for child in backbone.children():
        lists = isinstance(child, (nn.ModuleList, nn.Sequential))
        found += [*child.children()] if lists else [child]
        found += [child] if isinstance(child, nn.Sequential) else []
    return found


class MapRecorder:
    """Keeps the last feature map of each spatial size that a CNN computes.

    Stages of networks have other names and numbers of channels, but at one
    input size the same spatial sizes; so maps of two networks are paired by
    these. The hooks live inside the ``with`` block.

    Args:
        backbone (nn.Module): The CNN.
        num (int): So many of the smallest sizes are kept, those of one pixel
            left out. Defaults to 4: without the stem, at 224 pixels 56, 28,
            14 and 7.
    """

    def __init__(self, backbone: nn.Module, num: int = 4) -> None:
        self.backbone = backbone
        self.num = num

    def __enter__(self) -> 'MapRecorder':
        self._maps: dict[tuple[int, int], Tensor] = {}
        self._hooks = [
            stage.register_forward_hook(self._saw) for stage in _stages(self.backbone)
        ]
        return self

    def __exit__(self, *_) -> None:
        for hook in self._hooks:
            hook.remove()

    def _saw(self, _, args, output) -> None:
        if isinstance(output, Tensor) and output.dim() == 4:
            size = tuple(output.shape[2:])
            if min(size) > 1:
                self._maps.pop(size, None)
                self._maps[size] = output

    def take(self) -> tuple[Tensor, ...]:
        """The maps since the last call, [N, C, H, W] each, large to small."""
        maps = tuple(self._maps.values())[-self.num :]
        self._maps = {}
        return maps
