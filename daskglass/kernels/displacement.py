"""The centre of mass, and averages over the displacements between pairs of frames."""

import numpy as np

from daskglass.kernels.flags import Float, Int, jit

LANES = 24  # coordinates summed side by side: a whole number of particles, and of vectors


@jit
def center_of_mass(positions: Float, mean: Float) -> None:
    """Mean position of each frame in double precision; NaN where a position is not finite.

    Parameters
    ----------
    positions : (time, particle, 3); mean : (time, 3) result
    """
    frames, n = positions.shape[0], positions.shape[1]
    coordinates = positions.reshape(frames, 3 * n)
    sums = np.empty(LANES, np.float64)
    for f in range(frames):
        sums[:] = 0.0
        for low in range(0, 3 * n - LANES + 1, LANES):
            for c in range(LANES):
                sums[c] += coordinates[f, low + c]
        for c in range(3 * n // LANES * LANES, 3 * n):
            sums[c % LANES] += coordinates[f, c]
        for d in range(3):
            mean[f, d] = sums[d::3].sum() / n


@jit
def self_scattering(coordinates: Float, drift: Float, first: Int, second: Int, q: float) -> Float:
    """⟨ sin(QΔr)/(QΔr) ⟩ over particles, for each pair of frames.

    Parameters
    ----------
    coordinates : (time, 3, particle) unwrapped; drift : (time, 3)
    first, second : (pair,) frames; q : wave number Q

    Returns
    -------
    (pair,) averages
    """
    result = np.empty(first.shape[0])
    r2 = np.empty(coordinates.shape[2])
    for pair in range(first.shape[0]):
        _squared_displacements(coordinates, drift, first[pair], second[pair], r2)
        total = 0.0
        for i in range(r2.shape[0]):
            total += _sinc(q * np.sqrt(r2[i]))
        result[pair] = total / r2.shape[0]
    return result


@jit
def mean_squared_displacement(coordinates: Float, drift: Float, first: Int, second: Int) -> Float:
    """⟨ |Δr|² ⟩ over particles, for each pair of frames; see `self_scattering`."""
    result = np.empty(first.shape[0])
    r2 = np.empty(coordinates.shape[2])
    for pair in range(first.shape[0]):
        _squared_displacements(coordinates, drift, first[pair], second[pair], r2)
        result[pair] = r2.sum() / r2.shape[0]
    return result


@jit
def _squared_displacements(coordinates: Float, drift: Float, a: int, b: int, r2: Float) -> None:
    Dx, Dy, Dz = drift[b, 0] - drift[a, 0], drift[b, 1] - drift[a, 1], drift[b, 2] - drift[a, 2]
    here, there = coordinates[a], coordinates[b]
    for i in range(r2.shape[0]):
        dx = np.float64(there[0, i]) - np.float64(here[0, i]) - Dx
        dy = np.float64(there[1, i]) - np.float64(here[1, i]) - Dy
        dz = np.float64(there[2, i]) - np.float64(here[2, i]) - Dz
        r2[i] = dx * dx + dy * dy + dz * dz


@jit
def _sinc(x: float) -> float:
    """sin(x)/x for x ≥ 0 to 1e-11, from a series about the nearest multiple of π: without a call, loops become vectors."""
    k = np.rint(x / np.pi)
    y = x - k * np.pi
    y2 = y * y
    series = 1.0
    for n in range(16, 0, -2):
        series = 1.0 - series * y2 / (n * (n + 1.0))
    sign = 1.0 - 2.0 * (k - 2.0 * np.floor(0.5 * k))
    return sign * y * series / x if x > 1e-6 else 1.0
