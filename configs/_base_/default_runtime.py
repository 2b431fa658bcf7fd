# Runtime of every config: log, checkpoints, checks before the first iteration.
default_scope = 'mmpretrain'
custom_imports = dict(imports=['mmdisco'], allow_failed_imports=False)

default_hooks = dict(
    timer=dict(type='IterTimerHook'),
    logger=dict(type='LoggerHook', interval=100),
    param_scheduler=dict(type='ParamSchedulerHook'),
    # atomic writes: a killed run never leaves a broken newest checkpoint
    checkpoint=dict(
        type='CheckpointHook',
        interval=1,
        max_keep_ckpts=3,
        backend_args=dict(backend='atomic')),
    sampler_seed=dict(type='DistSamplerSeedHook'),
    # random numbers depend on seed, epoch, rank and image, not on workers
    epoch_seed=dict(type='EpochSeedHook'),
    # stops on non-finite losses or weights, before a checkpoint
    signals=dict(type='SignalHook'))
custom_hooks = [
    dict(type='QueueCheckHook'),
    dict(type='ResumeCheckHook'),
    dict(type='OptimizerLayoutHook'),
    dict(type='TeacherHook'),
    dict(type='ThroughputHook'),
    dict(type='StepShareHook'),
    dict(type='CollapseHook'),
]
# means over ten iterations, including this project's values
log_processor = dict(
    type='LogProcessor',
    window_size=10,
    by_epoch=True,
    mean_pattern=r'.*(loss|time|grad_norm|cosine|embed_std).*')

env_cfg = dict(
    cudnn_benchmark=True,
    mp_cfg=dict(mp_start_method='fork', opencv_num_threads=0),
    dist_cfg=dict(backend='nccl'))
vis_backends = [dict(type='LocalVisBackend')]
visualizer = dict(type='UniversalVisualizer', vis_backends=vis_backends)
log_level = 'INFO'
load_from = None
resume = False
randomness = dict(seed=None, deterministic=False)
