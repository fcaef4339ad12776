"""Sums over the neighbours of every particle of one frame, weighted by their distance."""

import math

import numpy as np

from daskglass.kernels.cells import gather_candidates, most_candidates, sort_into_cells, squared_distances
from daskglass.kernels.flags import Float, Int, jit

LARGEST = 64.0  # of x: beyond, e^{−x} is taken for that of here, 2e-28
HALVINGS = 6  # of x, until it is below 1
TERMS = tuple(math.exp(-0.5) / math.factorial(k) for k in range(14))  # of e^{−y} in powers of 1/2 − y
VECTOR = 8  # numbers that vector units do at once: rows are padded to multiples of it


@jit
def exp_minus(x: float) -> float:
    """e^{−x} of x ≥ 0 to 1e-13, of products alone: vector units do many at once.

    e^{−x} = (e^{−y})^64, y = x/64 below 1.
    """
    t = 0.5 - min(x, LARGEST) / LARGEST
    e = TERMS[-1]
    for k in range(len(TERMS) - 2, -1, -1):
        e = e * t + TERMS[k]
    for _ in range(HALVINGS):
        e *= e
    return e


@jit
def neighbors_behind(slot: int, slots: Int, r2: Float, found: int, cutoff2: float, near: Int, near2: Float) -> int:
    """List the candidates behind a slot and within the cut-off, and their squared distances; return how many."""
    count = 0
    for j in range(found):
        near[count] = slots[j]
        near2[count] = r2[j]
        count += (r2[j] < cutoff2) & (slots[j] > slot)
    return count


@jit
def local_density(positions: Float, box: Float, length: float, cutoff: float, rho: Float) -> None:
    """ρ_i = Σ_j e^{−r_ij/ℓ} over the neighbours within the cut-off.

    Parameters
    ----------
    positions : (particle, 3); box : (3,); length : ℓ; rho : (particle,) result
    """
    cells = sort_into_cells(positions, np.zeros(positions.shape[0], np.int8), 1, box, cutoff)
    most = most_candidates(cells)
    slots, near = np.empty(most, np.int64), np.empty(most, np.int64)
    xyz, r2, near2 = np.empty((3, most)), np.empty(most), np.empty(most)
    total = np.zeros(positions.shape[0])
    for cell in range(cells.start.shape[1] - 1):
        first, end = cells.start[0, cell], cells.start[0, cell + 1]
        if first == end:
            continue
        found = gather_candidates(cells, cell, 0, first, box, slots, xyz)
        for slot in range(first, end):
            squared_distances(cells, slot, xyz, found, r2)
            count = neighbors_behind(slot, slots, r2, found, cutoff * cutoff, near, near2)
            for k in range(count):
                near2[k] = exp_minus(np.sqrt(near2[k]) / length)
            for k in range(count):
                total[slot] += near2[k]
                total[near[k]] += near2[k]
    for slot in range(total.shape[0]):
        rho[cells.order[slot]] = total[slot]


@jit
def neighborhood_average(positions: Float, box: Float, cutoff: float, x: Float, average: Float) -> None:
    """[ x_i + Σ_j w_ij x_j ] / [ 1 + Σ_j w_ij ], w_ij = e^{−r_ij/r_c} of the neighbours within r_c.

    Parameters
    ----------
    positions : (particle, 3); box : (3,); cutoff : r_c; x : (particle, feature); average : of the same shape, result
    """
    cells = sort_into_cells(positions, np.zeros(positions.shape[0], np.int8), 1, box, cutoff, 1)
    most, features = most_candidates(cells), x.shape[1]
    slots, near = np.empty(most, np.int64), np.empty(most, np.int64)
    xyz, r2, near2 = np.empty((3, most)), np.empty(most), np.empty(most)
    w = np.empty(most, x.dtype)
    # the sum of the weights is that of one more feature, 1 of all particles
    ordered = np.zeros((x.shape[0], (features + VECTOR) // VECTOR * VECTOR), x.dtype)
    for slot in range(x.shape[0]):
        mine, given = ordered[slot], x[cells.order[slot]]
        for f in range(features):
            mine[f] = given[f]
        mine[features] = 1.0
    total = ordered.copy()
    for cell in range(cells.start.shape[1] - 1):
        first, end = cells.start[0, cell], cells.start[0, cell + 1]
        if first == end:
            continue
        found = gather_candidates(cells, cell, 0, first, box, slots, xyz)
        for slot in range(first, end):
            squared_distances(cells, slot, xyz, found, r2)
            count = neighbors_behind(slot, slots, r2, found, cutoff * cutoff, near, near2)
            for k in range(count):
                w[k] = exp_minus(np.sqrt(near2[k]) / cutoff)
            mine, sum_i = ordered[slot], total[slot]
            for k in range(count):
                theirs, sum_j, weight = ordered[near[k]], total[near[k]], w[k]
                for f in range(mine.shape[0]):
                    sum_i[f] += weight * theirs[f]
                for f in range(mine.shape[0]):
                    sum_j[f] += weight * mine[f]
    for slot in range(x.shape[0]):
        mean, sum_i = average[cells.order[slot]], total[slot]
        for f in range(features):
            mean[f] = sum_i[f] / sum_i[features]
