# SEED (https://arxiv.org/abs/2101.04731): the student matches the teacher's
# similarities to 65 536 earlier embeddings of the teacher, temperatures .2 and
# .01, without another loss. For the release's teacher temperature of 1e-4:
# --cfg-options model.distill.teacher_temp=1e-4
testbed = dict(type='PlainStudent')
testbed_distill = dict(
    type='SEEDLoss',
    embed_dim=128,
    queue_len=65536,
    student_temp=.2,
    teacher_temp=.01)
