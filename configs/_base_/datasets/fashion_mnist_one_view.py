# Fashion-MNIST in one view, for methods with one student pass per image.
_base_ = './fashion_mnist.py'

data_preprocessor = dict(num_views=1)
