from collections.abc import Sequence
from fnmatch import fnmatch
from typing import Any

import torch
from mmdet.registry import HOOKS
from mmengine.hooks import Hook
from torch import Tensor, nn

from mmdisco.checkpoints.checkpoint import misfits
from mmdisco.checkpoints.student import RANDOM, StudentFile
from mmdisco.errors import InputError
from mmdisco.utils import unwrapped


@HOOKS.register_module()
class DetectionStudentHook(Hook):
    """Begins the training of a detector with a student as its backbone.

    A stage that the backbone lacks goes to ``roi_head.shared_head``, which C4
    detectors have. After loading, each tensor of both is compared with the
    file's, and one line of the log tells how many are the student's.

    Args:
        checkpoint (str, optional): As of ``StudentHook``; or 'random', for a
            detector that begins without a student. None, the default, is an
            error when training begins.
        allow (Sequence[str]): Patterns of the detector's tensors that the
            file need not have, as 'shared_head.norm.*'.
        unused (Sequence[str]): Patterns of the file's tensors that the
            detector has no use for, as 'layers.6.*'.
    """

    def __init__(
        self,
        checkpoint: str | None = None,
        allow: Sequence[str] = (),
        unused: Sequence[str] = (),
    ) -> None:
        self.file = StudentFile(checkpoint)
        self.allow = allow
        self.unused = unused

    def before_train(self, runner) -> None:
        """Load the student, but into a resumed run, which has it.

        Raises:
            InputError: If there is no file, or it does not fit.
        """
        if self.file.resumed:
            return
        if self.file.path == RANDOM:
            runner.logger.warning(
                'DetectionStudentHook: RANDOM backbone, as was asked for: '
                'nothing is loaded'
            )
            return
        model = unwrapped(runner.model)
        runner.logger.info(f'DetectionStudentHook: {self._load(model)}')

    def before_save_checkpoint(self, runner, checkpoint: dict) -> None:
        """Note the student's file."""
        self.file.note(checkpoint)

    def after_load_checkpoint(self, runner, checkpoint: dict) -> None:
        """Compare with the student of the checkpoint.

        Raises:
            InputError: If a run is resumed with another student.
        """
        if runner._resume:
            self.file.check_resumed(checkpoint)

    def _load(self, model: Any) -> str:
        """Load and compare; what the log says of it."""
        parts: dict[str, nn.Module] = {'backbone': model.backbone}
        if getattr(getattr(model, 'roi_head', None), 'with_shared_head', False):
            parts['shared_head'] = model.roi_head.shared_head
        own = {
            f'{part}.{key}': value
            for part, module in parts.items()
            for key, value in module.state_dict().items()
        }
        theirs: dict[str, Tensor] = {}
        left_over: list[str] = []
        for key, value in self.file.read(model.backbone).items():
            names = [f'{part}.{key}' for part in parts if f'{part}.{key}' in own]
            theirs.update((name, value) for name in names)
            if not names and not _matches(key, self.unused):
                left_over.append(key)
        misfit = [
            text
            for text in misfits(theirs, own)
            if not _matches(text.split(' (')[0], self.allow)
        ]
        missing = [
            key for key in own if key not in theirs and not _matches(key, self.allow)
        ]
        if missing or misfit or left_over:
            raise InputError(self._what_does_not_fit(model, missing, misfit, left_over))
        loaded = {
            key: value for key, value in theirs.items() if value.shape == own[key].shape
        }
        for part, module in parts.items():
            module.load_state_dict(
                {
                    key.removeprefix(f'{part}.'): value
                    for key, value in loaded.items()
                    if key.startswith(f'{part}.')
                },
                strict=False,
            )
        self._compare(parts, loaded)
        counts = [
            f'{sum(k.startswith(f"{part}.") for k in loaded)}/'
            f'{sum(k.startswith(f"{part}.") for k in own)} '
            f'{"" if i else "tensors "}of {part}'
            for i, part in enumerate(parts)
        ]
        initial = [key for key in own if key not in loaded]
        note = (
            f'; {len(initial)} stay as initialised, as allowed, e.g. {initial[0]}'
            if initial
            else ''
        )
        return (
            f"loaded {', '.join(counts)} from '{self.file.path}' (sha256 "
            f'{str(self.file.sha256)[:12]}){note}'
        )

    def _what_does_not_fit(
        self,
        model: nn.Module,
        missing: list[str],
        misfit: list[str],
        left_over: list[str],
    ) -> str:
        faults = [
            f'{len(keys)} {what}, e.g. {keys[0]}'
            for what, keys in (
                ('missing', missing),
                ('left over', left_over),
                ('of another shape or kind', misfit),
            )
            if keys
        ]
        backbone = model.backbone
        depth = getattr(backbone, 'depth', '')
        return (
            f'{self.file.name} does not fit: {"; ".join(faults)}. The '
            f'config has {type(backbone).__name__}{depth}: take the '
            'config of the student in the file, or another --student; '
            'what may differ is named in allow and unused of '
            'DetectionStudentHook'
        )

    def _compare(self, parts: dict[str, nn.Module], loaded: dict[str, Tensor]) -> None:
        """Raise if a tensor of the detector is not that of the file."""
        now = {
            f'{part}.{key}': value
            for part, module in parts.items()
            for key, value in module.state_dict().items()
        }
        for key, value in loaded.items():
            if not torch.equal(now[key].cpu(), value.to('cpu', now[key].dtype)):
                raise InputError(
                    f'{self.file.name}: {key} has not arrived in the detector'
                )


def _matches(name: str, patterns: Sequence[str]) -> bool:
    return any(fnmatch(name, pattern) for pattern in patterns)
