"""The fast inertial relaxation engine (Bitzek et al. 2006): to the minimum of the potential energy by damped motion."""

from typing import NamedTuple

import numpy as np

from daskglass.kernels.cells import sort_into_cells
from daskglass.kernels.flags import Float, Int, jit
from daskglass.kernels.forces import Potential, forces
from daskglass.kernels.neighbors import SKIN, list_neighbors
from daskglass.kernels.slots import by_particle, by_slot, farthest, product, root_mean_square

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
    """Bring a frame to its minimum, from rest.

    Parameters
    ----------
    positions : (particle, 3) float64, unwrapped; left at the minimum; species : (particle,) codes; box : (3,)
    tolerance : of √(Σ|F|²/N); longest : time step in τ_A; most : evaluations of the forces

    Returns
    -------
    √(Σ|F|²/N) at the end, above the tolerance or not finite if it was not reached, and evaluations
    """
    kinds = potential.cutoff.shape[0]
    velocities = np.zeros(positions.shape)
    pace, evaluations = Pace(longest / GROWTH, ALPHA, 0), 0
    while True:
        cells = sort_into_cells(positions, species, kinds, box, potential.cutoff.max() + SKIN)
        neighbors = list_neighbors(cells, box, potential.cutoff + SKIN)
        x, v = by_slot(cells, positions), by_slot(cells, velocities)
        F, start = np.zeros_like(x), x.copy()
        while farthest(x, start) < SKIN / 2:
            forces(x, cells, box, neighbors, potential, F)
            evaluations += 1
            force_rms = root_mean_square(F)
            if force_rms <= tolerance or not np.isfinite(force_rms) or evaluations >= most:
                by_particle(cells, x, positions)
                return force_rms, evaluations
            pace = _accelerate(v, F, pace, longest)
            _move(x, v, pace.step)
        by_particle(cells, x, positions)
        by_particle(cells, v, velocities)


@jit
def _accelerate(v: Float, F: Float, pace: Pace, longest: float) -> Pace:
    """Turn velocities towards the forces; after some steps downhill go faster, at the first uphill stop."""
    step, alpha, downhill = pace
    if product(F, v) > 0.0:
        downhill += 1
        if downhill > DELAY:
            step, alpha = min(step * GROWS, longest), alpha * ALPHA_SHRINKS
    else:
        step, alpha, downhill = step * SHRINKS, ALPHA, 0
        v[:] = 0.0
    n = F.shape[1]
    for d in range(3):
        for slot in range(n):
            v[d, slot] += step * F[d, slot]
    ratio = np.sqrt(product(v, v) / product(F, F))
    for d in range(3):
        for slot in range(n):
            v[d, slot] = (1.0 - alpha) * v[d, slot] + alpha * ratio * F[d, slot]
    return Pace(step, alpha, downhill)


@jit
def _move(x: Float, v: Float, step: float) -> None:
    """Move along the velocities, nobody farther than FARTHEST."""
    n = x.shape[1]
    fastest2 = 0.0
    for slot in range(n):
        fastest2 = max(fastest2, v[0, slot] ** 2 + v[1, slot] ** 2 + v[2, slot] ** 2)
    step = min(step, FARTHEST / np.sqrt(fastest2))
    for d in range(3):
        for slot in range(n):
            x[d, slot] += step * v[d, slot]
