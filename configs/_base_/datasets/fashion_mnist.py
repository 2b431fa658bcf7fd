# Fashion-MNIST: the bundled 10 000 training images, or any folder of its IDX
# files. Views are made on whole batches and suit small grey images: crops stay
# large, because images have only 28 pixels.
data_root = 'demo/fashion_mnist'
data_preprocessor = dict(
    type='BatchViews',
    mean=[72.94, 72.94, 72.94],
    std=[90.02, 90.02, 90.02],
    transforms=[
        dict(
            type='kornia.augmentation.RandomResizedCrop',
            size=(28, 28),
            scale=(.7, 1.),
            cropping_mode='resample'),
        dict(type='kornia.augmentation.RandomHorizontalFlip', p=.5),
        dict(
            type='kornia.augmentation.RandomBrightness',
            brightness=(.8, 1.2),
            p=.8),
        dict(
            type='kornia.augmentation.RandomContrast',
            contrast=(.8, 1.2),
            p=.8),
    ])

train_dataloader = dict(
    batch_size=256,
    num_workers=0,
    drop_last=True,
    persistent_workers=False,
    sampler=dict(type='DefaultSampler', shuffle=True),
    collate_fn=dict(type='default_collate'),
    dataset=dict(type='IDXImages', data_root=data_root, split='train'))
