"""LARC against a plain loop of apex' arithmetic, with a changing learning rate."""

import torch

from mmdisco.engine import LARC

TRUST, MOMENTUM, DECAY, EPS = 0.001, 0.9, 0.1, 1e-8


def plain_step(weights, grads, buffers, lr):
    """Step w and g as apex LARC(SGD, clip=False) does."""
    for i, (w, g) in enumerate(zip(weights, grads)):
        if g is None:
            continue
        w_norm, g_norm = float((w**2).sum()) ** 0.5, float((g**2).sum()) ** 0.5
        if w_norm and g_norm:
            rate = TRUST * w_norm / (g_norm + w_norm * DECAY + EPS)
            g = (g + DECAY * w) * rate
        buffers[i] = g if buffers[i] is None else MOMENTUM * buffers[i] + g
        w -= lr * buffers[i]


def test_steps_equal_a_plain_loop():
    generator = torch.manual_seed(0)
    shapes = [(4, 3), (5,), (2, 2), (3,)]
    weights = [torch.randn(s, generator=generator) for s in shapes]
    weights[1].zero_()  # its gradient is not scaled
    params = [torch.nn.Parameter(w.clone()) for w in weights]
    optimizer = LARC(params, lr=1.0, momentum=MOMENTUM, weight_decay=DECAY)
    buffers = [None] * 4
    for step in range(5):
        lr = optimizer.param_groups[0]['lr'] = 0.5 + step
        grads = [torch.randn(s, generator=generator) for s in shapes]
        grads[2] = None  # unchanged by momentum and decay
        grads[3].zero_() if step == 2 else None
        for p, g in zip(params, grads):
            p.grad = None if g is None else g.clone()
        optimizer.step()
        plain_step(weights, grads, buffers, lr)
        assert optimizer.param_groups[0]['weight_decay'] == DECAY
    for p, w in zip(params, weights):
        torch.testing.assert_close(p.detach(), w)
    assert not torch.equal(params[0], weights[0] * 0)


def test_a_closure_computes_the_gradients():
    weights = [torch.nn.Parameter(torch.ones(2)) for _ in range(2)]
    for p, closed in zip(weights, (True, False)):
        optimizer = LARC([p], lr=1.0)

        def backward():
            p.grad = torch.full((2,), 2.0)
            return 7.0

        assert optimizer.step(backward if closed else backward() and None) == (
            7.0 if closed else None
        )
    assert torch.equal(*weights) and (weights[0] < 1).all()
