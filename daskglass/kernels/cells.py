"""Cell lists: the particles of a periodic box sorted by cell, so that neighbours lie close together in memory."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from daskglass.kernels.flags import Float, Int, jit

SPARSE = 8  # at most so many cells per particle
REACH = 2  # cells are half the cut-off or longer, so neighbours lie at most two cells away


class Cells(NamedTuple):
    """Particles sorted by cell; slot s holds particle `order[s]`."""

    counts: NDArray[np.int64]  # (3,) cells along each edge
    start: NDArray[np.int64]  # (cells + 1,) first slot of each cell
    order: NDArray[np.int64]  # (particle,)
    xyz: NDArray[np.float64]  # (3, particle) wrapped into the box, by slot


@jit
def sort_into_cells(positions: Float, box: Float, cutoff: float) -> Cells:
    """Sort particles into cells whose edges are at least half the cut-off."""
    n = positions.shape[0]
    counts = np.empty(3, np.int64)
    for d in range(3):
        counts[d] = max(1, int(REACH * box[d] / cutoff))
    # a dilute gas needs no more cells than particles fill
    crowded = (SPARSE * n / (counts[0] * counts[1] * counts[2])) ** (1.0 / 3.0)
    if crowded < 1.0:
        for d in range(3):
            counts[d] = max(1, int(counts[d] * crowded))
    wrapped = np.empty((3, n), np.float64)
    cell = np.empty(n, np.int64)
    start = np.zeros(counts[0] * counts[1] * counts[2] + 1, np.int64)
    for i in range(n):
        index = 0
        for d in range(3):
            x = np.float64(positions[i, d]) / box[d]
            x -= np.floor(x)
            wrapped[d, i] = x * box[d]
            # x may round up to 1
            index = index * counts[d] + min(int(x * counts[d]), counts[d] - 1)
        cell[i] = index
        start[index + 1] += 1
    start = np.cumsum(start)
    order = np.empty(n, np.int64)
    xyz = np.empty((3, n), np.float64)
    filled = start.copy()
    for i in range(n):
        slot = filled[cell[i]]
        filled[cell[i]] += 1
        order[slot] = i
        for d in range(3):
            xyz[d, slot] = wrapped[d, i]
    return Cells(counts, start, order, xyz)


@jit
def gather_candidates(cells: Cells, cell: int, slots: Int, xyz: Float) -> int:
    """Copy the particles of all cells within reach of one cell; return how many there are.

    Fills `slots` (particle,) and `xyz` (3, particle). In a box of few cells each cell is visited once.
    """
    nx, ny, nz = cells.counts
    cx, cy, cz = cell // (ny * nz), (cell // nz) % ny, cell % nz
    span = 2 * REACH + 1
    found = 0
    for a in range(min(span, nx)):
        x = (cx - REACH + a) % nx
        for b in range(min(span, ny)):
            y = (cy - REACH + b) % ny
            for c in range(min(span, nz)):
                z = (cz - REACH + c) % nz
                neighbor = (x * ny + y) * nz + z
                for slot in range(cells.start[neighbor], cells.start[neighbor + 1]):
                    slots[found] = slot
                    xyz[0, found] = cells.xyz[0, slot]
                    xyz[1, found] = cells.xyz[1, slot]
                    xyz[2, found] = cells.xyz[2, slot]
                    found += 1
    return found


@jit
def squared_distances(cells: Cells, slot: int, xyz: Float, found: int, box: Float, r2: Float) -> None:
    """Minimum-image squared distances from one particle to all candidates, into `r2`."""
    x, y, z = cells.xyz[0, slot], cells.xyz[1, slot], cells.xyz[2, slot]
    Lx, Ly, Lz = box
    inverse_x, inverse_y, inverse_z = 1.0 / Lx, 1.0 / Ly, 1.0 / Lz
    for j in range(found):
        dx = xyz[0, j] - x
        dy = xyz[1, j] - y
        dz = xyz[2, j] - z
        dx -= Lx * np.rint(dx * inverse_x)
        dy -= Ly * np.rint(dy * inverse_y)
        dz -= Lz * np.rint(dz * inverse_z)
        r2[j] = dx * dx + dy * dy + dz * dz
