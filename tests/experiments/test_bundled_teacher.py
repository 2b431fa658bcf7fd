"""The bundled teacher is what its README says."""

import re
from pathlib import Path

import torch
from mmengine.registry import init_default_scope
from mmpretrain.registry import DATASETS, MODELS

from mmdisco.launch import read_config

FOLDER = Path(__file__).parents[2] / 'demo' / 'teacher'
FILE = FOLDER / 'quickstart_r18w32.pth'


def test_the_bundled_teacher_is_small_and_says_where_it_comes_from():
    assert FILE.stat().st_size <= 12 * 2**20
    meta = torch.load(FILE, weights_only=True)['meta']
    text = (FOLDER / 'README.md').read_text()
    assert meta['command'] in text
    assert f'at commit {meta["commit"]}, seed {meta["seed"]}' in text
    assert f'in {meta["seconds"]:.0f} s' in text
    knn, linear = map(
        float, re.search(r'kNN ([\d.]+) %, linear probe\s+([\d.]+) %', text).groups()
    )
    assert (knn, linear) == (meta['figures']['knn'], meta['figures']['linear'])


def test_its_embeddings_find_images_of_the_same_class():
    """Nearest neighbour by its final embedding, in a plain loop."""
    init_default_scope('mmpretrain')
    cfg = read_config('configs/quickstart/disco.py')
    teacher = MODELS.build(cfg.model.teacher)
    preprocessor = MODELS.build(cfg.data_preprocessor)
    embeds, labels = [], []
    for split, num in (('train', 2000), ('test', 300)):
        data = DATASETS.build(dict(cfg.train_dataloader.dataset, split=split, stop=num))
        batch = preprocessor(dict(inputs=data.images))['inputs']
        embeds.append(teacher(batch))
        labels.append(data.labels)
    hits = 0
    for embed, label in zip(embeds[1], labels[1]):
        cosine = torch.cosine_similarity(embed[None], embeds[0])
        hits += int(labels[0][cosine.argmax()] == label)
    assert hits / 300 > 0.65  # 0.1 by chance
