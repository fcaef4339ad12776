"""Softness from structure functions."""

import numpy as np

from daskglass.kernels.flags import Float, jit


@jit
def linear(features: Float, weights: Float, offset: float, result: Float) -> None:
    """w·x + b of every row, summed in one fixed order: the same to the bit however rows are divided."""
    for i in range(features.shape[0]):
        total = offset
        for k in range(features.shape[1]):
            total += weights[k] * np.float64(features[i, k])
        result[i] = total
