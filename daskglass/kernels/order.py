"""Bond-orientational order around every particle of one frame."""

import numpy as np

from daskglass.kernels.cells import gather_candidates, most_candidates, sort_into_cells, squared_distances
from daskglass.kernels.flags import Float, jit
from daskglass.kernels.neighborhood import exp_minus
from daskglass.kernels.structure import SUPPORT


@jit
def bond_order(positions: Float, box: Float, degree: int, distances: Float, width: float, Q: Float) -> None:
    """Q_l(i; d) = √[ 4π/(2l+1) Σ_m |q_lm|² ], q_lm(i; d) = Σ_j g_d(r_ij) Y_lm(r̂_ij) / Σ_j g_d(r_ij).

    g_d(r) = exp[ −(r − d)² / (2δ²) ], no farther from d than SUPPORT widths.

    Parameters
    ----------
    positions : (particle, 3); box : (3,); degree : l; distances : d; width : δ
    Q : (particle, distance) result, NaN where a particle has no neighbour
    """
    farthest, nearest = distances.max() + SUPPORT * width, max(distances.min() - SUPPORT * width, 0.0)
    cells = sort_into_cells(positions, np.zeros(positions.shape[0], np.int8), 1, box, farthest)
    most = most_candidates(cells)
    slots, near = np.empty(most, np.int64), np.empty(most, np.int64)
    xyz, r2, r, g = np.empty((3, most)), np.empty(most), np.empty(most), np.empty(most)
    bonds, Y, work = np.empty((3, most)), np.empty((2 * degree + 1, most)), np.empty((4, most))
    for cell in range(cells.start.shape[1] - 1):
        first, end = cells.start[0, cell], cells.start[0, cell + 1]
        if first == end:
            continue
        found = gather_candidates(cells, cell, 0, 0, box, slots, xyz)
        for slot in range(first, end):
            squared_distances(cells, slot, xyz, found, r2)
            count = 0
            for j in range(found):
                near[count] = j
                count += (nearest * nearest <= r2[j]) & (r2[j] < farthest * farthest) & (slots[j] != slot)
            for k in range(count):
                j = near[k]
                r[k] = np.sqrt(r2[j])
                for d in range(3):
                    bonds[d, k] = (xyz[d, j] - cells.xyz[d, slot]) / r[k]
            harmonics(bonds, count, work, Y)
            for d in range(distances.shape[0]):
                Z = 0.0
                for k in range(count):
                    t = (r[k] - distances[d]) / width
                    g[k] = exp_minus(0.5 * t * t) if abs(t) <= SUPPORT else 0.0
                    Z += g[k]
                Q[cells.order[slot], d] = length_of_sum(g, Y, count) / Z


@jit
def length_of_sum(g: Float, Y: Float, count: int) -> float:
    """√[ Σ_m (Σ_j g_j Y_mj)² ]."""
    total = 0.0
    for m in range(Y.shape[0]):
        row, q = Y[m], 0.0
        for k in range(count):
            q += g[k] * row[k]
        total += q * q
    return np.sqrt(total)


@jit
def harmonics(bonds: Float, count: int, work: Float, Y: Float) -> None:
    """√[ 4π/(2l+1) ] Y_lm of unit vectors (3, count), as 2l+1 real functions: m = 0, then √2 times both parts of every m.

    Y_lm = P_l(z) (x + iy)^m, with the sine's power in (x + iy)^m: P_m is a number, and
    P_n = a (z P_{n−1} − b P_{n−2}), a² = (4n²−1)/(n²−m²), b² = ((n−1)²−m²)/(4(n−1)²−1), leads from there to P_l.

    Parameters
    ----------
    work : (4, count) at least; Y : (2l+1, count) result
    """
    degree = (Y.shape[0] - 1) // 2
    P, before, real, imaginary = work[0], work[1], work[2], work[3]
    P_m = 1.0 / np.sqrt(2.0 * degree + 1.0)
    for k in range(count):
        real[k], imaginary[k] = 1.0, 0.0
    for m in range(degree + 1):
        for k in range(count):
            P[k], before[k] = P_m, 0.0
        for n in range(m + 1, degree + 1):
            a = np.sqrt((4.0 * n * n - 1.0) / (n * n - m * m))
            b = np.sqrt(((n - 1.0) ** 2 - m * m) / (4.0 * (n - 1.0) ** 2 - 1.0))
            for k in range(count):
                P[k], before[k] = a * (bonds[2, k] * P[k] - b * before[k]), P[k]
        for k in range(count):
            if m == 0:
                Y[0, k] = P[k]
            else:
                Y[2 * m - 1, k] = np.sqrt(2.0) * P[k] * real[k]
                Y[2 * m, k] = np.sqrt(2.0) * P[k] * imaginary[k]
        for k in range(count):
            x, y = bonds[0, k], bonds[1, k]
            real[k], imaginary[k] = real[k] * x - imaginary[k] * y, real[k] * y + imaginary[k] * x
        P_m *= np.sqrt((2.0 * m + 3.0) / (2.0 * m + 2.0))
