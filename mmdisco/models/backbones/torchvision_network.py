"""Any classification network of torchvision as a backbone."""

import torchvision
from mmengine.model import BaseModule
from mmpretrain.registry import MODELS
from torch import Tensor, nn
from torchvision import models

from mmdisco.errors import InputError
from .nearest import nearest

# statistics of all published weights of torchvision, 0 to 255
MEAN, STD = [123.675, 116.28, 103.53], [58.395, 57.12, 57.375]
_NO_AUXILIARY = dict.fromkeys(
    ('googlenet', 'inception_v3'), dict(aux_logits=False, init_weights=True)
)
_CLASSES = 1000


def names() -> list[str]:
    """Names of torchvision's classification networks."""
    return models.list_models(module=models)


def _classifier(network: nn.Module) -> str:
    """Name of the classifier: the last layer, of a thousand classes."""
    layers = {
        name: module.out_features
        if isinstance(module, nn.Linear)
        else module.out_channels  # of SqueezeNet
        for name, module in network.named_modules()
        if isinstance(module, (nn.Linear, nn.Conv2d))
    }
    return [name for name, width in layers.items() if width == _CLASSES][-1]


@MODELS.register_module()
class TorchvisionNetwork(BaseModule):
    """A network of torchvision by its name, with random weights.

    Its feature is the input of the last layer, the classifier, which becomes
    ``nn.Identity``. GoogLeNet and Inception have no auxiliary classifiers.

    Args:
        name (str): Name in torchvision, e.g. 'shufflenet_v2_x1_0'.
        init_cfg (dict, optional): Not used: torchvision initialises its networks.
            Defaults to None.

    Attributes:
        classifier (str): Name of the layer that is left out.
        pooled_channels (int): Width P of the feature.

    Raises:
        InputError: If torchvision has no such classification network.

    Example:
        >>> network = TorchvisionNetwork('shufflenet_v2_x0_5')
        >>> network(torch.randn(2, 3, 64, 64))[0].shape
        torch.Size([2, 1024])
    """

    def __init__(self, name: str, init_cfg: dict | None = None) -> None:
        super().__init__(init_cfg)
        if name not in names():
            raise InputError(
                f'torchvision {torchvision.__version__} has no classification '
                f"network '{name}'{nearest(name, names())}: use one of "
                'torchvision.models.list_models()'
            )
        self.name = name
        self.network = models.get_model(
            name, weights=None, **_NO_AUXILIARY.get(name, {})
        )
        self.classifier = _classifier(self.network)
        layer = self.network.get_submodule(self.classifier)
        self.pooled_channels: int = getattr(
            layer, 'in_features', getattr(layer, 'in_channels', 0)
        )
        self.network.set_submodule(self.classifier, nn.Identity())

    def init_weights(self) -> None:
        """Keep torchvision's initial weights."""

    def forward(self, images: Tensor) -> tuple[Tensor]:
        """Compute the feature, [N, P], of normalised images, [N, 3, H, W]."""
        return (self.network(images),)
