from .bags import Bags
from .idx_images import IDXImages
from .labelled_photos import LabelledPhotos
from .neighbours import nearest_neighbours
from .photos import Photos
from .transforms import LoadCrops, PhotometricViews

__all__ = [
    'Bags', 'IDXImages', 'LabelledPhotos', 'LoadCrops', 'PhotometricViews',
    'Photos', 'nearest_neighbours'
]
