from mmengine.device import get_device
from mmengine.dist import broadcast
from mmengine.runner import Runner
from mmpretrain.registry import RUNNERS
from torch import nn

from mmdisco.launch.hardware import set_up_process
from mmdisco.models.fast.student import speed_up_student


@RUNNERS.register_module()
class FastRunner(Runner):
    """mmengine's runner, whose model is rewritten for speed when it is built.

    The config's ``speed`` says how: the arguments ``channels_last`` and
    ``compile`` of :func:`speed_up_student`, and what
    :func:`set_up_process` does to the process. ``tools/train.py --speed``
    sets all.
    """

    def wrap_model(self, model_wrapper_cfg: dict | None, model: nn.Module) -> nn.Module:
        """Rewrite the model, then wrap it for several processes.

        Args:
            model_wrapper_cfg (dict, optional): Of the wrapper.
            model (nn.Module): As it was built.

        Returns:
            nn.Module: The wrapped model, or the model itself.
        """
        speed = self.cfg.speed
        set_up_process(speed)
        model = model.to(get_device())
        if hasattr(model, 'init_weights'):
            # before: random numbers fill a tensor in the order of its memory
            model.init_weights()
        speed_up_student(model, speed.channels_last, speed.compile)
        return super().wrap_model(model_wrapper_cfg, model)

    def _init_model_weights(self) -> None:
        """Have all ranks start alike; the weights are initialised already."""
        for value in self.model.state_dict().values():
            broadcast(value)
