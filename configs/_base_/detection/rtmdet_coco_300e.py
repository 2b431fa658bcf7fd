# mmdet's RTMDet-tiny on COCO 2017 at 640 x 640: its neck, head, augmentation
# and schedule (8 GPUs, 32 images each), for a student's backbone. Images are
# loaded and normalised as for the student. The runtime is runtime.py's,
# with mmdet's hooks after it.
_base_ = 'mmdet::rtmdet/rtmdet_tiny_8xb32-300e_coco.py'

custom_imports = dict(
    imports=['mmdisco', 'mmdisco.detection'], allow_failed_imports=False)

model = dict(
    data_preprocessor=dict(
        mean=[123.675, 116.28, 103.53],
        std=[58.395, 57.12, 57.375],
        bgr_to_rgb=True),
    backbone=dict(_delete_=True))
checkpoint = None  # used by mmdet's backbone

train_pipeline = [dict(type='LoadPhoto'), *_base_.train_pipeline[1:]]
last_pipeline = [dict(type='LoadPhoto'), *_base_.train_pipeline_stage2[1:]]
test_pipeline = [dict(type='LoadPhoto'), *_base_.test_pipeline[1:]]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader

student_hook = dict(type='DetectionStudentHook', checkpoint=None)
custom_hooks = [
    student_hook,
    dict(type='mmpretrain.ResumeCheckHook'),
    dict(type='mmpretrain.ThroughputHook'),
    dict(type='DetectionDataCheckHook'),
    *_base_.custom_hooks[:-1],
    dict(_base_.custom_hooks[-1], switch_pipeline=last_pipeline),
]
default_hooks = dict(
    checkpoint=dict(backend_args=dict(backend='atomic')),
    epoch_seed=dict(type='mmpretrain.EpochSeedHook'),
    signals=dict(type='mmpretrain.SignalHook'))
randomness = dict(seed=None, deterministic=False)
auto_scale_lr = dict(base_batch_size=256)
