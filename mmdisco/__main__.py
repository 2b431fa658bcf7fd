"""``python -m mmdisco``: the same as the command ``mmdisco``."""

from mmdisco.cli import main

if __name__ == '__main__':
    main()
