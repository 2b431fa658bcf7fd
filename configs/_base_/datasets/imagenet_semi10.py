# 10 % of ImageNet's labelled images: the 128 116 of SimCLR's list,
# https://github.com/google-research/simclr, imagenet_subsets/10percent.txt,
# scored on all of val. DisCo's release reads one fewer, because it
# skips the first line as a header. tools/make_subset.py samples another list.
_base_ = './imagenet_linear.py'

train_dataloader = dict(
    dataset=dict(ann_file='10percent.txt', num_images=128116))
