from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

MOST = 20  # faults that are told one by one


@dataclass
class Report:
    """What a check has found, each in one line.

    Attributes:
        good (list[str]): A summary of each split that has no fault.
        notes (list[str]): What is odd, and does no harm.
        warnings (list[str]): What may not be meant.
        faults (list[str]): What training or evaluation would fail of.
    """

    good: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)

    def lines(self) -> list[str]:
        """All of it, with the first faults only."""
        found = [
            *self.good,
            *(f'note: {note}' for note in self.notes),
            *(f'warning: {warning}' for warning in self.warnings),
            *(f'fault: {fault}' for fault in self.faults[:MOST]),
        ]
        if len(self.faults) > MOST:
            found.append(f'and {len(self.faults) - MOST} more faults')
        return found

    def count(self, what: str, found: int, expected: int) -> None:
        """Warn of a number of images that is not the official one."""
        if found != expected:
            self.warnings.append(
                f'{what}: {found} images, the official set '
                f'has {expected} (--counts any for your own)'
            )


def check_categories(
    report: Report,
    path: str,
    categories: Sequence[dict],
    classes: Sequence[Any] | None,
    others: str = 'notes',
) -> None:
    """Check that mmdet gives a file's objects the labels that are meant.

    mmdet numbers the categories as the file lists them, without those that
    are not among the classes, and names a number by its position in the
    classes. So both have to be in one order, and none may be missing.

    Args:
        report (Report): Takes what is found.
        path (str): The file, quoted.
        categories (Sequence[dict]): Of the file, each with an id.
        classes (Sequence[str], optional): Names, in the order of the labels.
            None accepts any.
        others (str): Of the report, what takes categories that are not among
            the classes. Defaults to 'notes'.
    """
    names: list[Any] = [category.get('name') for category in categories]
    for category, name in zip(categories, names):
        if not isinstance(name, str):
            report.faults.append(f'{path}: category {category["id"]} has no name')
        elif names.count(name) > 1:
            report.faults.append(f"{path}: two categories are named '{name}'")
            break
    ids = [category['id'] for category in categories]
    if all(isinstance(i, int) for i in ids) and ids != sorted(ids):
        report.warnings.append(
            f'{path}: the ids of its categories do not ascend: '
            'CocoMetric(classwise=True) prints the AP of a class beside '
            "another one's name (detection_report.py does not)"
        )
    if classes is None or any(not isinstance(name, str) for name in names):
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
    own = [name for name in names if name in classes]
    if not missing and own != list(classes):
        at = next(i for i, pair in enumerate(zip(own, classes)) if pair[0] != pair[1])
        yield (
            f'{path} lists its categories in another order: '
            f"'{own[at]}' is in place {at}, where the classes have "
            f"'{classes[at]}'; mmdet labels them by their order in the "
            'file'
        )


def similar(name: str, names: Sequence[str]) -> str | None:
    """One of the names that differs by case, spaces or hyphens only."""
    return next(
        (other for other in names if other != name and _plain(other) == _plain(name)),
        None,
    )


def _plain(name: str) -> str:
    return ''.join(c for c in name.casefold() if c.isalnum())


def _listed(names: Sequence[str], most: int = 5) -> str:
    text = ', '.join(f"'{name}'" for name in names[:most])
    return text + (' ...' if len(names) > most else '')
