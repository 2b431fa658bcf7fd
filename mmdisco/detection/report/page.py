"""Picture and Markdown page of a detector's test report."""

from collections.abc import Iterable, Sequence
from math import ceil
from pathlib import Path

import numpy as np
from matplotlib import color_sequences
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from mmdet.datasets.transforms import LoadAnnotations
from mmdet.structures import DetDataSample
from mmengine.dataset import BaseDataset

COLOURS = color_sequences['tab10']


def draw_detections(
    dataset: BaseDataset,
    chosen: Sequence[int],
    samples: Sequence[DetDataSample],
    score_thr: float,
    path: Path,
) -> None:
    """Draw images with the ground truth on the left, detections on the right.

    Ignored objects, as VOC's difficult ones, have dashed boxes.

    Args:
        dataset (BaseDataset): The data set.
        chosen (Sequence[int]): Indices of the images.
        samples (Sequence[DetDataSample]): Their detections, in pixels of the
            original image.
        score_thr (float): Lowest score that is drawn.
        path (Path): Output file.
    """
    rows = ceil(len(chosen) / 2)
    figure = Figure(figsize=(16, 3.6 * rows), layout='constrained')
    axes = figure.subplots(rows, 4, squeeze=False)
    for axis in axes.flat:
        axis.set_axis_off()
    pairs = axes.reshape(-1, 2)  # two images a row
    for index, sample, (left, right) in zip(chosen, samples, pairs):
        image = _as_loaded(dataset, sample.img_path)
        detections = sample.pred_instances
        with_masks = 'masks' in detections
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
        detections = detections[detections.scores >= score_thr].numpy()
        _draw(
            right,
            f'detections, score >= {score_thr:g}',
            image,
            detections.bboxes,
            detections.labels,
            dataset.metainfo['classes'],
            masks=detections.masks if with_masks else None,
            scores=detections.scores,
        )
    figure.savefig(path, dpi=110)


def _as_loaded(dataset: BaseDataset, path: str) -> np.ndarray:
    """Load the detector's input pixels, RGB, [H, W, 3]."""
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
    """Draw boxes, [N, 4], and masks, [N, H, W], into an image, [H, W, 3]."""
    height, width = image.shape[:2]
    corners = (0, width, height, 0)  # image corners in box coordinates
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


TITLES = dict(bbox='Boxes', segm='Masks')
SIZES = ('small', 'medium', 'large')
NOTE = """AP: mean over IoU 0.5, 0.55 ... 0.95, at most 100 boxes an image; \
AP50 and AP75:
at that IoU. AR: recall, averaged likewise. Small: area below 32^2 pixels;
large: above 96^2. -: the set has no such object."""


def markdown(report: dict) -> str:
    """Format a report as Markdown that is readable as plain text.

    Args:
        report (dict): Scores of :func:`scores_of`, with ``config``,
            ``checkpoint``, ``num_images`` and ``picture``, which may be None.

    Returns:
        str: The page.
    """
    lines = [
        f'# {report["config"]}',
        '',
        f'{report["checkpoint"]}, {report["num_images"]} images',
        '',
        NOTE,
        '',
    ]
    for kind in (kind for kind in TITLES if kind in report):
        scores = report[kind]
        overall = ['AP', 'AP50', 'AP75', 'AR']
        lines += [
            f'## {TITLES[kind]}',
            '',
            *_table(overall, [[_cell(scores[n]) for n in overall]]),
            '',
            *_table(
                ['size', 'AP', 'AR'],
                [
                    [size, _cell(scores[f'AP_{size}']), _cell(scores[f'AR_{size}'])]
                    for size in SIZES
                ],
            ),
            '',
            *_table(
                ['class', 'AP'],
                [[name, _cell(value)] for name, value in scores['per_class'].items()],
            ),
            '',
        ]
    if report['other']:
        lines += [
            "## The config's other metrics",
            '',
            *_table(
                ['metric', 'value'],
                [[name, _cell(value)] for name, value in report['other'].items()],
            ),
            '',
        ]
    if report['picture']:
        lines += [f'![ground truth and detections]({report["picture"]})', '']
    return '\n'.join(lines)


def _cell(value: float | None) -> str:
    return '-' if value is None else f'{value:.3f}'


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """Return the lines of a table with aligned columns."""
    rows = [head, *rows]
    widths = [max(len(row[i]) for row in rows) for i in range(len(head))]
    lines = [
        '| ' + ' | '.join(cell.ljust(width) for cell, width in zip(row, widths)) + ' |'
        for row in rows
    ]
    rule = '|' + '|'.join('-' * (width + 2) for width in widths) + '|'
    return [lines[0], rule, *lines[1:]]
