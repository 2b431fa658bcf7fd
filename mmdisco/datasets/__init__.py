from .idx_images import IDXImages
from .photos import Photos
from .transforms import LoadCrops, PhotometricViews

__all__ = ['IDXImages', 'LoadCrops', 'Photos', 'PhotometricViews']
