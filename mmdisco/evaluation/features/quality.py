"""Quality of features without labels: RankMe, alignment and uniformity."""

import torch
import torch.nn.functional as F
from torch import Tensor


def rank_me(features: Tensor, eps: float = 1e-7) -> float:
    """Effective rank of features.

    The exponential of the entropy of the singular values divided by their sum
    (`RankMe <https://arxiv.org/abs/2210.02885>`_, Eq. 1), in float32.

    Args:
        features (Tensor): Features, [N, D], not centred.
        eps (float): Added to each normalised singular value. Defaults to 1e-7.

    Returns:
        float: Between 1 (all features on one line) and min(N, D).
    """
    sizes = torch.linalg.svdvals(features.float())  # [min(N, D)]
    tiny = torch.finfo(sizes.dtype).tiny  # in case all features are 0
    shares = sizes / sizes.sum().clamp_min(tiny) + eps
    return float((-(shares * shares.log()).sum()).exp())


def alignment(first: Tensor, second: Tensor, alpha: float = 2.0) -> float:
    """Mean distance of two views of the same images on the sphere, to a power.

    `Understanding Contrastive Representation Learning through Alignment and
    Uniformity on the Hypersphere <https://arxiv.org/abs/2005.10242>`_.

    Args:
        first (Tensor): Features of the first view, [N, D], of any norm.
        second (Tensor): Features of the second view, [N, D], of any norm.
        alpha (float): Exponent of the distance. Defaults to 2.

    Returns:
        float: 0 if the views are equal; about 2 for random vectors.
    """
    first, second = (F.normalize(x.float(), dim=1) for x in (first, second))
    return float((first - second).norm(dim=1).pow(alpha).mean())


def uniformity(features: Tensor, t: float = 2.0) -> float:
    """Logarithm of the mean Gaussian potential of all pairs of features.

    See :func:`alignment`.

    Args:
        features (Tensor): [N, D], of any norm, N > 1.
        t (float): Inverse width of the Gaussian. Defaults to 2.

    Returns:
        float: 0 if all features are equal, towards -2t as they fill the sphere.
    """
    distances = torch.pdist(F.normalize(features.float(), dim=1))  # [N(N-1)/2]
    return float(distances.square().mul(-t).exp().mean().log())
