# A folder of photos, of any depth, without labels, in two views by the
# augmentation of MoCo-v2.
_base_ = './imagenet_mocov2.py'

data_root = 'data/photos'
train_dataloader = dict(dataset=dict(data_root=data_root, data_prefix=''))
