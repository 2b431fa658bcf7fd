# DINO (https://arxiv.org/abs/2104.14294) as the self-supervised method: 65 536
# outputs, temperatures .1 and .04, momentum .996 to 1 (mmengine counts 1 - m),
# gradients clipped at 3, last layer frozen for an epoch. The settings
# are the defaults of DINO's code; for the warm-up of its long runs add
# MomentumTempHook to the hooks.
testbed = dict(
    type='DINO',
    base_momentum=.004,
    head=dict(
        type='DINOHead',
        in_channels=256,
        out_channels=65536,
        student_temp=.1,
        momentum_temp=.04))
testbed_hooks = [
    dict(type='MomentumHook', end=0.),
    dict(type='ClipGradHook', max_norm=3.),
    dict(type='FreezeGradHook', name='head.last_layer', epochs=1),
]
# DINO's ViTs have no BN; XCiT's patches do
sync_bn = 'torch'
