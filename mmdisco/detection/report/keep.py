from collections.abc import Container, Sequence

from mmdet.structures import DetDataSample
from mmengine.hooks import Hook


class KeepDetections(Hook):
    """Keep what was found in a few images of a test.

    Args:
        img_ids: Of the images.
    """

    def __init__(self, img_ids: Container) -> None:
        self.img_ids = img_ids
        self.samples: dict[object, DetDataSample] = {}

    def after_test_iter(
        self,
        runner,
        batch_idx: int,
        data_batch: dict | None = None,
        outputs: Sequence | None = None,
    ) -> None:
        """Take from a batch's outputs those that are wanted."""
        self.samples.update(
            {
                sample.img_id: sample.cpu()
                for sample in outputs
                if sample.img_id in self.img_ids
            }
        )
