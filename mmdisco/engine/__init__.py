from .atomic_backend import AtomicBackend
from .hooks import (
    CollapseHook,
    EpochSeedHook,
    QueueCheckHook,
    ResumeCheckHook,
    TeacherHook,
    ThroughputHook,
)

__all__ = [
    'AtomicBackend', 'CollapseHook', 'EpochSeedHook', 'QueueCheckHook',
    'ResumeCheckHook', 'TeacherHook', 'ThroughputHook'
]
