# SEED for 10 000 images: a queue of 4096 embeddings of the teacher.
testbed = dict(type='PlainStudent')
testbed_distill = dict(
    type='SEEDLoss',
    embed_dim=128,
    queue_len=4096,
    student_temp=.2,
    teacher_temp=.01)
