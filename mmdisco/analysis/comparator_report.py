"""The document about what DisCo is compared with."""
from typing import Dict, List, Sequence, Tuple

from .comparator_table import best, table
from .comparators import BASELINE

OTHER_KD = ', mean over classes'
Tuned = Dict[str, List[Tuple[dict, float]]]


def split_kd(rows: Sequence[dict]) -> Tuple[List[dict], List[dict]]:
    """Rows of the table, and those of the other arithmetic of KD."""
    other = [row for row in rows if OTHER_KD in row['method']]
    return [row for row in rows if row not in other], other


def _verdict(rows: Sequence[dict]) -> str:
    """Which is best, if any is."""
    first, *alike = best(rows)
    text = f'The highest mean of the linear probe is that of **{first}**. '
    text += ('It is the best: its paired difference to each other method is '
             'over two standard errors.' if not alike else
             'It is not told apart, by two standard errors of the paired '
             f"difference, from: {'; '.join(alike)}.")
    if 'DisCo' not in (first, *alike):
        text += ' DisCo is not the best here.'
    return text


def _grid(tuned: Tuned) -> List[str]:
    """What was tried of each method."""
    lines = []
    for name, scores in tuned.items():
        top = max(score for _, score in scores)
        cells = []
        for setting, score in scores:
            what = ', '.join(f"{'.'.join(key.split('.')[-2:])} {value:g}"
                             for key, value in setting.items())
            cell = f'{what}: {score:.2f}'
            cells.append(f'**{cell}**' if score == top else cell)
            if score == top:
                top = None  # the first of equals is taken
        lines.append(f"- {name}: {'; '.join(cells)}")
    return lines


def markdown(rows: Sequence[dict], swept: Sequence[dict], tuned: Tuned,
             images: int, epochs: int) -> str:
    """The table as a document.

    Args:
        rows (Sequence[dict]): One a method and seed.
        swept (Sequence[dict]): Of DisCo's weights, likewise.
        tuned (dict): Settings and held-out scores by method.
        images (int): Training images.
        epochs (int): Of each run.
    """
    rows, other = split_kd(rows)
    seeds = len({row['seed'] for row in rows})
    lines = [
        '# DisCo and what it is compared with', '',
        f'A ResNet-18 a sixteenth as wide on {images} images of Fashion-MNIST, '
        f"{epochs} epochs, the quickstart's teacher, {seeds} seeds "
        '(`configs/quickstart/comparators/`). Linear probe and kNN of the '
        'frozen backbone on 10 000 test images: mean ± standard deviation over '
        'the seeds; paired difference to MoCo-v2 ± standard error. Seconds '
        'are medians of the sum of step times, with two runs at a time; MiB is '
        "the peak resident memory of a run's process, libraries and images "
        'included. Equal epochs are not equal cost: SEED, CompRess and SimReg '
        'see one view of an image, the others two, BINGO two and one of a '
        'neighbour.', '', *table(rows), '', _verdict(rows), '',
        "KD's rows are classifiers of the students of MoCo-v2 and DisCo that "
        "learn from labels and the teacher's logits, T = 2, α = .5, by L-BFGS "
        'on fixed features, as the linear probe; their kNN is that of their '
        'students. With the mean over classes, the '
        "arithmetic of DisCo's release, the teacher's term is divided by the "
        'number of classes, ten here. AT and RKD are beside the loss of '
        'MoCo-v2, with DisCo beside both. CompRess and SimReg have their own '
        "augmentation, crop and flip, unless MoCo-v2's views are named."]
    if swept:
        lines += ['', "## DisCo's weight", '', *table([
            *(row for row in rows if row['method'] == BASELINE), *swept])]
    if other:
        lines += ['', "## KD's mean over classes", '', *table([
            *(row for row in rows if row['method'] in (
                BASELINE, 'KD', 'KD + DisCo')), *other])]
    lines += [
        '', '## What was tuned', '',
        'At most four runs of each method, one seed, on four fifths of the '
        'training images; linear probe of the others. The best is taken, the '
        'rest is as published where that makes sense at this scale: memories '
        'and queues are 4096 long, and momentum encoders keep .99.', '',
        *_grid(tuned)]
    commits, commands, machines = (
        ', '.join(dict.fromkeys(row[key] for row in rows))
        for key in ('commit', 'command', 'machine'))
    return '\n'.join([*lines, '', f'`{commands}` at commit {commits}, on '
                      f'{machines}.', ''])
