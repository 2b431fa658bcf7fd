# MoCo-v2 for 10 000 images: a queue of 4096 keys, momentum .99.
testbed = dict(
    type='MoCo',
    queue_len=4096,
    feat_dim=128,
    momentum=.01,
    head=dict(
        type='ContrastiveHead',
        loss=dict(type='CrossEntropyLoss'),
        temperature=.2))
