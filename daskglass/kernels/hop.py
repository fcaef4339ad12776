"""The hop indicator, and the extremal points of its time series."""

import numpy as np

from daskglass.kernels.flags import Bool, Float, Int, jit

BLOCK = 256  # particles at a time, so that what is kept of their last windows stays in cache
ZERO = np.float32(0.0)
OPEN, KEPT, DROPPED = 0, 1, 2
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
    hop[:half], hop[frames - half :] = np.nan, np.nan
    if frames < 2 * half + 1:
        hop[:] = np.nan
        return
    inverse = np.float32(1.0 / (half + 1))
    # of the last `half` steps from frame to frame, and of the last `half + 1` windows
    step = np.empty((half, 3, BLOCK), np.float32)
    offset = np.empty((half + 1, 3, BLOCK), np.float32)
    across = np.empty((half + 1, 3, BLOCK), np.float32)
    variance = np.empty((half + 1, BLOCK), np.float32)
    x, total, squares, gap = np.empty((4, BLOCK), np.float32)
    for low in range(0, n, BLOCK):
        size = min(BLOCK, n - low)
        for f in range(frames - 1):
            here, there, latest = positions[f, low : low + size], positions[f + 1, low : low + size], step[f % half]
            for p in range(size):
                latest[0, p] = there[p, 0] - here[p, 0]
                latest[1, p] = there[p, 1] - here[p, 1]
                latest[2, p] = there[p, 2] - here[p, 2]
            # not at once: in another order, digits of a far position would be lost
            for d in range(3):
                shift = np.float32(drift[f + 1, d] - drift[f, d])
                for p in range(size):
                    latest[d, p] -= shift
            s = f + 1 - half
            if s < 0:
                continue
            # the window that begins with frame s: displacements from there
            A, B = (s + 1) % (half + 1), s % (half + 1)
            squares[:] = 0.0
            for d in range(3):
                x[:], total[:] = 0.0, 0.0
                for k in range(s, s + half):
                    moved = step[k % half, d]
                    for p in range(size):
                        x[p] += moved[p]
                        total[p] += x[p]
                        squares[p] += x[p] * x[p]
                middle, whole = offset[B, d], across[B, d]
                for p in range(size):
                    middle[p] = total[p] * inverse
                    whole[p] = x[p]
                    squares[p] -= total[p] * middle[p]
            variance[B] = squares * inverse
            if s < half:
                continue
            gap[:] = 0.0
            for d in range(3):
                for p in range(size):
                    between = across[A, d, p] + offset[B, d, p] - offset[A, d, p]
                    gap[p] += between * between
            for p in range(size):
                hop[s, low + p] = np.sqrt((max(variance[A, p], ZERO) + gap[p]) * (max(variance[B, p], ZERO) + gap[p]))


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
    height = series[peaks]
    state = np.full(found, OPEN)
    undecided = found
    # whoever is the highest as far as it reaches stays, whatever happens elsewhere: faster than to sort
    while undecided:
        for c in range(found):
            if state[c] != OPEN:
                continue
            low, high = c, c
            highest = True
            while highest and low > 0 and peaks[c] - peaks[low - 1] < distance:
                low -= 1
                highest = state[low] != OPEN or height[low] <= height[c]
            while highest and high < found - 1 and peaks[high + 1] - peaks[c] < distance:
                high += 1
                highest = state[high] != OPEN or height[high] < height[c]
            if highest:
                undecided -= np.sum(state[low : high + 1] == OPEN)
                state[low : high + 1] = DROPPED
                state[c] = KEPT
    return peaks[state == KEPT]


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
