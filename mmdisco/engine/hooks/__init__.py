from .accumulation_hook import AccumulationHook
from .best_and_last_hook import BestAndLastHook
from .clip_grad_hook import ClipGradHook
from .collapse_hook import CollapseHook
from .epoch_seed_hook import EpochSeedHook
from .feature_quality_hook import FeatureQualityHook
from .freeze_grad_hook import FreezeGradHook
from .late_log_hook import LateLogHook
from .load_from_hook import LoadFromHook
from .momentum_hook import MomentumHook
from .momentum_temp_hook import MomentumTempHook
from .online_knn_hook import OnlineKNNHook
from .online_probe_hook import OnlineProbeHook
from .optimizer_layout_hook import OptimizerLayoutHook
from .queue_check_hook import QueueCheckHook
from .resume_check_hook import ResumeCheckHook
from .resume_config_hook import ResumeConfigHook
from .signal_hook import SignalHook
from .step_share_hook import StepShareHook
from .student_hook import StudentHook
from .swav_queue_hook import SwAVQueueHook
from .teacher_hook import TeacherHook
from .teacher_knn_hook import TeacherKNNHook
from .throughput_hook import ThroughputHook

__all__ = [
    'AccumulationHook',
    'BestAndLastHook',
    'ClipGradHook',
    'CollapseHook',
    'EpochSeedHook',
    'FeatureQualityHook',
    'FreezeGradHook',
    'LateLogHook',
    'LoadFromHook',
    'MomentumHook',
    'MomentumTempHook',
    'OnlineKNNHook',
    'OnlineProbeHook',
    'OptimizerLayoutHook',
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
]
