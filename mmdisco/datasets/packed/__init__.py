"""Images packed into tar shards, in WebDataset's format."""

from .index import INDEX, PackedImages, is_packed, open_packed
from .storage import ShardError, describe, read_member

__all__ = [
    'INDEX',
    'PackedImages',
    'ShardError',
    'describe',
    'is_packed',
    'open_packed',
    'read_member',
]
