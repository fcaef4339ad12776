"""Histograms of pair distances of one frame."""

import numpy as np

from daskglass.kernels.cells import gather_candidates, sort_into_cells, squared_distances
from daskglass.kernels.flags import Float, Int, jit


@jit
def pair_histogram(positions: Float, species: Int, group: Int, box: Float, r_max: float, counts: Int) -> None:
    """Add to `counts` the neighbours at each distance, by group of the centre and species of the neighbour.

    Parameters
    ----------
    positions : (particle, 3); species : (particle,) codes; box : (3,)
    group : (particle,) group of each centre, negative where a particle is none
    r_max : upper limit of the last bin
    counts : (group, species, bin) int64, added to
    """
    n, bins = positions.shape[0], counts.shape[2]
    r_max2 = r_max * r_max
    per_width = bins / r_max

    cells = sort_into_cells(positions, box, r_max)
    slots = np.empty(n, np.int64)
    xyz = np.empty((3, n), np.float64)
    r2 = np.empty(n, np.float64)
    for cell in range(cells.start.shape[0] - 1):
        found = -1
        for slot in range(cells.start[cell], cells.start[cell + 1]):
            row = group[cells.order[slot]]
            if row < 0:
                continue
            if found < 0:
                found = gather_candidates(cells, cell, slots, xyz)
            squared_distances(cells, slot, xyz, found, box, r2)
            for j in range(found):
                if r2[j] < r_max2 and slots[j] != slot:
                    b = min(int(np.sqrt(r2[j]) * per_width), bins - 1)
                    counts[row, species[cells.order[slots[j]]], b] += 1
