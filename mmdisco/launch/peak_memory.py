from pathlib import Path

NAME = 'peak_memory_mib.txt'


def read_peak(folder: Path) -> float:
    """What :func:`keep_peak` has noted, in MiB; 0 if nothing."""
    file = folder / NAME
    return float(file.read_text()) if file.is_file() else 0.0


def keep_peak(process: int, folder: Path) -> None:
    """Note the peak memory of a process that is still running (Linux).

    Args:
        process (int): Its number.
        folder (Path): Where; the highest of several processes stays.
    """
    try:
        status = Path(f'/proc/{process}/status').read_text()
    except OSError:  # not Linux, or it has ended
        return
    kib = next(
        (
            int(line.split()[1])
            for line in status.splitlines()
            if line.startswith('VmHWM')
        ),
        0,
    )
    peak = max(read_peak(folder), kib / 1024)
    (folder / NAME).write_text(f'{peak:.0f}')
