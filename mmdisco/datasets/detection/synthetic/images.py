from importlib.util import find_spec
from pathlib import Path

import numpy as np
from PIL import Image

from mmdisco.datasets.idx_images import IDXImages
from mmdisco.errors import MissingFileError

# Those of scikit-image's that are of colour and inside its package; of the
# stereo pair only one, for the two show the same.
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
    """Files of real photographs, others for training than for the test.

    Args:
        split (str): 'train' or 'test'.
        source (str): 'skimage' for those inside scikit-image and
            scikit-learn, or 'sklearn' for the one that scikit-learn has.
            Defaults to 'skimage'.

    Raises:
        MissingFileError: If the package or a photograph is not there.
    """
    found = _inside('scikit-learn', 'sklearn', 'datasets/images', SKLEARN[split])
    if source == 'skimage':
        found = _inside('scikit-image', source, 'data', SKIMAGE[split]) + found
    return found


def _inside(package: str, module: str, folder: str, names: tuple) -> list[Path]:
    spec = find_spec(module)
    if spec is None or spec.origin is None:
        raise MissingFileError(
            f'{package} is not installed, whose photographs are the '
            f"backgrounds: pip install {package}, or take photos 'sklearn' "
            'for two of scikit-learn'
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
THRESHOLD = 25  # of 255: brighter pixels are the garment's


class Garments:
    """Images of Fashion-MNIST as things to paste.

    Args:
        folder (Path): Of the IDX files.
        split (str): 'train' or 'test'.

    Raises:
        InputError: If a file is missing or damaged.
    """

    def __init__(self, folder: Path, split: str) -> None:
        data = IDXImages(str(folder), split)
        self.images = data.images[:, 0].numpy()  # [N, 28, 28]
        self.labels = data.labels.numpy()  # [N]

    def __len__(self) -> int:
        return len(self.images)

    def upscaled(
        self, index: int, side: int, flip: bool
    ) -> tuple[np.ndarray, np.ndarray]:
        """A garment, cut out and enlarged.

        Args:
            index (int): Which.
            side (int): Its longer side, in pixels.
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
    """Image and mask without the margin around the mask."""
    rows, columns = (np.flatnonzero(mask.any(axis)) for axis in (1, 0))
    part = (slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1))
    return np.ascontiguousarray(image[part]), mask[part]
