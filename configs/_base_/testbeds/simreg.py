# SimReg (https://arxiv.org/abs/2201.05131): the student predicts the features
# of the teacher's backbone, 2048, from the same view, without another loss.
testbed = dict(type='PlainStudent')
testbed_neck = dict(type='SimRegNeck', out_channels=2048)
teacher_neck = dict(type='GlobalAveragePooling')
testbed_distill = dict(type='SimRegLoss')
