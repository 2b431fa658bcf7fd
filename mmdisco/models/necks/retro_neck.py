"""Reuse of the teacher's projection head (Retro)."""

from mmengine.model import BaseModule, Sequential
from mmpretrain.registry import MODELS
from torch import Tensor, nn

from mmdisco.checkpoints import load_strictly, read_teacher, sha256_of


@MODELS.register_module()
class RetroNeck(BaseModule):
    """Trainable adapter followed by the teacher's frozen projection head.

    `Retro <https://arxiv.org/abs/2405.15311>`_: the student learns features
    for the teacher's head instead of a head of its own. Only the adapter
    learns; the head stays in eval mode.

    Args:
        in_channels (int): Width of the student's feature.
        head (dict): Config of the teacher's neck.
        checkpoint (str, optional): The teacher's file. None leaves the head
            random, for tests.
        url (str, optional): Address of that file. Never downloaded; shown in
            the error if the file is missing. Defaults to None.
        init_cfg (dict, optional): Initialization config of the adapter.
            Defaults to None.

    Attributes:
        sha256 (str, optional): Digest of the file.

    Raises:
        FileNotFoundError: If ``checkpoint`` does not exist.
        InputError: If it has no such head.
    """

    def __init__(
        self,
        in_channels: int,
        head: dict,
        checkpoint: str | None,
        url: str | None = None,
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__()
        width = head['in_channels']
        self.adapter = Sequential(
            nn.Conv2d(in_channels, width, 1, bias=False),
            nn.BatchNorm2d(width),
            nn.ReLU(inplace=True),
            init_cfg=init_cfg,
        )
        self.head = MODELS.build(head)
        self.sha256 = None
        if checkpoint is not None:
            weights = read_teacher(checkpoint, nn.Identity(), url)
            self.sha256 = sha256_of(checkpoint)
            load_strictly(
                self.head,
                {
                    key.removeprefix('neck.'): value
                    for key, value in weights.items()
                    if key.startswith('neck.')
                },
                f"the head of '{checkpoint}'",
            )
        self.head.requires_grad_(False)
        self.head.is_init = True  # keeps mmengine from initialising it again

    def train(self, mode: bool = True) -> 'RetroNeck':
        """Set the mode of all but the head, which stays in eval mode."""
        super().train(mode)
        self.head.train(False)
        return self

    def forward(self, x: tuple[Tensor]) -> tuple[Tensor]:
        """Embed the features of the backbone.

        Args:
            x (tuple[Tensor]): The last is a feature map, [N, C, H, W].

        Returns:
            tuple[Tensor]: Embeddings, [N, D].
        """
        feat = x[-1].mean((2, 3), keepdim=True)  # [N, C, 1, 1]
        return self.head((self.adapter(feat),))
