"""The split, the stored teacher and the tables of the benchmark on clip art."""

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmpretrain.registry import MODELS
from PIL import Image

from mmdisco.experiments import pictures as lab
from mmdisco.experiments.picture_tables import COLUMNS, closed, draw, table, verdict
from mmdisco.experiments.stats import csv_text, read_rows
from mmdisco.models import FrozenTeacher


def folders():
    names = [name for i, name in enumerate(lab.CLASSES) for _ in range(4 + i % 3)]
    return names + ['shapes/stars'] * 400 + ['animals/mammals/dogs'] * 3


def test_a_split_is_fixed_and_trains_on_no_test_picture():
    first, again = lab.split(folders()), lab.split(folders())
    for name, value in first.items():
        assert np.array_equal(value, again[name])
    names = np.array(folders())
    train, fit, test = (set(first[k].tolist()) for k in ('train', 'fit', 'test'))
    assert not test & train and not test & fit
    labelled = [i for i, name in enumerate(names) if lab.class_of(name) >= 0]
    assert fit | test == set(labelled) and fit <= train
    assert lab.class_of('animals/mammals/dogs') == lab.class_of('animals/mammals')
    assert lab.class_of('animals/mammalsx') == lab.class_of('shapes/stars') == -1
    for index, name in enumerate(lab.CLASSES):
        members = [i for i in labelled if first['labels'][i] == index]
        assert sum(i in test for i in members) == len(members) // 2, name
    assert sum(names[i] == 'shapes/stars' for i in train) == lab.MOST


def test_a_picture_is_fitted_into_a_white_square():
    image = Image.new('RGBA', (64, 32), (255, 0, 0, 0))
    image.paste((0, 0, 255, 255), (0, 0, 32, 32))
    pixels = lab.square(image, 16)
    assert pixels.shape == (16, 16, 3)
    assert (pixels[:4] == 255).all() and (pixels[12:] == 255).all()
    assert (pixels[4:12, :7] == [0, 0, 255]).all()  # the opaque half
    assert (pixels[4:12, 9:] == 255).all()  # the transparent one


def test_different_pictures_are_decoded_once(tmp_path):
    source = tmp_path / 'png'
    (source / 'animals/birds').mkdir(parents=True)
    rng = np.random.default_rng(0)
    noise = Image.fromarray(rng.integers(0, 255, (9, 9, 3), dtype=np.uint8))
    noise.save(source / 'a.png')
    noise.save(source / 'animals/birds/b.png')
    Image.new('RGBA', (4, 4)).save(source / 'empty.png')
    (source / 'broken.png').write_bytes(b'PNG')
    lab.prepare(source, tmp_path / 'pictures.npz')
    with np.load(tmp_path / 'pictures.npz') as file:
        assert file['images'].shape == (1, 128, 128, 3)
        assert file['folders'].tolist() == ['animals/birds']
    with pytest.raises(ValueError, match='install Debian'):
        lab.prepare(tmp_path / 'none', tmp_path / 'other.npz')


def test_a_teacher_that_remembers_equals_one_that_does_not(tmp_path):
    backbone = dict(type='ResNet', depth=18, stem_channels=8, base_channels=8)
    neck = dict(type='GlobalAveragePooling')
    torch.manual_seed(0)
    built = dict(backbone=MODELS.build(backbone), neck=MODELS.build(neck))
    plain = FrozenTeacher(**built)
    pixels = torch.randint(0, 256, (4, 3, 32, 32), dtype=torch.uint8)
    np.save(tmp_path / 'keys.npy', np.array(lab.keys_of(pixels[:3]), 'V16'))
    stored = plain(lab.normalize(pixels[:3])) + 1  # to be told from the network's
    np.save(tmp_path / 'embeds.npy', stored.numpy())
    teacher = lab.RememberingTeacher(str(tmp_path), **built)
    rows = torch.tensor([2, 0])
    assert torch.equal(teacher(lab.normalize(pixels[rows])), stored[rows])
    others = lab.normalize(pixels[2:])
    torch.testing.assert_close(teacher(others), plain(others))


@pytest.mark.parametrize('arm', lab.ARMS, ids=lambda arm: arm.name)
def test_an_arm_is_a_config_of_distill_with_other_parts(arm, tmp_path, monkeypatch):
    monkeypatch.setattr(lab, 'teacher_file', lambda: tmp_path / 'teacher.pth')
    assert len(arm.settings()) == 4
    cfg = lab.config(arm, arm.settings()[-1], 5, tmp_path)
    base = Config.fromfile(f'configs/distill/{arm.config}.py')
    assert cfg.train_cfg.max_epochs == 5
    assert cfg.optim_wrapper.optimizer.lr == lab.RATES[-1]
    ssl = cfg.model.get('ssl', cfg.model)
    assert ssl.type == base.model.ssl.type and ssl.backbone == lab.STUDENT
    assert (arm.name == lab.ALONE) == ('teacher' not in cfg.model)
    if 'teacher' in cfg.model:
        assert cfg.model.standardize == lab.PHI_S
        assert cfg.model.distill.type == base.model.distill.type
    student = MODELS.build(ssl.backbone)
    assert sum(p.numel() for p in student.parameters()) == 702_096 < 1e6
    assert student(torch.randn(2, 3, 32, 32))[0].shape == (2, lab.WIDTH)


def test_the_gap_is_that_between_untrained_student_and_teacher(tmp_path):
    rows = [
        dict(method=method, setting=setting, seed=seed, knn=knn, linear=knn + 1)
        for method, setting, seed, knn in (
            ('teacher, 96 pixels', '', 0, 60.0),
            ('untrained student', '', 0, 18.0),
            ('untrained student', '', 1, 22.0),
            ('CoSS', 'lr 0.001', 0, 30.0),
            ('CoSS', 'lr 0.001', 1, 40.0),
            ('SEED', 'lr 0.001', 0, 30.0),
        )
    ]
    path = tmp_path / 'rows.csv'
    path.write_text(csv_text(rows, COLUMNS))
    for some in (rows, read_rows(path)):
        assert closed(some, 'knn')['CoSS', 'lr 0.001'] == pytest.approx(100 * 15 / 40)
        assert '| CoSS | lr 0.001 | 35.00 ± 7.07 | 38 % |' in '\n'.join(table(some))
        assert verdict(some).startswith('Most of the gap is closed by **CoSS** (lr')
    draw(rows, tmp_path / 'pictures.png')
    assert Image.open(tmp_path / 'pictures.png').size[0] > 1000
