"""Stop a training that is not finite, and warn if its inputs are constant."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from mmengine.dist import all_gather_object, all_reduce, get_world_size
from mmengine.hooks import CheckpointHook, Hook
from mmengine.optim import AmpOptimWrapper
from mmpretrain.registry import HOOKS
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from mmdisco.checkpoints import check_finite
from mmdisco.errors import InputError
from mmdisco.utils import unwrapped
from .timing import LateLogHook

STATISTICS = ('running_mean', 'running_var')


class Step(NamedTuple):
    """Losses of a step."""

    iter: int
    losses: dict[str, Any]  # tensors on the device, or numbers


@HOOKS.register_module()
class SignalHook(Hook):
    r"""Stop a training with losses or weights that are not finite.

    The error comes before a checkpoint with them is written, on all ranks at
    once, and names the iteration, the part of the loss and possible causes.
    Losses are read at each step, weights and BN statistics before a checkpoint,
    an evaluation and the end. With ``--speed``, or with several ranks, losses
    are read every ``interval`` iterations, so that steps do not wait for the
    GPU. Steps that fp16's loss scaler skips (infinite gradients of a finite
    loss) are no error.

    The hook warns about constant signals, in the first iteration and every
    ``look_interval``: single-colour images, identical images, and (in the first
    iteration) a teacher with the same embedding for all images. It also warns
    about scores that are not finite.

    Args:
        interval (int): Iterations between two readings of the losses. Defaults
            to 10.
        look_interval (int): Iterations between two checks of the images.
            Defaults to 50.
        spread (float): Warn if the standard deviation of the teacher's unit
            embeddings is below this fraction of :math:`1/\sqrt{D}`, its value
            for embeddings spread over the sphere. Defaults to 0.001.
    """

    priority = 'LOW'  # after the log, before checkpoints

    def __init__(
        self, interval: int = 10, look_interval: int = 50, spread: float = 1e-3
    ) -> None:
        self.interval, self.look_interval = interval, look_interval
        self.spread = spread
        self._steps: list[Step] = []
        self._clean = False  # whether the weights are known to be finite
        self._warned: set[str] = set()
        self._embeds: list[Tensor] = []
        self._handle: RemovableHandle | None = None
        self._first = self._done = 0

    def before_train(self, runner) -> None:
        """Check preprocessing and initial weights.

        Raises:
            InputError: If mean or std of the preprocessor are invalid, or a
                weight of student or teacher is not finite.
        """
        model = unwrapped(runner.model)
        _check_preprocessor(getattr(model, 'data_preprocessor', None))
        teacher = getattr(model, 'teacher', None)
        for name, network in (('model', model), ('teacher', teacher)):
            if isinstance(network, nn.Module):
                check_finite(dict(_weights(network)), f'the initial {name}')
        self._first = runner.iter
        late = any(isinstance(hook, LateLogHook) for hook in runner.hooks)
        self._every = self.interval if late or get_world_size() > 1 else 1
        self._savers = [
            hook
            for hook in runner.hooks
            if isinstance(hook, CheckpointHook) and not hook.by_epoch
        ]
        if isinstance(teacher, nn.Module):
            self._handle = teacher.register_forward_hook(self._record)

    def after_train_iter(
        self, runner, batch_idx: int, data_batch=None, outputs: dict | None = None
    ) -> None:
        """Record the losses; check losses and images at their intervals.

        Raises:
            InputError: If a loss is not finite on any rank.
        """
        self._clean, self._done = False, runner.iter + 1
        self._steps.append(_step(runner, outputs or {}))
        if runner.iter == self._first:
            self._check_teacher(runner)
        if runner.iter == self._first or self.every_n_train_iters(
            runner, self.look_interval
        ):
            self._check_images(runner, data_batch)
        if self.is_last_train_iter(runner) or any(
            self.every_n_train_iters(runner, hook.interval) for hook in self._savers
        ):
            self._check(runner)
        elif self.every_n_train_iters(runner, self._every):
            self._stop(self._bad_loss(runner))

    def after_train_epoch(self, runner) -> None:
        """Check losses and weights before the epoch's checkpoint."""
        self._check(runner)

    def before_val(self, runner) -> None:
        """Check losses and weights before an evaluation."""
        self._check(runner)

    def before_save_checkpoint(self, runner, checkpoint: dict) -> None:
        """Check losses and weights before any other checkpoint.

        Only the writing rank calls this.
        """
        if not self._clean and (fault := self._fault(runner)):
            raise InputError(fault)

    def after_val_epoch(self, runner, metrics: dict[str, float] | None = None) -> None:
        """Warn about scores that are not finite."""
        for name, value in (metrics or {}).items():
            if isinstance(value, float) and not abs(value) < float('inf'):
                self._warn(
                    runner,
                    name,
                    f'{name} is {value}: the scores of '
                    'this evaluation are meaningless. Check its images '
                    'and labels, and the weights',
                )

    def _check(self, runner) -> None:
        if self._clean:
            return
        self._stop(self._fault(runner))
        self._clean = True

    def _fault(self, runner) -> str | None:
        return self._bad_loss(runner) or _bad_weight(runner, self._done)

    @staticmethod
    def _stop(fault: str | None) -> None:
        """Stop all ranks if one has a fault, so that none waits for another."""
        any_fault = torch.tensor(float(fault is not None))
        all_reduce(any_fault, 'max')
        if not any_fault:
            return
        rank, fault = next(
            (rank, fault)
            for rank, fault in enumerate(all_gather_object(fault))
            if fault is not None
        )
        where = f'rank {rank}, ' if get_world_size() > 1 else ''
        raise InputError(where + fault)

    def _bad_loss(self, runner) -> str | None:
        """Describe the first step with a loss that is not finite, if any."""
        steps, self._steps = self._steps, []
        values = [
            torch.as_tensor(value).detach().float()
            for step in steps
            for value in step.losses.values()
        ]
        if not values:
            return None
        device = max((v.device for v in values), key=str)
        finite = iter(
            torch.stack(  # the only synchronisation with the GPU
                [v.to(device) for v in values]
            )
            .isfinite()
            .tolist()
        )
        for step in steps:
            parts = {name: next(finite) for name in step.losses}
            if not all(parts.values()):
                return _explain(runner, step, parts, step.iter == self._first)
        return None

    def _record(self, teacher: nn.Module, args: tuple, output: Any) -> None:
        outputs = [output] if torch.is_tensor(output) else output
        # a custom teacher may return anything
        self._embeds += [
            embeds.detach()
            for embeds in outputs
            if torch.is_tensor(embeds) and embeds.dim() == 2
        ]

    def _check_teacher(self, runner) -> None:
        """Warn if the first step's embeddings are the same for all images."""
        if self._handle is None:
            return
        self._handle.remove()
        batches, self._embeds = self._embeds, []
        if sum(map(len, batches)) < 2:
            return
        embeds = torch.cat(batches).float()  # [N, D]
        spread = F.normalize(embeds, dim=1).std(0).mean() * embeds.size(1) ** 0.5
        if embeds.size(1) > 1 and spread < self.spread:
            kind = 'zero' if not embeds.any() else 'the same'
            self._warn(
                runner,
                'teacher',
                (
                    f'The embeddings of the teacher are {kind} for all images, so '
                    'the student cannot learn from it: check '
                    'model.teacher.checkpoint, its mean, std and norm_mode, and '
                    'the images'
                ),
            )

    def _check_images(self, runner, batch: Any) -> None:
        inputs = batch.get('inputs') if isinstance(batch, dict) else None
        images = [
            view if view.dim() == 4 else view[None]
            for view in _tensors(inputs)
            if view.dim() in (3, 4)
        ]
        if not images:
            return
        if all(_one_colour(view) for view in images):
            fault = 'Every image of this batch has a single colour'
        elif all(len(view) > 1 and bool((view == view[:1]).all()) for view in images):
            fault = 'All images of this batch are identical'
        else:
            return
        self._warn(
            runner,
            'images',
            (
                f'{fault}, so the student cannot learn from them: check the '
                'files, their decoding (bit depth, transparency), and '
                'the pipeline of train_dataloader'
            ),
        )

    def _warn(self, runner, name: str, message: str) -> None:
        if name not in self._warned:
            runner.logger.warning(message)
        self._warned.add(name)


def _step(runner, outputs: dict) -> Step:
    """Return the losses of a step, and its gradient norm if known."""
    losses = {
        name: value.detach() if torch.is_tensor(value) else value
        for name, value in outputs.items()
        if 'loss' in name
    }
    norm = runner.message_hub.log_scalars.get('train/grad_norm')
    if norm is not None and not isinstance(runner.optim_wrapper, AmpOptimWrapper):
        losses['grad_norm'] = norm.current()
    return Step(runner.iter, losses)


def _weights(network: nn.Module) -> Iterator[tuple[str, Tensor]]:
    """Yield parameters and BN statistics; other buffers may be infinite."""
    yield from network.named_parameters()
    for name, value in network.named_buffers():
        if name.rsplit('.', 1)[-1] in STATISTICS:
            yield name, value


def _bad_weight(runner, done: int) -> str | None:
    """Describe the first weight that is not finite, if any."""
    names, flags = [], []
    for name, value in _weights(unwrapped(runner.model)):
        names.append(name)
        flags.append(value.detach().isfinite().all())
    device = max((flag.device for flag in flags), key=str, default=None)
    finite = [flag.to(device) for flag in flags]
    if not finite or bool(torch.stack(finite).all()):
        return None
    name = names[torch.stack(finite).tolist().index(False)]
    return (
        f'after {done} iterations {name} is not finite, although the losses '
        f'were: the gradients are not. {_remedy(runner)}'
    )


def _explain(runner, step: Step, parts: dict[str, bool], first: bool) -> str:
    """Describe the iteration, the parts of the loss and possible causes."""
    bad = [name for name, finite in parts.items() if not finite]
    good = [name for name, finite in parts.items() if finite]
    bad = [name for name in bad if name != 'loss'] or bad
    text = ', '.join(f'{name} is {float(step.losses[name])}' for name in bad)
    if good:
        text += f' ({", ".join(good)} {"is" if len(good) == 1 else "are"} not)'
    if not first:
        return (
            f'iteration {step.iter + 1}: {text}: the training diverges. '
            f'{_remedy(runner)}'
        )
    teacher = (
        ', the teacher'
        if hasattr(unwrapped(runner.model), 'teacher')
        and any('distill' in name for name in bad)
        else ''
    )
    return (
        f'iteration {step.iter + 1}, the first: {text}, although no weight '
        f'has changed yet: check the images{teacher}, and mean and '
        'std of the data_preprocessor'
    )


def _remedy(runner) -> str:
    rate = max(lr for rates in runner.optim_wrapper.get_lr().values() for lr in rates)
    amp = (
        ', train without --amp'
        if isinstance(runner.optim_wrapper, AmpOptimWrapper)
        else ''
    )
    last = runner.message_hub.runtime_info.get('last_ckpt')
    saved = f'{Path(last).name} is from before' if last else 'No checkpoint is written'
    return (
        f'Lower optim_wrapper.optimizer.lr (now {rate:.3g}){amp}, '
        f'or check the images. {saved}'
    )


def _check_preprocessor(preprocessor: nn.Module | None) -> None:
    for name in ('mean', 'std'):
        value = getattr(preprocessor, name, None)
        if torch.is_tensor(value) and not (
            value.isfinite().all() and (name == 'mean' or (value > 0).all())
        ):
            raise InputError(
                f'{name} of the data_preprocessor is '
                f'{value.flatten().tolist()}: set data_preprocessor.{name} to '
                + ('finite numbers' if name == 'mean' else 'numbers above 0')
            )


def _tensors(inputs: Any) -> Iterator[Tensor]:
    """Yield all tensors in nested lists."""
    if torch.is_tensor(inputs):
        yield inputs
    elif isinstance(inputs, (list, tuple)):
        for part in inputs:
            yield from _tensors(part)


def _one_colour(images: Tensor) -> bool:
    """Check whether each image, [N, C, H, W], has a single colour."""
    pixels = images.flatten(2)
    return bool((pixels == pixels[..., :1]).all())
