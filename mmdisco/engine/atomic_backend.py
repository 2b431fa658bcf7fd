from pathlib import Path

from mmengine.fileio import LocalBackend, register_backend

from mmdisco.utils import atomic_write


class AtomicBackend(LocalBackend):
    """Local files that are there in full or not at all.

    mmengine writes a checkpoint in place, so a kill meanwhile leaves a broken
    newest file. ``CheckpointHook(backend_args=dict(backend='atomic'))``
    writes beside it and renames.
    """

    def put(self, obj: bytes, filepath: str | Path) -> None:
        """Write bytes to ``filepath``.

        Args:
            obj (bytes): The content.
            filepath (str or Path): Where to; folders are made.
        """
        with atomic_write(filepath) as half:
            super().put(obj, half)


register_backend('atomic', AtomicBackend, force=True)
