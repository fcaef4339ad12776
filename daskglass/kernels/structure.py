"""Radial structure functions of one frame."""

import numpy as np
from numpy.typing import NDArray

from daskglass.kernels.cells import gather_candidates, most_candidates, sort_into_cells, squared_distances
from daskglass.kernels.flags import Bool, Float, Int, jit

SUPPORT = 5.0  # a Gaussian is below 4e-6 of its peak beyond this many widths
TERMS = 8  # of a polynomial in r, which meets a Gaussian to 1e-7 of its peak within a bin no longer than its width


def gaussian_expansion(step: float, width: float) -> tuple[float, NDArray[np.float32]]:
    """Expand exp[ −(r − μ)² / (2 Δμ²) ] in powers of the distance of r from the middle of its bin.

    Bins divide the steps between radii evenly, and are no longer than Δμ. In each, the polynomial meets the Gaussian at the
    Chebyshev nodes, which leaves it nowhere far off.

    Returns
    -------
    length of a bin in σ, and coefficients (bin, TERMS) from SUPPORT widths below μ to as far above, for distances
    in lengths of a bin
    """
    length = step / np.ceil(step / width)
    half = int(np.ceil(SUPPORT * width / length - 1e-9))
    nodes = np.cos((np.arange(TERMS) + 0.5) * np.pi / TERMS) / 2
    x = (np.arange(-half, half)[:, None] + 0.5 + nodes) * length / width
    coefficients = np.linalg.solve(np.vander(nodes, increasing=True), np.exp(-0.5 * x * x).T).T
    return length, np.ascontiguousarray(coefficients, np.float32)


@jit
def structure_functions(
    positions: Float,
    species: Int,
    centers: Bool,
    box: Float,
    mu: Float,
    width: float,
    length: float,
    C: Float,
    G: Float,
) -> None:
    """G_K(μ_i) = Σ_j exp[ −(r_ij − μ_i)² / (2 Δμ²) ] over the neighbours j of species K (paper, Eq. 3).

    Every neighbour adds the powers of its distance δ from the middle of its bin to the moments M_pb = Σ_j δ_j^p of the bin;
    G_K(μ_i) = Σ_pb C_pb M_p,b+i.

    Parameters
    ----------
    positions : (particle, 3); species : (particle,) codes; centers : (particle,) bool; box : (3,)
    mu : (m,) uniform grid; width : Δμ; length, C : `gaussian_expansion` of its step
    G : (particle, species, m) result, NaN where a particle is no centre
    """
    G[:] = np.nan
    m, kinds = mu.shape[0], G.shape[1]
    per_step = int(np.rint((mu[1] - mu[0]) / length)) if m > 1 else 1
    cutoff = mu[m - 1] + SUPPORT * width
    lowest = mu[0] - C.shape[0] // 2 * length
    inner2, outer2 = max(lowest, 0.0) ** 2, cutoff * cutoff
    M = np.empty(((m - 1) * per_step + C.shape[0], TERMS), np.float32)

    cells = sort_into_cells(positions, species, kinds, box, cutoff)
    most = most_candidates(cells)
    slots, xyz = np.empty(most, np.int64), np.empty((3, most), np.float64)
    r2, near = np.empty(most, np.float64), np.empty(most, np.float64)
    bins, offsets = np.empty(most, np.int32), np.empty(most, np.float32)
    for cell in range(cells.start.shape[1] - 1):
        for K in range(kinds):
            found = -1
            for kind in range(kinds):
                for slot in range(cells.start[kind, cell], cells.start[kind, cell + 1]):
                    i = cells.order[slot]
                    if not centers[i]:
                        continue
                    if found < 0:
                        found = gather_candidates(cells, cell, K, 0, box, slots, xyz)
                    squared_distances(cells, slot, xyz, found, r2)
                    count = 0
                    for j in range(found):
                        near[count] = r2[j]
                        count += (inner2 <= r2[j]) & (r2[j] < outer2) & (slots[j] != slot)
                    place_in_bins(near[:count], lowest, length, M.shape[0], bins, offsets)
                    add_moments(bins[:count], offsets, M)
                    expand(C, M, per_step, G[i, K])


@jit
def place_in_bins(r2: Float, lowest: float, length: float, number: int, bins: Int, offsets: Float) -> None:
    """Find the bin of every r, the first of which begins at `lowest`, and how far off its middle r is, in bins."""
    for j in range(r2.shape[0]):
        t = (np.sqrt(r2[j]) - lowest) / length
        b = min(int(np.int32(t)), number - 1)
        bins[j] = b
        offsets[j] = t - b - 0.5


@jit
def add_moments(bins: Int, offsets: Float, M: Float) -> None:
    """M_pb = Σ_j δ_j^p over all j in bin b."""
    M[:] = 0.0
    for j in range(bins.shape[0]):
        d = offsets[j]
        d2 = d * d
        d3, d4 = d2 * d, d2 * d2
        row = M[bins[j]]
        row[0] += np.float32(1.0)
        row[1] += d
        row[2] += d2
        row[3] += d3
        row[4] += d4
        row[5] += d4 * d
        row[6] += d4 * d2
        row[7] += d4 * d3


@jit
def expand(C: Float, M: Float, per_step: int, G: Float) -> None:
    """G(μ_i) = Σ_pb C_pb M_p,b+i."""
    coefficients, moments = C.ravel(), M.ravel()
    size = coefficients.shape[0]
    for i in range(G.shape[0]):
        first = i * per_step * TERMS
        window = moments[first : first + size]
        total = np.float32(0.0)
        for k in range(size):
            total += coefficients[k] * window[k]
        G[i] = total
