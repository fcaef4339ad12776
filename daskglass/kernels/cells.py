"""Cell lists: the particles of a periodic box sorted by species and cell, so that neighbours lie close in memory."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from daskglass.kernels.flags import Float, Int, jit

SPARSE = 8  # at most so many cells per particle
MOST = 1e6  # cells along an edge: the product of three is still a number
REACH = 2  # cells that the cut-off spans: more fit its sphere closer, fewer are found faster


class Cells(NamedTuple):
    """Particles sorted by species, then by cell; slot s holds particle `order[s]`."""

    counts: NDArray[np.int64]  # (3,) cells along each edge
    reach: NDArray[np.int64]  # (3,) cells that the cut-off spans along each edge
    start: NDArray[np.int64]  # (species, cells + 1) first slot of each cell
    order: NDArray[np.int64]  # (particle,)
    xyz: NDArray[np.float64]  # (3, particle) wrapped into the box, by slot


@jit
def sort_into_cells(
    positions: Float, species: Int, kinds: int, box: Float, cutoff: float, most_reach: int = REACH
) -> Cells:
    """Sort particles of several kinds into cells, of which the cut-off spans `most_reach` at most."""
    n = positions.shape[0]
    counts, reach = np.empty(3, np.int64), np.empty(3, np.int64)
    for d in range(3):
        counts[d] = max(1, int(min(most_reach * box[d] / cutoff, MOST)))
    # a dilute gas needs no more cells than particles fill
    crowded = (SPARSE * n / (counts[0] * counts[1] * counts[2])) ** (1.0 / 3.0)
    for d in range(3):
        counts[d] = max(1, int(counts[d] * min(crowded, 1.0)))
        reach[d] = min(most_reach, int(np.ceil(cutoff * counts[d] / box[d])))
    number = counts[0] * counts[1] * counts[2]
    wrapped = np.empty((3, n), np.float64)
    home = np.empty(n, np.int64)
    first = np.zeros(kinds * number + 1, np.int64)
    for i in range(n):
        index = 0
        for d in range(3):
            x = np.float64(positions[i, d]) / box[d]
            x -= np.floor(x)
            wrapped[d, i] = x * box[d]
            # x may round up to 1
            index = index * counts[d] + min(int(x * counts[d]), counts[d] - 1)
        home[i] = species[i] * number + index
        first[home[i] + 1] += 1
    first = np.cumsum(first)
    order = np.empty(n, np.int64)
    xyz = np.empty((3, n), np.float64)
    filled = first.copy()
    for i in range(n):
        slot = filled[home[i]]
        filled[home[i]] += 1
        order[slot] = i
        for d in range(3):
            xyz[d, slot] = wrapped[d, i]
    start = np.empty((kinds, number + 1), np.int64)
    for K in range(kinds):
        # no assignment of a slice, whose error alone takes two seconds to compile
        for cell in range(number + 1):
            start[K, cell] = first[K * number + cell]
    return Cells(counts, reach, start, order, xyz)


@jit
def most_candidates(cells: Cells) -> int:
    """Size that suffices for the candidates of any cell."""
    most = cells.order.shape[0]
    for d in range(3):
        # in a box of few cells, so many times at most is one and the same cell within reach
        most *= int(np.ceil((2 * cells.reach[d] + 1) / cells.counts[d]))
    return most


@jit
def gather_candidates(cells: Cells, cell: int, K: int, lowest: int, box: Float, slots: Int, xyz: Float) -> int:
    """Copy the particles of species K in all cells within reach of one cell; return how many there are.

    Fills `slots` (found,), none below `lowest`, and `xyz` (3, found): that image of each which the walls of the box put next
    to the cell. A cell within reach on two sides is copied twice: the box is at least twice the cut-off, so at most
    one image of a particle lies within it.
    """
    nx, ny, nz = cells.counts
    rx, ry, rz = cells.reach
    cx, cy, cz = cell // (ny * nz), (cell // nz) % ny, cell % nz
    start = cells.start[K]
    before, after = (cz - rz) // nz, (cz + rz) // nz
    found = 0
    for x in range(cx - rx, cx + rx + 1):
        Lx = x // nx
        for y in range(cy - ry, cy + ry + 1):
            Ly = y // ny
            row = ((x - Lx * nx) * ny + y - Ly * ny) * nz
            # cells up to the next wall lie behind one another in memory
            for Lz in range(before, after + 1):
                low = max(lowest, start[row + max(cz - rz - Lz * nz, 0)])
                for slot in range(low, start[row + min(cz + rz - Lz * nz, nz - 1) + 1]):
                    slots[found] = slot
                    xyz[0, found] = cells.xyz[0, slot] + Lx * box[0]
                    xyz[1, found] = cells.xyz[1, slot] + Ly * box[1]
                    xyz[2, found] = cells.xyz[2, slot] + Lz * box[2]
                    found += 1
    return found


@jit
def squared_distances(cells: Cells, slot: int, xyz: Float, found: int, r2: Float) -> None:
    """Squared distances from one particle to all candidates, into `r2`."""
    x, y, z = cells.xyz[0, slot], cells.xyz[1, slot], cells.xyz[2, slot]
    for j in range(found):
        dx = xyz[0, j] - x
        dy = xyz[1, j] - y
        dz = xyz[2, j] - z
        r2[j] = dx * dx + dy * dy + dz * dz
