"""Radial structure functions of one frame."""

import numpy as np

from daskglass.kernels.cells import gather_candidates, sort_into_cells, squared_distances
from daskglass.kernels.flags import Bool, Float, Int, jit

SUPPORT = 5.0  # a Gaussian is below 4e-6 of its peak beyond this many widths


@jit
def structure_functions(
    positions: Float, species: Int, centers: Bool, box: Float, mu: Float, width: float, G: Float
) -> None:
    """G_K(μ_i) = Σ_j exp[ −(r_ij − μ_i)² / (2 Δμ²) ] over the neighbours j of species K (paper, Eq. 3).

    Parameters
    ----------
    positions : (particle, 3); species : (particle,) codes; centers : (particle,) bool; box : (3,)
    mu : (m,) uniform grid; width : Δμ
    G : (particle, species, m) result, NaN where a particle is no centre
    """
    G[:] = np.nan
    n, m = positions.shape[0], mu.shape[0]
    step = mu[1] - mu[0] if m > 1 else 1.0
    cutoff = mu[m - 1] + SUPPORT * width
    cutoff2 = cutoff * cutoff
    half_width = SUPPORT * width / step
    # successive Gaussians on a uniform grid: e(μ+h) = e(μ) q(μ), q(μ+h) = q(μ) exp(−h²/Δμ²)
    inverse = 1.0 / (width * width)
    decay = np.exp(-step * step * inverse)

    cells = sort_into_cells(positions, box, cutoff)
    slots = np.empty(n, np.int64)
    xyz = np.empty((3, n), np.float64)
    r2 = np.empty(n, np.float64)
    sums = np.empty((G.shape[1], m), np.float64)
    for cell in range(cells.start.shape[0] - 1):
        found = -1
        for slot in range(cells.start[cell], cells.start[cell + 1]):
            i = cells.order[slot]
            if not centers[i]:
                continue
            if found < 0:
                found = gather_candidates(cells, cell, slots, xyz)
            squared_distances(cells, slot, xyz, found, box, r2)
            sums[:] = 0.0
            for j in range(found):
                if r2[j] < cutoff2 and slots[j] != slot:
                    r = np.sqrt(r2[j])
                    t = (r - mu[0]) / step
                    first = max(0, int(np.ceil(t - half_width)))
                    last = min(m - 1, int(np.floor(t + half_width)))
                    if last < first:
                        continue
                    x = r - mu[first]
                    e = np.exp(-0.5 * x * x * inverse)
                    q = np.exp((x - 0.5 * step) * step * inverse)
                    row = sums[species[cells.order[slots[j]]]]
                    for k in range(first, last + 1):
                        row[k] += e
                        e *= q
                        q *= decay
            G[i] = sums
