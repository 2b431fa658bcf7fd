# imagenet_mocov2.py's two views of an image, the anchor, and one of another
# member of its bag by the same augmentation, for BINGO
# (https://arxiv.org/abs/2107.01691). A bag is an image and its five nearest
# neighbours in the teacher's feature space; see tools/make_bags.py.
_base_ = './imagenet_mocov2.py'

member_pipeline = [
    _base_.train_pipeline[0],
    *_base_.view_pipeline,
    _base_.train_pipeline[2],
]
train_dataloader = dict(
    dataset=dict(
        _delete_=True,
        type='Bags',
        dataset=_base_.train_dataloader.dataset,
        neighbours='bags/imagenet_r50.npy',
        member_pipeline=member_pipeline))
