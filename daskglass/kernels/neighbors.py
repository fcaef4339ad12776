"""Lists of the neighbours of every particle, good until one has moved half the skin."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from daskglass.kernels.cells import Cells, gather_candidates, most_candidates, squared_distances
from daskglass.kernels.flags import Float, jit

SKIN = 0.2  # σ_AA beyond the cut-offs: longer lists against more of them
EXPECTED = 50  # neighbours of a particle; more are made room for


class Neighbors(NamedTuple):
    """Slots of the neighbours of each slot among those behind it, by species: every pair is listed once."""

    start: NDArray[np.int64]  # (species, slot + 1) first entry, where those of the slot before end
    slots: NDArray[np.uint32]  # (entry,)


@jit
def list_neighbors(cells: Cells, box: Float, reach: Float) -> Neighbors:
    """List, for every particle, those behind it that are closer than `reach` (species, species) of the two species."""
    kinds, n = cells.start.shape[0], cells.order.shape[0]
    most = most_candidates(cells)
    near, xyz, r2 = np.empty(most, np.int64), np.empty((3, most), np.float64), np.empty(most, np.float64)
    start = np.empty((kinds, n + 1), np.int64)
    slots = np.empty(n * EXPECTED, np.uint32)
    count = 0
    for K in range(kinds):
        for kind in range(K + 1):
            reach2 = reach[kind, K] ** 2
            for cell in range(cells.start.shape[1] - 1):
                first, end = cells.start[kind, cell], cells.start[kind, cell + 1]
                if first == end:
                    continue
                found = gather_candidates(cells, cell, K, first, box, near, xyz)
                for slot in range(first, end):
                    if count + found > slots.shape[0]:
                        slots = np.append(slots, np.empty(slots.shape[0] + found, np.uint32))
                    squared_distances(cells, slot, xyz, found, r2)
                    start[K, slot] = count
                    mine, listed = slots[count:], 0
                    for j in range(found):
                        mine[listed] = near[j]
                        listed += (r2[j] < reach2) & (near[j] > slot)
                    count += listed
        # species are sorted: nobody of K lies behind the slots that follow
        start[K, cells.start[K, -1] :] = count
    return Neighbors(start, slots)
