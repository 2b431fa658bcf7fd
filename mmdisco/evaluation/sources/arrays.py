import zlib

from PIL import Image
from torch import Tensor

from .source import Source


class ArraySource(Source):
    """Images kept in memory, named by their number: 'train/000012'.

    Args:
        kind (str): 'cifar10', 'cifar100' or 'idx'.
        root (str): What the user gave.
        split (str): 'train' or 'test'.
        images (Tensor): uint8, grey [N, H, W] or in RGB [N, H, W, 3].
        labels (Tensor): [N].
        classes (List[str]): Names of the labels.
    """

    def __init__(
        self,
        kind: str,
        root: str,
        split: str,
        images: Tensor,
        labels: Tensor,
        classes: list[str],
    ) -> None:
        names = [f'{split}/{i:06d}' for i in range(len(images))]
        super().__init__(root, split, names, labels, classes)
        self.kind = kind
        self.images = images
        self.sizes = [*images.shape, zlib.crc32(images.numpy())]

    def load(self, index: int) -> Image.Image:
        return Image.fromarray(self.images[index].numpy())
