"""tools/test.py on a model that has an evaluation: a classifier."""

import json

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmpretrain.registry import MODELS
from PIL import Image

from mmdisco.launch.smoke import photo_tiles
from tests.tools import COUNT_THREADS, ROOT, gloo_threads, run

CONFIG = """
_base_ = ['{root}/configs/_base_/default_runtime.py']
model = dict(
    type='ImageClassifier',
    backbone=dict(
        type='ResNet', depth=18, stem_channels=4, base_channels=4),
    neck=dict(type='GlobalAveragePooling'),
    head=dict(
        type='LinearClsHead', num_classes=2, in_channels=32, topk=(1, )))
test_dataloader = dict(
    batch_size=4,
    num_workers=0,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type='CustomDataset',
        data_root='{photos}',
        pipeline=[dict(type='LoadImageFromFile'), dict(type='PackInputs')]))
test_evaluator = dict(type='Accuracy', topk=(1, ))
test_cfg = dict()
"""


@pytest.fixture
def classifier(tmp_path):
    """Config, checkpoint and the accuracy of a plain loop over the files."""
    photo_tiles(tmp_path / 'photos', 10, size=64)
    config, checkpoint = tmp_path / 'classifier.py', tmp_path / 'model.pth'
    config.write_text(CONFIG.format(root=ROOT, photos=tmp_path / 'photos'))
    init_default_scope('mmpretrain')
    torch.manual_seed(3)
    model = MODELS.build(Config.fromfile(config).model).eval()
    torch.save(dict(state_dict=model.state_dict(), meta={}), checkpoint)
    hits = []
    for path in sorted((tmp_path / 'photos').rglob('*.jpg')):
        pixels = np.array(Image.open(path))[..., ::-1]  # as mmcv reads: BGR
        image = torch.from_numpy(pixels.copy()).permute(2, 0, 1)[None].float()
        with torch.no_grad():
            logits = model.head.fc(model.backbone(image)[-1].mean((2, 3)))
        hits.append(int(logits.argmax()) == int(path.parent.name[-1]))
    return config, checkpoint, 100 * np.mean(hits)


def test_it_gives_the_accuracy_of_a_plain_loop(classifier, tmp_path):
    config, checkpoint, accuracy = classifier
    out = tmp_path / 'metrics.json'
    run(
        'python',
        'tools/test.py',
        config,
        checkpoint,
        '--work-dir',
        tmp_path,
        '--out',
        out,
        '--out-item',
        'metrics',
    )
    assert json.loads(out.read_text())['accuracy/top1'] == pytest.approx(accuracy)


def test_two_ranks_give_the_same(classifier, tmp_path, free_port):
    config, checkpoint, accuracy = classifier
    out = tmp_path / 'metrics.json'
    (tmp_path / 'sitecustomize.py').write_text(COUNT_THREADS)
    done = run(
        'bash',
        'tools/dist_test.sh',
        config,
        checkpoint,
        2,
        '--work-dir',
        tmp_path,
        '--out',
        out,
        '--out-item',
        'metrics',
        env=dict(PORT=str(free_port), PYTHONPATH=str(tmp_path)),
    )
    assert gloo_threads(done) == ['0'] * 3  # torchrun's and both ranks'
    assert json.loads(out.read_text())['accuracy/top1'] == pytest.approx(accuracy)
