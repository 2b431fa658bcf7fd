from collections.abc import Iterable, Sequence

TITLES = dict(bbox='Boxes', segm='Masks')
SIZES = ('small', 'medium', 'large')
NOTE = """AP: mean over IoU 0.5, 0.55 ... 0.95, at most 100 boxes an image; \
AP50 and AP75:
at that IoU. AR: recall, averaged likewise. Small: area below 32^2 pixels;
large: above 96^2. -: the set has no such object."""


def markdown(report: dict) -> str:
    """A report as text that also reads well unrendered.

    Args:
        report (dict): Of :func:`scores_of`, with ``config``,
            ``checkpoint``, ``num_images`` and ``picture``, which may be None.
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
    """Lines of a table, its columns as wide as their widest cell."""
    rows = [head, *rows]
    widths = [max(len(row[i]) for row in rows) for i in range(len(head))]
    lines = [
        '| ' + ' | '.join(cell.ljust(width) for cell, width in zip(row, widths)) + ' |'
        for row in rows
    ]
    rule = '|' + '|'.join('-' * (width + 2) for width in widths) + '|'
    return [lines[0], rule, *lines[1:]]
