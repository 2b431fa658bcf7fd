from .convert import Conversion
from .fit import Fit


def widths_of(conversion: Conversion) -> dict[str, int]:
    """Widths along the projection head, {} without one."""
    layers = [
        v
        for k, v in conversion.state_dict.items()
        if k.startswith('neck.') and v.dim() == 2
    ]
    if not layers:
        return {}
    return dict(
        features=layers[0].shape[1],
        **({'hidden': layers[0].shape[0]} if len(layers) > 1 else {}),
        embedding=layers[-1].shape[0],
    )


def _some(keys: list[str]) -> str:
    return f'{", ".join(keys[:3])}{", …" if len(keys) > 3 else ""}'


def report(conversion: Conversion, result: Fit, source: dict[str, str]) -> str:
    """What became of each tensor of a file, in lines.

    Args:
        conversion (Conversion): The renamed weights.
        result (Fit): How they fit.
        source (dict): Name of the file, ``source``, and its ``sha256``.
    """
    keys = conversion.state_dict
    head = sum(k.startswith('neck.') for k in keys)
    lines = [
        f'source      {source["source"]} (sha256 {source["sha256"]})',
        f'family      {conversion.family}, backbone as {conversion.library} names it',
        f'taken       {conversion.taken}',
        f'converted   {len(keys)} tensors: {len(keys) - head} of the backbone, '
        f'{head} of the projection head'
        + (
            f'; {conversion.counters} counters of batches, which the file has '
            'not, are 0'
            if conversion.counters
            else ''
        ),
    ]
    lines += [
        f'left out    {len(left)}: {why} ({_some(left)})'
        for why, left in conversion.left_out.items()
    ]
    lines += [
        f'{what:<12}{len(found)}{": " * bool(found)}{_some(found)}'
        for what, found in (
            ('missing', result.missing),
            ('unexpected', result.unexpected),
            ('misfit', result.misfit),
        )
    ]
    widths = widths_of(conversion)
    lines.append(
        'widths      '
        + (
            ', '.join(f'{name} {width}' for name, width in widths.items())
            or 'no projection head in this family: a start for students, no teacher'
        )
    )
    if conversion.neck and result.neck:
        lines.append(f'neck        {result.neck}')
    if conversion.assumed:
        lines.append(f'assumed     {conversion.assumed}')
    if conversion.alike:
        lines.append(
            f'alike       {conversion.alike} have the same keys and '
            'are other networks: they can not be taken'
        )
    if conversion.overrides:
        lines.append(
            f'note        set backbone {dict(conversion.overrides)}: '
            'these weights were learned so'
        )
    return '\n'.join(lines)
