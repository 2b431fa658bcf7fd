"""A teacher of your own: MoCo-v2 of a ResNet-50 on a folder of photos.

For own_photos.py, instead of the public teacher.
    python tools/train.py configs/quickstart/own_photos_teacher.py \
        --cfg-options data_root=PHOTOS
"""
_base_ = '../baselines/mocov2_r50.py'

data_root = 'data/photos'
train_dataloader = dict(dataset=dict(data_root=data_root, data_prefix=''))
model = dict(queue_len='auto', momentum=.01)
auto_scale_lr = dict(enable=True)
