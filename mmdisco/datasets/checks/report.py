from dataclasses import dataclass, field

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
