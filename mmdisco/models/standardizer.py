"""Standardisation of the teacher's features by the first images of training."""

import torch
from mmengine.dist import all_reduce, broadcast
from mmengine.logging import print_log
from mmengine.model import BaseModule
from mmpretrain.registry import MODELS
from torch import Tensor

from mmdisco.errors import InputError
from .tap import Views


@MODELS.register_module()
class FeatureStandardizer(BaseModule):
    r"""Standardises the teacher's features before every loss.

    Features of networks without a projection head are often all positive or have
    a few large dimensions, so that any two images have a high cosine. Mean and
    covariance are estimated from the first images of training.

    - 'mean-std' subtracts the mean and divides each dimension by its standard
      deviation.
    - 'phi-s' is PHI standardisation of `PHI-S
      <https://arxiv.org/abs/2410.01680>`_: with the eigenvectors V and
      eigenvalues of the covariance, and a Hadamard matrix H with rows of norm 1,

      .. math:: y = H V^T (x - \mu) / \sqrt{\mathrm{mean}(\lambda)}

      Each dimension has a variance of 1, like in 'mean-std', but all directions
      are scaled by the same factor, so that distances keep their proportions. For
      a loss that L2-normalises rows and does not compare dimensions (all but
      :class:`CoSSLoss`), rotation and scale have no effect, and 'phi-s' is plain
      centring.

    While it estimates, features are standardised by the images so far, including
    the present batch, in mode 'phi-s' without the rotation. Once ``num_images``
    have been seen, mean and matrix are fixed. A queue of a loss keeps older rows
    until they are replaced. If training ends earlier, they are never fixed, which
    the log shows by the missing line.

    Sums are fp64, over all ranks, and equal on all of them. They are part of the
    checkpoint like mean and matrix, so that a resumed run goes on exactly.

    Args:
        mode (str): 'phi-s' or 'mean-std'. Defaults to 'phi-s'.
        num_images (int): Images of all ranks from which to estimate; each view
            counts. Defaults to 4096.
        embed_dim (int, optional): Width of the features, D. Defaults to None, the
            teacher's, set by :class:`DisCo`.

    Raises:
        InputError: If an option is unknown or missing, ``num_images`` is not above
            1, or there is no Hadamard matrix of this width.

    Example:
        >>> standardizer = FeatureStandardizer('phi-s', 4096, embed_dim=12)
        >>> standardizer.update(torch.randn(256, 12) + 5)
        >>> standardizer(torch.randn(4, 12) + 5).shape
        torch.Size([4, 12])
    """

    count: Tensor  # [], images so far
    total: Tensor  # [D], sum of the features
    moment: Tensor  # [D, D], sum of x x^T; or [D], of squares
    fixed: Tensor  # [], whether mean and transform are final
    mean: Tensor  # [D]
    transform: Tensor  # [D, D], or [D], the factor of each dimension

    def __init__(
        self,
        mode: str = 'phi-s',
        num_images: int = 4096,
        embed_dim: int | None = None,
    ) -> None:
        super().__init__()
        if mode not in ('phi-s', 'mean-std'):
            raise InputError(
                f"mode of FeatureStandardizer is 'phi-s' or 'mean-std', got {mode!r}"
            )
        if num_images < 2:
            raise InputError(
                f'FeatureStandardizer has num_images={num_images}: set 2 or more, e.g. '
                'the default of 4096'
            )
        if embed_dim is None:
            raise InputError(
                'FeatureStandardizer needs the width of the features: set '
                'model.standardize.embed_dim'
            )
        self.mode = mode
        self.num_images = num_images
        self.embed_dim = embed_dim
        rotates = mode == 'phi-s'
        if rotates:
            hadamard(embed_dim)  # raises if there is none
        shape = (embed_dim, embed_dim) if rotates else (embed_dim,)
        self.register_buffer('count', torch.zeros((), dtype=torch.long))
        self.register_buffer('total', torch.zeros(embed_dim).double())
        self.register_buffer('moment', torch.zeros(shape).double())
        self.register_buffer('fixed', torch.zeros((), dtype=torch.bool))
        self.register_buffer('mean', torch.zeros(embed_dim))
        self.register_buffer(
            'transform', torch.eye(embed_dim) if rotates else torch.ones(embed_dim)
        )
        self._fixed = False  # as ``fixed``, without waiting for the device

    def views(self, teacher: Views) -> Views:
        """Standardise the teacher's embeddings; in training, estimate first.

        Args:
            teacher (dict[int, ViewOutputs]): The teacher's outputs by view.

        Returns:
            dict[int, ViewOutputs]: The same with standardised embeddings.
        """
        if self.training:
            self.update(torch.cat([outputs.embeds for outputs in teacher.values()]))
        return {
            view: outputs._replace(embeds=self(outputs.embeds))
            for view, outputs in teacher.items()
        }

    def forward(self, features: Tensor) -> Tensor:
        """Standardise features, [N, D]; fp32."""
        with torch.autocast(features.device.type, enabled=False):
            centred = features.float() - self.mean
            if self.mode == 'phi-s':
                return centred @ self.transform.T
            return centred * self.transform

    @torch.no_grad()
    def update(self, features: Tensor) -> None:
        """Add the features of all ranks to the estimate, unless it is fixed.

        Args:
            features (Tensor): [N, D], of any dtype.
        """
        self._fixed = self._fixed or bool(self.fixed)
        if self._fixed:
            return
        x = features.double()
        square = x.T @ x if self.mode == 'phi-s' else (x * x).sum(0)
        count = self.count.new_tensor(len(x))
        for buffer, part in (
            (self.count, count),
            (self.total, x.sum(0)),
            (self.moment, square),
        ):
            all_reduce(part)
            buffer += part
        seen = int(self.count)
        mean = self.total / seen
        self.mean.copy_(mean)
        if self.mode == 'mean-std':
            self.transform.copy_(inverse_deviation(self.moment / seen - mean**2))
        else:
            covariance = self.moment / seen - mean.outer(mean)
            self._rotate(covariance, last=seen >= self.num_images)
        if seen >= self.num_images:
            self._fixed = True
            self.fixed.fill_(True)
            print_log(
                f"Teacher's features: standardised ('{self.mode}') by the first {seen} "
                f'images from now on; their mean had a norm of {mean.norm():.3g}',
                logger='current',
            )

    def _rotate(self, covariance: Tensor, last: bool) -> None:
        """Set the matrix of PHI-S, or before the last images its scale alone."""
        scale = inverse_deviation(covariance.diagonal().mean())
        if not last:
            self.transform.copy_(scale * torch.eye(self.embed_dim).to(scale))
            return
        basis = torch.linalg.eigh(covariance).eigenvectors  # [D, D], in columns
        rows = hadamard(self.embed_dim).to(basis) / self.embed_dim**0.5
        self.transform.copy_(scale * rows @ basis.T)
        broadcast(self.transform)  # other hardware may give other signs

    def _load_from_state_dict(self, *args, **kwargs) -> None:
        self._fixed = False
        super()._load_from_state_dict(*args, **kwargs)

    def extra_repr(self) -> str:
        """Options."""
        return (
            f"mode='{self.mode}', num_images={self.num_images}, "
            f'embed_dim={self.embed_dim}'
        )


def inverse_deviation(variance: Tensor) -> Tensor:
    """Factors that give a variance of 1.

    A dimension that never changes, as behind a dead ReLU, has the factor of the
    mean variance instead of an infinite one.

    Args:
        variance (Tensor): fp64, of any shape.
    """
    mean = variance.mean().clamp(min=1e-24)
    return torch.where(variance > 1e-8 * mean, variance, mean).rsqrt()


def hadamard(order: int) -> Tensor:
    """Hadamard matrix: entries of 1 and -1, orthogonal rows.

    By the constructions of Paley (for primes) and Sylvester. They give most orders
    that are multiples of four, among them all usual widths of networks.

    Args:
        order (int): Number of rows and columns, n.

    Returns:
        Tensor: [n, n], fp64.

    Raises:
        InputError: If they give no matrix of this order.
    """
    matrix = _hadamard(order)
    if matrix is None:
        raise InputError(
            f"mode='phi-s' needs a Hadamard matrix as wide as the teacher's features, "
            f"and none is known here for {order}: set model.standardize.mode='mean-std'"
        )
    return matrix


def has_hadamard(order: int) -> bool:
    """Whether :func:`hadamard` gives a matrix of this order."""
    return _hadamard(order) is not None


def _hadamard(order: int) -> Tensor | None:
    if order == 1:
        return torch.ones(1, 1, dtype=torch.float64)
    if order % 2:
        return None
    sylvester = torch.tensor([[1, 1], [1, -1]], dtype=torch.float64)
    if order % 4 == 0 and _is_prime(order - 1):  # a prime of the form 4k + 3
        return torch.eye(order, dtype=torch.float64) + _bordered(order - 1, -1)
    half = order // 2
    if half % 2 == 0 and (half - 1) % 4 == 1 and _is_prime(half - 1):
        diagonal = torch.tensor([[1, -1], [-1, -1]], dtype=torch.float64)
        return torch.kron(_bordered(half - 1, 1), sylvester) + torch.kron(
            torch.eye(half, dtype=torch.float64), diagonal
        )
    smaller = _hadamard(half)
    return None if smaller is None else torch.kron(sylvester, smaller)


def _bordered(prime: int, sign: int) -> Tensor:
    """Quadratic residues of differences, [p, p], with a border: [p + 1, p + 1]."""
    residues = torch.full((prime,), -1.0, dtype=torch.float64)
    residues[torch.arange(1, prime) ** 2 % prime] = 1
    residues[0] = 0
    index = torch.arange(prime)
    matrix = torch.ones(prime + 1, prime + 1, dtype=torch.float64)
    matrix[0, 0] = 0
    matrix[1:, 0] = sign
    matrix[1:, 1:] = residues[(index[:, None] - index) % prime]
    return matrix


def _is_prime(number: int) -> bool:
    return number > 1 and all(number % d for d in range(2, int(number**0.5) + 1))
