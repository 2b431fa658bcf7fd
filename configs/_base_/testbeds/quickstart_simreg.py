# SimReg: the 32-d feature predicts the 256-d one of the teacher's backbone.
testbed = dict(
    type='PlainStudent',
    neck=dict(type='SimRegNeck', in_channels=32, out_channels=256))
testbed_distill = dict(type='SimRegLoss')
