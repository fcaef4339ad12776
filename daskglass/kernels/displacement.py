"""Averages over the displacements between pairs of frames."""

import numpy as np

from daskglass.kernels.flags import Float, Int, jit


@jit
def self_scattering(positions: Float, drift: Float, chosen: Int, first: Int, second: Int, q: float) -> Float:
    """⟨ sin(QΔr)/(QΔr) ⟩ over the chosen particles, for each pair of frames.

    Parameters
    ----------
    positions : (time, particle, 3) unwrapped; drift : (time, 3); chosen : (chosen,) particle indices
    first, second : (pair,) frames; q : wave number Q

    Returns
    -------
    (pair,) averages
    """
    result = np.empty(first.shape[0])
    for pair in range(first.shape[0]):
        a, b = first[pair], second[pair]
        total = 0.0
        for i in chosen:
            qr = q * np.sqrt(_squared_displacement(positions, drift, a, b, i))
            total += np.sin(qr) / qr if qr > 1e-6 else 1.0
        result[pair] = total / chosen.shape[0]
    return result


@jit
def mean_squared_displacement(positions: Float, drift: Float, chosen: Int, first: Int, second: Int) -> Float:
    """⟨ |Δr|² ⟩ over the chosen particles, for each pair of frames; see `self_scattering`."""
    result = np.empty(first.shape[0])
    for pair in range(first.shape[0]):
        a, b = first[pair], second[pair]
        total = 0.0
        for i in chosen:
            total += _squared_displacement(positions, drift, a, b, i)
        result[pair] = total / chosen.shape[0]
    return result


@jit
def _squared_displacement(positions: Float, drift: Float, a: int, b: int, i: int) -> float:
    total = 0.0
    for d in range(3):
        x = np.float64(positions[b, i, d]) - np.float64(positions[a, i, d]) - (drift[b, d] - drift[a, d])
        total += x * x
    return total
