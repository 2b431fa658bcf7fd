# Fashion-MNIST in one view with crop and flip only, as in SimReg and
# CompRess; crops stay as large as in fashion_mnist.py.
_base_ = './fashion_mnist.py'

data_preprocessor = dict(
    num_views=1, transforms=_base_.data_preprocessor.transforms[:2])
