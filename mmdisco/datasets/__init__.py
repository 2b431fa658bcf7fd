from .bags import Bags
from .idx_images import IDXImages
from .labelled_photos import LabelledPhotos
from .local_cifar import LocalCIFAR10, LocalCIFAR100
from .neighbours import nearest_neighbours
from .photos import Photos
from .transforms import LoadCrops, LoadPhoto, PhotometricViews

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
    'nearest_neighbours',
]
