from .mobilenet_v3_pooled import MobileNetV3Pooled

__all__ = ['MobileNetV3Pooled']
