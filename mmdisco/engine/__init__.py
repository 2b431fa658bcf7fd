from .atomic_backend import AtomicBackend
from .bf16_optim_wrapper import BF16OptimWrapper
from .fast_runner import FastRunner
from .gloo_ddp import GlooDistributedDataParallel
from .guard import guard_weights
from .hooks.accumulation_hook import AccumulationHook
from .hooks.best_and_last_hook import BestAndLastHook
from .hooks.clip_grad_hook import ClipGradHook
from .hooks.collapse_hook import CollapseHook
from .hooks.epoch_seed_hook import EpochSeedHook
from .hooks.freeze_grad_hook import FreezeGradHook
from .hooks.late_log_hook import LateLogHook
from .hooks.load_from_hook import LoadFromHook
from .hooks.momentum_hook import MomentumHook
from .hooks.momentum_temp_hook import MomentumTempHook
from .hooks.optimizer_layout_hook import OptimizerLayoutHook
from .hooks.queue_check_hook import QueueCheckHook
from .hooks.resume_check_hook import ResumeCheckHook
from .hooks.resume_config_hook import ResumeConfigHook
from .hooks.signal_hook import SignalHook
from .hooks.step_share_hook import StepShareHook
from .hooks.student_hook import StudentHook
from .hooks.swav_queue_hook import SwAVQueueHook
from .hooks.teacher_hook import TeacherHook
from .hooks.throughput_hook import ThroughputHook
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
