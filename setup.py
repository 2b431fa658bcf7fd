import shutil
from pathlib import Path

from setuptools import find_packages, setup
from setuptools.command.build_py import build_py

ROOT = Path(__file__).parent


def required(name: str) -> list:
    """Lines of a requirements file, without comments."""
    lines = (ROOT / 'requirements' / f'{name}.txt').read_text().splitlines()
    return [line for line in lines if line and not line.startswith('#')]


# In a wheel instead of the package: the tools that import it end with this line.
NO_EXPERIMENTS = '''"""The experiments are not part of the wheel."""

raise SystemExit(
    'error: this tool runs experiments, which are not in the installed package: '
    'run it in a clone of mmdisco'
)
'''


class BuildPy(build_py):
    """Puts into ``mmdisco/.mim`` what OpenMMLab's tools look for there."""

    def run(self) -> None:
        super().run()
        if self.editable_mode:  # the clone has it
            return
        mim = Path(self.build_lib) / 'mmdisco' / '.mim'
        for name in ('configs', 'tools', 'demo/teacher'):
            shutil.copytree(
                ROOT / name,
                mim / name,
                dirs_exist_ok=True,
                ignore=shutil.ignore_patterns('__pycache__'),
            )
        shutil.copy(ROOT / 'model-index.yml', mim)
        (mim.parent / 'experiments.py').write_text(NO_EXPERIMENTS)


version = {}
exec((ROOT / 'mmdisco' / 'version.py').read_text(), version)

setup(
    name='mmdisco',
    version=version['__version__'],
    description='Self-supervised learning of lightweight vision models by '
    'distillation: DisCo and what it is compared with, for mmpretrain',
    long_description=(ROOT / 'README.md').read_text(),
    long_description_content_type='text/markdown',
    license='Apache-2.0',
    packages=find_packages(
        include=['mmdisco', 'mmdisco.*'], exclude=['mmdisco.experiments']
    ),
    cmdclass=dict(build_py=BuildPy),
    python_requires='>=3.11',
    install_requires=required('runtime'),
    extras_require={
        name: required(name)
        for name in ('mminstall', 'detection', 'export', 'optional', 'tests', 'docs')
    },
)
