"""Folders of unlabelled images."""

import logging

import numpy as np
import pytest
from mmengine.logging import MMLogger
from PIL import Image

from mmdisco.datasets import Photos

PIPELINE = [dict(type='LoadPhoto'), dict(type='PackInputs')]


@pytest.fixture
def folder(tmp_path):
    """Five images at different depths, and other files."""
    names = ['a.jpg', 'b/c.JPEG', 'b/d/e.png', 'b/d/f.webp', 'g h/i.bmp']
    for i, name in enumerate(names):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((40, 30, 3), 40 * i, np.uint8)).save(path)
    (tmp_path / 'notes.txt').write_text('no image')
    (tmp_path / 'x.jpg').mkdir()  # a folder
    return tmp_path


@pytest.fixture
def warnings(caplog):
    logger = MMLogger.get_instance('photos')
    logger.addHandler(caplog.handler)
    yield lambda: [
        r.getMessage() for r in caplog.records if r.levelno == logging.WARNING
    ]
    logger.removeHandler(caplog.handler)


def test_all_depths_without_labels(folder):
    data = Photos(str(folder), pipeline=PIPELINE)
    assert [data.get_data_info(i)['img_path'] for i in range(5)] == [
        str(folder / name)
        for name in ('a.jpg', 'b/c.JPEG', 'b/d/e.png', 'b/d/f.webp', 'g h/i.bmp')
    ]
    means = [data[i]['inputs'].float().mean().item() for i in range(5)]
    assert means == pytest.approx([0, 40, 80, 120, 160], abs=2)
    assert len(Photos(str(folder), 'b', pipeline=PIPELINE)) == 3


def test_unreadable_images_are_skipped_with_one_warning(folder, warnings):
    whole = (folder / 'a.jpg').read_bytes()
    (folder / 'cut.jpg').write_bytes(whole[: len(whole) // 2])
    (folder / 'fake.png').write_text('<html>')
    data = Photos(str(folder), pipeline=PIPELINE)
    for _ in range(3):
        for i in range(len(data)):
            assert data[i]['inputs'].shape == (3, 40, 30)
    lines = warnings()
    assert len(lines) == 2
    assert 'cut.jpg' in lines[0] and '1 of 7' in lines[0]
    assert 'fake.png' in lines[1] and '2 of 7' in lines[1]


def test_empty_missing_and_all_unreadable_folders_are_errors(tmp_path):
    with pytest.raises(FileNotFoundError, match="nowhere' not found"):
        Photos(str(tmp_path / 'nowhere'))
    with pytest.raises(ValueError, match='holds no image.*: name a folder'):
        Photos(str(tmp_path))
    for name in 'ab':
        (tmp_path / f'{name}.jpg').write_text('junk')
    with pytest.raises(ValueError, match='none of the 2 images'):
        Photos(str(tmp_path), pipeline=PIPELINE)[0]


def test_a_defect_of_the_pipeline_is_not_taken_for_a_bad_image(folder):
    data = Photos(str(folder), pipeline=[*PIPELINE[:1], lambda _: 1 / 0])
    with pytest.raises(ZeroDivisionError):
        data[0]
