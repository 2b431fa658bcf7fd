"""The report of all protocols, from its rows."""

import csv
import re
import statistics

from mmdisco.experiments.stats import evaluation_report
from tests.tools import ROOT

STORED = ROOT / 'benchmarks' / 'evaluation.csv'


def rows():
    with STORED.open() as file:
        return list(csv.DictReader(file))


def test_the_stored_report_is_that_of_its_rows():
    assert evaluation_report(rows()) == STORED.with_suffix('.md').read_text()


def test_a_cell_is_mean_and_deviation_over_the_seeds():
    text = evaluation_report(rows())
    scores = [
        float(r['score'])
        for r in rows()
        if (r['student'], r['protocol']) == ('disco', 'kNN, k = 20')
    ]
    assert len(scores) == 3
    line = next(x for x in text.splitlines() if x.startswith('| kNN'))
    cell = line.split('|')[2].strip()
    match = re.fullmatch(r'([\d.]+) ± ([\d.]+)', cell)
    assert float(match[1]) == round(sum(scores) / 3, 2)
    assert float(match[2]) == round(statistics.stdev(scores), 2)
