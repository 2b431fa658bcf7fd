"""Data preprocessors that make the views on the model's device."""

from .batch_views import BatchViews
from .device_views import DeviceViews

__all__ = ['BatchViews', 'DeviceViews']
