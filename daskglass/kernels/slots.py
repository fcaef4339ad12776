"""Vectors of all particles in the order of cells: (3, slot)."""

import numpy as np

from daskglass.kernels.cells import Cells
from daskglass.kernels.flags import Float, jit


@jit
def by_slot(cells: Cells, vectors: Float) -> Float:
    """Sort vectors (particle, 3) by slot."""
    n = cells.order.shape[0]
    ordered = np.empty((3, n), np.float64)
    for slot in range(n):
        for d in range(3):
            ordered[d, slot] = vectors[cells.order[slot], d]
    return ordered


@jit
def by_particle(cells: Cells, ordered: Float, vectors: Float) -> None:
    """Sort vectors (3, slot) back into `vectors` (particle, 3)."""
    for slot in range(cells.order.shape[0]):
        for d in range(3):
            vectors[cells.order[slot], d] = ordered[d, slot]


@jit
def product(a: Float, b: Float) -> float:
    """Σ a·b."""
    total = 0.0
    for d in range(3):
        for slot in range(a.shape[1]):
            total += a[d, slot] * b[d, slot]
    return total


@jit
def root_mean_square(a: Float) -> float:
    """√(Σ|a|²/N)."""
    return np.sqrt(product(a, a) / a.shape[1])


@jit
def farthest(x: Float, y: Float) -> float:
    """Largest distance |x − y| of a particle; NaN if one is."""
    largest = 0.0
    for slot in range(x.shape[1]):
        r2 = (x[0, slot] - y[0, slot]) ** 2 + (x[1, slot] - y[1, slot]) ** 2 + (x[2, slot] - y[2, slot]) ** 2
        # max() may pass NaN by
        largest = r2 if r2 > largest or np.isnan(r2) else largest
    return np.sqrt(largest)
