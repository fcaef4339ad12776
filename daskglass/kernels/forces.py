"""Forces and energies of a mixture of expanded Lennard-Jones particles, from lists of neighbours."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from daskglass.kernels.cells import Cells, sort_into_cells
from daskglass.kernels.flags import Float, Int, jit
from daskglass.kernels.neighbors import Neighbors, list_neighbors
from daskglass.kernels.slots import by_slot

BATCH = 64  # slots whose pairs lie side by side: no more than the cache holds


class Potential(NamedTuple):
    """V(r) = v(r) − v(r_c) + (r − r_c) f_c of every pair of species, v(r) = 4ε [ (σ'/(r−Δ))^12 − (σ'/(r−Δ))^6 ]."""

    epsilon: NDArray[np.float64]  # (species, species), as all but Δ
    sigma: NDArray[np.float64]  # σ'
    cutoff: NDArray[np.float64]  # r_c
    energy: NDArray[np.float64]  # v(r_c)
    force: NDArray[np.float64]  # f_c = −v'(r_c), where the force is shifted; else 0
    delta: float


@jit
def forces(x: Float, cells: Cells, box: Float, neighbors: Neighbors, potential: Potential, F: Float) -> None:
    """F_i = Σ_j [ 24ε (2s^12 − s^6) / (r−Δ) − f_c ] (x_i − x_j)/r, s = σ'/(r−Δ).

    Every pair is met once. Separations are gathered and forces handed out one by one; in between they lie side by side, so
    that the arithmetic is done by vector units.

    Parameters
    ----------
    x : (3, slot) positions; F : (3, slot) result
    """
    kinds = cells.start.shape[0]
    F[:] = 0.0
    for K in range(kinds):
        start = neighbors.start[K]
        for kind in range(K + 1):
            end = cells.start[kind, -1]
            for first in range(cells.start[kind, 0], end, BATCH):
                last = min(first + BATCH, end)
                pairs = np.empty((3, start[last] - start[first]), np.float64)
                _separate(x, first, last, start, neighbors.slots, pairs)
                _interact(pairs, kind, K, box, potential)
                _hand_out(pairs, first, last, start, neighbors.slots, F)


@jit
def _separate(x: Float, first: int, last: int, start: Int, slots: Int, pairs: Float) -> None:
    """Gather the separations x_i − x_j (3, pair) of slots from `first` to before `last` and their neighbours."""
    X, Y, Z = x[0], x[1], x[2]
    for slot in range(first, last):
        # slices count from 0: the innermost loop need not ask whether an index is negative
        xi, yi, zi = X[slot], Y[slot], Z[slot]
        neighbors = slots[start[slot] : start[slot + 1]]
        low, high = start[slot] - start[first], start[slot + 1] - start[first]
        dx, dy, dz = pairs[0, low:high], pairs[1, low:high], pairs[2, low:high]
        for k in range(neighbors.shape[0]):
            j = neighbors[k]
            dx[k] = xi - X[j]
            dy[k] = yi - Y[j]
            dz[k] = zi - Z[j]


@jit
def _interact(pairs: Float, kind: int, K: int, box: Float, potential: Potential) -> None:
    """Turn the separations (3, pair) of two species into forces."""
    delta = potential.delta
    epsilon24, f_c = 24.0 * potential.epsilon[kind, K], potential.force[kind, K]
    sigma2, cutoff2 = potential.sigma[kind, K] ** 2, potential.cutoff[kind, K] ** 2
    # without a root where none is needed
    plain = delta == 0.0 and f_c == 0.0
    Lx, Ly, Lz = box[0], box[1], box[2]
    per_Lx, per_Ly, per_Lz = 1.0 / Lx, 1.0 / Ly, 1.0 / Lz
    for pair in range(pairs.shape[1]):
        dx, dy, dz = pairs[0, pair], pairs[1, pair], pairs[2, pair]
        dx -= Lx * np.rint(dx * per_Lx)
        dy -= Ly * np.rint(dy * per_Ly)
        dz -= Lz * np.rint(dz * per_Lz)
        r2 = dx * dx + dy * dy + dz * dz
        if plain:
            w = 1.0 / r2
            s6 = (sigma2 * w) ** 3
            f = epsilon24 * (2.0 * s6 - 1.0) * s6 * w
        else:
            r = np.sqrt(r2)
            w = 1.0 / (r2 - delta * r)  # 1/[r (r−Δ)]
            s6 = (sigma2 * (r * w) ** 2) ** 3
            f = epsilon24 * (2.0 * s6 - 1.0) * s6 * w - f_c * (r - delta) * w
        # a select, not a branch: no product with what lies beyond, which may be NaN
        near = r2 < cutoff2
        pairs[0, pair] = f * dx if near else 0.0
        pairs[1, pair] = f * dy if near else 0.0
        pairs[2, pair] = f * dz if near else 0.0


@jit
def _hand_out(pairs: Float, first: int, last: int, start: Int, slots: Int, F: Float) -> None:
    """Add the forces (3, pair) to both particles of every pair."""
    FX, FY, FZ = F[0], F[1], F[2]
    for slot in range(first, last):
        Fx, Fy, Fz = 0.0, 0.0, 0.0
        neighbors = slots[start[slot] : start[slot + 1]]
        low, high = start[slot] - start[first], start[slot + 1] - start[first]
        fx, fy, fz = pairs[0, low:high], pairs[1, low:high], pairs[2, low:high]
        for k in range(neighbors.shape[0]):
            j = neighbors[k]
            Fx += fx[k]
            Fy += fy[k]
            Fz += fz[k]
            FX[j] -= fx[k]
            FY[j] -= fy[k]
            FZ[j] -= fz[k]
        FX[slot] += Fx
        FY[slot] += Fy
        FZ[slot] += Fz


@jit
def energies(positions: Float, species: Int, box: Float, potential: Potential, E: Float) -> None:
    """E_i = ½ Σ_j V(r_ij) of every particle of a frame; NaN where two are closer than Δ, where there is no potential.

    Parameters
    ----------
    positions : (particle, 3); species : (particle,) codes; box : (3,); E : (particle,) result
    """
    kinds, delta = potential.cutoff.shape[0], potential.delta
    cells = sort_into_cells(positions, species, kinds, box, potential.cutoff.max())
    neighbors = list_neighbors(cells, box, potential.cutoff)
    x = by_slot(cells, positions)
    E[:] = 0.0
    for K in range(kinds):
        for kind in range(K + 1):
            epsilon4, sigma = 4.0 * potential.epsilon[kind, K], potential.sigma[kind, K]
            r_c, v_c, f_c = potential.cutoff[kind, K], potential.energy[kind, K], potential.force[kind, K]
            for slot in range(cells.start[kind, 0], cells.start[kind, -1]):
                for entry in range(neighbors.start[K, slot], neighbors.start[K, slot + 1]):
                    j = neighbors.slots[entry]
                    r2 = 0.0
                    for d in range(3):
                        separation = x[d, slot] - x[d, j]
                        separation -= box[d] * np.rint(separation / box[d])
                        r2 += separation * separation
                    r = np.sqrt(r2)
                    s6 = (sigma / (r - delta)) ** 6 if r > delta else np.nan
                    V = epsilon4 * (s6 - 1.0) * s6 - v_c + (r - r_c) * f_c
                    half = 0.5 * V if r < r_c else 0.0
                    E[cells.order[slot]] += half
                    E[cells.order[j]] += half
