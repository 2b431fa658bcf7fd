# mmdet's RTMDet-tiny on COCO 2017 at 640 x 640: its neck, head, augmentation
# and schedule (8 GPUs, 32 images each), for a student's backbone. Images are
# normalised as the student's. The runtime is as runtime.py, but mmdet's hooks
# come behind.
_base_ = 'mmdet::rtmdet/rtmdet_tiny_8xb32-300e_coco.py'

custom_imports = dict(
    imports=['mmdisco', 'mmdisco.detection'], allow_failed_imports=False)

model = dict(
    data_preprocessor=dict(
        mean=[123.675, 116.28, 103.53],
        std=[58.395, 57.12, 57.375],
        bgr_to_rgb=True),
    backbone=dict(_delete_=True))
checkpoint = None  # of mmdet's backbone

student_hook = dict(type='DetectionStudentHook', checkpoint=None)
custom_hooks = [
    student_hook,
    dict(type='DetectionDataCheckHook'),
    dict(type='mmpretrain.ResumeCheckHook'),
    dict(type='mmpretrain.ThroughputHook'),
    *_base_.custom_hooks,
]
default_hooks = dict(checkpoint=dict(backend_args=dict(backend='atomic')))
randomness = dict(seed=None, deterministic=False)
auto_scale_lr = dict(base_batch_size=256)
