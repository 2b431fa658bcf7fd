from .bags import Bags
from .idx_images import IDXImages
from .neighbours import nearest_neighbours
from .photos import Photos
from .transforms import LoadCrops, PhotometricViews

__all__ = [
    'Bags', 'IDXImages', 'LoadCrops', 'PhotometricViews', 'Photos',
    'nearest_neighbours'
]
