"""Forces and energies of a mixture of expanded Lennard-Jones particles, from lists of neighbours."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from daskglass.kernels.cells import Cells, sort_into_cells
from daskglass.kernels.flags import Float, Int, jit
from daskglass.kernels.neighbors import Neighbors, list_neighbors
from daskglass.kernels.slots import by_slot


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

    Parameters
    ----------
    x : (3, slot + 1) positions, NaN behind the last; F : (3, slot + 1) result
    """
    kinds, delta = cells.start.shape[0], potential.delta
    # without a root where none is needed
    plain = delta == 0.0 and not potential.force.any()
    X, Y, Z = x[0], x[1], x[2]
    Lx, Ly, Lz = box[0], box[1], box[2]
    per_Lx, per_Ly, per_Lz = 1.0 / Lx, 1.0 / Ly, 1.0 / Lz
    for kind in range(kinds):
        for slot in range(cells.start[kind, 0], cells.start[kind, -1]):
            xi, yi, zi = X[slot], Y[slot], Z[slot]
            Fx, Fy, Fz = 0.0, 0.0, 0.0
            for K in range(kinds):
                epsilon24, f_c = 24.0 * potential.epsilon[kind, K], potential.force[kind, K]
                sigma2, cutoff2 = potential.sigma[kind, K] ** 2, potential.cutoff[kind, K] ** 2
                for entry in range(neighbors.bounds[slot, K, 0], neighbors.bounds[slot, K, 1]):
                    j = neighbors.slots[entry]
                    dx, dy, dz = xi - X[j], yi - Y[j], zi - Z[j]
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
                    Fx += f * dx if near else 0.0
                    Fy += f * dy if near else 0.0
                    Fz += f * dz if near else 0.0
            F[0, slot], F[1, slot], F[2, slot] = Fx, Fy, Fz


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
    for slot in range(cells.order.shape[0]):
        i = cells.order[slot]
        kind = species[i]
        total = 0.0
        for K in range(kinds):
            epsilon4, sigma = 4.0 * potential.epsilon[kind, K], potential.sigma[kind, K]
            r_c, v_c, f_c = potential.cutoff[kind, K], potential.energy[kind, K], potential.force[kind, K]
            for entry in range(neighbors.bounds[slot, K, 0], neighbors.bounds[slot, K, 1]):
                j = neighbors.slots[entry]
                r2 = 0.0
                for d in range(3):
                    separation = x[d, slot] - x[d, j]
                    separation -= box[d] * np.rint(separation / box[d])
                    r2 += separation * separation
                r = np.sqrt(r2)
                s6 = (sigma / (r - delta)) ** 6 if r > delta else np.nan
                V = epsilon4 * (s6 - 1.0) * s6 - v_c + (r - r_c) * f_c
                total += V if r < r_c else 0.0
        E[i] = 0.5 * total
