"""Upload of a published folder to the Hugging Face Hub or a server like it."""

import os
import re
from pathlib import Path

from mmdisco.errors import InputError

_NAME = re.compile(r'[\w.-]+/[\w.-]+')


def check_repo(repo: str) -> None:
    """Check the name of a repository before anything is written.

    Raises:
        InputError: If it is not USER/NAME.
    """
    if not _NAME.fullmatch(repo):
        raise InputError(f"--upload '{repo}' is not a repository: write it USER/NAME")


def upload(folder: str | Path, repo: str, private: bool = False) -> str:
    """Upload a folder as a model; the repository is created if it is missing.

    The server is that of the environment variable ``HF_ENDPOINT``, or the Hugging
    Face Hub; the token that of ``HF_TOKEN`` or of ``hf auth login``. It is not
    logged.

    Args:
        folder (str or Path): The folder.
        repo (str): 'USER/NAME'.
        private (bool): Whether a new repository is private. Defaults to False.

    Returns:
        str: Address of the repository.

    Raises:
        InputError: If huggingface_hub is not installed or the upload fails. The
            folder stays as it is.
    """
    check_repo(repo)
    try:
        from huggingface_hub import HfApi, get_token
    except ImportError as error:
        raise InputError(
            '--upload needs huggingface_hub: pip install huggingface_hub'
        ) from error
    endpoint = os.environ.get('HF_ENDPOINT') or None
    api = HfApi(endpoint=endpoint)
    where = api.endpoint
    token = os.environ.get('HF_TOKEN') or get_token()
    if not token:
        raise InputError(
            f"--upload to {where} needs a token: set HF_TOKEN, or run 'hf auth login'"
        )
    try:
        api.create_repo(repo, exist_ok=True, private=private, token=token)
        api.upload_folder(
            repo_id=repo,
            folder_path=folder,
            commit_message='Upload a student distilled with mmdisco',
            token=token,
        )
    except Exception as error:  # of the network, the server or the token
        reason = ' '.join(str(error).split()).replace(token, 'TOKEN')
        raise InputError(
            f"'{folder}' was written, but not uploaded to '{repo}' at {where}: "
            f'{type(error).__name__}: {reason[:300]}'
        ) from error
    return f'{where}/{repo}'
