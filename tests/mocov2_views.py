"""torchvision's MoCo-v2 views of one image, as released, and statistics."""

import numpy as np
from PIL import Image, ImageFilter
from sklearn.datasets import load_sample_images
from torchvision import transforms as T
from torchvision.transforms import functional as F

PARTS = (F.adjust_brightness, F.adjust_contrast, F.adjust_saturation, F.adjust_hue)
QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)


def photograph(size):
    """The flower: saturated colours, dark and bright parts."""
    photo = Image.fromarray(load_sample_images().images[1])
    return photo.crop((120, 0, 547, 427)).resize((size, size), Image.BOX)


def random_blur(image):
    return image.filter(ImageFilter.GaussianBlur(np.random.uniform(0.1, 2.0)))


RELEASED = T.Compose(
    [
        T.RandomApply([T.ColorJitter(0.4, 0.4, 0.4, 0.1)], p=0.8),
        T.RandomGrayscale(p=0.2),
        T.RandomApply([random_blur], p=0.5),
        T.RandomHorizontalFlip(),
    ]
)


def with_params(image, params, number):
    """What the parameters say, by torchvision and PIL on a PIL image."""
    if params.jitter[number]:
        for part in params.order[number].tolist():
            image = PARTS[part](image, params.factors[number, part].item())
    if params.gray[number]:
        image = F.rgb_to_grayscale(image, 3)
    if params.blur[number]:
        image = image.filter(ImageFilter.GaussianBlur(params.sigma[number].item()))
    if params.solarize[number]:
        image = F.solarize(image, 128)
    return F.hflip(image) if params.flip[number] else image


def statistics(views):
    """Compute mean, deviation and quantiles of the channels of each view.

    Also of the fine detail, which shows the blur, and of the left half, which
    shows the flip: [views, 30].
    """
    views = np.asarray(views, np.float32)  # [V, H, W, 3]
    pixels = views.reshape(len(views), -1, 3)
    detail = np.abs(np.diff(views, axis=2)).mean((1, 2))
    left = views[:, :, : views.shape[2] // 2].mean((1, 2))
    spread = pixels.max(2) - pixels.min(2)
    return np.concatenate(
        [
            pixels.mean(1),
            pixels.std(1),
            detail,
            left,
            *np.quantile(pixels, QUANTILES, axis=1),
            spread.mean(1, keepdims=True),
            spread.std(1, keepdims=True),
            (spread.max(1, keepdims=True) < 1.5).astype(np.float32),
        ],
        axis=1,
    )


def assert_equal_in_distribution(ours, theirs, rounded):
    """Means and deviations over the views agree.

    Within four standard errors and what PIL's rounding does to each, [30].
    """
    n = len(ours)
    error = np.sqrt((ours.var(0) + theirs.var(0)) / n)
    difference = np.abs(ours.mean(0) - theirs.mean(0))
    assert (difference <= 4 * error + rounded).all(), difference / error
    # a deviation's own standard error, from its fourth moment
    fourth = [((x - x.mean(0)) ** 4).mean(0) for x in (ours, theirs)]
    variance = [ours.var(0), theirs.var(0)]
    error = np.sqrt(
        sum((m - v**2).clip(0) / (4 * v.clip(1e-9)) for m, v in zip(fourth, variance))
        / n
    )
    difference = np.abs(np.sqrt(variance[0]) - np.sqrt(variance[1]))
    assert (difference <= 4 * error + rounded).all(), difference / error


def rounding(ours, params, photo):
    """Difference of the mean statistics for the same parameters, [30].

    PIL rounds down after each of up to seven steps.
    """
    theirs = statistics([with_params(photo, params, i) for i in range(len(ours))])
    return np.abs(statistics(ours) - theirs).mean(0)
