import torch
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
