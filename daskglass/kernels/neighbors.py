"""Lists of the neighbours of every particle, good until one has moved half the skin."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from daskglass.kernels.cells import Cells, gather_candidates, most_candidates, squared_distances
from daskglass.kernels.flags import Float, jit

LANES = 8  # a list is filled up to whole vectors: a loop over what remains would cost as much as the rest
SKIN = 0.2  # σ_AA beyond the cut-offs: longer lists against more of them
EXPECTED = 100  # neighbours of a particle; more are made room for


class Neighbors(NamedTuple):
    """Slots of the neighbours of each slot, by species; what fills a list up is the slot behind the last."""

    bounds: NDArray[np.int64]  # (slot, species, 2) first entry, and the one behind the last
    slots: NDArray[np.int32]  # (entry,)


@jit
def list_neighbors(cells: Cells, box: Float, reach: Float) -> Neighbors:
    """List, for every particle, all others closer than `reach` (species, species) of the two species, both ways."""
    kinds, n = cells.start.shape[0], cells.order.shape[0]
    most = most_candidates(cells)
    near, xyz, r2 = np.empty(most, np.int64), np.empty((3, most), np.float64), np.empty(most, np.float64)
    bounds = np.empty((n, kinds, 2), np.int64)
    slots = np.empty(n * EXPECTED, np.int32)
    count = 0
    for kind in range(kinds):
        for cell in range(cells.start.shape[1] - 1):
            first, end = cells.start[kind, cell], cells.start[kind, cell + 1]
            if first == end:
                continue
            for K in range(kinds):
                found = gather_candidates(cells, cell, K, 0, box, near, xyz)
                reach2 = reach[kind, K] ** 2
                for slot in range(first, end):
                    if count + found + LANES > slots.shape[0]:
                        slots = np.append(slots, np.empty(slots.shape[0] + found + LANES, np.int32))
                    squared_distances(cells, slot, xyz, found, r2)
                    bounds[slot, K, 0] = count
                    for j in range(found):
                        slots[count] = near[j]
                        count += (r2[j] < reach2) & (near[j] != slot)
                    while (count - bounds[slot, K, 0]) % LANES:
                        slots[count] = n
                        count += 1
                    bounds[slot, K, 1] = count
    return Neighbors(bounds, slots)
