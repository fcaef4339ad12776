"""Histograms of pair distances of one frame."""

import numpy as np

from daskglass.kernels.cells import gather_candidates, most_candidates, sort_into_cells, squared_distances
from daskglass.kernels.flags import Float, Int, jit


@jit
def pair_histogram(positions: Float, species: Int, group: Int, box: Float, r_max: float, counts: Int) -> None:
    """Add to `counts` the neighbours at each distance, by group of the centre and species of the neighbour.

    A pair whose species both have centres is found once, and counted for both.

    Parameters
    ----------
    positions : (particle, 3); species : (particle,) codes; box : (3,)
    group : (particle,) group of each centre, negative where a particle is none
    r_max : upper limit of the last bin
    counts : (group, species, bin) int64, added to
    """
    groups, kinds, bins = counts.shape
    r_max2 = r_max * r_max
    per_width = bins / r_max

    cells = sort_into_cells(positions, species, kinds, box, r_max)
    # who is no centre counts for a group of its own, which nobody sees
    row = np.empty(cells.order.shape[0], np.int64)
    central = np.zeros(kinds, np.bool_)
    for slot in range(row.shape[0]):
        i = cells.order[slot]
        row[slot] = group[i] if group[i] >= 0 else groups
        central[species[i]] |= group[i] >= 0
    found_pairs = np.zeros((groups + 1, kinds, bins), np.int64)

    most = most_candidates(cells)
    slots, xyz = np.empty(most, np.int64), np.empty((3, most), np.float64)
    r2, near = np.empty(most, np.float64), np.empty(most, np.int64)
    for kind in range(kinds):
        if not central[kind]:
            continue
        for cell in range(cells.start.shape[1] - 1):
            first, end = cells.start[kind, cell], cells.start[kind, cell + 1]
            if first == end:
                continue
            for K in range(kinds):
                mutual = central[K]
                if mutual and kind > K:
                    continue
                found = gather_candidates(cells, cell, K, first if kind == K else 0, box, slots, xyz)
                for slot in range(first, end):
                    if not mutual and row[slot] == groups:
                        continue
                    squared_distances(cells, slot, xyz, found, r2)
                    lowest = slot if kind == K else -1
                    count = 0
                    for j in range(found):
                        near[count] = j
                        count += (r2[j] < r_max2) & (slots[j] > lowest)
                    of_center = found_pairs[row[slot], K]
                    for c in range(count):
                        j = near[c]
                        b = min(int(np.sqrt(r2[j]) * per_width), bins - 1)
                        of_center[b] += 1
                        if mutual:
                            found_pairs[row[slots[j]], kind, b] += 1
    counts += found_pairs[:groups]
