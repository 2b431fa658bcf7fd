"""CIFAR-10 and CIFAR-100 from a local folder."""

from mmpretrain.datasets import CIFAR10, CIFAR100
from mmpretrain.registry import DATASETS

from mmdisco.errors import MissingFileError


class _Local(CIFAR10):
    """Report missing files in one line instead of trying to download them."""

    def __init__(
        self,
        data_root: str,
        split: str = 'train',
        download: bool = False,
        pipeline: tuple = (),
    ) -> None:
        super().__init__(data_root, split, download=download, pipeline=pipeline)

    def load_data_list(self) -> list[dict]:
        """List ``img``, RGB [32, 32, 3], and ``gt_label`` of each image."""
        if not self.download and not self._check_integrity():
            raise MissingFileError(
                f"'{self.data_prefix['root']}' has no complete "
                f"'{self.base_folder}': unpack {self.url} there, or set "
                'download=True of train_dataloader.dataset'
            )
        return super().load_data_list()


@DATASETS.register_module()
class LocalCIFAR10(_Local):
    """CIFAR-10 from a folder; not downloaded by default.

    Args:
        data_root (str): Folder that contains ``cifar-10-batches-py``.
        split (str): 'train' or 'test'. Defaults to 'train'.
        download (bool): Download it if missing, once for all ranks. Defaults
            to False.
        pipeline (Sequence[dict]): Transforms of RGB images. Defaults to ().

    Raises:
        MissingFileError: If files are missing or their md5 differs.
    """


@DATASETS.register_module()
class LocalCIFAR100(_Local, CIFAR100):
    """CIFAR-100 (``cifar-100-python``), see :class:`LocalCIFAR10`."""
