"""Names like a name that does not exist, for messages."""

from collections.abc import Iterable
from difflib import get_close_matches


def nearest(name: str, known: Iterable[str], most: int = 5) -> str:
    """List the known names that are like a name.

    Args:
        name (str): The name.
        known (Iterable[str]): All names, 'NAME' or 'library:NAME'.
        most (int): Number of names to list. Defaults to 5.

    Returns:
        str: '; nearest: …'; empty if none is like it.
    """
    by_name: dict[str, str] = {}
    for each in known:
        by_name.setdefault(each.partition(':')[2] or each, each)
    parts = [each for each in by_name if name.lower() in each]
    near = dict.fromkeys(get_close_matches(name, by_name, n=most) + parts[:most])
    listed = ', '.join(by_name[each] for each in [*near][:most])
    return f'; nearest: {listed}' if listed else ''
