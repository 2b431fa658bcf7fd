"""BINGO for the quickstart's student: bags of Fashion-MNIST.

    python tools/make_bags.py configs/quickstart/comparators/bingo.py \
        --out work_dirs/bags/fashion_mnist.npy
    python tools/train.py configs/quickstart/comparators/bingo.py
"""
_base_ = [
    '../../_base_/datasets/fashion_mnist.py',
    '../../_base_/schedules/quickstart.py',
    '../../_base_/testbeds/bingo.py',
    '../../_base_/students/quickstart.py',
    '../../_base_/teachers/quickstart.py',
    '../../_base_/quickstart_runtime.py',
]

_views = _base_.data_preprocessor.transforms
# two of the anchor, one of the member
data_preprocessor = dict(transforms=[_views, _views], num_views=[2, 1])
train_dataloader = dict(dataset=dict(
    _delete_=True, type='Bags', dataset=_base_.train_dataloader.dataset,
    neighbours='work_dirs/bags/fashion_mnist.npy'))
model = dict(
    type='DisCo',
    ssl=dict(**_base_.testbed, **_base_.student),
    teacher=dict(**_base_.teacher, channels_last=True),
    distill=dict(_base_.testbed_distill, queue_len=4096))
work_dir = 'work_dirs/comparators_bingo'
