from pathlib import Path

from setuptools import find_packages, setup

ROOT = Path(__file__).parent


def required(name: str) -> list:
    """Lines of a requirements file, without comments."""
    lines = (ROOT / 'requirements' / f'{name}.txt').read_text().splitlines()
    return [line for line in lines if line and not line.startswith('#')]


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
    packages=find_packages(include=['mmdisco', 'mmdisco.*']),
    python_requires='>=3.11',
    install_requires=required('runtime'),
    extras_require={
        name: required(name)
        for name in ('mminstall', 'detection', 'tests', 'docs')
    })
