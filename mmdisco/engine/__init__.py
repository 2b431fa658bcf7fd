from .atomic_backend import AtomicBackend
from .bf16_optim_wrapper import BF16OptimWrapper
from .fast_runner import FastRunner
from .gloo_ddp import GlooDistributedDataParallel
from .hooks import (
    BestAndLastHook,
    ClipGradHook,
    CollapseHook,
    EpochSeedHook,
    FeatureQualityHook,
    FreezeGradHook,
    LateLogHook,
    MomentumHook,
    MomentumTempHook,
    OnlineKNNHook,
    OnlineProbeHook,
    OptimizerLayoutHook,
    QueueCheckHook,
    ResumeCheckHook,
    SignalHook,
    StepShareHook,
    StudentHook,
    SwAVQueueHook,
    TeacherHook,
    TeacherKNNHook,
    ThroughputHook,
)
from .label_check import check_labels
from .larc import LARC
from .prefetch import CudaPrefetcher, PrefetchHook

__all__ = [
    'AtomicBackend', 'BF16OptimWrapper', 'BestAndLastHook', 'ClipGradHook',
    'CollapseHook', 'CudaPrefetcher', 'EpochSeedHook', 'FastRunner',
    'FeatureQualityHook', 'FreezeGradHook', 'GlooDistributedDataParallel',
    'LARC', 'LateLogHook', 'MomentumHook', 'MomentumTempHook',
    'OnlineKNNHook', 'OnlineProbeHook', 'OptimizerLayoutHook',
    'PrefetchHook', 'QueueCheckHook', 'ResumeCheckHook', 'SignalHook',
    'StepShareHook', 'StudentHook', 'SwAVQueueHook', 'TeacherHook',
    'TeacherKNNHook', 'ThroughputHook', 'check_labels'
]
