"""The paper's sizes of networks, against counts typed from other sources."""

import pytest

from mmdisco.experiments.paper import impossible, ratios, readings


def test_the_papers_ratios_count_only_the_teachers_classifier():
    by_teacher = {r.teacher: r for r in ratios()}
    student = 4_007_548 + 128 * 1281
    for teacher, backbone, printed in (
        ('r101', 42_500_160, 9.4),
        ('r50', 23_508_032, 16.3),
    ):
        r = by_teacher[teacher]
        assert round(r.papers, 1) == r.printed == printed
        assert r.papers == pytest.approx(100 * student / (backbone + 2049 * 1000))
        assert r.backbones == pytest.approx(100 * 4_007_548 / backbone)
        assert r.classifiers == pytest.approx(
            100 * (4_007_548 + 1281 * 1000) / (backbone + 2049 * 1000)
        )


def test_printed_sizes_that_no_network_has():
    wide, tiny_xcit, small_xcit = impossible()
    assert '93.91 million' in wide and 'r152: backbone, 2^20, 55.45' in wide
    assert '6.52 million' in tiny_xcit and (
        'XCiT-T12: MB of the backbone in fp32, 26.09' in tiny_xcit
    )
    assert '25.87 million' in small_xcit and 'none of XCiT-T12' in small_xcit
    # with the classifier of 1000, as mmpretrain's model zoo counts them
    for arch, depth, millions in (
        ('xcitt', 12, 6.716272),
        ('xcitt', 24, 12.116896),
        ('xcits', 12, 26.253304),
        ('xcits', 24, 47.671384),
    ):
        changes = {} if depth == 12 else dict(depth=depth, layer_scale_init_value=1e-5)
        size = readings(arch, **changes)['with classifier, 10^6']
        assert size == pytest.approx(millions, abs=1e-6)
