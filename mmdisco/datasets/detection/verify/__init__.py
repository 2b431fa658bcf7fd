"""Unpack and check detection data before training or evaluation."""

from .archives import COCO_FOLDERS, unpack
from .coco import COCO_COUNTS, Wanted, check_coco
from .coco_file import check_content
from .report import Report, check_categories, similar
from .voc import VOC_CLASSES, VOC_COUNTS, check_voc

__all__ = [
    'COCO_COUNTS',
    'COCO_FOLDERS',
    'Report',
    'VOC_CLASSES',
    'VOC_COUNTS',
    'Wanted',
    'check_categories',
    'check_coco',
    'check_content',
    'check_voc',
    'similar',
    'unpack',
]
