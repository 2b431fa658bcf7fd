from .atomic_backend import AtomicBackend
from .hooks import (
                    CollapseHook,
                    EpochSeedHook,
                    QueueCheckHook,
                    TeacherHook,
                    ThroughputHook,
)

__all__ = [
    'AtomicBackend', 'CollapseHook', 'EpochSeedHook', 'QueueCheckHook',
    'TeacherHook', 'ThroughputHook'
]
