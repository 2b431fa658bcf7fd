# MoCo-v2 (https://arxiv.org/abs/2003.04297) as the contrastive method: a queue
# of 65 536 keys, temperature .2, momentum .999 (mmengine counts 1 - m).
testbed = dict(
    type='MoCo',
    queue_len=65536,
    feat_dim=128,
    momentum=.001,
    head=dict(
        type='ContrastiveHead',
        loss=dict(type='CrossEntropyLoss'),
        temperature=.2))
