"""Hooks of mmengine's runner, by theme."""

from .best_and_last import BestAndLastHook
from .collapse import CollapseHook
from .epoch_seed import EpochSeedHook
from .gradients import (
    AccumulationHook,
    ClipGradHook,
    FreezeGradHook,
    OptimizerLayoutHook,
)
from .momentum import MomentumHook, MomentumTempHook
from .progress import InterruptHook, ProgressHook
from .queues import QueueCheckHook, SwAVQueueHook
from .resume import LoadFromHook, ResumeCheckHook
from .resume_config import ResumeConfigHook
from .signal import SignalHook
from .student import StudentHook, TeacherHook
from .time_budget import TimeBudgetHook
from .timing import LateLogHook, StepShareHook, ThroughputHook

__all__ = [
    'AccumulationHook',
    'BestAndLastHook',
    'ClipGradHook',
    'CollapseHook',
    'EpochSeedHook',
    'FreezeGradHook',
    'InterruptHook',
    'LateLogHook',
    'LoadFromHook',
    'MomentumHook',
    'MomentumTempHook',
    'OptimizerLayoutHook',
    'ProgressHook',
    'QueueCheckHook',
    'ResumeCheckHook',
    'ResumeConfigHook',
    'SignalHook',
    'StepShareHook',
    'StudentHook',
    'SwAVQueueHook',
    'TeacherHook',
    'ThroughputHook',
    'TimeBudgetHook',
]
