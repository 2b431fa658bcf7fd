# CompRess-2q for 10 000 images: memories of 4096 features, of 32-d students and
# the 256-d teacher; momentum .99, for only 468 steps.
testbed = dict(
    type='MomentumStudent',
    momentum=.01,
    neck=dict(type='GlobalAveragePooling'))
testbed_distill = dict(
    type='CompRessLoss', teacher_dim=256, student_dim=32, queue_len=4096)
