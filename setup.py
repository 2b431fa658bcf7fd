"""Packages, requirements and shipped files; pyproject.toml has the rest."""

import shutil
from pathlib import Path

from setuptools import find_packages, setup
from setuptools.command.build_py import build_py

ROOT = Path(__file__).parent
# These need mmdisco.experiments or the tests, which only a clone has.
CLONE_ONLY = ('benchmarks', 'dev', 'quickstart*.py', 'complexity.py')


def required(name: str) -> list[str]:
    """Lines of a requirements file, without comments."""
    lines = (ROOT / 'requirements' / f'{name}.txt').read_text().splitlines()
    return [line for line in lines if line and not line.startswith('#')]


class BuildPy(build_py):
    """Copies configs, tools and demo into ``mmdisco/.mim``, where mim expects them."""

    def run(self) -> None:
        """Build the package anew, with the files of ``.mim``."""
        if self.editable_mode:  # the clone has them
            super().run()
            return
        package = Path(self.build_lib) / 'mmdisco'
        shutil.rmtree(package, ignore_errors=True)  # of an earlier build
        super().run()
        mim = package / '.mim'
        for name, left_out in (('configs', ()), ('demo', ()), ('tools', CLONE_ONLY)):
            shutil.copytree(
                ROOT / name,
                mim / name,
                ignore=shutil.ignore_patterns('__pycache__', *left_out),
            )
        shutil.copy(ROOT / 'model-index.yml', mim)


version: dict[str, str] = {}
exec((ROOT / 'mmdisco' / 'version.py').read_text(), version)

setup(
    version=version['__version__'],
    packages=find_packages(
        include=['mmdisco', 'mmdisco.*'],
        exclude=['mmdisco.experiments', 'mmdisco.experiments.*'],
    ),
    package_data={'mmdisco': ['py.typed']},
    cmdclass=dict(build_py=BuildPy),
    install_requires=required('runtime'),
    extras_require={
        name: required(name)
        for name in ('mminstall', 'detection', 'export', 'optional', 'tests', 'docs')
    },
)
