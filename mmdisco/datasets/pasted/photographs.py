from importlib.util import find_spec
from pathlib import Path

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
    if spec is None:
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
