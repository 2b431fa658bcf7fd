# CIFAR-100, like cifar10_224.py.
_base_ = './cifar10_224.py'

data_root = 'data/cifar100'  # contains cifar-100-python
data_preprocessor = dict(num_classes=100)
train_dataloader = dict(
    dataset=dict(type='LocalCIFAR100', data_root=data_root))
val_dataloader = dict(dataset=dict(type='LocalCIFAR100', data_root=data_root))
test_dataloader = val_dataloader
