from pathlib import Path
from typing import Dict, Optional

import torch
from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmpretrain.registry import HOOKS
from torch import Tensor, nn

from mmdisco.converters import (
    check_finite,
    load_strictly,
    read_conversion,
    sha256_of,
)
from mmdisco.errors import InputError, MissingFileError


@HOOKS.register_module()
class StudentHook(Hook):
    """Begins a training with the backbone of a pre-training, strictly.

    A backbone that the config freezes is compared with what was loaded after
    each epoch, bit for bit: a linear evaluation of features that move is none.

    Args:
        checkpoint (str, optional): A checkpoint of a pre-training, a backbone
            alone, or a published file, of any layout that
            ``tools/convert_checkpoint.py`` knows. None, the default, is an
            error when training begins.
    """

    def __init__(self, checkpoint: Optional[str] = None) -> None:
        self.checkpoint = checkpoint
        self.sha256: Optional[str] = None
        self._loaded: Optional[Dict[str, Tensor]] = None

    def before_train(self, runner) -> None:
        """Load the student, but into a resumed run, which has it.

        Raises:
            InputError: If there is no file, or it does not fit.
        """
        model = _unwrapped(runner.model)
        if not runner._resume:
            self._load(runner, model.backbone)
        model.train()  # which is when some backbones freeze
        free = [name for name, p in model.backbone.named_parameters()
                if p.requires_grad]
        if free:
            runner.logger.warning(
                f'StudentHook: {len(free)} parameters of the backbone are '
                f'trained, e.g. {free[0]}: this is no linear evaluation')
            return
        self._loaded = {key: value.clone() for key, value in
                        model.backbone.state_dict().items()}

    def after_train_epoch(self, runner) -> None:
        """Compare a frozen backbone with what was loaded.

        Raises:
            InputError: If a weight or a buffer of BN has changed.
        """
        now = _unwrapped(runner.model).backbone.state_dict()
        for key, value in (self._loaded or {}).items():
            if not torch.equal(value, now[key]):
                raise InputError(
                    f"StudentHook: the backbone is frozen, but '{key}' has "
                    'changed in this epoch: set model.type to '
                    'LinearClassifier, which keeps it in eval mode')

    def before_save_checkpoint(self, runner, checkpoint: dict) -> None:
        """Note the student's file."""
        checkpoint['meta']['student'] = dict(
            checkpoint=self.checkpoint, sha256=self.sha256)

    def after_load_checkpoint(self, runner, checkpoint: dict) -> None:
        """Compare with the student of the checkpoint.

        Raises:
            InputError: If a run is resumed with another student.
        """
        before = checkpoint.get('meta', {}).get('student')
        if not runner._resume or before is None:
            return
        if self.checkpoint is None:
            self.checkpoint = before['checkpoint']
        elif sha256_of(_existing(self.checkpoint)) != before['sha256']:
            raise InputError(
                f"this run began with the student '{before['checkpoint']}' "
                f"(sha256 {str(before['sha256'])[:12]}), now it is "
                f"'{self.checkpoint}': resume with the same file, or start in "
                'another --work-dir')
        self.sha256 = before['sha256']

    def _load(self, runner, backbone: nn.Module) -> None:
        if self.checkpoint is None:
            raise InputError('the student has no weights: pass --student '
                             'CKPT, the checkpoint of its pre-training')
        conversion = read_conversion(_existing(self.checkpoint))
        part = conversion.part('backbone')
        name = f"student file '{self.checkpoint}'"
        eps = conversion.overrides.get('norm_cfg', {}).get('eps')
        found = {m.eps for m in backbone.modules()
                 if isinstance(m, nn.BatchNorm2d)}
        if eps is not None and found and found != {eps}:
            raise InputError(
                f'{name} was learned with BN eps {eps:g}, the backbone has '
                f'{", ".join(f"{e:g}" for e in sorted(found))}: set '
                'model.backbone.norm_cfg.eps')
        check_finite(part, name)
        try:
            load_strictly(backbone, part, name)
        except InputError as error:
            depth = getattr(backbone, 'depth', '')
            raise InputError(
                f'{error}. The config has {type(backbone).__name__}{depth}: '
                'take that of the student in the file, or another --student'
            ) from error
        self.sha256 = sha256_of(self.checkpoint)
        runner.logger.info(
            f'StudentHook: loaded {len(part)}/{len(backbone.state_dict())} '
            f"tensors of backbone from '{self.checkpoint}' (sha256 "
            f'{self.sha256[:12]})')


def _existing(path: str) -> str:
    if not Path(path).is_file():
        raise MissingFileError(f"student file '{path}' not found: pass "
                               '--student CKPT')
    return path


def _unwrapped(model: nn.Module) -> nn.Module:
    return model.module if is_model_wrapper(model) else model
