"""Images packed into tar shards, in WebDataset's format."""

from .index import INDEX, PackedImages, is_packed, open_packed
from .remote import ShardError
from .samplers import ShardSampler
from .storage import describe, read_member

__all__ = [
    'INDEX',
    'PackedImages',
    'ShardError',
    'ShardSampler',
    'describe',
    'is_packed',
    'open_packed',
    'read_member',
]
