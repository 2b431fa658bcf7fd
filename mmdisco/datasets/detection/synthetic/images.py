"""Photographs and garments for synthetic detection sets."""

from importlib.util import find_spec
from pathlib import Path

import numpy as np
from PIL import Image

from mmdisco.datasets.idx_images import IDXImages
from mmdisco.errors import MissingFileError

# Colour photographs in scikit-image's package; only one of the stereo pair,
# as both show the same scene.
SKIMAGE = dict(
    train=(
        'astronaut.png',
        'chelsea.png',
        'motorcycle_left.png',
        'ihc.png',
        'hubble_deep_field.jpg',
    ),
    test=('coffee.png', 'rocket.jpg', 'retina.jpg'),
)
SKLEARN = dict(train=('china.jpg',), test=('flower.jpg',))


def photographs(split: str, source: str = 'skimage') -> list[Path]:
    """Files of real photographs, different for training and test.

    Args:
        split (str): 'train' or 'test'.
        source (str): 'skimage' for those of scikit-image and scikit-learn, or
            'sklearn' for the one of scikit-learn. Defaults to 'skimage'.

    Raises:
        MissingFileError: If the package or a photograph is missing.
    """
    files = _inside('scikit-learn', 'sklearn', 'datasets/images', SKLEARN[split])
    if source == 'skimage':
        files = _inside('scikit-image', source, 'data', SKIMAGE[split]) + files
    return files


def _inside(package: str, module: str, folder: str, names: tuple) -> list[Path]:
    spec = find_spec(module)
    if spec is None or spec.origin is None:
        raise MissingFileError(
            f'{package} is not installed; its photographs are the '
            f"backgrounds: pip install {package}, or set photos to 'sklearn' "
            'for the two of scikit-learn'
        )
    paths = [Path(spec.origin).parent / folder / name for name in names]
    for path in paths:
        if not path.is_file():
            raise MissingFileError(
                f"no photograph '{path}': install another version of {package}"
            )
    return paths


FASHION_NAMES = (
    't-shirt',
    'trouser',
    'pullover',
    'dress',
    'coat',
    'sandal',
    'shirt',
    'sneaker',
    'bag',
    'ankle boot',
)
THRESHOLD = 25  # of 255: brighter pixels belong to the garment


class Garments:
    """Images of Fashion-MNIST as objects to paste.

    Args:
        folder (Path): Folder of the IDX files.
        split (str): 'train' or 'test'.

    Raises:
        InputError: If a file is missing or damaged.
    """

    def __init__(self, folder: Path, split: str) -> None:
        data = IDXImages(str(folder), split)
        self.images = data.images[:, 0].numpy()  # [N, 28, 28]
        self.labels = data.labels.numpy()  # [N]

    def __len__(self) -> int:
        """Return the number of garments."""
        return len(self.images)

    def upscaled(
        self, index: int, side: int, flip: bool
    ) -> tuple[np.ndarray, np.ndarray]:
        """Cut out and enlarge a garment.

        Args:
            index (int): Index of the garment.
            side (int): Its longer side after resizing, in pixels.
            flip (bool): Whether to mirror it.

        Returns:
            tuple[np.ndarray, np.ndarray]: Grey values, uint8, and mask, bool,
            both [H, W]. The mask touches all four sides.
        """
        image = self.images[index][:, :: -1 if flip else 1]
        image = _tight(image, image > THRESHOLD)[0]
        scale = side / max(image.shape)
        height, width = (max(1, round(n * scale)) for n in image.shape)
        grey = np.array(
            Image.fromarray(image).resize((width, height), Image.Resampling.BILINEAR)
        )  # [H, W]
        return _tight(grey, grey > THRESHOLD)


def _tight(image: np.ndarray, mask: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Crop image and mask to the mask's bounding box."""
    rows, columns = (np.flatnonzero(mask.any(axis)) for axis in (1, 0))
    part = (slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1))
    return np.ascontiguousarray(image[part]), mask[part]
