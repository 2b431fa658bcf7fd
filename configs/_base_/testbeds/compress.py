# CompRess (https://arxiv.org/abs/2010.14713) with two memories (2q): the
# student matches the teacher's similarities to 128 000 earlier images, each in
# the feature space of its backbone, without another loss; temperature .04. The
# student's memory is filled by its moving average, m .999 (mmengine counts 1 - m).
# Both memories of 2048 and 512 features take 1.2 GiB.
# With one memory (1q): compress_1q.py.
testbed = dict(
    type='MomentumStudent',
    momentum=.001,
    neck=dict(type='GlobalAveragePooling'))
teacher_neck = dict(type='GlobalAveragePooling')
testbed_distill = dict(
    type='CompRessLoss',
    teacher_dim=2048,
    queue_len=128000,
    temperature=.04)
