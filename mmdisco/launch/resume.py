from pathlib import Path
from typing import Optional


def newest_checkpoint(work_dir: str) -> Optional[str]:
    """The newest checkpoint of a run that exists.

    mmengine goes by the file ``last_checkpoint``, which names a missing one
    if a run was killed between removing an old file and writing the new one.

    Args:
        work_dir (str): Folder of the run.

    Returns:
        str or None: The file, None if there is none yet.
    """
    files = [*Path(work_dir).glob('epoch_*.pth'),
             *Path(work_dir).glob('iter_*.pth')]
    if not files:
        return None
    return str(max(files, key=lambda file: int(file.stem.split('_')[-1])))
