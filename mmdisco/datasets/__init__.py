"""Datasets and transforms, registered in mmpretrain."""

from .bags import Bags
from .idx_images import IDXImages
from .labelled_photos import LabelledPhotos
from .local_cifar import LocalCIFAR10, LocalCIFAR100
from .packed import ShardSampler
from .photos import Photos
from .transforms.load_crops import LoadCrops
from .transforms.load_photo import LoadPhoto
from .transforms.photometric_views import PhotometricViews

__all__ = [
    'Bags',
    'IDXImages',
    'LabelledPhotos',
    'LoadCrops',
    'LoadPhoto',
    'LocalCIFAR10',
    'LocalCIFAR100',
    'PhotometricViews',
    'Photos',
    'ShardSampler',
]
