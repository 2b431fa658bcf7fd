from mmpretrain.datasets import CIFAR10, CIFAR100
from mmpretrain.registry import DATASETS

from mmdisco.errors import MissingFileError


class _Local(CIFAR10):
    """Says in one line what to fetch, instead of failing without a network."""

    def __init__(
        self,
        data_root: str,
        split: str = 'train',
        download: bool = False,
        pipeline: tuple = (),
    ) -> None:
        super().__init__(data_root, split, download=download, pipeline=pipeline)

    def load_data_list(self) -> list[dict]:
        """``img``, [32, 32, 3] in RGB, and ``gt_label`` of each."""
        if not self.download and not self._check_integrity():
            raise MissingFileError(
                f"'{self.data_prefix['root']}' has no whole "
                f"'{self.base_folder}': unpack {self.url} there, or set "
                'download=True of train_dataloader.dataset'
            )
        return super().load_data_list()


@DATASETS.register_module()
class LocalCIFAR10(_Local):
    """CIFAR-10 of a folder, which nothing is downloaded to unless told.

    Args:
        data_root (str): Where ``cifar-10-batches-py`` is.
        split (str): 'train' or 'test'. Defaults to 'train'.
        download (bool): Fetch it if need be, once for all ranks. Defaults to
            False.
        pipeline (Sequence[dict]): Transforms, of images in RGB. Defaults to
            ().

    Raises:
        MissingFileError: If files are missing or not as published (md5).
    """


@DATASETS.register_module()
class LocalCIFAR100(_Local, CIFAR100):
    """CIFAR-100, ``cifar-100-python``, with the arguments of the other."""
