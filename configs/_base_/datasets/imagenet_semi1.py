# 1 % of ImageNet's labelled images: the 12 811 of SimCLR's list,
# https://github.com/google-research/simclr, imagenet_subsets/1percent.txt,
# scored on all of val. DisCo's release reads one fewer, because it
# skips the first line as a header. tools/make_subset.py samples another list.
_base_ = './imagenet_linear.py'

train_dataloader = dict(
    dataset=dict(ann_file='1percent.txt', num_images=12811))
