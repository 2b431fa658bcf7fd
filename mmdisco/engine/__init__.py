from .atomic_backend import AtomicBackend
from .bf16_optim_wrapper import BF16OptimWrapper
from .fast_runner import FastRunner
from .gloo_ddp import GlooDistributedDataParallel
from .guard import guard_weights
from .hooks import (
    AccumulationHook,
    BestAndLastHook,
    ClipGradHook,
    CollapseHook,
    EpochSeedHook,
    FreezeGradHook,
    LateLogHook,
    LoadFromHook,
    MomentumHook,
    MomentumTempHook,
    OptimizerLayoutHook,
    QueueCheckHook,
    ResumeCheckHook,
    ResumeConfigHook,
    SignalHook,
    StepShareHook,
    StudentHook,
    SwAVQueueHook,
    TeacherHook,
    ThroughputHook,
)
from .hooks.resume import guard_weights
from .label_check import check_labels
from .larc import LARC
from .online.probe import OnlineProbeHook
from .online.scorers import FeatureQualityHook, OnlineKNNHook, TeacherKNNHook
from .prefetch import CudaPrefetcher, PrefetchHook

__all__ = [
    'AccumulationHook',
    'AtomicBackend',
    'BF16OptimWrapper',
    'BestAndLastHook',
    'ClipGradHook',
    'CollapseHook',
    'CudaPrefetcher',
    'EpochSeedHook',
    'FastRunner',
    'FeatureQualityHook',
    'FreezeGradHook',
    'GlooDistributedDataParallel',
    'LARC',
    'LateLogHook',
    'LoadFromHook',
    'MomentumHook',
    'MomentumTempHook',
    'OnlineKNNHook',
    'OnlineProbeHook',
    'OptimizerLayoutHook',
    'PrefetchHook',
    'QueueCheckHook',
    'ResumeCheckHook',
    'ResumeConfigHook',
    'SignalHook',
    'StepShareHook',
    'StudentHook',
    'SwAVQueueHook',
    'TeacherHook',
    'TeacherKNNHook',
    'ThroughputHook',
    'check_labels',
    'guard_weights',
]
