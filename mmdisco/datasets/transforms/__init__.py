"""Transforms that load images and make views on the CPU."""

from .load_crops import Box, LoadCrops, Picture, draw_box
from .load_photo import LoadPhoto
from .photometric_views import PhotometricViews, augment, pil_gaussian_kernel
from .view_recipe import OneView, ViewParams, ViewRecipe, build_recipes

__all__ = [
    'Box',
    'LoadCrops',
    'LoadPhoto',
    'OneView',
    'PhotometricViews',
    'Picture',
    'ViewParams',
    'ViewRecipe',
    'augment',
    'build_recipes',
    'draw_box',
    'pil_gaussian_kernel',
]
