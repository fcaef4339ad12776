"""Steepest descent dx/dt = F, integrated with control of its error: the basin in which a frame lies, by definition.

The equation is stiff: the curvatures of a liquid's potential span four decades. A Runge-Kutta-Chebyshev method of second
order (Sommeijer, Shampine and Verwer 1997) of s stages is stable for steps of (s² − 1)/1.54 over the largest curvature, where
Euler's method allows 2, and needs no derivatives of the forces.
"""

import numpy as np

from daskglass.kernels.cells import Cells, sort_into_cells
from daskglass.kernels.flags import Float, Int, jit
from daskglass.kernels.forces import Potential, forces
from daskglass.kernels.neighbors import SKIN, Neighbors, list_neighbors
from daskglass.kernels.slots import by_particle, by_slot, farthest, product, root_mean_square

DAMPING = 2.0 / 13.0
MOST_STAGES = 250
FIRST_STEP = 1e-4  # σ²/ε
GROWS, SHRINKS, SAFETY = 5.0, 0.1, 0.8  # limits of one change of the step, and what is kept back
RENEWED = 25  # steps after which the largest curvature is estimated again
MARGIN, PRECISE, ITERATIONS = 1.1, 0.02, 30  # of that estimate: what is added, where it ends
NUDGE = 1e-4  # σ_AA, root mean square


@jit
def descend(
    positions: Float, species: Int, box: Float, potential: Potential, error: float, until: float, most: int
) -> tuple[float, int]:
    """Follow the steepest descent to where its curvature is positive and forces are small.

    Parameters
    ----------
    positions : (particle, 3) float64, unwrapped; left where the descent ends; species : (particle,) codes; box : (3,)
    error : largest of a coordinate in one step, σ_AA; until : √(Σ|F|²/N) at which the descent ends
    most : evaluations of the forces

    Returns
    -------
    √(Σ|F|²/N) at the end, above `until` or NaN if it was not reached, and evaluations
    """
    kinds = potential.cutoff.shape[0]
    stiffest = np.zeros(positions.shape)
    h, radius, age, evaluations = FIRST_STEP, 0.0, RENEWED, 0
    while True:
        cells = sort_into_cells(positions, species, kinds, box, potential.cutoff.max() + SKIN)
        neighbors = list_neighbors(cells, box, potential.cutoff + SKIN)
        x, direction = by_slot(cells, positions), by_slot(cells, stiffest)
        start, y, F, G = x.copy(), x.copy(), np.zeros_like(x), np.zeros_like(x)
        forces(x, cells, box, neighbors, potential, F)
        evaluations += 1
        fresh = True
        while True:
            force_rms = root_mean_square(F)
            if not np.isfinite(force_rms) or evaluations >= most:
                by_particle(cells, x, positions)
                return np.nan, evaluations
            if age >= RENEWED:
                radius, spent = _largest_curvature(x, F, direction, cells, box, neighbors, potential, G)
                evaluations, age = evaluations + spent, 0
            stages = max(2, int(1.0 + np.sqrt(1.0 + 1.54 * h * radius)))
            if stages > MOST_STAGES:
                stages, h = MOST_STAGES, (MOST_STAGES**2 - 1) / (1.54 * radius)
            spent = _step(x, F, h, stages, start, cells, box, neighbors, potential, y, G)
            evaluations += spent
            if spent < stages:
                # somebody left the lists
                if not fresh:
                    break
                h *= 0.5
                continue
            estimate = _error(x, y, F, G, h)
            age += 1
            if estimate <= error:
                curvature = _curvature(x, y, F, G)
                x, y, F, G = y, x, G, F
                fresh = False
                force_rms = root_mean_square(F)
                if curvature > 0.0 and force_rms <= until:
                    by_particle(cells, x, positions)
                    return force_rms, evaluations
            else:
                age = RENEWED
            h *= min(GROWS, max(SHRINKS, SAFETY * (max(estimate, 1e-9 * error) / error) ** (-1.0 / 3.0)))
        by_particle(cells, x, positions)
        by_particle(cells, direction, stiffest)


@jit
def _step(
    x: Float,
    F: Float,
    h: float,
    stages: int,
    start: Float,
    cells: Cells,
    box: Float,
    neighbors: Neighbors,
    potential: Potential,
    y: Float,
    G: Float,
) -> int:
    """Step from x, with forces F, to y, with forces G (Sommeijer, Shampine and Verwer 1997, Eq. 2.4 to 2.7).

    Returns
    -------
    Evaluations of the forces; fewer than stages where somebody moved half a skin from `start` on the way
    """
    n = x.shape[1]
    w0 = 1.0 + DAMPING / stages**2
    root = np.sqrt(w0 * w0 - 1.0)
    angle = stages * np.log(w0 + root)
    w1 = np.sinh(angle) * root**2 / (np.cosh(angle) * stages * root - w0 * np.sinh(angle))
    b1 = b2 = 0.25 / w0**2
    T1, T2, dT1, dT2, ddT1, ddT2 = w0, 1.0, 1.0, 0.0, 0.0, 0.0
    before = x.copy()
    for d in range(3):
        for slot in range(n):
            y[d, slot] = x[d, slot] + h * w1 * b1 * F[d, slot]
    for j in range(2, stages + 1):
        if not farthest(y, start) < SKIN / 2:
            return j - 2
        forces(y, cells, box, neighbors, potential, G)
        T, dT, ddT = 2.0 * w0 * T1 - T2, 2.0 * (w0 * dT1 + T1) - dT2, 2.0 * w0 * ddT1 + 4.0 * dT1 - ddT2
        b = ddT / dT**2
        a = 1.0 - T1 * b1
        mu, nu = 2.0 * w0 * b / b1, -b / b2
        h_mu = h * mu * w1 / w0
        for d in range(3):
            for slot in range(n):
                after = mu * y[d, slot] + nu * before[d, slot] + (1.0 - mu - nu) * x[d, slot]
                after += h_mu * (G[d, slot] - a * F[d, slot])
                before[d, slot], y[d, slot] = y[d, slot], after
        b1, b2, T1, T2, dT1, dT2, ddT1, ddT2 = b, b1, T, T1, dT, dT1, ddT, ddT1
    if not farthest(y, start) < SKIN / 2:
        return stages - 1
    forces(y, cells, box, neighbors, potential, G)
    return stages


@jit
def _error(x: Float, y: Float, F: Float, G: Float, h: float) -> float:
    """Largest estimated error of a coordinate."""
    largest = 0.0
    for d in range(3):
        for slot in range(x.shape[1]):
            estimate = abs(0.8 * (x[d, slot] - y[d, slot]) + 0.4 * h * (F[d, slot] + G[d, slot]))
            # max() may pass NaN by
            largest = estimate if estimate > largest or np.isnan(estimate) else largest
    return largest


@jit
def _curvature(x: Float, y: Float, F: Float, G: Float) -> float:
    """Curvature of the potential energy along a step, times its squared length."""
    total = 0.0
    for d in range(3):
        for slot in range(x.shape[1]):
            total -= (y[d, slot] - x[d, slot]) * (G[d, slot] - F[d, slot])
    return total


@jit
def _largest_curvature(
    x: Float, F: Float, direction: Float, cells: Cells, box: Float, neighbors: Neighbors, potential: Potential, G: Float
) -> tuple[float, int]:
    """Bound the largest curvature at x, by power iteration with differences of forces; `direction` is where it lies."""
    n = x.shape[1]
    if not product(direction, direction) > 0.0:
        for d in range(3):
            for slot in range(n):
                direction[d, slot] = F[d, slot]
    largest = 0.0
    y = x.copy()
    for k in range(ITERATIONS):
        nudge = NUDGE / root_mean_square(direction)
        for d in range(3):
            for slot in range(n):
                y[d, slot] = x[d, slot] + nudge * direction[d, slot]
        forces(y, cells, box, neighbors, potential, G)
        length = np.sqrt(product(direction, direction))
        for d in range(3):
            for slot in range(n):
                direction[d, slot] = (F[d, slot] - G[d, slot]) / (nudge * length)
        before, largest = largest, np.sqrt(product(direction, direction))
        if k > 1 and abs(largest - before) < PRECISE * largest:
            return MARGIN * largest, k + 1
    return MARGIN * largest, ITERATIONS
