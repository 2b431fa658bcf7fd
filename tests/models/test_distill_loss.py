"""The interface of distillation losses, and the examples that explain it."""

import doctest
import inspect
import math
import re

import pytest
import torch
from mmengine.optim import build_optim_wrapper
from mmpretrain.registry import MODELS
from torch import nn

from mmdisco.models import DisCo, DistillLoss, FrozenTeacher, SEEDLoss, losses
from mmdisco.models.losses.base import EmbedSpec
from mmdisco.models.tap import ViewOutputs
from tests.models.test_disco import EVAL
from tests.models.test_tap import MLP
from tests.models.tiny import build_tiny, photo_views
from tests.tools import ROOT


@pytest.fixture
def example():
    """The Python blocks of 'Add a loss': a module and a config."""
    text = (ROOT / 'CONTRIBUTING.md').read_text()
    section = re.search(r'## Add a loss\n(.*?)\n## ', text, re.S)[1]
    yield re.findall(r'```python\n(.*?)```', section, re.S)
    MODELS.module_dict.pop('HuberLoss', None)


def huber(student, teacher, delta):
    """Sum over the entries of two normalised rows."""
    total = 0.0
    norms = [math.sqrt(sum(v * v for v in row)) for row in (student, teacher)]
    for s, t in zip(student, teacher):
        distance = abs(s / norms[0] - t / norms[1])
        total += distance**2 / 2 if distance < delta else delta * (distance - delta / 2)
    return total


def test_the_example_of_a_loss_trains(example, tmp_path):
    module, config = example
    exec(compile(module, 'huber_loss.py', 'exec'), {'__name__': 'huber_loss'})
    assert "'./r50_r18.py'" in config
    path = tmp_path / 'example.py'
    path.write_text(config.replace('./', f'{ROOT}/configs/disco/'))
    model, sizes = build_tiny(str(path))
    views = photo_views(sizes, 4, torch.Generator().manual_seed(0))

    model.eval()  # so that an embedding depends on its own image alone
    student = model.neck(model.backbone(views[0]))[0].tolist()
    teacher = model.teacher(views[0]).tolist()
    expected = sum(huber(s, t, 0.1) for s, t in zip(student, teacher))
    logged = model.loss(list(views))
    assert list(logged)[1:3] == ['loss_distill_0_DisCo', 'loss_distill_1_Huber']
    assert logged['loss_distill_1_Huber'].item() == pytest.approx(
        4 * expected / 4, rel=1e-4
    )

    model.train()
    wrapper = build_optim_wrapper(model, dict(optimizer=dict(type='SGD', lr=0.01)))
    before = model.backbone.conv1.weight.detach().clone()
    logged = model.train_step(dict(inputs=list(views), data_samples=None), wrapper)
    parts = [v for k, v in logged.items() if k.startswith('loss_')]
    torch.testing.assert_close(logged['loss'], sum(parts))
    assert not torch.equal(model.backbone.conv1.weight, before)


@pytest.mark.parametrize('name', losses.__all__)
def test_examples_of_docstrings_run(name):
    kind = getattr(losses, name)
    scope = dict(vars(inspect.getmodule(kind)), torch=torch)
    (test,) = doctest.DocTestFinder(recurse=False).find(kind, name, globs=scope)
    assert test.examples
    assert doctest.DocTestRunner().run(test).failed == 0


class Plain(nn.Module):
    def forward(self, student, teacher):
        return (student - teacher).square().sum()


class Squares(DistillLoss):
    def forward(self, student, teacher):
        return self.loss_weight * (student - teacher).square().sum()


def test_another_module_is_refused_in_one_line():
    ssl = dict(type='PlainStudent', backbone=EVAL, neck=MLP)
    teacher = FrozenTeacher(MODELS.build(EVAL), MODELS.build(MLP))
    with pytest.raises(ValueError, match='Plain is not a DistillLoss') as error:
        DisCo(ssl, teacher, Plain())
    assert '\n' not in str(error.value)
    DisCo(ssl, teacher, Squares())
    with pytest.raises(ValueError, match='no distillation loss: set model.distill'):
        DisCo(ssl, teacher, [])
    with pytest.raises(ValueError, match='the teacher is a Squares: set model.teacher'):
        DisCo(ssl, Squares(), Squares())


def test_an_unknown_output_is_refused():
    loss = type('Odd', (Squares,), dict(on='feats'))()
    with pytest.raises(ValueError, match="on of Odd is 'embed' or 'feat', got 'feats'"):
        loss.check(EmbedSpec('MoCo'), EmbedSpec('FrozenTeacher'))


def test_the_total_is_a_sum_over_the_chosen_views():
    torch.manual_seed(0)
    student, teacher = (
        {v: ViewOutputs(torch.randn(3, 2), ()) for v in (0, 2, 3)} for _ in range(2)
    )
    loss = Squares(loss_weight=2.0, views=(3, 0, 5))
    assert loss.teacher_views(student) == {0, 3}
    expected = sum(
        2 * (a - b) ** 2
        for view in (0, 3)
        for s, t in zip(student[view].embeds.tolist(), teacher[view].embeds.tolist())
        for a, b in zip(s, t)
    )
    assert loss.total(student, teacher).item() == pytest.approx(expected, rel=1e-5)
    assert Squares().teacher_views(student) == {0, 2, 3}
    with pytest.raises(ValueError, match=r'views \[1\], the student embeds \[0, 2, 3'):
        Squares(views=(1,)).teacher_views(student)


def test_widths_are_checked_as_far_as_they_are_known():
    student, teacher = EmbedSpec('MoCo'), EmbedSpec('FrozenTeacher')
    for loss in (Squares(), SEEDLoss(9, 16)):
        loss.check(student, teacher)
        loss.check(student._replace(width=9), teacher._replace(width=9))
    with pytest.raises(ValueError, match='teacher gives 8-d .*, the student 9-d'):
        Squares().check(student._replace(width=9), teacher._replace(width=8))
    with pytest.raises(ValueError, match='a.b.embed_dim is 9, the teacher gives 8-d'):
        SEEDLoss(9, 16).check(student, teacher._replace(width=8), 'a.b')
