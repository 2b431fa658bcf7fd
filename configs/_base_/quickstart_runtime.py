# One log line and one checkpoint an epoch, so that an interrupted run loses
# seconds; an epoch's random numbers depend on seed and epoch alone.
_base_ = './default_runtime.py'

default_hooks = dict(
    logger=dict(interval=1000), checkpoint=dict(max_keep_ckpts=1))
log_processor = dict(type='LogProcessor', window_size=50, by_epoch=True)
custom_hooks = [*_base_.custom_hooks, dict(type='EpochSeedHook')]
randomness = dict(seed=0, deterministic=False)
