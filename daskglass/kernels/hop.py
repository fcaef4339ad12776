"""The hop indicator, and the extremal points of its time series."""

import numpy as np

from daskglass.kernels.flags import Bool, Float, Int, jit

BLOCK = 64  # particles at a time, so that their windows stay in cache


@jit
def hop_indicator(positions: Float, drift: Float, half: int, hop: Float) -> None:
    """p_hop(i,t) = √( ⟨|x_i − ⟨x_i⟩_B|²⟩_A ⟨|x_i − ⟨x_i⟩_A|²⟩_B ), A before and B after t, both with frame t.

    With means m and variances v of the two windows this is √( (v_A + |m_A − m_B|²)(v_B + |m_A − m_B|²) ).
    Every window is summed on its own, from its own first frame, so that a value depends on its frames alone.

    Parameters
    ----------
    positions : (time, particle, 3) unwrapped; drift : (time, 3) of the centre of mass
    half : frames in t_R/2; a window holds half + 1
    hop : (time, particle) result, NaN where a window does not fit
    """
    frames, n = positions.shape[0], positions.shape[1]
    windows = frames - half
    hop[:] = np.nan
    if frames < 2 * half + 1:
        return
    inverse = 1.0 / (half + 1)
    mean = np.empty((windows, 3, BLOCK))
    variance = np.empty((windows, BLOCK))
    total, squares = np.empty(BLOCK), np.empty(BLOCK)
    for low in range(0, n, BLOCK):
        size = min(BLOCK, n - low)
        for s in range(windows):
            variance[s] = 0.0
            for d in range(3):
                total[:] = 0.0
                squares[:] = 0.0
                for f in range(s + 1, s + half + 1):
                    shift = drift[f, d] - drift[s, d]
                    for p in range(size):
                        x = np.float64(positions[f, low + p, d]) - np.float64(positions[s, low + p, d]) - shift
                        total[p] += x
                        squares[p] += x * x
                for p in range(size):
                    offset = total[p] * inverse
                    mean[s, d, p] = np.float64(positions[s, low + p, d]) - drift[s, d] + offset
                    variance[s, p] += max(squares[p] * inverse - offset * offset, 0.0)
        for t in range(half, frames - half):
            a, b = t - half, t
            for p in range(size):
                gap = 0.0
                for d in range(3):
                    gap += (mean[a, d, p] - mean[b, d, p]) ** 2
                hop[t, low + p] = np.sqrt((variance[a, p] + gap) * (variance[b, p] + gap))


@jit
def extremal_points(series: Float, above: float, distance: float) -> Int:
    """Indices of local maxima higher than `above` and at least `distance` apart, the highest kept first.

    A plateau counts once, at its middle; ends of the series are no maxima: as `scipy.signal.find_peaks`.
    """
    peaks = np.empty(series.shape[0] // 2 + 1, np.int64)
    found = 0
    i = 1
    while i < series.shape[0] - 1:
        if series[i - 1] < series[i]:
            ahead = i + 1
            while ahead < series.shape[0] - 1 and series[ahead] == series[i]:
                ahead += 1
            if series[ahead] < series[i]:
                if series[i] > above:
                    peaks[found] = (i + ahead - 1) // 2
                    found += 1
                i = ahead
        i += 1
    peaks = peaks[:found]
    keep = np.ones(found, np.bool_)
    priority = np.argsort(series[peaks])
    for rank in range(found - 1, -1, -1):
        best = priority[rank]
        if not keep[best]:
            continue
        other = best - 1
        while other >= 0 and peaks[best] - peaks[other] < distance:
            keep[other] = False
            other -= 1
        other = best + 1
        while other < found and peaks[other] - peaks[best] < distance:
            keep[other] = False
            other += 1
    return peaks[keep]


@jit
def rearrangement_labels(
    hop: Float,
    soft: float,
    hard: float,
    soft_distance: float,
    hard_distance: float,
    chosen: Bool,
    label: Int,
) -> None:
    """Label the rearrangements (1) and the quiet moments (0) of every chosen particle; -1 elsewhere.

    Parameters
    ----------
    hop : (time, particle), NaN at the ends of the series only
    soft, hard : thresholds of p_hop; soft_distance, hard_distance : least separations in frames
    chosen : (particle,) bool; label : (time, particle) int8 result
    """
    label[:] = -1
    for i in range(hop.shape[1]):
        if not chosen[i]:
            continue
        first, last = 0, hop.shape[0]
        while first < last and np.isnan(hop[first, i]):
            first += 1
        while last > first and np.isnan(hop[last - 1, i]):
            last -= 1
        series = hop[first:last, i].copy()
        for t in extremal_points(-series, -hard, hard_distance):
            label[first + t, i] = 0
        for t in extremal_points(series, soft, soft_distance):
            label[first + t, i] = 1
