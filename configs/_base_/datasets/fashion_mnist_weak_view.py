# Fashion-MNIST in one view, cropped and mirrored and no more, as SimReg and
# CompRess have it; crops stay as large as elsewhere on these small pictures.
_base_ = './fashion_mnist.py'

data_preprocessor = dict(
    num_views=1, transforms=_base_.data_preprocessor.transforms[:2])
