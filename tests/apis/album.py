"""A folder of photographs and their reference features."""

import numpy as np
import torch
from PIL import Image
from sklearn.datasets import load_sample_images
from torch.nn.functional import avg_pool2d

from tests.evaluation.tiny import MEAN, STD, checkpoint

RESIZE, CROP = 40, 32
SIZES = ['--resize', RESIZE, '--crop', CROP]


def photographs(count):
    """Crops of two photographs, of several sizes and both orientations."""
    china, flower = load_sample_images().images
    rng = np.random.default_rng(0)
    for i in range(count):
        height, width = rng.integers(50, 200, 2)
        top, left = rng.integers(0, 200, 2)
        photo = (china, flower)[i % 2]
        yield photo[top : top + height, left : left + width].copy()


def write_album(root, count=3):
    """Write photos at several depths; returns arrays by name, sorted."""
    folders = ['', 'b/', 'b/c/', 'b-c/']
    photos = {}
    for i, photo in enumerate(photographs(count)):
        name = f'{folders[i % 4]}{count - i:02d} é.png'
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(photo).save(path)
        photos[name] = photo
    return dict(sorted(photos.items()))


def write_model(path):
    return checkpoint(path)  # returns the backbone


def reference(
    backbone, photo, mode=Image.Resampling.BILINEAR, resize=RESIZE, crop=CROP
):
    """Resize, crop, normalise and embed a single array, [H, W, 3]."""
    image = Image.fromarray(photo)
    short = min(image.size)
    image = image.resize([int(resize * side / short) for side in image.size], mode)
    left, top = (round((side - crop) / 2) for side in image.size)
    pixels = np.array(image)[top : top + crop, left : left + crop]
    colours = torch.tensor((pixels - MEAN) / STD, dtype=torch.float32)
    with torch.no_grad():
        last = backbone(colours.permute(2, 0, 1)[None])[-1]
    return avg_pool2d(last, last.shape[-1]).flatten().numpy()
