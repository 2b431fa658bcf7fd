# BINGO (https://arxiv.org/abs/2107.01691): the student's embeddings of an image
# and of a member of its bag are both pulled towards the teacher's of that image,
# against 65 536 earlier ones, temperature .2; no other loss. Only the teacher
# embeds view 1.
testbed = dict(type='PlainStudent', views=(0, 2))
testbed_distill = dict(
    type='BINGOLoss',
    embed_dim=128,
    queue_len=65536,
    temperature=.2,
    views=(0, 1, 2))
