"""Random parameters of photometric augmentation."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import NamedTuple

import torch

from mmdisco.errors import InputError


class OneView(NamedTuple):
    """Augmentation parameters of one view, see :class:`ViewParams`."""

    jitter: bool
    order: Sequence[int]
    factors: Sequence[float]
    gray: bool
    blur: bool
    sigma: float
    solarize: bool
    flip: bool


@dataclass
class ViewParams:
    """Augmentation parameters of N views; tensors on the CPU.

    Args:
        jitter (torch.Tensor): Whether to apply colour jitter, bool [N].
        order (torch.Tensor): Order of the jitter's parts: 0 brightness,
            1 contrast, 2 saturation, 3 hue; long [N, 4].
        factors (torch.Tensor): Factor of each part, by its number; the hue's
            is a shift in turns; [N, 4].
        gray (torch.Tensor): Whether to convert to grey, bool [N].
        blur (torch.Tensor): Whether to blur, bool [N].
        sigma (torch.Tensor): Standard deviation of the blur in pixels, [N].
        solarize (torch.Tensor): Whether to solarise, bool [N].
        flip (torch.Tensor): Whether to mirror, bool [N].
    """

    jitter: torch.Tensor
    order: torch.Tensor
    factors: torch.Tensor
    gray: torch.Tensor
    blur: torch.Tensor
    sigma: torch.Tensor
    solarize: torch.Tensor
    flip: torch.Tensor

    @classmethod
    def stack(cls, views: Sequence[OneView]) -> 'ViewParams':
        """Parameters of N views from those of each.

        Args:
            views (Sequence[OneView]): N views.

        Returns:
            ViewParams: Parameters of N views.
        """
        return cls(*(torch.tensor(values) for values in zip(*views)))

    def __getitem__(self, index: int) -> OneView:
        """Parameters of one view."""
        return OneView(*(value[index].tolist() for value in vars(self).values()))


@dataclass
class ViewRecipe:
    """Augmentation of a crop; the defaults are MoCo-v2's.

    Colour jitter in random order, grayscale, Gaussian blur, solarisation and
    mirroring, as in https://arxiv.org/abs/2003.04297 and, with other numbers
    for each view, BYOL (https://arxiv.org/abs/2006.07733) and DINO.

    Args:
        brightness (float): Range of the factor, 1 - b to 1 + b. Defaults to .4.
        contrast (float): Range of the factor, 1 - c to 1 + c. Defaults to .4.
        saturation (float): Range of the factor, 1 - s to 1 + s. Defaults to
            .4.
        hue (float): Range of the shift, -h to h turns, at most .5. Defaults to
            .1.
        jitter_prob (float): Probability of the four above together. Defaults
            to .8.
        gray_prob (float): Probability of grayscale. Defaults to .2.
        blur_prob (float): Probability of blur. Defaults to .5.
        sigma (tuple[float, float]): Range of the blur's standard deviation in
            pixels. Defaults to (.1, 2.).
        solarize_prob (float): Probability of inverting values from 128 on.
            Defaults to 0.
        flip_prob (float): Probability of mirroring. Defaults to .5.

    Raises:
        InputError: If a value is out of its range.
    """

    brightness: float = 0.4
    contrast: float = 0.4
    saturation: float = 0.4
    hue: float = 0.1
    jitter_prob: float = 0.8
    gray_prob: float = 0.2
    blur_prob: float = 0.5
    sigma: tuple[float, float] = (0.1, 2.0)
    solarize_prob: float = 0.0
    flip_prob: float = 0.5

    def __post_init__(self) -> None:
        """Check the ranges."""
        low, high = self.sigma
        if not 0 < low <= high:
            raise InputError(f'sigma={self.sigma}: 0 < low <= high expected')
        for name, top in dict(
            brightness=float('inf'),
            contrast=float('inf'),
            saturation=float('inf'),
            hue=0.5,
            jitter_prob=1,
            gray_prob=1,
            blur_prob=1,
            solarize_prob=1,
            flip_prob=1,
        ).items():
            if not 0 <= getattr(self, name) <= top:
                raise InputError(
                    f'{name}={getattr(self, name)}: a number from 0 to {top} expected'
                )

    def _ranges(self) -> list[tuple[float, float]]:
        """Ranges of the factors and of sigma."""
        return [
            (max(0, 1 - self.brightness), 1 + self.brightness),
            (max(0, 1 - self.contrast), 1 + self.contrast),
            (max(0, 1 - self.saturation), 1 + self.saturation),
            (-self.hue, self.hue),
            self.sigma,
        ]

    def _probabilities(self) -> list[float]:
        return [
            self.jitter_prob,
            self.gray_prob,
            self.blur_prob,
            self.solarize_prob,
            self.flip_prob,
        ]

    def draw_one(self, generator: torch.Generator | None = None) -> OneView:
        """Draw the parameters of one view.

        From the same numbers as ``draw(1, generator)``, in a tenth of its time.

        Args:
            generator (torch.Generator, optional): Defaults to None: torch's
                default generator.

        Returns:
            OneView: Parameters of a view.
        """
        u = torch.rand(14, generator=generator).tolist()
        *factors, sigma = (
            low + (high - low) * share for (low, high), share in zip(self._ranges(), u)
        )
        jitter, gray, blur, solarize, flip = (
            share < prob for share, prob in zip(u[5:], self._probabilities())
        )
        order = sorted(range(4), key=u[10:].__getitem__)
        return OneView(jitter, order, factors, gray, blur, sigma, solarize, flip)

    def draw(self, num: int, generator: torch.Generator | None = None) -> ViewParams:
        """Draw the parameters of N views.

        Args:
            num (int): Number of views, N.
            generator (torch.Generator, optional): Defaults to None: torch's
                default generator.

        Returns:
            ViewParams: Parameters of N views.
        """
        u = torch.rand(14, num, generator=generator)  # [14, N]
        low, high = torch.tensor(self._ranges()).T[..., None]  # [5, 1] each
        values = low + (high - low) * u[:5]  # [5, N]
        events = u[5:10] < torch.tensor(self._probabilities())[:, None]  # [5, N]
        return ViewParams(
            jitter=events[0],
            gray=events[1],
            blur=events[2],
            solarize=events[3],
            flip=events[4],
            factors=values[:4].T,
            sigma=values[4],
            order=u[10:].argsort(0).T,
        )


def build_recipes(views: Sequence[dict], num_views: int) -> list[ViewRecipe]:
    """Build a recipe for each view.

    Args:
        views (Sequence[dict]): Arguments of :class:`ViewRecipe`, for each view
            or once for all.
        num_views (int): Number of views.

    Returns:
        list[ViewRecipe]: One per view.

    Raises:
        InputError: If their number is neither 1 nor ``num_views``, or an
            argument is unknown.
    """
    known = {field.name for field in fields(ViewRecipe)}
    unknown = sorted({name for view in views for name in view} - known)
    if unknown:
        raise InputError(
            f'views: unknown {", ".join(unknown)}; known are {", ".join(sorted(known))}'
        )
    if len(views) not in (1, num_views):
        raise InputError(f'views: {len(views)} recipes for {num_views} views')
    recipes = [ViewRecipe(**view) for view in views]
    return recipes * num_views if len(recipes) == 1 else recipes
