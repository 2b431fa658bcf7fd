"""How well images of a class are found by one of it: mAP, on kept features."""

from mmengine.dist import is_main_process

from mmdisco.evaluation.options import eval_parser
from mmdisco.evaluation.protocols import by_retrieval
from mmdisco.evaluation.session import prepare, report
from mmdisco.launch import leave_group, one_line_errors


def main() -> None:
    args = eval_parser(__doc__).parse_args()
    ready = prepare(args, check=len)
    main_process = is_main_process()
    leave_group()  # nobody waits for the rest
    if not main_process:
        return
    found = by_retrieval(ready.train, ready.test, ready.device)
    report(
        args,
        'retrieval',
        dict(ready.about, **found),
        f'{args.model}: retrieval mAP {found["mean"]:.2f} %, by '
        f'{ready.about["images"][1]} queries among '
        f'{ready.about["images"][0]} images',
    )


if __name__ == '__main__':
    with one_line_errors():
        main()
