from .atomic_backend import AtomicBackend
from .bf16_optim_wrapper import BF16OptimWrapper
from .fast_runner import FastRunner
from .hooks import (
    CollapseHook,
    EpochSeedHook,
    LateLogHook,
    OptimizerLayoutHook,
    QueueCheckHook,
    ResumeCheckHook,
    StepShareHook,
    TeacherHook,
    ThroughputHook,
)
from .prefetch import CudaPrefetcher, PrefetchHook

__all__ = [
    'AtomicBackend', 'BF16OptimWrapper', 'CollapseHook', 'CudaPrefetcher',
    'EpochSeedHook', 'FastRunner', 'LateLogHook', 'OptimizerLayoutHook',
    'PrefetchHook', 'QueueCheckHook', 'ResumeCheckHook', 'StepShareHook',
    'TeacherHook', 'ThroughputHook'
]
