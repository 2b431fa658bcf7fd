"""Load a pre-trained student into a detector."""

from collections.abc import Sequence
from fnmatch import fnmatch

import torch
from mmdet.registry import HOOKS
from mmengine.hooks import Hook
from mmengine.model import BaseModel
from torch import Tensor, nn

from mmdisco.checkpoints.checkpoint import misfits
from mmdisco.checkpoints.student import RANDOM, StudentFile
from mmdisco.errors import InputError
from mmdisco.utils import unwrapped


@HOOKS.register_module()
class DetectionStudentHook(Hook):
    """Start the training of a detector from a student's backbone.

    A stage that the backbone lacks is loaded into ``roi_head.shared_head`` of C4
    detectors. After loading, every tensor is compared with the file, and one log
    line reports how many were loaded.

    Args:
        checkpoint (str, optional): A file as for ``StudentHook``, or 'random'
            for a detector without pre-training. Defaults to None, an error when
            training begins.
        allow (Sequence[str]): Patterns of the detector's tensors that may be
            missing in the file, as 'shared_head.norm.*'.
        unused (Sequence[str]): Patterns of the file's tensors that the detector
            does not use, as 'layers.6.*'.
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
        """Load the student, unless the run is resumed.

        Raises:
            InputError: If the file is missing or does not fit.
        """
        if self.file.resumed:
            return
        if self.file.path == RANDOM:
            runner.logger.warning(
                'DetectionStudentHook: RANDOM backbone as requested, no weights loaded'
            )
            return
        model = unwrapped(runner.model)
        runner.logger.info(f'DetectionStudentHook: {self._load(model)}')

    def before_save_checkpoint(self, runner, checkpoint: dict) -> None:
        """Record the student's file in the checkpoint."""
        self.file.note(checkpoint)

    def after_load_checkpoint(self, runner, checkpoint: dict) -> None:
        """Compare the student with that of the checkpoint.

        Raises:
            InputError: If a run is resumed with another student.
        """
        if runner._resume:
            self.file.check_resumed(checkpoint)

    def _load(self, model: BaseModel) -> str:
        """Load and compare; return the log message."""
        parts = {'backbone': model.backbone}
        if getattr(getattr(model, 'roi_head', None), 'with_shared_head', False):
            parts['shared_head'] = model.roi_head.shared_head
        state_dict = _state_dict(parts)
        weights: dict[str, Tensor] = {}  # by the names of state_dict
        left_over = []
        # layers behind the maps, which a network of a library leaves out itself
        behind = {*getattr(parts['backbone'], 'unused', ())}
        without = []
        for key, value in self.file.read(parts['backbone']).items():
            names = [f'{part}.{key}' for part in parts if f'{part}.{key}' in state_dict]
            weights.update((name, value) for name in names)
            if not names and key in behind:
                without.append(key)
            elif not names and not _matches(key, self.unused):
                left_over.append(key)
        misfit = [
            text
            for text in misfits(weights, state_dict)
            if not _matches(text.split(' (')[0], self.allow)
        ]
        missing = [
            key
            for key in state_dict
            if key not in weights and not _matches(key, self.allow)
        ]
        if missing or misfit or left_over:
            raise InputError(
                self._explain_misfit(parts['backbone'], missing, misfit, left_over)
            )
        loaded = {
            key: value
            for key, value in weights.items()
            if value.shape == state_dict[key].shape
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
            f'{sum(k.startswith(f"{part}.") for k in state_dict)} '
            f'{"" if i else "tensors "}of {part}'
            for i, part in enumerate(parts)
        ]
        initial = [key for key in state_dict if key not in loaded]
        note = (
            f'; {len(initial)} stay as initialised, as allowed, e.g. {initial[0]}'
            if initial
            else ''
        )
        if without:
            note += (
                f'; {len(without)} of the file are not used by the maps: '
                f'{", ".join(without[:3])}{", …" if len(without) > 3 else ""}'
            )
        return (
            f"loaded {', '.join(counts)} from '{self.file.path}' (sha256 "
            f'{str(self.file.sha256)[:12]}){note}'
        )

    def _explain_misfit(
        self,
        backbone: nn.Module,
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
        depth = getattr(backbone, 'depth', '')
        return (
            f'{self.file.name} does not fit: {"; ".join(faults)}. The '
            f'config has {type(backbone).__name__}{depth}: use the '
            'config of the student in the file, or another --student. '
            'Permitted differences are listed in allow and unused of '
            'DetectionStudentHook'
        )

    def _compare(self, parts: dict[str, nn.Module], loaded: dict[str, Tensor]) -> None:
        """Raise InputError if a tensor of the detector differs from the file."""
        now = _state_dict(parts)
        for key, value in loaded.items():
            if not torch.equal(now[key].cpu(), value.to('cpu', now[key].dtype)):
                raise InputError(
                    f'{self.file.name}: {key} was not loaded into the detector'
                )


def _state_dict(parts: dict[str, nn.Module]) -> dict[str, Tensor]:
    """Return the tensors of all parts, named ``part.key``."""
    return {
        f'{part}.{key}': value
        for part, module in parts.items()
        for key, value in module.state_dict().items()
    }


def _matches(name: str, patterns: Sequence[str]) -> bool:
    return any(fnmatch(name, pattern) for pattern in patterns)
