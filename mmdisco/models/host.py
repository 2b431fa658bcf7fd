"""Base of models that wrap a self-supervised algorithm of mmpretrain."""

from mmengine.model import BaseModel
from mmpretrain.models import BaseSelfSupervisor
from mmpretrain.registry import MODELS
from torch import Tensor, nn

Part = dict | nn.Module


def build(part: Part, name: str) -> nn.Module:
    """Build a part from its config, or return a built part."""
    if isinstance(part, nn.Module):
        return part
    if isinstance(part, dict):
        return MODELS.build(part)
    raise TypeError(
        f'{name} must be a config dict or a built module, got {type(part).__name__}'
    )


class SSLHost(BaseModel):
    """A model that wraps a self-supervised algorithm and acts as it.

    Hooks of mmpretrain read and write settings of the algorithm on the model,
    as ``DenseCLHook`` does with ``loss_lambda``. So attributes that only the
    algorithm has are read from it and written to it.

    Args:
        ssl (dict or nn.Module): The algorithm, unmodified.
        data_preprocessor (dict or nn.Module, optional): Replaces that of
            ``ssl``. Defaults to None.
        init_cfg (dict or list[dict], optional): Defaults to None.
    """

    ssl: BaseSelfSupervisor

    def __init__(
        self,
        ssl: Part,
        data_preprocessor: Part | None = None,
        init_cfg: dict | list[dict] | None = None,
    ) -> None:
        algorithm = build(ssl, 'ssl')
        if data_preprocessor is not None:
            if isinstance(data_preprocessor, dict):
                data_preprocessor.setdefault('type', 'SelfSupDataPreprocessor')
            algorithm.data_preprocessor = build(data_preprocessor, 'data_preprocessor')
        super().__init__(algorithm.data_preprocessor, init_cfg)
        self.ssl = algorithm

    def _belongs_to_ssl(self, name: str) -> bool:
        ssl = vars(self).get('_modules', {}).get('ssl')
        return (
            ssl is not None
            and not name.startswith('_')
            and not hasattr(type(self), name)
            and name in vars(ssl)
            and name not in vars(self)
        )

    def __getattr__(self, name: str):
        if self._belongs_to_ssl(name):
            return getattr(self.ssl, name)
        return super().__getattr__(name)

    def __setattr__(self, name: str, value) -> None:
        if self._belongs_to_ssl(name):
            setattr(self.ssl, name, value)
        else:
            super().__setattr__(name, value)

    @property
    def backbone(self) -> nn.Module:
        """Backbone of the student, which is deployed."""
        return self.ssl.backbone

    @property
    def neck(self) -> nn.Module:
        """Projection head of the student."""
        return self.ssl.neck

    @property
    def head(self) -> nn.Module:
        """Head of the self-supervised algorithm."""
        return self.ssl.head

    def extract_feat(self, inputs: Tensor | list[Tensor]) -> tuple[Tensor, ...]:
        """Features of the student's backbone, as ``ssl`` returns them."""
        return self.ssl.extract_feat(inputs)

    def forward(
        self,
        inputs: Tensor | list[Tensor],
        data_samples: list | None = None,
        mode: str = 'tensor',
    ):
        """Losses (``mode='loss'``) or backbone features (``'tensor'``)."""
        if mode == 'loss':
            return self.loss(inputs, data_samples)
        if mode == 'tensor':
            return self.extract_feat(inputs)
        raise RuntimeError(f'Invalid mode "{mode}".')
