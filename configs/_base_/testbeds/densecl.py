# DenseCL (https://arxiv.org/abs/2011.09157) as the self-supervised method, by
# mmpretrain's densecl_resnet50_8xb32-coslr-200e: batch 256, two queues
# of 65 536 keys, temperature .2, momentum .999 (mmengine counts 1 - m). The
# dense loss is weighted one half after a thousand iterations.
testbed = dict(
    type='DenseCL',
    queue_len=65536,
    feat_dim=128,
    momentum=.001,
    loss_lambda=.5,
    head=dict(
        type='ContrastiveHead',
        loss=dict(type='CrossEntropyLoss'),
        temperature=.2))
testbed_neck = dict(type='DenseCLNeck', hid_channels=2048, out_channels=128)
testbed_hooks = [dict(type='DenseCLHook', start_iters=1000)]
