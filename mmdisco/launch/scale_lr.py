from mmengine.optim import OptimWrapperDict
from mmengine.runner import Runner

from mmdisco.errors import InputError
from .loaders import batch_size_of


def scale_lr(runner: Runner) -> None:
    """Scale the learning rate with the images of one optimizer step.

    mmengine's own scaling counts ranks and batch, not the batches that are
    accumulated, and leaves ``base_lr`` of the log as it was where parameters
    have settings of their own (``paramwise_cfg``). Here both follow. The
    optimizer is built for it; the config stays as it is, so that a dumped one
    gives the same rate again.

    Args:
        runner (Runner): Before its ``train``.

    Raises:
        InputError: If the runner is not mmengine's, nor derived from it.
    """
    settings = runner.auto_scale_lr
    if not (settings or {}).get('enable'):
        return
    if not isinstance(runner, Runner):
        raise InputError(
            f'auto_scale_lr is for the Runner, not for {type(runner).__name__}'
            ': leave out runner_type, or set auto_scale_lr.enable=False and '
            'the learning rate'
        )
    runner.auto_scale_lr = dict(settings, enable=False)
    runner.optim_wrapper = runner.build_optim_wrapper(runner.optim_wrapper)
    several = isinstance(runner.optim_wrapper, OptimWrapperDict)
    batch = batch_size_of(runner.train_dataloader)
    for wrapper in runner.optim_wrapper.values() if several else [runner.optim_wrapper]:
        accumulated = wrapper._accumulative_counts
        images = runner.world_size * batch * accumulated
        ratio = images / settings['base_batch_size']
        runner.logger.info(
            f'Scaling the original LR by {ratio:g}: {images} images a step '
            f'({runner.world_size} ranks x {batch} images x {accumulated} '
            f'accumulated), the base is {settings["base_batch_size"]:g}'
        )
        for group in wrapper.param_groups:  # and base_lr of the log
            group['lr'] *= ratio
