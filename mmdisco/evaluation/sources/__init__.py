from .folder import open_photos
from .opening import open_source
from .pair import check_pair
from .source import Source

__all__ = ['Source', 'check_pair', 'open_photos', 'open_source']
