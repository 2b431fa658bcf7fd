"""SEED, CompRess and BINGO equal the public code and plain loops."""

import math

import numpy as np
import pytest
import torch

from mmdisco.models import BINGOLoss, CompRessLoss, SEEDLoss
from tests.models.test_comparators import close


def recorded(golden, name):
    return torch.from_numpy(golden[name])


@pytest.mark.parametrize('case', ['case0', 'case1'])
def test_seed_equals_the_public_code(case):
    golden = np.load('tests/data/seed_loss.npz')
    loss = SEEDLoss(32, 24, float(golden['tau_s']), float(golden[f'{case}/tau_t']))
    loss.queue.rows.copy_(recorded(golden, 'queue_init').T)
    for step in range(3):
        at = f'{case}/step{step}'
        student = recorded(golden, f'student_raw{step}').requires_grad_()
        value = loss(student, recorded(golden, f'teacher_raw{step}'))
        value.backward()  # after the queue was updated
        close(value.item(), golden[f'{at}/loss'], rtol=1e-4)
        close(student.grad, golden[f'{at}/grad_student_raw'], rtol=1e-4)
        close(loss.queue.rows.T, golden[f'{at}/queue_after'])
        assert loss.queue.ptr == golden[f'{at}/ptr_after'].item()


@pytest.mark.parametrize('way', ['1q', '2q', '2q_momentum'])
def test_compress_equals_the_public_code(way):
    golden = np.load(f'tests/data/compress_{way[:2]}.npz')
    two = way.startswith('2q')
    at = dict(zip(('1q', '2q', '2q_momentum'), ('', 'nomomentum/', 'momentum/')))[way]
    loss = CompRessLoss(16, 10 if two else None, 22, float(golden['T']))
    memories = dict(teacher=loss.teacher_memory)
    if two:
        memories['student'] = loss.student_memory
    for name, memory in memories.items():
        memory.rows.copy_(recorded(golden, f'memory_{name}_init'))
    for step in range(4):
        student = recorded(golden, f'student{step}').requires_grad_()
        key = recorded(golden, f'student_key{step}') if way == '2q_momentum' else None
        value = loss(student, recorded(golden, f'teacher{step}'), key)
        value.backward()
        here = f'{at}step{step}'
        close(value.item(), golden[f'{here}/loss'], rtol=1e-4)
        close(student.grad, golden[f'{here}/grad_student'], 1e-4, 1e-5)
        for name, memory in memories.items():
            close(memory.rows, golden[f'{here}/memory_{name}_after'])
            assert memory.ptr == golden[f'{here}/index_after']


def unit(rows):
    return [[v / math.hypot(*row) for v in row] for row in rows.tolist()]


def log_softmax(row, others, temperature):
    scores = [sum(a * b for a, b in zip(row, other)) / temperature for other in others]
    total = math.log(sum(map(math.exp, scores)))
    return [score - total for score in scores]


def test_they_equal_plain_loops():
    torch.manual_seed(0)
    seed = SEEDLoss(3, 6, loss_weight=2.0, teacher_temp=0.1)
    bingo = BINGOLoss(3, 6, loss_weight=2.0)
    compress = CompRessLoss(3, 5, 6, 0.3, loss_weight=2.0)
    queues = [seed.queue, bingo.queue, compress.teacher_memory]
    for queue in queues[1:]:
        queue.load_state_dict(queues[0].state_dict())
    earlier = unit(queues[0].rows)
    ours = unit(compress.student_memory.rows)
    for step in range(4):  # batches of four rows in a queue of six
        student, teacher, member = torch.randn(3, 4, 3)
        wide = torch.randn(4, 5)
        s, t, m, w = map(unit, (student, teacher, member, wide))
        expected = dict.fromkeys(('seed', 'bingo', 'compress'), 0.0)
        for i in range(4):
            keys = [t[i], *earlier]
            target = log_softmax(t[i], keys, 0.1)
            expected['seed'] -= (
                sum(
                    math.exp(p) * q
                    for p, q in zip(target, log_softmax(s[i], keys, 0.2))
                )
                / 2
            )
            for row in (s[i], m[i]):
                expected['bingo'] -= log_softmax(row, keys, 0.2)[0] / 2
            target = log_softmax(t[i], earlier, 0.3)
            expected['compress'] += (
                sum(
                    math.exp(p) * (p - q)
                    for p, q in zip(target, log_softmax(w[i], ours, 0.3))
                )
                / 2
            )
        values = dict(
            seed=seed(student, teacher),
            bingo=bingo(student, teacher, member),
            compress=compress(wide, teacher),
        )
        for name, value in values.items():
            assert value.item() == pytest.approx(expected[name], rel=1e-4)
        for i in range(4):
            earlier[(4 * step + i) % 6] = t[i]
            ours[(4 * step + i) % 6] = w[i]
        for queue in queues:
            close(queue.rows, earlier)
            assert queue.ptr == 4 * (step + 1) % 6


def test_small_patches_have_a_queue_that_one_of_them_enters():
    torch.manual_seed(0)
    patches = SEEDLoss(
        3, 12, loss_weight=1 / 6, views=(1, 2, 3, 4, 5, 6), enqueue_views=(6,)
    )
    plain = SEEDLoss(3, 12)
    plain.load_state_dict(patches.state_dict())
    student, teacher = torch.randn(2, 6, 2, 3)
    total = sum(
        patches(s, t, view) for view, (s, t) in enumerate(zip(student, teacher), 1)
    )
    # the release scores all rows of all patches, then one patch enters
    torch.testing.assert_close(
        total, plain(student.flatten(0, 1), teacher.flatten(0, 1))
    )
    assert patches.queue.ptr == 2
    close(patches.queue.rows[:2], unit(teacher[5]))
    with pytest.raises(ValueError, match='needs the index of the view'):
        patches(student[0], teacher[0])
