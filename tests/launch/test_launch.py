import os
import signal

import pytest
from mmengine.config import Config
from mmengine.dataset import BaseDataset
from PIL import Image
from torch.utils.data import DataLoader, Dataset

from mmdisco.datasets import Photos
from mmdisco.errors import InputError
from mmdisco.launch import fit_queue, one_line_errors
from mmdisco.launch.smoke import photo_tiles


def photos_config(folder, queue_len='auto', batch=4):
    return Config(
        dict(
            model=dict(type='DisCo', ssl=dict(queue_len=queue_len)),
            train_dataloader=dict(
                batch_size=batch, dataset=dict(type='Photos', data_root=str(folder))
            ),
        )
    )


@pytest.mark.parametrize(
    'num, world_size, length', [(50, 1, 24), (50, 3, 24), (9, 2, 8)]
)
def test_an_automatic_queue_fits_half_the_folder(tmp_path, num, world_size, length):
    photo_tiles(tmp_path, num)
    cfg = photos_config(tmp_path)
    cfg.model.distill = [dict(queue_len='auto'), dict(queue_len=3), dict()]
    fit_queue(cfg, world_size)
    assert cfg.model.ssl.queue_len == length
    assert cfg.model.distill == [dict(queue_len=length), dict(queue_len=3), dict()]
    fixed = photos_config(tmp_path, queue_len=7)
    fit_queue(fixed, world_size)
    assert fixed.model.ssl.queue_len == 7


def test_too_few_images_for_a_batch_are_an_error(tmp_path):
    photo_tiles(tmp_path, 3)
    with pytest.raises(ValueError, match='3 images are too few .* batch of 4'):
        fit_queue(photos_config(tmp_path), 1)


def test_tiles_are_different_parts_of_real_photographs(tmp_path):
    photo_tiles(tmp_path, 64)  # for a smoke run of eight ranks
    data = Photos(str(tmp_path))
    pixels = {
        Image.open(data.get_data_info(i)['img_path']).tobytes()
        for i in range(len(data))
    }
    assert len(pixels) == 48  # all tiles; then they repeat


def test_errors_that_the_user_can_fix_are_one_line(capsys):
    with pytest.raises(SystemExit) as stop, one_line_errors():
        raise InputError('Traceback of a worker\n  deep\nset x to 3')
    assert stop.value.code == 1
    assert capsys.readouterr().err == 'error: set x to 3\n'
    with pytest.raises(SystemExit), one_line_errors():
        raise TypeError("A.__init__() got an unexpected keyword argument 'lrr'")
    assert "keyword argument 'lrr'" in capsys.readouterr().err
    with pytest.raises(TypeError, match='a defect'), one_line_errors():
        raise TypeError('a defect')


@pytest.mark.parametrize(
    'fault, line',
    [
        ('DataLoader worker (pid 7) is killed by signal: Killed. ', 'num_workers'),
        ('DataLoader worker (pid(s) 7, 8) exited unexpectedly', 'num_workers'),
        (
            'DataLoader worker (pid 7) is killed by signal: Bus error. It is '
            'possible that',
            '/dev/shm',
        ),
        (
            'unable to write to file </torch_1>: No space: shared memory (shm)',
            '/dev/shm',
        ),
        ('code: -98, name: EADDRINUSE, message: address already in use', 'PORT'),
    ],
)
def test_failures_of_the_system_are_one_line(capsys, fault, line):
    with pytest.raises(SystemExit), one_line_errors():
        raise RuntimeError(fault)
    message = capsys.readouterr().err
    assert message.startswith('error: ') and line in message
    assert message.count('\n') == 1


def test_a_data_set_without_an_image_is_one_line(capsys):
    with pytest.raises(SystemExit), one_line_errors():
        BaseDataset(lazy_init=True)._serialize_data()
    assert capsys.readouterr().err.startswith(
        'error: a data set of the config has no images: check its '
    )


def test_a_worker_that_is_killed_is_one_line(capsys):
    with pytest.raises(SystemExit), one_line_errors():
        list(DataLoader(Dies(), num_workers=1))
    assert capsys.readouterr().err.endswith(
        'error: a worker of the loader was killed, probably because memory ran '
        'out: lower train_dataloader.num_workers or batch_size\n'
    )


class Dies(Dataset):
    def __len__(self):
        return 1

    def __getitem__(self, index):
        os.kill(os.getpid(), signal.SIGKILL)


@pytest.mark.parametrize(
    'variables, wait, line',
    [
        (dict(RANK='8', LOCAL_RANK='0'), 0, 'error: rank 8: no file\n'),
        (dict(SLURM_PROCID='8', SLURM_LOCALID='0'), 0, 'error: rank 8: no file\n'),
        (dict(RANK='1', LOCAL_RANK='1'), 30, 'error: rank 1: no file\n'),
    ],
)
def test_a_fault_is_printed_by_the_first_rank_of_a_node(
    monkeypatch, capsys, variables, wait, line
):
    """Other ranks wait to be stopped; a fault on only one of them is printed."""
    waited = []
    monkeypatch.setattr('time.sleep', waited.append)
    for name in ('RANK', 'LOCAL_RANK', 'SLURM_PROCID', 'SLURM_LOCALID'):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(SystemExit), one_line_errors():
        raise InputError('no file')
    assert capsys.readouterr().err == line
    assert sum(waited) == wait
