"""kNN and linear probe of a pre-trained student on labelled IDX images."""
import argparse
from pathlib import Path

from mmengine.registry import init_default_scope
from mmpretrain.registry import DATASETS, MODELS

from mmdisco.analysis.quickstart import load_backbone, score
from mmdisco.launch import one_line_errors, read_config

ROOT = Path(__file__).resolve().parents[2]
DEMO = ROOT / 'configs' / '_base_' / 'datasets' / 'fashion_mnist.py'


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('config', help='config of the pre-training')
    parser.add_argument('checkpoint', help='its checkpoint')
    parser.add_argument('--data-root',
                        default=str(ROOT / 'demo' / 'fashion_mnist'),
                        help='folder of the IDX files; default: the bundled')
    args = parser.parse_args()
    init_default_scope('mmpretrain')
    cfg, demo = read_config(args.config), read_config(str(DEMO))
    ssl = cfg.model.get('ssl', cfg.model)
    backbone = load_backbone(ssl.backbone, args.checkpoint)
    splits = [
        DATASETS.build(dict(demo.train_dataloader.dataset, split=split,
                            data_root=args.data_root))
        for split in ('train', 'test')
    ]
    result = score(backbone, MODELS.build(demo.data_preprocessor), *splits)
    num, _, height, width = splits[1].images.shape
    print(f'{num} test images of {height}x{width} from {args.data_root}')
    print(f"{args.checkpoint}: {result['params']:,} parameters, kNN "
          f"{result['knn']:.2f} %, linear probe {result['linear']:.2f} %")


if __name__ == '__main__':
    with one_line_errors():
        main()
