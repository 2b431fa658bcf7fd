"""The paper's detector trains on VOC's difficult objects."""

import numpy as np
from mmdet.registry import DATASETS
from mmengine.config import Config
from mmengine.registry import init_default_scope
from PIL import Image

from tests.tools import ROOT

XML = (
    '<annotation><size><width>80</width><height>64</height></size>'
    '<object><name>dog</name><difficult>0</difficult><bndbox><xmin>5</xmin>'
    '<ymin>5</ymin><xmax>40</xmax><ymax>50</ymax></bndbox></object>'
    '<object><name>cat</name><difficult>1</difficult><bndbox>'
    '<xmin>50</xmin><ymin>9</ymin><xmax>60</xmax><ymax>20</ymax></bndbox></object>'
    '</annotation>'
)


def sample_of(config, root):
    """Return the ground truth that the detector trains on."""
    loader = Config.fromfile(
        ROOT / 'configs/detection/voc' / config
    ).train_dataloader.dataset
    while 'datasets' not in loader:  # a RepeatDataset
        loader = loader.dataset
    part = loader.datasets[0]
    part.data_root = str(root)
    return DATASETS.build(part)[0]['data_samples']


def test_only_the_papers_detector_learns_difficult_objects(tmp_path, scope):
    init_default_scope('mmdet')
    year = tmp_path / 'VOC2007'
    for name in ('JPEGImages', 'Annotations', 'ImageSets/Main'):
        (year / name).mkdir(parents=True)
    Image.new('RGB', (80, 64)).save(year / 'JPEGImages/000001.jpg')
    (year / 'Annotations/000001.xml').write_text(XML)
    (year / 'ImageSets/Main/trainval.txt').write_text('000001\n')
    c4 = sample_of('faster-rcnn_r34-c4_48k.py', tmp_path)
    assert sorted(c4.gt_instances.labels.tolist()) == [7, 11]  # cat and dog
    assert len(c4.ignored_instances) == 0
    # the smaller box is the cat's, at the sampled scale
    boxes = c4.gt_instances.bboxes.numpy()
    areas = np.prod(boxes[:, 2:] - boxes[:, :2], axis=1)
    assert c4.gt_instances.labels[areas.argmin()] == 7
    light = sample_of('faster-rcnn_r18-fpn_1x.py', tmp_path)
    assert light.gt_instances.labels.tolist() == [11]
    assert light.ignored_instances.labels.tolist() == [7]
