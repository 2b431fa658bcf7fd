"""Four images, their COCO annotations and a tiny detector."""

import json

import numpy as np
from PIL import Image

CLASSES = ('square', 'bar')
# (class, x, y, w, h) of the objects, all below 96 x 96
OBJECTS = [
    [(0, 4, 6, 20, 20)],
    [(1, 2, 30, 50, 10), (0, 30, 2, 18, 18)],
    [],
    [(1, 6, 4, 48, 44)],
]
CONFIG = """
_base_ = ['mmdet::_base_/models/faster-rcnn_r50_fpn.py']
default_scope = 'mmdet'
model = dict(
    backbone=dict(
        depth=18, stem_channels=8, base_channels=8, init_cfg=None),
    neck=dict(in_channels=[8, 16, 32, 64], out_channels=8),
    rpn_head=dict(in_channels=8, feat_channels=8),
    roi_head=dict(
        bbox_roi_extractor=dict(out_channels=8),
        bbox_head=dict(in_channels=8, fc_out_channels=8, num_classes=2)),
    test_cfg=dict(
        rpn=dict(nms_pre=50, max_per_img=20),
        rcnn=dict(score_thr=.01, max_per_img=10)))
test_dataloader = dict(
    batch_size=2,
    num_workers=0,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type='CocoDataset',
        data_root='{root}',
        ann_file='annotations.json',
        data_prefix=dict(img=''),
        metainfo=dict(classes=('square', 'bar')),
        test_mode=True,
        pipeline=[
            dict(type='LoadImageFromFile'),
            dict(type='Resize', scale=(64, 64), keep_ratio=True),
            dict(type='PackDetInputs',
                 meta_keys=('img_id', 'ori_shape', 'img_shape',
                            'scale_factor'))
        ]))
test_evaluator = dict(
    type='CocoMetric', metric='bbox', ann_file='{root}/annotations.json')
test_cfg = dict(type='TestLoop')
"""


def tiny_set(folder):
    """Write images and annotations; return the config file."""
    folder.mkdir()
    annotations = []
    for number, objects in enumerate(OBJECTS):
        pixels = np.full((64, 60, 3), 40 * number, np.uint8)
        for label, x, y, w, h in objects:
            pixels[y : y + h, x : x + w, label] = 255
            annotations.append(
                dict(
                    id=len(annotations) + 1,
                    image_id=number,
                    category_id=label,
                    bbox=[x, y, w, h],
                    area=w * h,
                    iscrowd=0,
                    segmentation=[[x, y, x + w, y, x + w, y + h, x, y + h]],
                )
            )
        Image.fromarray(pixels).save(folder / f'{number}.png')
    (folder / 'annotations.json').write_text(
        json.dumps(
            dict(
                images=[
                    dict(id=i, file_name=f'{i}.png', width=60, height=64)
                    for i in range(len(OBJECTS))
                ],
                categories=[dict(id=i, name=n) for i, n in enumerate(CLASSES)],
                annotations=annotations,
            )
        )
    )
    config = folder / 'tiny.py'
    config.write_text(CONFIG.replace('{root}', str(folder)))
    return config
