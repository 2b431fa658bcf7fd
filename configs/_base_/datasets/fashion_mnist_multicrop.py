# Fashion-MNIST in two crops of 28 and four smaller ones of 16, as SwAV and DINO
# crop ImageNet. The small ones stay relatively larger, because images have only
# 28 pixels.
_base_ = './fashion_mnist.py'

large_crops = _base_.data_preprocessor.transforms
small_crops = [
    dict(large_crops[0], size=(16, 16), scale=(.3, .7)), *large_crops[1:]
]
data_preprocessor = dict(
    num_views=[2, 4], transforms=[large_crops, small_crops])
