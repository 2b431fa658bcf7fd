from collections.abc import Sequence
from math import ceil
from pathlib import Path

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from mmdet.datasets.transforms import LoadAnnotations
from mmdet.structures import DetDataSample
from mmengine.dataset import BaseDataset

COLOURS = colormaps['tab10'].colors


def draw_detections(
    dataset: BaseDataset,
    chosen: Sequence[int],
    samples: Sequence[DetDataSample],
    score_thr: float,
    path: Path,
) -> None:
    """Draw images with their ground truth, and beside it the detections.

    Objects that are ignored, as VOC's difficult ones, have dashed boxes.

    Args:
        dataset: Of the images.
        chosen: Their indices.
        samples: What was found in them, in the original image's pixels.
        score_thr: Detections of a lower score are left out.
        path: The picture.
    """
    rows = ceil(len(chosen) / 2)
    figure = Figure(figsize=(16, 3.6 * rows), layout='constrained')
    axes = figure.subplots(rows, 4, squeeze=False)
    for axis in axes.flat:
        axis.set_axis_off()
    pairs = axes.reshape(-1, 2)  # two images a row
    for index, sample, (left, right) in zip(chosen, samples, pairs):
        image = _as_loaded(dataset, sample.img_path)
        found = sample.pred_instances
        with_masks = 'masks' in found
        info = dict(dataset.get_data_info(index), ori_shape=sample.ori_shape)
        truth = LoadAnnotations(with_bbox=True, with_mask=with_masks)(info)
        _draw(
            left,
            f'{sample.img_id}: ground truth',
            image,
            truth['gt_bboxes'].numpy(),
            truth['gt_bboxes_labels'],
            dataset.metainfo['classes'],
            masks=truth['gt_masks'].masks if with_masks else None,
            ignored=truth['gt_ignore_flags'],
        )
        found = found[found.scores >= score_thr].numpy()
        _draw(
            right,
            f'detections, score from {score_thr:g}',
            image,
            found.bboxes,
            found.labels,
            dataset.metainfo['classes'],
            masks=found.masks if with_masks else None,
            scores=found.scores,
        )
    figure.savefig(path, dpi=110)


def _as_loaded(dataset: BaseDataset, path: str) -> np.ndarray:
    """The pixels that the detector is given, in RGB, [H, W, 3]."""
    while not hasattr(dataset, 'pipeline'):  # a concatenation
        dataset = dataset.datasets[0]
    load = dataset.pipeline.transforms[0]
    return load(dict(img_path=path))['img'][..., ::-1].astype(np.uint8)


def _draw(
    axis: Axes,
    title: str,
    image: np.ndarray,
    boxes: np.ndarray,
    labels: np.ndarray,
    classes: Sequence[str],
    masks: np.ndarray | None = None,
    scores: np.ndarray | None = None,
    ignored: np.ndarray | None = None,
) -> None:
    """Boxes of [N, 4], masks of [N, H, W]."""
    height, width = image.shape[:2]
    corners = (0, width, height, 0)  # of the image, as the boxes count them
    axis.imshow(image, extent=corners)
    axis.set_title(title, fontsize=9, loc='left')
    for i, (x1, y1, x2, y2) in enumerate(boxes):
        colour = COLOURS[labels[i] % len(COLOURS)]
        dashed = ignored is not None and ignored[i]
        axis.add_patch(
            Rectangle(
                (x1, y1),
                x2 - x1,
                y2 - y1,
                fill=False,
                edgecolor=colour,
                linewidth=1.6,
                linestyle='--' if dashed else '-',
            )
        )
        text = classes[labels[i]]
        text += f' {scores[i]:.2f}' if scores is not None else ''
        axis.text(
            x1,
            y1,
            text,
            fontsize=7,
            color='white',
            va='bottom',
            clip_on=True,
            bbox=dict(facecolor=colour, edgecolor='none', pad=1),
        )
        if masks is not None:
            cover = np.zeros((*masks[i].shape, 4))  # [H, W, RGBA]
            cover[masks[i] > 0] = (*colour, 0.5)
            axis.imshow(cover, extent=corners)
