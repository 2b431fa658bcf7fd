# 10 % of ImageNet's labelled images: the 128 116 of SimCLR's list,
# https://github.com/google-research/simclr, imagenet_subsets/10percent.txt,
# scored on all of val. DisCo's release reads one fewer, as its reader takes the
# first line for a heading. tools/make_subset.py makes a list of another choice.
_base_ = './imagenet_linear.py'

train_dataloader = dict(
    dataset=dict(ann_file='10percent.txt', num_images=128116))
