from .archives import COCO_FOLDERS, unpack
from .coco import COCO_COUNTS, Wanted, check_coco
from .report import Report
from .voc import VOC_CLASSES, VOC_COUNTS, check_voc

__all__ = [
    'COCO_COUNTS', 'COCO_FOLDERS', 'Report', 'VOC_CLASSES', 'VOC_COUNTS',
    'Wanted', 'check_coco', 'check_voc', 'unpack'
]
