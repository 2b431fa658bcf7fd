"""Strict initialisation from a checkpoint."""

from mmengine.logging import print_log
from mmengine.model import PretrainedInit, update_init_info
from mmpretrain.registry import WEIGHT_INITIALIZERS
from torch import nn

from mmdisco.checkpoints import initial_weights, load_strictly


@WEIGHT_INITIALIZERS.register_module(name='Pretrained')
class StrictPretrainedInit(PretrainedInit):
    """``init_cfg=dict(type='Pretrained', checkpoint=…, prefix=…)``, strict.

    Replaces mmengine's initialiser of this name in mmpretrain's scope and, by
    :mod:`mmdisco.detection`, in mmdet's. mmengine's loads tensors that fit by
    name and shape and leaves the others random. Here, every tensor must load, or
    the run stops (:func:`mmdisco.checkpoints.initial_weights`). Only whole parts
    of the file that the module does not have, as the last stage of a ResNet
    in a C4 detector, are left out, and the log names them.

    Args:
        checkpoint (str): The file, or a URL.
        prefix (str, optional): Load the tensors under this prefix, for example
            'backbone.'. Defaults to None, any layout that
            ``tools/convert_checkpoint.py`` knows.
        map_location (str): Not used: weights go where the module is.
    """

    def __call__(self, module: nn.Module) -> None:
        """Load the weights of a module.

        Raises:
            InputError: If the file does not fit.
        """
        initial = initial_weights(module, self.checkpoint, self.prefix, parts=True)
        load_strictly(
            module,
            {**module.state_dict(), **initial.tensors},
            f'init_cfg of {type(module).__name__}',
        )
        print_log(f'{type(module).__name__}: {initial.report}', logger='current')
        if hasattr(module, '_params_init_info'):
            update_init_info(module, init_info=self._get_init_info())
