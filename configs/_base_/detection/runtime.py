# Runtime of every detector: every tensor of the student must load, or it stops.
default_scope = 'mmdet'
custom_imports = dict(
    imports=['mmdisco', 'mmdisco.detection'], allow_failed_imports=False)

default_hooks = dict(
    timer=dict(type='IterTimerHook'),
    logger=dict(type='LoggerHook', interval=50),
    param_scheduler=dict(type='ParamSchedulerHook'),
    # atomic writes: a killed run never leaves a broken newest checkpoint
    checkpoint=dict(
        type='CheckpointHook',
        interval=1,
        max_keep_ckpts=2,
        backend_args=dict(backend='atomic')),
    sampler_seed=dict(type='DistSamplerSeedHook'),
    # random numbers depend on seed, epoch, rank and image, not on workers
    epoch_seed=dict(type='mmpretrain.EpochSeedHook'),
    # stops on non-finite losses or weights, before a checkpoint
    signals=dict(type='mmpretrain.SignalHook'),
    visualization=dict(type='DetVisualizationHook'))
student_hook = dict(type='DetectionStudentHook', checkpoint=None)
custom_hooks = [
    student_hook,
    dict(type='mmpretrain.ResumeCheckHook'),
    dict(type='mmpretrain.ThroughputHook'),
    dict(type='DetectionDataCheckHook'),
]
log_processor = dict(type='LogProcessor', window_size=50, by_epoch=True)

env_cfg = dict(
    cudnn_benchmark=False,
    mp_cfg=dict(mp_start_method='fork', opencv_num_threads=0),
    dist_cfg=dict(backend='nccl'))
vis_backends = [dict(type='LocalVisBackend')]
visualizer = dict(
    type='DetLocalVisualizer', vis_backends=vis_backends, name='visualizer')
log_level = 'INFO'
load_from = None
resume = False
randomness = dict(seed=None, deterministic=False)
