"""The training of lightly-train, for peer_lightly.py.

Runs in an environment that has lightly-train, not mmdisco. It only calls the public
function ``lightly_train.pretrain``.
"""

import json
import os
import sys
import time

# read when the package is imported: no usage events; its processes are stopped
# between turns, for longer than the loader would wait for an image
os.environ['LIGHTLY_TRAIN_EVENTS_DISABLED'] = '1'
os.environ['LIGHTLY_TRAIN_DATALOADER_TIMEOUT_SEC'] = '0'

import lightly_train  # noqa: E402
import torch  # noqa: E402
from torch.optim.optimizer import register_optimizer_step_post_hook  # noqa: E402


def main() -> None:
    """Train until the process is ended; the argument has the settings as JSON."""
    settings = json.loads(sys.argv[1])
    torch.set_num_threads(settings['threads'])
    file = open(settings['log'], 'a', buffering=1)

    def note(*_: object) -> None:
        file.write(f'{time.monotonic()}\n')

    register_optimizer_step_post_hook(note)
    lightly_train.pretrain(
        out=settings['out'],
        data=settings['data'],
        model=f'torchvision/{settings["student"]}',
        method='distillationv3',
        method_args=dict(
            teacher=f'timm/{settings["teacher_name"]}',
            teacher_weights=settings['teacher'],
            loss_local_weight=0.0,
            queue_size=settings['queue_len'],
        ),
        epochs=1000,
        batch_size=settings['batch_size'],
        num_workers=settings['workers'],
        accelerator='cpu',
        devices=1,
        precision=settings['precision'],
        overwrite=True,
    )


if __name__ == '__main__':
    main()
