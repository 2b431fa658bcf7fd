from mmpretrain.models import ImageClassifier
from mmpretrain.registry import MODELS

from ..host import Part


@MODELS.register_module()
class LinearClassifier(ImageClassifier):
    """An ``ImageClassifier`` whose backbone is frozen as a whole.

    Linear evaluation, since `MoCo <https://arxiv.org/abs/1911.05722>`_: what
    is learned is the classifier, on features of a backbone that is in eval
    mode even in training. No parameter of it needs a gradient as soon as it is
    built, which is when optimizer and DDP look; some backbones of mmpretrain
    freeze later, and not all of themselves. Its weights are those of
    ``StudentHook``.

    Args:
        backbone (dict or nn.Module): The student.
        neck (dict or nn.Module, optional): As ``GlobalAveragePooling``; has
            nothing to learn. Defaults to None.
        head (dict or nn.Module, optional): As ``LinearClsHead``, which begins
            at N(0, .01). Defaults to None.
        finetune (bool): Train the backbone, too. Defaults to False.
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
        """All but a frozen backbone, which stays in eval mode."""
        super().train(mode)
        if not self.finetune:
            self.backbone.eval()
        return self
