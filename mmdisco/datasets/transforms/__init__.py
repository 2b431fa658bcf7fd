"""Transforms that load images and make views on the CPU."""

from .load_crops import LoadCrops
from .load_photo import LoadPhoto
from .photometric_views import PhotometricViews, pil_gaussian_kernel
from .view_recipe import ViewParams, ViewRecipe, build_recipes

__all__ = [
    'LoadCrops',
    'LoadPhoto',
    'PhotometricViews',
    'ViewParams',
    'ViewRecipe',
    'build_recipes',
    'pil_gaussian_kernel',
]
