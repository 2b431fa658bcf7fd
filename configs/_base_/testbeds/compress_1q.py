# CompRess (https://arxiv.org/abs/2010.14713) with one memory (1q): student and
# teacher are both compared with the teacher's features of 128 000 earlier
# images, the student after a linear layer; temperature .04. The memory of 2048
# features takes 1 GiB.
testbed = dict(
    type='PlainStudent', neck=dict(type='GlobalAveragePooling'))
teacher_neck = dict(type='GlobalAveragePooling')
testbed_distill = dict(
    type='CompRessLoss',
    teacher_dim=2048,
    queue_len=128000,
    temperature=.04)
