"""The values of --cfg-options."""

from argparse import ArgumentParser

import pytest
from mmengine.config import DictAction

from mmdisco.errors import InputError
from mmdisco.launch import ConfigOptions


def parse(*words, action=ConfigOptions):
    parser = ArgumentParser()
    parser.add_argument('--cfg-options', nargs='+', action=action)
    return parser.parse_args(words).cfg_options


@pytest.mark.parametrize(
    'text',
    [
        '1',
        '-1',
        '1e-3',
        'true',
        'False',
        'None',
        'word',
        'a,b',
        '1,2',
        '[1,2]',
        '[a,b]',
        '(1)',
        '(1,5)',
        '[(1,2),(3,4)]',
        '[[a,b],c]',
        "'word'",
        'auto',
        'work_dirs/epoch_1.pth',
        'mmpretrain::moco.py',
        'a=b',
        '[1, 2]',
    ],
)
def test_mmengines_values_are_unchanged(text):
    words = '--cfg-options', f'key={text}'
    assert parse(*words) == parse(*words, action=DictAction)


@pytest.mark.parametrize(
    'text, value',
    [
        ("[dict(type='A', x=[1, 2])]", [dict(type='A', x=[1, 2])]),
        ('[dict(type=A)]', [dict(type='A')]),
        ("{'type': 'A', 'x': None}", dict(type='A', x=None)),
        ('dict(type=A,x=-1e-3)', dict(type='A', x=-1e-3)),
        ('/data/my photos', '/data/my photos'),
        ("'/data/a,b'", '/data/a,b'),
        ("['my photos','b']", ['my photos', 'b']),
    ],
)
def test_dicts_and_spaces_are_parsed(text, value):
    assert parse('--cfg-options', f'key={text}') == dict(key=value)


def test_options_accumulate_and_the_last_one_wins():
    assert parse('--cfg-options', 'a=1', 'b=2', '--cfg-options', 'a=3', 'c=4') == dict(
        a=3, b=2, c=4
    )


@pytest.mark.parametrize(
    'word, fault',
    [
        ('key', "needs key=value, got 'key'"),
        ('=1', "needs key=value, got '=1'"),
        ('key=dict(a=', r'a.b=1 a.c=2'),
        ('key=[1,2', r'write lists as'),
        ('key=[dict(type=f(1))]', 'write lists as'),
        ('key=' + '[' * 3000 + ']' * 3000, 'write lists as'),
    ],
)
def test_parsing_errors_are_one_line(word, fault):
    with pytest.raises(InputError, match=fault) as error:
        parse('--cfg-options', word)
    assert '\n' not in str(error.value)
