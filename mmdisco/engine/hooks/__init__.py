from .collapse_hook import CollapseHook
from .epoch_seed_hook import EpochSeedHook
from .queue_check_hook import QueueCheckHook
from .resume_check_hook import ResumeCheckHook
from .teacher_hook import TeacherHook
from .throughput_hook import ThroughputHook

__all__ = [
    'CollapseHook', 'EpochSeedHook', 'QueueCheckHook', 'ResumeCheckHook',
    'TeacherHook', 'ThroughputHook'
]
