import pytest

from mmdisco.errors import InputError
from mmdisco.utils import atomic_write


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_a_file_appears_with_its_whole_content(tmp_path):
    path = tmp_path / 'new' / 'a.json'
    with atomic_write(path) as half:
        half.write_text('1')
        assert names(path.parent) == [half.name]
        assert half.suffix == '.json' and half.name.startswith('.')
    assert names(path.parent) == ['a.json'] and path.read_text() == '1'


def test_a_failed_write_leaves_the_old_file(tmp_path):
    path = tmp_path / 'a.json'
    path.write_text('old')
    with pytest.raises(KeyError), atomic_write(path) as half:
        half.write_text('new')
        raise KeyError
    assert names(tmp_path) == ['a.json'] and path.read_text() == 'old'


def test_the_rest_of_a_killed_write_is_overwritten(tmp_path):
    path = tmp_path / 'a.json'
    with atomic_write(path) as killed:
        killed.write_text('old')
    killed.write_text('rest')
    with atomic_write(path) as half:
        half.write_text('new')
    assert names(tmp_path) == ['a.json'] and path.read_text() == 'new'


def test_two_processes_write_the_same_file(tmp_path):
    path = tmp_path / 'a.json'
    with atomic_write(path, shared=True) as one:
        with atomic_write(path, shared=True) as two:
            one.write_text('1')
            two.write_text('2')
        assert path.read_text() == '2'
    assert names(tmp_path) == ['a.json'] and path.read_text() == '1'


def test_a_path_that_can_not_be_written_is_named(tmp_path):
    (tmp_path / 'file').write_text('')
    for path, words in ((tmp_path, 'is a folder'), (tmp_path / 'file/a', 'written')):
        with pytest.raises(InputError, match=words), atomic_write(path):
            pass
