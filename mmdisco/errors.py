class InputError(ValueError):
    """What the user gave can't be used; the message says what to do.

    The tools print it as one line, without a traceback. In Python, catch it
    as ``mmdisco.InputError``; it is a ``ValueError``, and
    :class:`MissingFileError` a ``FileNotFoundError``, too.
    """


class MissingFileError(InputError, FileNotFoundError):
    """A file or folder that the user named does not exist."""

    def __str__(self) -> str:
        return str(self.args[0])
