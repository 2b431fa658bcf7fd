"""Arguments of a tool are resolved once, into frozen settings."""

import argparse
import ast
from dataclasses import FrozenInstanceError
from pathlib import Path

import pytest

from mmdisco.errors import InputError
from mmdisco.evaluation.features.views import Crop
from mmdisco.evaluation.options import eval_parser, settings_of
from mmdisco.evaluation.session import Settings
from tests.tools import ROOT


def parsed(*words):
    return settings_of(eval_parser('').parse_args(['m.pth', '--data', 'd', *words]))


def test_defaults_are_those_of_the_options():
    assert parsed() == Settings('m.pth', data='d')


def test_each_option_is_resolved():
    words = (
        '--checkpoint w.pth --arch r18 --mean 1 2 3 --std 4 5 6 --launcher pytorch '
        '--resize 40 --crop 32 --interpolation bicubic --background 7 8 9 '
        '--features f --seed 5 --out o.json --dtype float16 --batch-size 3 --workers 0'
    )
    assert parsed(*words.split()) == Settings(
        model='m.pth',
        checkpoint='w.pth',
        arch='r18',
        normalisation=([1, 2, 3], [4, 5, 6]),
        launcher='pytorch',
        resize=40,
        crop=32,
        interpolation='bicubic',
        background=(7, 8, 9),
        dtype='float16',
        batch_size=3,
        workers=0,
        data='d',
        features=Path('f'),
        seed=5,
        out=Path('o.json'),
    )


@pytest.mark.parametrize('words', [['--mean', '1', '2', '3'], ['--std', '1', '2', '3']])
def test_mean_and_deviation_go_together(words):
    with pytest.raises(InputError, match='--mean and --std go together'):
        parsed(*words)


def test_options_of_a_single_tool():
    """Also those that are no settings."""
    args = argparse.Namespace(
        **vars(eval_parser('').parse_args(['m.pth', '--data', 'd'])),
        views=4,
        scale=0.5,
        k=[1, 5],
    )
    assert settings_of(args) == Settings('m.pth', data='d', views=4, scale=0.5)


@pytest.mark.parametrize(
    'kind, options, crop',
    [
        ('folder', {}, Crop(256, 224)),
        ('folder', dict(resize=100), Crop(100, 100)),
        ('folder', dict(resize=300), Crop(300, 224)),
        ('folder', dict(crop=100), Crop(256, 100)),
        ('folder', dict(crop=300), Crop(300, 300)),
        ('folder', dict(resize=90, crop=80), Crop(90, 80)),
        ('folder', dict(interpolation='bicubic'), Crop(256, 224, 'bicubic')),
        ('cifar10', {}, Crop(224, 224, 'bicubic')),
        ('cifar10', dict(resize=64), Crop(64, 64, 'bicubic')),
        ('idx', {}, Crop(None, None)),
        ('idx', dict(scale=0.5), Crop(None, None, scale=0.5)),
        ('idx', dict(resize=32), Crop(32, 32)),
        ('idx', dict(crop=32), Crop(32, 32)),
        ('idx', dict(resize=32, crop=28), Crop(32, 28)),
    ],
)
def test_the_crop_by_kind_and_options(kind, options, crop):
    assert Settings('m.pth', **options).crop_of(kind) == crop


@pytest.mark.parametrize(
    'kind, options, crop',
    [
        ('folder', dict(), Crop(109, 96)),
        ('tar', dict(resize=96), Crop(96, 96)),
        ('folder', dict(crop=224), Crop(224, 224)),
        ('cifar10', dict(), Crop(224, 224, 'bicubic')),
        ('idx', dict(), Crop(None, None)),
    ],
)
def test_the_crop_of_a_student_that_was_trained_with_96_pixels(kind, options, crop):
    assert Settings('m.pth', **options).crop_of(kind, 96) == crop


def test_settings_do_not_change():
    with pytest.raises(FrozenInstanceError):
        parsed().seed = 1


def test_parsed_arguments_stay_in_the_tools():
    """Below the tools and the command, only the options' module sees a Namespace."""
    modules = set()
    for path in (ROOT / 'mmdisco').rglob('*.py'):
        if path.parent.name == 'cli':
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            name = getattr(node, 'attr', getattr(node, 'id', None))
            if name == 'Namespace':
                modules.add(str(path.relative_to(ROOT)))
    assert modules == {'mmdisco/evaluation/options.py'}
