# One log line and one checkpoint per epoch, so that an interrupted run loses
# only seconds; an epoch's random numbers depend on seed and epoch only.
_base_ = './default_runtime.py'

default_hooks = dict(
    logger=dict(interval=1000),
    checkpoint=dict(max_keep_ckpts=2),
    # views are made on whole batches: images draw no random numbers
    epoch_seed=dict(without_workers=False))
# the curves of docs/curves.md, for less than 3 % of the time
val_cfg = dict(
    type='OnlineLoop',
    scorers=[
        dict(type='KNNScorer'),
        dict(type='ProbeScorer'),
        dict(type='QualityScorer'),
        dict(type='TeacherKNNScorer'),
    ])
val_dataloader = dict(batch_size=250, num_workers=0)
val_evaluator = []  # none: the scorers evaluate
log_processor = dict(
    window_size=39,
    custom_cfg=[  # so that a run's seconds can be summed
        dict(data_src='time', method_name='mean', window_size='epoch')
    ])
randomness = dict(seed=0, deterministic=False)
