"""DisCo on a folder of your own photos: MobileNetV3 from a ResNet-50.

Folders of any depth, without labels. The queue length is fitted to the folder,
the learning rate to the batch size. The teacher is any checkpoint of the r50
teacher: the public MoCo-v2, or the result of own_photos_teacher.py.
    python tools/train.py configs/quickstart/own_photos.py --cfg-options \
        data_root=PHOTOS model.teacher.checkpoint=TEACHER
"""
_base_ = '../disco/r50_mbv3.py'

data_root = 'data/photos'
train_dataloader = dict(dataset=dict(data_root=data_root, data_prefix=''))
# a faster momentum encoder, for the few steps of some thousand photos
model = dict(ssl=dict(queue_len='auto', momentum=.01))
auto_scale_lr = dict(enable=True)
