from pathlib import Path

from PIL import Image

from .smoke_bags import write_bags

BATCH = 4
DEMO = Path(__file__).resolve().parents[2] / 'demo' / 'fashion_mnist'


def photo_tiles(folder: Path, num: int, size: int = 96) -> None:
    """Cut scikit-learn's two photographs into small JPEG files.

    Args:
        folder (Path): Made if need be; files of two sub-folders.
        num (int): How many tiles.
        size (int): Their side in pixels. Defaults to 96.
    """
    # takes most of a second, and every tool imports this module
    from sklearn.datasets import load_sample_images

    photos = load_sample_images().images  # two, [427, 640, 3]
    rows, columns = (side // size for side in photos[0].shape[:2])
    for i in range(num):
        row, column = divmod(i // 2 % (columns * rows), columns)
        tile = photos[i % 2][
            row * size : (row + 1) * size, column * size : (column + 1) * size
        ]
        path = folder / f'photo{i % 2}' / f'{i:03}.jpg'
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(tile).save(path)


def few_images(loader: dict, images: int, folder: Path) -> str:
    """Have a loader give small batches of a few bundled images.

    Args:
        loader (dict): Config of a loader, changed in place.
        images (int): How many of Fashion-MNIST, if it is of IDX files.
        folder (Path): Of the tiles for any other.

    Returns:
        str: Type of its data set.
    """
    loader.update(batch_size=BATCH, num_workers=0, persistent_workers=False)
    loader.pop('prefetch_factor', None)
    dataset = loader.dataset
    if dataset.type == 'Bags':
        dataset = write_bags(dataset, folder.parent / 'smoke_bags.npy', images)
    kind = dataset.type
    if kind == 'IDXImages':
        dataset.update(data_root=str(DEMO), start=0, stop=images)
        return kind
    if kind == 'ImageNet':  # which has a thousand folders, or is none
        dataset.type = 'CustomDataset'
        dataset.pop('split', None)
    elif 'CIFAR' in kind:  # whose images need no loading, labels below 10
        dataset.update(
            type='LabelledPhotos', pipeline=[dict(type='LoadPhoto'), *dataset.pipeline]
        )
        for key in ('split', 'download'):
            dataset.pop(key, None)
    if dataset.type == 'LabelledPhotos':  # the tiles are of two classes
        dataset.update(num_classes=None, ann_file='', num_images=None)
    dataset.update(data_root=str(folder), data_prefix='')
    return kind
