# Fashion-MNIST in one view: for methods of which the student sees an image once.
_base_ = './fashion_mnist.py'

data_preprocessor = dict(num_views=1)
