from .batch_views import BatchViews
from .device_views import DeviceViews

__all__ = ['BatchViews', 'DeviceViews']
