"""Leaf configs with tiny networks, images and queues."""

import numpy as np
import torch
import torch.nn.functional as F
from mmengine.config import Config
from mmengine.logging import MessageHub
from mmengine.registry import init_default_scope
from mmpretrain.registry import MODELS
from sklearn.datasets import load_sample_images

from mmdisco.models import FrozenTeacher

EMBED, HIDDEN, WIDTH = 16, 24, 64
SIZES = {224: 32, 96: 16}
STEPS = 20


def tiny_backbone(backbone):
    """Make the backbone narrower; return the width of its features."""
    if backbone.type == 'ResNet':
        # bf16 convolutions of one pixel give garbage on CPUs (torch 2.11)
        backbone.update(
            depth=18, stem_channels=8, base_channels=8, strides=(1, 1, 2, 1)
        )
        return WIDTH
    if backbone.type == 'VisionTransformer':
        backbone.update(
            img_size=32,
            patch_size=8,
            arch=dict(
                embed_dims=16, num_layers=2, num_heads=2, feedforward_channels=32
            ),
        )
        return 16
    if backbone.type == 'XCiT':
        backbone.update(img_size=32, patch_size=8, embed_dims=16, depth=2, num_heads=2)
        return 16
    return 1280  # MobileNetV3 and EfficientNet have a fixed width


def tiny_neck(neck, width, embed):
    if neck.type == 'GlobalAveragePooling':
        return
    if neck.type == 'SimRegNeck':  # to the teacher's feature
        neck.update(in_channels=width, out_channels=WIDTH)
        return
    if neck.type == 'RetroNeck':
        neck.update(in_channels=width, checkpoint=None)
        neck, width = neck.head, WIDTH
    neck.update(in_channels=width, hid_channels=HIDDEN, out_channels=embed)


def build_tiny(path):
    """The model of a leaf config, and the sizes of its views."""
    init_default_scope('mmpretrain')
    MessageHub.get_instance('tiny')  # CosineEMA reads the length of training
    MessageHub.get_current_instance().update_info('max_iters', STEPS)
    cfg = Config.fromfile(path)
    model = cfg.model
    ssl, adapter = model.get('ssl', model), None
    if 'ssl' in model:
        losses = model.distill
        losses = losses if isinstance(losses, list) else [losses]
        adapter = next((x.adapter for x in losses if 'adapter' in x), None)
        for loss in losses:
            if 'embed_dim' in loss:
                loss.embed_dim = EMBED
            if loss.type == 'CompRessLoss':
                loss.update(teacher_dim=WIDTH, student_dim=WIDTH, queue_len=30)
        teacher = model.teacher
        tiny_neck(teacher.neck, tiny_backbone(teacher.backbone), EMBED)
        torch.manual_seed(1)
        model.teacher = FrozenTeacher(
            MODELS.build(teacher.backbone), MODELS.build(teacher.neck)
        )
    embed = EMBED + 4 if adapter else EMBED
    if adapter:
        adapter.update(in_features=embed, out_features=EMBED)
    tiny_neck(ssl.neck, tiny_backbone(ssl.backbone), embed)
    for key, value in dict(feat_dim=embed).items():
        if key in ssl:
            ssl[key] = value
    head = ssl.get('head', {})
    for part in (head, head.get('loss', {}), head.get('predictor', {})):
        sizes = dict(
            in_channels=embed,
            hid_channels=HIDDEN,
            feat_dim=embed,
            out_channels=embed if 'hid_channels' in part else 20,
            num_prototypes=12,
            queue_len=0,
        )
        part.update({k: v for k, v in sizes.items() if k in part})
    views = cfg.train_pipeline[1]
    counts, pipelines = views.num_views, views.transforms
    counts = [counts] if isinstance(counts, int) else counts
    sizes = [
        SIZES[pipeline[0].scale]
        for count, pipeline in zip(counts, pipelines)
        for _ in range(count)
    ]
    if cfg.train_dataloader.dataset.type == 'Bags':
        sizes.append(sizes[0])
    torch.manual_seed(0)
    return MODELS.build(model), sizes


def photo_views(sizes, num, generator):
    """Random parts of photographs, [N, 3, size, size] of each size."""
    photos = torch.tensor(np.stack(load_sample_images().images))
    photos = photos.permute(0, 3, 1, 2) / 255 - 0.5  # [2, 3, 427, 640]
    photos = torch.cat([photos, photos.flip(3), photos.flip(2)])[:num]
    views = []
    for size in sizes:
        y, x = (
            int(torch.randint(0, side - 96, (), generator=generator))
            for side in photos.shape[2:]
        )
        part = photos[..., y : y + 96, x : x + 96]
        views.append(F.interpolate(part, size=size, mode='area'))
    return views
