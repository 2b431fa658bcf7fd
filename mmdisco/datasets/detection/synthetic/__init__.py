"""Small synthetic detection sets: garments pasted into photographs."""

from .images import FASHION_NAMES
from .make_set import Made, make_set
from .scene import Scene, Scenes

__all__ = [
    'FASHION_NAMES',
    'Made',
    'Scene',
    'Scenes',
    'make_set',
]
