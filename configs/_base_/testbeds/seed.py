# SEED (https://arxiv.org/abs/2101.04731): the student learns the teacher's
# similarities to 65 536 earlier embeddings of the teacher's own, temperatures
# .2 and .01, and nothing else. The release has 1e-4 as the teacher's:
# --cfg-options model.distill.teacher_temp=1e-4
testbed = dict(type='PlainStudent')
testbed_distill = dict(
    type='SEEDLoss',
    embed_dim=128,
    queue_len=65536,
    student_temp=.2,
    teacher_temp=.01)
