"""The hop indicator, and the extremal points of its time series."""

import numpy as np

from daskglass.kernels.flags import Bool, Float, Int, jit

BLOCK = 128  # particles at a time, so that what is kept of their last windows stays in cache
LINE = 16  # particles whose values at one time share a line of the cache


@jit
def hop_indicator(positions: Float, drift: Float, half: int, hop: Float) -> None:
    """p_hop(i,t) = √( ⟨|x_i − ⟨x_i⟩_B|²⟩_A ⟨|x_i − ⟨x_i⟩_A|²⟩_B ), A before and B after t, both with frame t.

    With means m and variances v of the two windows this is √( (v_A + |m_A − m_B|²)(v_B + |m_A − m_B|²) ).
    Every window is summed on its own, from its own first frame: a value depends on its frames alone, and on displacements
    only, which are small where positions are large: single precision suffices.

    Parameters
    ----------
    positions : (time, particle, 3) unwrapped; drift : (time, 3) of the centre of mass
    half : frames in t_R/2; a window holds half + 1
    hop : (time, particle) result, NaN where a window does not fit
    """
    frames, n = positions.shape[0], positions.shape[1]
    hop[:] = np.nan
    if frames < 2 * half + 1:
        return
    inverse = np.float32(1.0 / (half + 1))
    # of the last `half` frames, and of the last `half + 1` windows; x, y, z of a particle behind one another
    step = np.empty((half, 3 * BLOCK), np.float32)
    offset = np.empty((half + 1, 3 * BLOCK), np.float32)
    across = np.empty((half + 1, 3 * BLOCK), np.float32)
    variance = np.empty((half + 1, 3 * BLOCK), np.float32)
    shift = np.empty(3 * BLOCK, np.float64)
    x, total, squares = (
        np.empty(3 * BLOCK, np.float32),
        np.empty(3 * BLOCK, np.float32),
        np.empty(3 * BLOCK, np.float32),
    )
    coordinates = positions.reshape(frames, 3 * n)
    for low in range(0, n, BLOCK):
        size = min(BLOCK, n - low)
        for f in range(frames - 1):
            for d in range(3):
                shift[d::3] = drift[f + 1, d] - drift[f, d]
            ahead, here = coordinates[f + 1, 3 * low :], coordinates[f, 3 * low :]
            latest = step[f % half]
            for c in range(3 * size):
                # in double precision, whatever the order
                latest[c] = np.float64(ahead[c]) - np.float64(here[c]) - shift[c]
            s = f + 1 - half
            if s < 0:
                continue
            # the window that begins with frame s
            x[:], total[:], squares[:] = 0.0, 0.0, 0.0
            for k in range(s, s + half):
                move = step[k % half]
                for c in range(3 * size):
                    x[c] += move[c]
                    total[c] += x[c]
                    squares[c] += x[c] * x[c]
            for c in range(3 * size):
                offset[s % (half + 1), c] = total[c] * inverse
                across[s % (half + 1), c] = x[c]
                variance[s % (half + 1), c] = max(squares[c] * inverse - (total[c] * inverse) ** 2, np.float32(0.0))
            if s < half:
                continue
            before, after = (s + 1) % (half + 1), s % (half + 1)
            for c in range(3 * size):
                x[c] = (across[before, c] + offset[after, c] - offset[before, c]) ** 2
            for p in range(size):
                gap = x[3 * p] + x[3 * p + 1] + x[3 * p + 2]
                v_A = variance[before, 3 * p] + variance[before, 3 * p + 1] + variance[before, 3 * p + 2]
                v_B = variance[after, 3 * p] + variance[after, 3 * p + 1] + variance[after, 3 * p + 2]
                hop[s, low + p] = np.sqrt((v_A + gap) * (v_B + gap))


@jit
def extremal_points(series: Float, above: float, distance: float) -> Int:
    """Indices of local maxima higher than `above` and at least `distance` apart, the highest kept first.

    A plateau counts once, at its middle; ends of the series are no maxima: as `scipy.signal.find_peaks`.
    """
    last = series.shape[0] - 1
    rises = np.empty(last + 1, np.int64)
    count = 0
    # kept or overwritten, without a branch that nobody could predict
    for i in range(1, last):
        rises[count] = i
        count += (series[i] > above) & (series[i - 1] < series[i]) & (series[i] >= series[i + 1])
    found = 0
    for i in rises[:count]:
        ahead = i + 1
        while ahead < last and series[ahead] == series[i]:
            ahead += 1
        if series[ahead] < series[i]:
            rises[found] = (i + ahead - 1) // 2
            found += 1
    peaks = rises[:found]
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
    frames, n = hop.shape
    # time series behind one another: in `hop` the particles are
    block = np.empty((LINE, frames), hop.dtype)
    for low in range(0, n, LINE):
        size = min(LINE, n - low)
        if not chosen[low : low + size].any():
            continue
        for t in range(frames):
            for p in range(size):
                block[p, t] = hop[t, low + p]
        for p in range(size):
            i = low + p
            if not chosen[i]:
                continue
            first, last = 0, frames
            while first < last and np.isnan(block[p, first]):
                first += 1
            while last > first and np.isnan(block[p, last - 1]):
                last -= 1
            series = block[p, first:last]
            for t in extremal_points(-series, -hard, hard_distance):
                label[first + t, i] = 0
            for t in extremal_points(series, soft, soft_distance):
                label[first + t, i] = 1
