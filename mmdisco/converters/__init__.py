from .checkpoint import load_strictly, read_checkpoint, safe_load, sha256_of

__all__ = ['load_strictly', 'read_checkpoint', 'safe_load', 'sha256_of']
