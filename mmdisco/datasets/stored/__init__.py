"""Views that a seed replays, and a teacher's embeddings of them on disk."""

from .images import Images, images_of
from .replay import ViewReplay, versions_of, view_seed
from .store import Store, read_header
from .stored_views import StoredViews

__all__ = [
    'Images',
    'Store',
    'StoredViews',
    'ViewReplay',
    'images_of',
    'read_header',
    'versions_of',
    'view_seed',
]
