from .batch_views import BatchViews

__all__ = ['BatchViews']
