"""Quality of features without labels: RankMe, alignment and uniformity."""

import torch
import torch.nn.functional as F
from torch import Tensor


def rank_me(features: Tensor, eps: float = 1e-7) -> float:
    """Effective rank of features: how many directions they really use.

    The exponential of the entropy of the singular values, which are divided
    by their sum (`RankMe <https://arxiv.org/abs/2210.02885>`_, Eq. 1). It is
    computed in float32.

    Args:
        features (Tensor): [N, D], not centred.
        eps (float): Added to each share. Defaults to 1e-7.

    Returns:
        float: Between 1 (all on one line) and min(N, D).
    """
    sizes = torch.linalg.svdvals(features.float())  # [min(N, D)]
    tiny = torch.finfo(sizes.dtype).tiny  # all features may be 0
    shares = sizes / sizes.sum().clamp_min(tiny) + eps
    return float((-(shares * shares.log()).sum()).exp())


def alignment(first: Tensor, second: Tensor, alpha: float = 2.0) -> float:
    """Mean distance of two views of the same images, to the power of alpha.

    Args:
        first (Tensor): Features of one view, [N, D], of any norm.
        second (Tensor): Those of the other, [N, D].
        alpha (float): The power. Defaults to 2.

    Returns:
        float: 0 if both views are alike; 2 is the mean of random vectors.
    """
    first, second = (F.normalize(x.float(), dim=1) for x in (first, second))
    return float((first - second).norm(dim=1).pow(alpha).mean())


def uniformity(features: Tensor, t: float = 2.0) -> float:
    """Logarithm of the mean Gaussian potential of all pairs of features.

    Args:
        features (Tensor): [N, D], of any norm, N > 1.
        t (float): Of the Gaussian. Defaults to 2.

    Returns:
        float: 0 if all features are one, towards -2t as they fill the sphere.
    """
    distances = torch.pdist(F.normalize(features.float(), dim=1))  # [N(N-1)/2]
    return float(distances.square().mul(-t).exp().mean().log())
