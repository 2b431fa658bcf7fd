"""Reported numbers as data, and the tables that are made of them."""

import ast
import importlib.util
import re
import shutil

import pytest
import yaml

from mmdisco.errors import InputError
from tests.tools import ROOT

PAPER = yaml.safe_load((ROOT / 'benchmarks/paper.yml').read_text())
TABLES = [name for name in PAPER if 'rows' in PAPER[name]]
MEASURED = {  # tables in a document and files that they are made from
    'docs/comparators.md': {
        'pictures': 'benchmarks/pictures.csv',
        'pictures_best': 'benchmarks/pictures.csv',
        'comparators': 'benchmarks/comparators.csv',
        'comparators_best': 'benchmarks/comparators.csv',
        'comparators_weights': 'benchmarks/comparators.csv',
        'comparators_kd': 'benchmarks/comparators.csv',
    },
    'docs/detection.md': {'detection': 'benchmarks/detection.csv'},
    'docs/evaluation.md': {'linear_cost': 'benchmarks/linear_cost.json'},
    'docs/installation.md': {'versions': 'benchmarks/versions.csv'},
    'docs/quickstart.md': {
        'quickstart': 'docs/results/quickstart_summary.json',
        'quickstart_search': 'docs/results/quickstart_search.json',
    },
    'docs/zoo.md': {'headless_teachers': 'configs/_base_/teachers/metafile.yml'},
    'docs/speed.md': {
        'train_step': 'benchmarks/train_step_mbv3.json',
        'teacher': 'benchmarks/teacher.json',
        'peer_lightly': 'benchmarks/peer_lightly.csv',
        'loader': 'benchmarks/loader.json',
        'memory': 'benchmarks/memory.json',
        'scaling': 'benchmarks/scaling.json',
    },
    'docs/testbeds.md': {'testbeds': 'benchmarks/testbeds.csv'},
}
ELSEWHERE = yaml.safe_load((ROOT / 'benchmarks/reported.yml').read_text())
DOCUMENTS = ('README.md', 'docs/paper_tables.md')


@pytest.fixture
def tool(monkeypatch):
    monkeypatch.syspath_prepend(ROOT / 'tools/dev')
    path = ROOT / 'tools/dev/render_tables.py'
    spec = importlib.util.spec_from_file_location('render_tables', path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def value(table, column, method, **row):
    """One cell of either file; fails unless exactly one row is meant."""
    data = {**PAPER, **ELSEWHERE}[table]
    (match,) = [
        r
        for r in data['rows']
        if r['method'] == method and all(r.get(k) == v for k, v in row.items())
    ]
    return match['values'][data['columns'].index(column)]


@pytest.mark.parametrize(
    'expected, where',
    [
        # typed from the paper, not from the file
        ([36.2, 62.1], ('table1', 'mbv3', 'MoCo-v2')),
        ([77.1, 93.3], ('table1', 'effb0', 'supervised')),
        ([75.2, None], ('table1', 'mbv3', 'supervised')),
        ([64.4, 86.2], ('table1', 'mbv3', 'DisCo', 'r50')),
        ([69.0, 89.1], ('table1', 'effb1', 'DisCo', 'r101')),
        ([68.1, 88.6], ('table1', 'r34', 'DisCo', 'r152')),
        ([58.9, 81.4], ('table1', 'mbv3', 'DisCo', 'r50w2')),
        ([68.2, 88.2], ('table1', 'mbv3', 'SEED', 'r50w2')),
        ([59.5, 83.3], ('table1', 'r18', 'SEED', 'r152')),
        (70.4, ('section4_2', 'effb1', 'DisCo', 'r50w2', 290)),
        (64.0, ('section4_2', 'mbv3', 'DisCo', 'r50w2', 340)),
        (51.0, ('table2', 'mbv3', 'AT')),
        (65.9, ('table2', 'r34', 'KD + DisCo')),
        (63.4, ('table3', 'VOC box AP75', 'DisCo', 'r152')),
        (38.1, ('table3', 'COCO box AP', 'MoCo-v2')),
        (35.3, ('table3', 'COCO mask AP75', 'SEED', 'r152')),
        (57.1, ('table4', 'r18', 'DisCo*')),
        (19.4, ('table5', 'mbv3', 'SwAV')),
        (62.4, ('table5', 'effb0', 'SwAV + DisCo', 'swavr50')),
        (67, ('table6', 'xcitt', 'DINO')),
        (68.4, ('table6', 'vitt', 'DINO + DisCo', 'vits')),
        (62.2, ('table7', 'effb0', 'DisCo', 'selar50')),
        (72.1, ('table7', 'effb1', 'DisCo', 'swavr50')),
    ],
)
def test_numbers_are_those_of_the_paper(expected, where):
    table, column, method, *rest = where
    row = dict(zip(('teacher', 'epochs'), rest))
    assert value(table, column, method, **row) == expected


@pytest.mark.parametrize(
    'expected, where',
    [
        # typed from the authors' pages, not from the file
        (61.4, ('linear', 'r18', 'BINGO', 'r50')),
        (66.1, ('linear', 'r34', 'BINGO', 'r50_800')),
        (65.9, ('linear', 'r18', 'BINGO', 'r152')),
        (67.1, ('linear', 'mbv3', 'BINGO', 'r50w2')),
        (61.7, ('linear', 'r18', 'CompRess', 'r50')),
        (63.0, ('linear', 'mbv2', 'CompRess', 'r50')),
        (54.4, ('knn', 'mbv2', 'CompRess', 'r50')),
        (66.9, ('linear', 'effb0', 'Retro', 'r50')),
        (69.8, ('linear', 'effb0', 'Retro', 'r152')),
        (69.7, ('linear', 'r34', 'SSLight', None)),
        (62.3, ('linear', 'mbv3', 'light-MoCo', None)),
        (50.3, ('semi', '1 % of the labels', 'BINGO', 'r152')),
        (63.0, ('semi', '10 % of the labels', 'SSLight', None)),
        (38.6, ('coco', 'r34', 'SSLight', None)),
    ],
)
def test_numbers_of_others_are_those_that_they_report(expected, where):
    table, column, method, teacher = where
    assert value(f'reported_{table}', column, method, teacher=teacher) == expected


def test_numbers_of_other_authors_have_a_source_and_separate_tables(tool):
    text = (ROOT / DOCUMENTS[1]).read_text()
    elsewhere = text[text.index('## Reported elsewhere') :]
    methods, numbers = set(), tool.read_numbers()
    assert 'No number of SimReg' in elsewhere
    for name in (n for n in ELSEWHERE if 'rows' in ELSEWHERE[n]):
        made, rows = tool.table(numbers, name), ELSEWHERE[name]['rows']
        assert made in elsewhere and 'authors report, not run here' in made
        lines = made.strip().splitlines()[4:]  # caption, '', head, rule
        assert len(lines) == len(rows)
        for row, line in zip(rows, lines):
            assert len(row['values']) == len(ELSEWHERE[name]['columns'])
            assert row.get('teacher') in {None, *numbers['names']}
            url = ELSEWHERE['sources'][row['source']]['url']
            assert line.endswith(f']({url}) |')
            methods.add(row['method'])
    assert not methods & {
        row['method'] for name in TABLES for row in PAPER[name]['rows']
    }
    assert not set(PAPER) & set(ELSEWHERE) - {'names'}


def test_tables_are_whole_and_agree_with_each_other():
    for name in TABLES:
        for row in PAPER[name]['rows']:
            assert len(row['values']) == len(PAPER[name]['columns']), name
            assert {row.get('teacher')} <= {None, *PAPER['names']}
    for student in PAPER['table1']['columns']:
        disco = value('table1', student, 'DisCo', teacher='r50')[0]
        assert value('table2', student, 'DisCo') == disco
        assert value('table4', student, 'DisCo') == disco
        assert value('table7', student, 'DisCo', teacher='r50') == disco
        seed = value('table1', student, 'SEED', teacher='r50')[0]
        assert value('table4', student, 'SEED') == seed
        alone = value('table1', student, 'MoCo-v2')[0]
        assert value('table2', student, 'MoCo-v2') == alone
        assert value('table7', student, 'MoCo-v2') == alone
    for row in PAPER['table1']['rows']:
        if row['method'] == 'DisCo' and row['teacher'] != 'r50w2':
            assert row['teacher_top1'] == next(
                top1
                for r in PAPER['teachers']['rows']
                for name, top1 in zip(PAPER['teachers']['columns'], r['values'])
                if name == row['teacher'] and top1
            )


def test_gains_that_the_notes_call_misprints():
    gain = (
        value('table1', 'effb0', 'DisCo', teacher='r50w2')[1]
        - value('table1', 'effb0', 'MoCo-v2')[1]
    )
    assert gain == pytest.approx(16.7)
    for teacher, column, expected in (
        ('r152', 'VOC box AP75', 4.7),
        ('r101', 'COCO mask AP', 1.7),
        ('r101', 'COCO mask AP75', 2.1),
    ):
        gain = value('table3', column, 'DisCo', teacher=teacher) - value(
            'table3', column, 'MoCo-v2'
        )
        assert gain == pytest.approx(expected)


def test_the_documents_have_all_tables_with_their_source(tool):
    texts = [(ROOT / name).read_text() for name in DOCUMENTS]
    assert re.findall(r'<!-- table: (\w+)', texts[0]) == ['table1', 'table7']
    for name in TABLES:
        if name != 'teachers':  # of Table 1, too
            assert f'<!-- table: {name} -->' in texts[1]
            assert 'as the paper reports, not run here' in tool.table(PAPER, name)
    assert '| DisCo | R-50 (top-1 67.4) |' in texts[0]
    assert '| 64.4 / 86.2 |' in texts[0]


def test_documents_are_up_to_date_and_a_change_is_an_error(tool, tmp_path, monkeypatch):
    for name in (*tool.DOCUMENTS, 'benchmarks/paper.yml', 'benchmarks/reported.yml'):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    monkeypatch.setattr('sys.argv', ['render_tables.py', '--check'])
    tool.main()
    tool.ROOT = tmp_path
    whole = (tmp_path / 'README.md').read_text()
    (tmp_path / 'README.md').write_text(whole.replace('64.4 / 86.2', '99 / 99'))
    with pytest.raises(InputError, match='README.md: tables differ') as error:
        tool.main()
    assert '\n' not in str(error.value)
    monkeypatch.setattr('sys.argv', ['render_tables.py'])
    tool.main()
    assert (tmp_path / 'README.md').read_text() == whole
    (tmp_path / 'README.md').write_text(
        whole.replace('table: table7', 'table: table77')
    )
    with pytest.raises(InputError, match="no table 'table77': comparators, .*table7"):
        tool.main()


def test_each_document_has_the_measured_tables(tool):
    assert set(tool.DOCUMENTS) == {*DOCUMENTS, *MEASURED}
    for document, tables in MEASURED.items():
        names = re.findall(r'<!-- table: (\w+)', (ROOT / document).read_text())
        assert names == [*tables]
    marked = {
        str(path.relative_to(ROOT))
        for path in (ROOT / 'README.md', *ROOT.glob('docs/*.md'))
        if '<!-- table: ' in path.read_text()
    }
    assert marked == set(tool.DOCUMENTS)  # so that each one is checked


@pytest.mark.parametrize(
    'name, source, old, new',
    [
        ('comparators', 'benchmarks/comparators.csv', '72.63', '99.'),
        ('comparators_kd', 'benchmarks/comparators.csv', '72.40', '99.'),
        ('detection', 'benchmarks/detection.csv', '15.7', '99.'),
        ('linear_cost', 'benchmarks/linear_cost.json', '76.73', '99.'),
        ('quickstart', 'docs/results/quickstart_summary.json', '77.01', '99.'),
        ('quickstart_search', 'docs/results/quickstart_search.json', '76.20', '99.'),
        ('train_step', 'benchmarks/train_step_mbv3.json', '2.23', '99.'),
        ('teacher', 'benchmarks/teacher.json', '79.0', '99.'),
        ('peer_lightly', 'benchmarks/peer_lightly.csv', '15.8', '99.'),
        ('loader', 'benchmarks/loader.json', '1378', '99'),
        ('memory', 'benchmarks/memory.json', '2846', '99'),
        ('scaling', 'benchmarks/scaling.json', '21.4', '99.'),
        ('testbeds', 'benchmarks/testbeds.csv', '72.38', '99.'),
    ],
)
def test_a_measured_table_reads_its_file(
    tool, tmp_path, monkeypatch, name, source, old, new
):
    """Each number of the file made 99 (but seeds): the table changes with it."""
    import measured_tables

    shutil.copytree(ROOT / 'benchmarks', tmp_path / 'benchmarks')
    shutil.copytree(ROOT / 'docs/results', tmp_path / 'docs/results')
    before = tool.content(PAPER, name)
    assert old in before
    text = (ROOT / source).read_text()
    (tmp_path / source).write_text(
        re.sub(r'(?<=[,\s])\d+\.\d+(?=[,\s\]])', '99.0', text)
    )
    monkeypatch.setattr(measured_tables, 'ROOT', tmp_path)
    after = tool.content(PAPER, name)
    assert old not in after and new in after


def test_sizes_are_those_of_the_text():
    # typed from Sections 1, 4.1 and 4.2, not from the file
    assert PAPER['sizes']['millions'] == dict(
        r50=22.4,
        r101=40.5,
        r152=55.4,
        r50w2=55.5,
        vits=22,
        xcits=44.3,
        effb0=4.0,
        mbv3=4.2,
        effb1=6.4,
        r18=10.7,
        r34=20.4,
        vitt=5,
        xcitt=26.1,
    )
    assert PAPER['ratios']['effb0_percent_of'] == dict(r101=9.4, r50=16.3)
    assert PAPER['introduction']['millions'] == dict(mbv3=5.2, r152=57.4)
    assert PAPER['introduction']['top1']['r152_supervised'] == 78.57


def test_each_number_of_the_paper_says_where_it_is():
    for name, data in PAPER.items():
        if name not in ('names', 'published'):  # no numbers
            assert data['where'], name


def test_docstrings_of_configs_have_the_numbers_of_the_file():
    """The index takes them from the file, the docstrings type them."""
    checked = 0
    for path in (ROOT / 'configs').rglob('metafile.yml'):
        if '_base_' in path.parts:
            continue
        for model in yaml.safe_load(path.read_text())['Models']:
            reported = model['Metadata'].get('As reported in the paper')
            if not reported:
                continue
            doc = ast.get_docstring(ast.parse((ROOT / model['Config']).read_text()))
            where = reported['Source'].split(',')[0]
            assert where in re.sub(r'\s+', ' ', doc), model['Name']
            for key in ('Top 1 Accuracy', 'Top 5 Accuracy'):
                if reported.get(key) is not None:
                    number = str(reported[key])
                    assert re.search(rf'(?<![\d.]){re.escape(number)}(?!\d)', doc), doc
            checked += 1
    assert checked > 80


def test_teachers_have_the_accuracies_of_the_file():
    path = ROOT / 'configs/_base_/teachers/metafile.yml'
    cells = {
        (row['teacher'], f'{PAPER[name]["where"]}, as a teacher', row['teacher_top1'])
        for name in TABLES
        for row in PAPER[name]['rows']
        if 'DisCo' in row['method'] and 'teacher_top1' in row
    }
    teachers = set()
    for model in yaml.safe_load(path.read_text())['Models']:
        reported = model['Metadata']['As reported in the paper']
        if reported:
            cell = model['Name'], reported['Source'], reported['Top 1 Accuracy']
            assert cell in cells
            teachers.add(model['Name'])
    assert teachers == {teacher for teacher, *_ in cells}


def test_sentences_have_the_numbers_of_the_file():
    """Numbers of the paper that are quoted outside of tables."""
    sizes, percent = PAPER['sizes']['millions'], PAPER['ratios']['effb0_percent_of']
    teachers = dict(zip(('r50', 'r101'), PAPER['teachers']['rows'][0]['values']))
    teachers['r152'] = PAPER['teachers']['rows'][1]['values'][2]
    alone, disco = (
        value('table1', 'mbv3', method, **row)[0]
        for method, row in (('MoCo-v2', {}), ('DisCo', dict(teacher='r50')))
    )
    for document, sentences in {
        'README.md': [f'{alone} → {disco} %'],
        'docs/zoo.md': [
            *(f"not the paper's {top1}" for top1 in teachers.values()),
            f'{sizes["r50w2"]} ',
            f'{sizes["xcitt"]} M',
            f'{sizes["xcits"]} M',
            f'{percent["r101"]} %',
            f'{percent["r50"]} %',
        ],
        'docs/deviations.md': [
            f'{sizes["r50w2"]} M',
            f'{teachers["r101"]} %',
            f'{sizes["xcitt"]} M',
        ],
    }.items():
        text = re.sub(r'\s+', ' ', (ROOT / document).read_text())
        for sentence in sentences:
            assert sentence in text, (document, sentence)
