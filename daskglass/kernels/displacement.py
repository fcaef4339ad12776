"""The centre of mass, and averages over the displacements between pairs of frames."""

import numpy as np

from daskglass.kernels.flags import Float, Int, jit

BLOCK = 32  # particles at a time, so that all their frames stay in cache
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
    result = np.zeros(first.shape[0])
    x = np.empty((positions.shape[0], 3, BLOCK))
    for low in range(0, chosen.shape[0], BLOCK):
        size = _without_drift(positions, drift, chosen[low : low + BLOCK], x)
        for pair in range(first.shape[0]):
            a, b = x[first[pair]], x[second[pair]]
            total = 0.0
            for p in range(size):
                dx, dy, dz = b[0, p] - a[0, p], b[1, p] - a[1, p], b[2, p] - a[2, p]
                total += _sinc(q * np.sqrt(dx * dx + dy * dy + dz * dz))
            result[pair] += total
    return result / chosen.shape[0]


@jit
def mean_squared_displacement(positions: Float, drift: Float, chosen: Int, first: Int, second: Int) -> Float:
    """⟨ |Δr|² ⟩ over the chosen particles, for each pair of frames; see `self_scattering`."""
    result = np.zeros(first.shape[0])
    x = np.empty((positions.shape[0], 3, BLOCK))
    for low in range(0, chosen.shape[0], BLOCK):
        size = _without_drift(positions, drift, chosen[low : low + BLOCK], x)
        for pair in range(first.shape[0]):
            a, b = x[first[pair]], x[second[pair]]
            total = 0.0
            for p in range(size):
                dx, dy, dz = b[0, p] - a[0, p], b[1, p] - a[1, p], b[2, p] - a[2, p]
                total += dx * dx + dy * dy + dz * dz
            result[pair] += total
    return result / chosen.shape[0]


@jit
def _without_drift(positions: Float, drift: Float, chosen: Int, x: Float) -> int:
    """Copy the chosen particles, relative to the centre of mass, into `x` (time, 3, chosen); return how many."""
    for f in range(positions.shape[0]):
        for d in range(3):
            for p in range(chosen.shape[0]):
                x[f, d, p] = np.float64(positions[f, chosen[p], d]) - drift[f, d]
    return chosen.shape[0]


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
    # NaN, of a frame that is missing, stays NaN
    return 1.0 if x <= 1e-6 else sign * y * series / x
