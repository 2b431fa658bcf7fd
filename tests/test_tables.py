"""The paper's numbers as data, and the tables that are made of them."""
import importlib.util
import re
import shutil

import pytest
import yaml

from mmdisco.errors import InputError
from tests.tools import ROOT

PAPER = yaml.safe_load((ROOT / 'benchmarks/paper.yml').read_text())
TABLES = [name for name in PAPER if 'rows' in PAPER[name]]
DOCUMENTS = ('README.md', 'docs/paper_tables.md')


@pytest.fixture
def tool():
    path = ROOT / 'tools/dev/render_tables.py'
    spec = importlib.util.spec_from_file_location('render_tables', path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def value(table, column, method, **row):
    """One cell of paper.yml; fails unless exactly one row is meant."""
    found, = [r for r in PAPER[table]['rows'] if r['method'] == method
              and all(r.get(k) == v for k, v in row.items())]
    return found['values'][PAPER[table]['columns'].index(column)]


@pytest.mark.parametrize('expected, where', [
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
])
def test_numbers_are_those_of_the_paper(expected, where):
    table, column, method, *rest = where
    row = dict(zip(('teacher', 'epochs'), rest))
    assert value(table, column, method, **row) == expected


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
                top1 for r in PAPER['teachers']['rows'] for name, top1 in zip(
                    PAPER['teachers']['columns'], r['values'])
                if name == row['teacher'] and top1)


def test_gains_that_are_called_misprints_are():
    gain = (value('table1', 'effb0', 'DisCo', teacher='r50w2')[1]
            - value('table1', 'effb0', 'MoCo-v2')[1])
    assert gain == pytest.approx(16.7)
    for teacher, column, expected in (
            ('r152', 'VOC box AP75', 4.7), ('r101', 'COCO mask AP', 1.7),
            ('r101', 'COCO mask AP75', 2.1)):
        gain = (value('table3', column, 'DisCo', teacher=teacher)
                - value('table3', column, 'MoCo-v2'))
        assert gain == pytest.approx(expected)


def test_the_documents_have_all_tables_and_say_whose_they_are(tool):
    texts = [(ROOT / name).read_text() for name in DOCUMENTS]
    assert re.findall(r'<!-- table: (\w+)', texts[0]) == ['table1', 'table7']
    for name in TABLES:
        if name != 'teachers':  # of Table 1, too
            assert f'<!-- table: {name} -->' in texts[1]
            assert 'as the paper reports, not run here' in tool.table(
                PAPER, name)
    assert '| DisCo | R-50 (top-1 67.4) |' in texts[0]
    assert '| 64.4 / 86.2 |' in texts[0]


def test_documents_are_up_to_date_and_a_change_is_told(
        tool, tmp_path, monkeypatch):
    for name in (*DOCUMENTS, 'benchmarks/paper.yml'):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    monkeypatch.setattr('sys.argv', ['render_tables.py', '--check'])
    tool.main()
    tool.ROOT = tmp_path
    whole = (tmp_path / 'README.md').read_text()
    (tmp_path / 'README.md').write_text(whole.replace('64.4 / 86.2', '99 / 99'))
    with pytest.raises(InputError, match='README.md are not those') as error:
        tool.main()
    assert '\n' not in str(error.value)
    monkeypatch.setattr('sys.argv', ['render_tables.py'])
    tool.main()
    assert (tmp_path / 'README.md').read_text() == whole
