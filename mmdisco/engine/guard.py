from mmengine.runner import Runner

from .hooks import (
    AccumulationHook,
    LoadFromHook,
    OptimizerLayoutHook,
    ResumeCheckHook,
    ResumeConfigHook,
)


def guard_weights(runner: Runner) -> None:
    """Register the hooks of ``load_from`` and ``resume``, if they are missing.

    mmengine loads what fits and resumes what it finds, in silence: a run is
    guarded whatever hooks its config has.

    Args:
        runner (Runner): Before its training.
    """
    for kind in (
        ResumeCheckHook,
        ResumeConfigHook,
        LoadFromHook,
        OptimizerLayoutHook,
        AccumulationHook,
    ):
        if not any(isinstance(hook, kind) for hook in runner.hooks):
            runner.register_hook(kind())
