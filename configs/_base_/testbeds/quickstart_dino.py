# DINO for 10 000 images and the quickstart's student: 1024 outputs, and a
# momentum encoder that updates faster (mmengine counts 1 - m), for fewer steps.
# The last layer is frozen for an epoch.
testbed = dict(
    type='DINO',
    base_momentum=.02,
    neck=dict(
        type='DINONeck', in_channels=32, hid_channels=256, out_channels=128),
    head=dict(
        type='DINOHead',
        in_channels=128,
        out_channels=1024,
        student_temp=.1,
        momentum_temp=.04))
testbed_hooks = [
    dict(type='MomentumHook', end=0.),
    dict(type='ClipGradHook', max_norm=3.),
    dict(type='FreezeGradHook', name='head.last_layer', epochs=1),
]
