from .accumulation_hook import AccumulationHook
from .best_and_last_hook import BestAndLastHook
from .clip_grad_hook import ClipGradHook
from .collapse_hook import CollapseHook
from .epoch_seed_hook import EpochSeedHook
from .freeze_grad_hook import FreezeGradHook
from .late_log_hook import LateLogHook
from .load_from_hook import LoadFromHook
from .momentum_hook import MomentumHook
from .momentum_temp_hook import MomentumTempHook
from .optimizer_layout_hook import OptimizerLayoutHook
from .queue_check_hook import QueueCheckHook
from .resume_check_hook import ResumeCheckHook
from .resume_config_hook import ResumeConfigHook
from .signal_hook import SignalHook
from .step_share_hook import StepShareHook
from .student_hook import StudentHook
from .swav_queue_hook import SwAVQueueHook
from .teacher_hook import TeacherHook
from .throughput_hook import ThroughputHook

__all__ = [
    'AccumulationHook',
    'BestAndLastHook',
    'ClipGradHook',
    'CollapseHook',
    'EpochSeedHook',
    'FreezeGradHook',
    'LateLogHook',
    'LoadFromHook',
    'MomentumHook',
    'MomentumTempHook',
    'OptimizerLayoutHook',
    'QueueCheckHook',
    'ResumeCheckHook',
    'ResumeConfigHook',
    'SignalHook',
    'StepShareHook',
    'StudentHook',
    'SwAVQueueHook',
    'TeacherHook',
    'ThroughputHook',
]
