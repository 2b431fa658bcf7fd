import math

import numpy as np


def pil_gaussian_kernel(sigma: np.ndarray, max_sigma: float) -> np.ndarray:
    """Kernels of PIL's Gaussian blur, one a sample.

    PIL runs an extended box filter three times
    (https://www.mia.uni-saarland.de/Publications/gwosdek-ssvm11.pdf), whose
    variance is ``sigma ** 2`` however small ``sigma`` is. A Gaussian sampled
    at the pixels is another kernel below 0.7.

    Args:
        sigma (np.ndarray): Deviations in pixels, [N].
        max_sigma (float): Which no deviation exceeds; fixes the length.

    Returns:
        np.ndarray: Kernels [N, K], K odd, each of sum 1, float32.
    """
    variance = np.asarray(sigma, np.float64)[:, None] ** 2 / 3  # of one box
    whole = np.floor(np.sqrt(12 * variance + 1) / 2 - 0.5)  # [N, 1]
    # the outermost two weights are less than 1, as the variance demands
    rest = (
        (2 * whole + 1)
        * (variance - whole * (whole + 1) / 3)
        / (2 * ((whole + 1) ** 2 - variance))
    )
    reach = math.floor(math.sqrt(4 * max_sigma**2 + 1) / 2 - 0.5) + 1
    offset = np.abs(np.arange(-reach, reach + 1))
    box = np.clip(whole + 1 + rest - offset, 0, 1) / (2 * (whole + rest) + 1)
    kernel = [np.convolve(np.convolve(row, row), row) for row in box]
    return np.asarray(kernel, np.float32).reshape(len(box), 6 * reach + 1)
