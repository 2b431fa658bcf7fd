"""DisCo on a folder of your own photos: MobileNetV3 from a ResNet-50.

Any depth of folders, no labels. The queue is chosen to fit the folder, and the
learning rate follows the batch. The teacher is any file that the r50 teacher
can be loaded from: the public MoCo-v2, or own_photos_teacher.py's checkpoint.
    python tools/train.py configs/quickstart/own_photos.py --cfg-options \
        data_root=PHOTOS model.teacher.checkpoint=TEACHER
"""
_base_ = '../disco/r50_mbv3.py'

data_root = 'data/photos'
train_dataloader = dict(dataset=dict(data_root=data_root, data_prefix=''))
# a faster momentum encoder: some thousand photos give few steps
model = dict(ssl=dict(queue_len='auto', momentum=.01))
auto_scale_lr = dict(enable=True)
