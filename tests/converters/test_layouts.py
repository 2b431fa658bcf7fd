"""Public checkpoint layouts give the outputs of the public networks."""
import numpy as np
import pytest
import torch
from mmpretrain.registry import MODELS

import mmdisco  # noqa: F401
from mmdisco.launch import read_config
from tests.layouts import DATA, write_public_file

GOLDEN = np.load(DATA / 'layouts_outputs.npz')


@pytest.mark.parametrize('config, layout, part', [
    ('r50_mbv3', 'moco_v2_r50', 'module.encoder_q.'),
    ('r50w2_mbv3', 'swav_r50w2', 'module.'),
])
def test_a_public_teacher_gives_its_public_embedding(tmp_path, config, layout,
                                                     part):
    path = tmp_path / 'public.pth'
    tensors = write_public_file(layout, path)
    total = sum(value.double().abs().sum() for key, value in tensors.items()
                if key.startswith(part) and value.is_floating_point())
    assert float(total) == pytest.approx(
        float(GOLDEN[f'{layout}/recipe_abs_sum']), rel=1e-7)

    cfg = read_config(f'configs/disco/{config}.py').model.teacher
    teacher = MODELS.build(dict(cfg, checkpoint=str(path)))
    images = torch.from_numpy(GOLDEN['input'])  # [2, 3, 64, 64]
    with torch.no_grad():
        pooled = teacher.backbone(images)[-1].mean((2, 3))
    for ours, key in ((pooled, 'pooled'), (teacher(images), 'embedding_raw')):
        theirs = GOLDEN[f'{layout}/{key}']
        assert np.abs(ours.numpy() - theirs).max() < 2e-5 * np.abs(theirs).max()
