"""Report of a check of detection data, and the check of categories."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

MOST = 20  # faults listed one by one


@dataclass
class Report:
    """Result of a check, in lines.

    Attributes:
        good (list[str]): Summary of each split without fault.
        notes (list[str]): Unusual, but harmless.
        warnings (list[str]): Possibly unintended.
        faults (list[str]): Would break training or evaluation.
    """

    good: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)

    def lines(self) -> list[str]:
        """All lines, with at most :data:`MOST` faults."""
        lines = [
            *self.good,
            *(f'note: {note}' for note in self.notes),
            *(f'warning: {warning}' for warning in self.warnings),
            *(f'fault: {fault}' for fault in self.faults[:MOST]),
        ]
        if len(self.faults) > MOST:
            lines.append(f'and {len(self.faults) - MOST} more faults')
        return lines

    def count(self, what: str, actual: int, official: int) -> None:
        """Warn if the number of images is not the official one."""
        if actual != official:
            self.warnings.append(
                f'{what}: {actual} images, the official set '
                f'has {official} (--counts any for your own)'
            )


def check_categories(
    report: Report,
    path: str,
    categories: Sequence[dict],
    classes: Sequence[str] | None,
    others: str = 'notes',
) -> None:
    """Check that mmdet assigns the intended labels to a file's objects.

    mmdet numbers the categories in the order of the file, without those that
    are not among the classes, and takes the name of a number from its position
    in the classes. So both must have the same order, and none may be missing.

    Args:
        report (Report): Receives the lines.
        path (str): The file, quoted.
        categories (Sequence[dict]): Categories of the file, each with an id.
        classes (Sequence[str], optional): Names, in the order of the labels.
            None accepts any.
        others (str): Attribute of the report for categories that are not among
            the classes. Defaults to 'notes'.
    """
    listed = [category.get('name') for category in categories]
    for category, name in zip(categories, listed):
        if not isinstance(name, str):
            report.faults.append(f'{path}: category {category["id"]} has no name')
        elif listed.count(name) > 1:
            report.faults.append(f"{path}: two categories are named '{name}'")
            break
    ids = [category['id'] for category in categories]
    if all(isinstance(i, int) for i in ids) and ids != sorted(ids):
        report.warnings.append(
            f'{path}: the ids of its categories do not ascend: '
            'CocoMetric(classwise=True) prints the AP of a class next to '
            "another class's name (detection_report.py does not)"
        )
    names = [name for name in listed if isinstance(name, str)]
    if classes is None or len(names) < len(listed):
        return
    report.faults += _unlike(path, names, classes)
    left_out = [name for name in names if name not in classes]
    if left_out:
        getattr(report, others).append(
            f'{path}: objects of {len(left_out)} other categories are left '
            'out: ' + _listed(left_out)
        )


def _unlike(path: str, names: list[str], classes: Sequence[str]) -> Iterator[str]:
    missing = [name for name in classes if name not in names]
    for name in missing:
        alike = similar(name, names)
        yield (
            f"{path} has no category '{name}'"
            + (f", but '{alike}'" if alike else '')
            + ': mmdet would shift the labels of those behind it'
        )
    known = [name for name in names if name in classes]
    if not missing and known != list(classes):
        at = next(i for i, pair in enumerate(zip(known, classes)) if pair[0] != pair[1])
        yield (
            f'{path} lists its categories in another order: '
            f"'{known[at]}' is in place {at}, where the classes have "
            f"'{classes[at]}'; mmdet labels them by their order in the "
            'file'
        )


def similar(name: str, names: Sequence[str]) -> str | None:
    """Find a name that differs only by case, spaces or hyphens."""
    return next(
        (other for other in names if other != name and _plain(other) == _plain(name)),
        None,
    )


def _plain(name: str) -> str:
    return ''.join(c for c in name.casefold() if c.isalnum())


def _listed(names: Sequence[str], most: int = 5) -> str:
    text = ', '.join(f"'{name}'" for name in names[:most])
    return text + (' ...' if len(names) > most else '')
