"""Checkpoints are read without running code from the file."""

import zipfile

import numpy as np
import pytest
import torch
from mmengine.logging import HistoryBuffer

from mmdisco.checkpoints import read_conversion, safe_load


@pytest.fixture(params=['installed', '2.5.1'])
def release(request, monkeypatch):
    """The installed torch, and one that allows no globals of other names."""
    if request.param != 'installed':
        monkeypatch.setattr(torch, '__version__', request.param)


def save_history(path):
    """Save weights and logged values as mmengine does."""
    history = HistoryBuffer(np.array([1.0, 2.0]), np.array([1, 1]))
    torch.save(
        dict(
            state_dict={'backbone.weight': torch.ones(2)},
            message_hub=dict(log_scalars=dict(loss=history), mean=np.float64(1.5)),
        ),
        path,
    )


def test_a_file_written_under_another_numpy_is_read(tmp_path, release):
    """Module numpy.core became numpy._core in numpy 2."""
    names = [b'numpy.core', b'numpy._core']
    if np.lib.NumpyVersion(np.__version__) < '2.0.0':
        names.reverse()
    other, own = names
    now, then = tmp_path / 'now.pth', tmp_path / 'then.pth'
    save_history(now)
    with zipfile.ZipFile(now) as source, zipfile.ZipFile(then, 'w') as goal:
        for name in source.namelist():
            data = source.read(name)
            if name.endswith('data.pkl'):
                assert own in data
                data = data.replace(own, other)
            goal.writestr(name, data)
    for path in (now, then):
        hub = safe_load(str(path))['message_hub']
        assert hub['mean'] == 1.5
        assert not vars(hub['log_scalars']['loss'])  # content is dropped
        assert read_conversion(str(path)).part('backbone').keys() == {'weight'}


class Harm:
    """Runs code when unpickled."""

    def __reduce__(self):
        """Return a call of exec."""
        return (exec, ('raise SystemExit("harm was done")',))


class Attributes:
    """Reaches a builtin through an allowed class."""

    def __reduce__(self):
        """Return a call of getattr."""
        return (getattr, (HistoryBuffer.__init__, '__globals__'))


class Polluted:
    """Sets a method of an allowed class through its state."""

    def __reduce__(self):
        """Return a state that sets a method."""
        return (HistoryBuffer, (), dict(__setstate__=print))


def test_a_file_can_not_reach_attributes(tmp_path, release):
    """With attributes or object state, a pickle could run anything."""
    path = tmp_path / 'reach.pth'
    torch.save(dict(state_dict={}, reached=Attributes()), path)
    try:
        reached = safe_load(str(path))['reached']
    except ValueError:
        reached = None
    assert reached is None
    torch.save(dict(state_dict={}, polluted=Polluted()), path)
    with pytest.raises(ValueError, match='loaded safely.*print'):
        safe_load(str(path))
    torch.save(dict(state_dict={}, empty=HistoryBuffer()), path)
    assert vars(safe_load(str(path))['empty']) == {}


def test_code_in_a_file_is_not_run(tmp_path, release):
    path = tmp_path / 'harm.pth'
    torch.save(dict(state_dict={}, more=Harm()), path)
    with pytest.raises(ValueError, match='loaded safely.*exec'):
        safe_load(str(path))


def test_weights_that_nothing_explains_are_refused(tmp_path):
    """An unknown key beside the encoders is an error, not ignored."""
    path = tmp_path / 'moco.pth'
    known = {
        'module.encoder_q.conv1.weight': torch.ones(2),
        'module.queue': torch.ones(2),
    }
    torch.save(dict(state_dict=known), path)
    assert read_conversion(str(path)).state_dict.keys() == {'backbone.conv1.weight'}
    torch.save(dict(state_dict=known | {'module.gate': torch.ones(2)}), path)
    with pytest.raises(ValueError, match=r'1 unknown keys.* module.gate'):
        read_conversion(str(path))


@pytest.mark.parametrize(
    'dtype',
    [
        torch.float64,
        torch.float16,
        torch.bfloat16,
        torch.float8_e4m3fn,
        torch.float8_e5m2,
    ],
)
def test_weights_of_any_precision_are_checked(tmp_path, dtype):
    path = tmp_path / 'weights.pth'
    weights = torch.tensor([1.0, -2.0, 0.5]).to(dtype)
    torch.save({'backbone.weight': weights}, path)
    tensor = read_conversion(str(path)).state_dict['backbone.weight']
    assert tensor.dtype == dtype and tensor.float().tolist() == [1.0, -2.0, 0.5]
    torch.save({'backbone.weight': torch.tensor([1.0, torch.nan]).to(dtype)}, path)
    with pytest.raises(ValueError, match="weights.pth': backbone.weight is not finite"):
        read_conversion(str(path))
