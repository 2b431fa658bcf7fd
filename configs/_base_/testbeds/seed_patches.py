# SEED (https://arxiv.org/abs/2101.04731) for SwAV teachers: in addition to the
# large crop, six patches with a separate queue that one of them enters; their
# losses are averaged.
testbed = dict(type='PlainStudent', views=(0, 1, 2, 3, 4, 5, 6))
_seed = dict(
    type='SEEDLoss',
    embed_dim=128,
    queue_len=65536,
    student_temp=.2,
    teacher_temp=.01)
testbed_distill = [
    dict(**_seed, views=(0, )),
    dict(
        **_seed,
        views=(1, 2, 3, 4, 5, 6),
        enqueue_views=(6, ),
        loss_weight=1 / 6),
]
