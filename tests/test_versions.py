"""Packages that do not fit are named when mmdisco is imported."""

import re

import pytest

import mmdisco


@pytest.fixture
def required(tmp_path, monkeypatch):
    """Requires a package of the given text and version, in place of the real ones."""

    def require(name, text, version):
        (tmp_path / name).mkdir()
        (tmp_path / name / '__init__.py').write_text(text)
        (tmp_path / name / 'version.py').write_text(f'__version__ = {version!r}')
        monkeypatch.syspath_prepend(tmp_path)
        monkeypatch.setattr(mmdisco, '_REQUIRED', {name: ('2.4.0', 'torch numpy')})

    return require


@pytest.mark.parametrize('version', ['2.4.0', '2.4.0+cpu', '2.15.0'])
def test_a_version_that_fits_is_accepted(required, version):
    required(f'fits_{len(version)}', '', version)
    mmdisco._check_versions()


@pytest.mark.parametrize(
    'text, version, line',
    [
        ('', '2.3.1+cu121', ' >=2.4.0, found 2.3.1+cu121: '),
        ('assert 0, "MMCV is used\\n\\nmmcv<2.2 fits"', '3', ' (mmcv<2.2 fits): '),
        ('import nowhere', '3', " (No module named 'nowhere'): "),
    ],
)
def test_one_that_does_not_fit_is_named(required, text, version, line):
    name = f'unfit_{len(text)}'
    required(name, text, version)
    message = f"mmdisco needs {name}{line}run 'pip install -U torch numpy'"
    with pytest.raises(ImportError, match=f'^{re.escape(message)}$'):
        mmdisco._check_versions()


def test_the_real_ones_fit():
    mmdisco._check_versions()
    assert {'torch', 'mmengine', 'mmcv', 'mmpretrain'} <= set(mmdisco._REQUIRED)
