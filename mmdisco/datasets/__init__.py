from .idx_images import IDXImages
from .photos import Photos

__all__ = ['IDXImages', 'Photos']
