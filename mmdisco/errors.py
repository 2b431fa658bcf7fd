"""Exceptions for errors that the user can fix."""


class InputError(ValueError):
    """An error that the user can fix; the message says how.

    Tools print it as one line, without a traceback. In Python, catch it as
    ``mmdisco.InputError``; it is a ``ValueError``, and
    :class:`MissingFileError` is also a ``FileNotFoundError``.
    """


class MissingFileError(InputError, FileNotFoundError):
    """A file or folder that the user named does not exist."""

    def __str__(self) -> str:
        """Return the message."""
        return str(self.args[0])
