"""Collects the commands that the documents show, and parses them.

A tool's own parser reads its command, with abbreviations off, so that an
unknown option, a missing one, a wrong choice or a value of the wrong type
raises ``AssertionError``. The launchers in ``tools/*.sh`` are executed with
stubs for ``python`` and ``srun``: what they pass on is parsed.
"""

import argparse
import os
import re
import runpy
import shlex
import subprocess
import sys
from contextlib import redirect_stderr
from functools import cache
from io import StringIO
from pathlib import Path
from tempfile import TemporaryDirectory
from unittest.mock import patch

from tests.tools import ROOT

DOCUMENTS = [
    *sorted(
        str(path.relative_to(ROOT))
        for pattern in ('*.md', 'docs/*.md', 'demo/*/*.md', '.github/*.md')
        for path in ROOT.glob(pattern)
    ),
]

# Nothing here parses these: 'bash -n' reads the block they stand in, and a
# program must not be misspelt.
UNPARSED = {
    'cd': 'into a folder of the reader',
    'curl': 'needs the network',
    'for': 'shell',
    'done': 'shell',
    'git': 'needs the network',
    'source': 'the virtual environment of make venv',
}
PARSED = ('python', 'bash', 'make', 'pip', 'pytest', 'mmdisco', 'torchrun')
PROGRAMS = (*PARSED, *UNPARSED)
FENCE = re.compile(r'^ *```(\w*)\n(.*?)^ *```', re.S | re.M)


def lines(block):
    """Lines of a block as words, without prompts, joined at backslashes."""
    joined = re.sub(r'\\\n\s*', ' ', block)
    for line in re.sub(r'^\s*\$ ', '', joined, flags=re.M).splitlines():
        line = re.sub(r'\[(--[^][]*)\]', r'\1', line)  # optional, in a synopsis
        words = shlex.split(line, comments=True)
        if words:
            yield tuple(words)


def looks_like_a_command(line):
    return line.split()[:1] and line.split()[0] in PROGRAMS


def commands(text):
    """Of a document: blocks, tagged or not, indented lines, inline code."""
    found = []
    for tag, block in FENCE.findall(text):
        if tag in ('bash', 'sh', 'shell', 'console'):
            found += lines(block)
        elif not tag:
            joined = re.sub(r'\\\n\s*', ' ', block)
            shown = filter(looks_like_a_command, joined.replace('$ ', '').splitlines())
            found += [words for line in shown for words in lines(line)]
    rest = re.sub(r'\\\n\s*', ' ', FENCE.sub('', text))
    for line in re.findall(r'^ {4,}(\S.*)', rest, re.M):
        if looks_like_a_command(line):
            found += lines(line)
    for span in inline(rest):
        if span.split()[0] in PARSED and len(span.split()) > 1:
            found += lines(span)
    return [*dict.fromkeys(found)]


def inline(text):
    """Code within a sentence, which may go on in the next line."""
    return [
        ' '.join(span.split()) for span in re.findall(r'(?<!`)`([^`]+)`(?!`)', text)
    ]


def fragments(text):
    """Options that a sentence names, with a tool before them or none."""
    found = []
    for span in inline(FENCE.sub('', text)):
        tool = re.match(r'(tools/[\w/]+\.py) +(?=--)', span)
        rest = span[tool.end() :] if tool else span
        if re.match(r'--\w', rest):
            found.append((tool and tool[1], *shlex.split(rest)))
    return [*dict.fromkeys(found)]


def blocks(text):
    """Blocks that bash must be able to read."""
    return [block for tag, block in FENCE.findall(text) if tag in ('bash', 'sh')]


def python_blocks(text):
    return [block for tag, block in FENCE.findall(text) if tag == 'python']


class _Stop(Exception):
    """Carries a tool's parser out of the tool."""


@cache
def _module(tool):
    path = ROOT / tool
    assert path.is_file(), f'{tool} is missing'
    with patch.object(sys, 'path', [str(path.parent), *sys.path]):
        return runpy.run_path(str(path), run_name='parsed')


def parser_of(tool):
    """The parser that a tool or a command of mmdisco makes."""
    if tool.startswith('mmdisco '):
        return own_commands()[tool.removeprefix('mmdisco ')]

    def stop(parser, *_):
        raise _Stop(parser)

    with patch.object(argparse.ArgumentParser, 'parse_args', stop):
        try:
            _module(tool)['parse_args']()
        except _Stop as stopped:
            return stopped.args[0]
    raise AssertionError(f'{tool} does not use its parser')


def parse(tool, words):
    """What the tool's ``parse_args`` makes of its words."""
    path = str(Path(tool).relative_to(ROOT)) if Path(tool).is_absolute() else tool
    real = argparse.ArgumentParser.parse_args

    def strict(parser, *given):
        parser.allow_abbrev = False
        return real(parser, *given)

    stderr = StringIO()
    with (
        patch.object(argparse.ArgumentParser, 'parse_args', strict),
        patch.object(sys, 'argv', [path, *words]),
        patch.dict(os.environ),
        redirect_stderr(stderr),
    ):
        assert 'parse_args' in _module(path), f'{path} has no parse_args'
        try:
            args = _module(path)['parse_args']()
        except (Exception, SystemExit) as error:
            raise AssertionError(
                f'{path} {shlex.join(words)}: {error} {stderr.getvalue()}'
            ) from error
    for word in words:
        if re.match(r'(configs|tools|demo|requirements)/', word):
            assert (ROOT / word).exists(), f'{word} is missing'
    return args


STUB = '#!/usr/bin/env bash\nprintf "%s\\n" "$@"\n'


def passed_on(script, words):
    """The words that a launcher gives to python, or to srun."""
    with TemporaryDirectory() as folder:
        for name in ('python', 'srun'):
            (Path(folder) / name).write_text(STUB)
            (Path(folder) / name).chmod(0o755)
        done = subprocess.run(
            ['bash', script, *words],
            cwd=ROOT,
            env={
                **{k: v for k, v in os.environ.items() if k != 'PYTHON'},
                'PATH': f'{folder}{os.pathsep}{os.environ["PATH"]}',
            },
            text=True,
            capture_output=True,
        )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def check_launcher(script, words):
    """Parse what ``tools/dist_*.sh`` and ``tools/slurm_*.sh`` pass on."""
    number = int(re.search(r'\$# -lt (\d)', (ROOT / script).read_text())[1])
    assert not any(w.startswith('-') for w in words[:number]), f'{script}: {words}'
    given = passed_on(script, words)
    if 'python' in given:  # from srun's own options, which nothing here parses
        assert given[given.index('python') + 1] == '-u'
        tool, *words = given[given.index('python') + 2 :]
    else:
        from torch.distributed.run import get_args_parser

        assert given[0].endswith('tools/torchrun.py')
        launch = get_args_parser().parse_args(given[1:])
        tool, words = launch.training_script, launch.training_script_args
    return parse(tool, words)


def check_make(words):
    """Targets and variables of the Makefile, and the tools of the recipes."""
    makefile = (ROOT / 'Makefile').read_text()
    for word in words:
        name, equals, _ = word.partition('=')
        if equals:
            assert re.search(rf'^{name} *[:?]?=', makefile, re.M), f'no variable {name}'
    done = subprocess.run(
        ['make', '-n', *words], cwd=ROOT, text=True, capture_output=True
    )
    assert done.returncode == 0, done.stderr
    for line in lines(done.stdout):
        tools = [i for i, word in enumerate(line) if re.match(r'tools/.*\.py$', word)]
        for i in tools:
            parse(line[i], line[i + 1 :])


def check_pip(words):
    """Options by pip's own parser; the files that it is given."""
    from pip._internal.commands import create_command

    with redirect_stderr(StringIO()) as stderr:
        try:
            options, _ = create_command(words[0]).parse_args([*words[1:]])
        except (Exception, SystemExit) as error:
            raise AssertionError(f'pip {words}: {stderr.getvalue()}') from error
    for path in options.requirements + options.constraints:
        assert (ROOT / path).is_file(), f'{path} is missing'


def check_pytest(words):
    """Files and options of a run of the tests, by pytest's own parser."""
    from _pytest.config import get_config

    config = get_config()
    config.pluginmanager.import_plugin('xdist.plugin')
    try:
        with redirect_stderr(StringIO()):
            given = config._parser.parse([*words])
    except (Exception, SystemExit) as error:
        raise AssertionError(f'pytest {words}: {error}') from error
    for path in given.file_or_dir:
        assert (ROOT / path.split('::')[0]).exists(), f'{path} is missing'


@cache
def own_commands():
    """Parsers of mmdisco's commands that are not tools, by name."""
    from mmdisco import cli

    parser = cli.build_parser()
    commands = parser._subparsers._group_actions[0].choices
    return {k: v for k, v in commands.items() if k not in (*cli.TOOLS, 'eval')}


def check_mmdisco(words):
    """Parse a line of the command mmdisco, by the tool that it calls if it does."""
    from mmdisco import cli

    if len(words) < 2:  # the name of a command
        assert {*words} <= {*own_commands(), *cli.TOOLS, 'eval'}, words
        return None
    if words[0] in cli.TOOLS:
        return parse(f'tools/{cli.TOOLS[words[0]][0]}', words[1:])
    if words[0] == 'eval':
        assert len(words) > 1 and words[1] in cli.PROBES, words
        return parse(f'tools/{cli.PROBES[words[1]]}', words[2:])
    real = argparse.ArgumentParser.parse_known_args

    def strict(parser, *given):
        parser.allow_abbrev = False
        return real(parser, *given)

    with (
        patch.object(argparse.ArgumentParser, 'parse_known_args', strict),
        redirect_stderr(StringIO()) as stderr,
    ):
        try:
            return cli.build_parser().parse_args([*words])
        except SystemExit as error:
            raise AssertionError(f'mmdisco {words}: {stderr.getvalue()}') from error


def check(words):
    """Parse a command of a document; ``AssertionError`` if that fails."""
    program, *rest = words
    if program == 'python' and rest[0] == '-m':
        assert rest[1] in PARSED, f'unknown module: {rest[1]}'
        check((rest[1], *rest[2:]))
    elif program == 'python':
        parse(rest[0], rest[1:])
    elif program == 'bash' and re.match(r'tools/(dist|slurm)_', rest[0]):
        check_launcher(rest[0], rest[1:])
    elif program == 'bash':  # takes no options
        assert (ROOT / rest[0]).is_file(), f'{rest[0]} is missing'
    elif program == 'make':
        check_make(rest)
    elif program == 'pip':
        check_pip(rest)
    elif program == 'pytest':
        check_pytest(rest)
    elif program == 'mmdisco':
        check_mmdisco(rest)
    elif program == 'torchrun':
        from torch.distributed.run import get_args_parser

        launch = get_args_parser().parse_args(rest)
        assert launch.module, f'a module is run by {words}'
        check((launch.training_script, *launch.training_script_args))
    else:
        assert program in UNPARSED, f'unknown program: {program}'


@cache
def tools():
    """The tools and commands that have options."""
    return sorted(
        str(path.relative_to(ROOT))
        for path in (ROOT / 'tools').rglob('*.py')
        if 'def parse_args' in path.read_text()
    ) + [f'mmdisco {name}' for name in own_commands()]


def check_fragment(tool, option, *values):
    """An option in a sentence is one of its tool, or of any; so are values."""
    names = [tool] if tool else tools()
    having = [n for n in names if option in parser_of(n)._option_string_actions]
    assert having, f'no tool has {option}'
    if not values or any(re.fullmatch(r'[A-Z=…]+|\.\.\.', v) for v in values):
        return  # or a placeholder
    refused = []
    for name in having:
        parser = parser_of(name)
        parser.allow_abbrev = False
        for action in parser._actions:
            action.required = False
        with redirect_stderr(StringIO()) as stderr:
            try:
                parser.parse_args([option, *values])
                return
            except (Exception, SystemExit) as error:
                refused.append(f'{name}: {error} {stderr.getvalue()}')
    raise AssertionError('\n'.join(refused))
