"""Inherent structures: the minimum of the potential energy below one frame."""

from typing import NamedTuple

import numpy as np

from daskglass.kernels.cells import Cells, sort_into_cells
from daskglass.kernels.flags import Float, Int, jit
from daskglass.kernels.forces import Potential, forces
from daskglass.kernels.neighbors import by_slot, list_neighbors

SKIN = 0.2  # σ_AA beyond the cut-offs: longer lists against more of them
ALPHA, ALPHA_SHRINKS, GROWS, SHRINKS, DELAY = 0.1, 0.99, 1.1, 0.5, 5  # as in the article
GROWTH = 4.0  # ratio of the longest to the first time step
FARTHEST = 0.1  # σ_AA that a particle moves in one step: overlaps would throw it across the box


class Pace(NamedTuple):
    """What FIRE adapts: time step, how much velocities turn into the direction of forces, steps since it went uphill."""

    step: float
    alpha: float
    downhill: int


@jit
def fire(
    positions: Float, species: Int, box: Float, potential: Potential, tolerance: float, longest: float, most: int
) -> tuple[float, int]:
    """Bring a frame to its minimum by the fast inertial relaxation engine (Bitzek et al. 2006).

    Parameters
    ----------
    positions : (particle, 3) float64, unwrapped; left at the minimum; species : (particle,) codes; box : (3,)
    tolerance : of √(Σ|F|²/N); longest : time step in τ_A; most : evaluations of the forces

    Returns
    -------
    √(Σ|F|²/N) at the end, above the tolerance or NaN if it was not reached, and evaluations
    """
    n, kinds = positions.shape[0], potential.cutoff.shape[0]
    velocities = np.zeros((n, 3))
    pace, evaluations = Pace(longest / GROWTH, ALPHA, 0), 0
    while True:
        cells = sort_into_cells(positions, species, kinds, box, potential.cutoff.max() + SKIN)
        neighbors = list_neighbors(cells, box, potential.cutoff + SKIN)
        x, v = by_slot(cells, positions), by_slot(cells, velocities)
        F, start = np.zeros_like(x), x.copy()
        moved = 0.0
        while moved < (SKIN / 2) ** 2:
            forces(x, cells, box, neighbors, potential, F)
            evaluations += 1
            force_rms = np.sqrt(_product(F, F) / n)
            # NaN is not above it
            if not force_rms > tolerance or evaluations >= most:
                break
            pace = _accelerate(v, F, pace, longest)
            moved = _move(x, v, start, pace.step)
        _return(cells, x - start, v, positions, velocities)
        if not force_rms > tolerance or evaluations >= most:
            return force_rms, evaluations


@jit
def _accelerate(v: Float, F: Float, pace: Pace, longest: float) -> Pace:
    """Turn velocities towards the forces; after some steps downhill go faster, at the first uphill stop."""
    step, alpha, downhill = pace
    if _product(F, v) > 0.0:
        downhill += 1
        if downhill > DELAY:
            step, alpha = min(step * GROWS, longest), alpha * ALPHA_SHRINKS
    else:
        step, alpha, downhill = step * SHRINKS, ALPHA, 0
        v[:] = 0.0
    n = F.shape[1] - 1
    for d in range(3):
        for slot in range(n):
            v[d, slot] += step * F[d, slot]
    ratio = np.sqrt(_product(v, v) / _product(F, F))
    for d in range(3):
        for slot in range(n):
            v[d, slot] = (1.0 - alpha) * v[d, slot] + alpha * ratio * F[d, slot]
    return Pace(step, alpha, downhill)


@jit
def _move(x: Float, v: Float, start: Float, step: float) -> float:
    """Move along the velocities; return the largest squared distance from the start."""
    n = x.shape[1] - 1
    fastest = 0.0
    for slot in range(n):
        fastest = max(fastest, v[0, slot] ** 2 + v[1, slot] ** 2 + v[2, slot] ** 2)
    step = min(step, FARTHEST / np.sqrt(fastest))
    moved = 0.0
    for slot in range(n):
        r2 = 0.0
        for d in range(3):
            x[d, slot] += step * v[d, slot]
            r2 += (x[d, slot] - start[d, slot]) ** 2
        moved = max(moved, r2)
    return moved


@jit
def _return(cells: Cells, moved: Float, v: Float, positions: Float, velocities: Float) -> None:
    """Add displacements (3, slot) to positions (particle, 3), and copy velocities."""
    for slot in range(cells.order.shape[0]):
        i = cells.order[slot]
        for d in range(3):
            positions[i, d] += moved[d, slot]
            velocities[i, d] = v[d, slot]


@jit
def _product(a: Float, b: Float) -> float:
    """Σ a·b over all slots but the one behind the last."""
    total = 0.0
    for d in range(3):
        for slot in range(a.shape[1] - 1):
            total += a[d, slot] * b[d, slot]
    return total
