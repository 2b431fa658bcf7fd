"""Image retrieval on cached features: test images query the training images (mAP)."""

import argparse

from mmengine.dist import is_main_process

from mmdisco.evaluation.options import eval_parser, settings_of
from mmdisco.evaluation.protocols import retrieval_map
from mmdisco.evaluation.session import prepare, report
from mmdisco.launch import leave_group, one_line_errors


def parse_args() -> argparse.Namespace:
    return eval_parser(__doc__).parse_args()


def main() -> None:
    settings = settings_of(parse_args())
    ready = prepare(settings, check=len)
    main_process = is_main_process()
    leave_group()  # the rest runs on one process
    if not main_process:
        return
    scores = retrieval_map(ready.train, ready.test, ready.device)
    report(
        settings,
        'retrieval',
        dict(ready.about, **scores),
        f'{settings.model}: retrieval mAP {scores["mean"]:.2f} %, by '
        f'{ready.about["images"][1]} queries among '
        f'{ready.about["images"][0]} images',
    )


if __name__ == '__main__':
    with one_line_errors():
        main()
