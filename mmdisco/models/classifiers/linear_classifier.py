"""Linear evaluation on a frozen backbone."""

from mmpretrain.models import ImageClassifier
from mmpretrain.registry import MODELS

from ..host import Part


@MODELS.register_module()
class LinearClassifier(ImageClassifier):
    """An ``ImageClassifier`` with a completely frozen backbone.

    Linear evaluation as in `MoCo <https://arxiv.org/abs/1911.05722>`_: only the
    classifier learns, on features of a backbone that stays in eval mode. The
    backbone's parameters are frozen at construction, before optimizer and DDP
    are built; some backbones of mmpretrain freeze later, and only in part.
    ``StudentHook`` loads the weights of the backbone.

    Args:
        backbone (dict or nn.Module): The student.
        neck (dict or nn.Module, optional): Without parameters, for example
            ``GlobalAveragePooling``. Defaults to None.
        head (dict or nn.Module, optional): For example ``LinearClsHead``,
            which is initialised with N(0, .01). Defaults to None.
        finetune (bool): Whether to train the backbone, too. Defaults to False.
        data_preprocessor (dict or nn.Module, optional): Defaults to None, a
            ``ClsDataPreprocessor``.
        init_cfg (dict or list[dict], optional): Defaults to None.
    """

    def __init__(
        self,
        backbone: Part,
        neck: Part | None = None,
        head: Part | None = None,
        finetune: bool = False,
        data_preprocessor: Part | None = None,
        init_cfg: dict | list[dict] | None = None,
    ) -> None:
        super().__init__(
            backbone, neck, head, init_cfg=init_cfg, data_preprocessor=data_preprocessor
        )
        self.finetune = finetune
        if not finetune:
            self.backbone.requires_grad_(False)
        self.train()

    def train(self, mode: bool = True) -> 'LinearClassifier':
        """Set the mode of all but a frozen backbone, which stays in eval mode."""
        super().train(mode)
        if not self.finetune:
            self.backbone.eval()
        return self
