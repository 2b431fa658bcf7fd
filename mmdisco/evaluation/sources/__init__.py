"""Labelled images in class folders, shards, LMDB, CIFAR and IDX files."""

from .folder import open_photos
from .opening import open_source
from .pair import Split, check_classes, check_pair, copies
from .source import Source

__all__ = [
    'Source',
    'Split',
    'check_classes',
    'check_pair',
    'copies',
    'open_photos',
    'open_source',
]
