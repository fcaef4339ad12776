"""Forces and inherent structures against the engine; and, by `python -m benchmarks.minima FRAMES`, how faithful minimisers are.

By definition a frame belongs to the minimum in which its steepest descent ends. The long table holds every minimiser to a
descent that scipy integrates as a stiff equation: the share of the particles that end more than 0.1 σ from there, and of
the frames that end in that very minimum.
"""

import sys
from collections.abc import Callable, Iterator

import numpy as np
import scipy.integrate
from numpy.typing import NDArray

import daskglass as dg
from benchmarks.timing import Row, compare
from daskglass.engines import get_engine, get_minimizer
from daskglass.engines.lammps import library
from daskglass.kernels.cells import sort_into_cells
from daskglass.kernels.fire import fire
from daskglass.kernels.forces import forces
from daskglass.kernels.neighbors import SKIN, list_neighbors
from daskglass.kernels.slots import by_particle, by_slot
from daskglass.physics.energies import potential_of, reduced_size
from daskglass.physics.minima import LONGEST_STEP, MOST_EVALUATIONS, shortest_time
from daskglass.physics.systems import Mixture

TEMPERATURES = (0.9, 0.55)
PARTICLES = 200  # as few as the box allows
SETTLED = 1e-4  # ε/σ: from there Newton's method finds the minimum
Array = NDArray[np.float64]


def rows() -> list[Row]:
    """Time an evaluation of the forces, and the minimisation of a frame."""
    found = []
    for name, particles in (("ka_0.0", 4096), ("ka_0.0", 32_768), ("ka_0.2", 4096), ("ka_0.2", 32_768)):
        found += evaluation(name, particles)
    return found + minimization()


def evaluation(name: str, particles: int) -> list[Row]:
    """One evaluation of the forces, lists of neighbours at hand."""
    mixture = dg.built_in(name)[0]
    x, codes, box = frame_of(mixture, particles, 1.0 if mixture.delta == 0 else 1.6)
    potential = potential_of(mixture)
    cells = sort_into_cells(x, codes, 2, box, potential.cutoff.max() + SKIN)
    neighbors, ordered = list_neighbors(cells, box, potential.cutoff + SKIN), by_slot(cells, x)
    F = np.zeros_like(ordered)

    # steps so short that no list is made anew
    script = library().lammps(cmdargs=["-log", "none", "-screen", "none", "-nocite"])
    script.commands_string(f"""
        package omp 1
        units lj
        region box block 0 {box[0]} 0 {box[0]} 0 {box[0]}
        create_box 2 box
    """)
    inside = np.mod(x, box).ravel().tolist()
    script.create_atoms(particles, list(range(1, particles + 1)), (codes + 1).tolist(), inside)
    script.command(f"pair_style {'lj/expand/omp' if mixture.delta else 'lj/cut/opt'} 2.5")
    for i, j, pair in ((1, 1, "AA"), (1, 2, "AB"), (2, 2, "BB")):
        sigma, r_c = reduced_size(mixture, mixture.pair(*pair)), mixture.cutoff * mixture.pair(*pair).sigma
        last = f"{mixture.delta} {r_c - mixture.delta}" if mixture.delta else f"{r_c}"
        script.command(f"pair_coeff {i} {j} {mixture.pair(*pair).epsilon} {sigma} {last}")
    script.commands_string("mass * 1.0\nneighbor 0.2 bin\ntimestep 1e-9\nfix nve all nve\nrun 0 post no")
    repeats = 40 * 4096 // particles

    def ours() -> None:
        for _ in range(repeats):
            forces(ordered, cells, box, neighbors, potential, F)

    rows = compare(
        f"forces of {particles} particles, Δ = {mixture.delta}, {repeats} times", ours,
        {"LAMMPS": (lambda: script.command(f"run {repeats} post no"), 2.5 if mixture.delta else 2.0)},
    )  # fmt: skip
    script.close()
    return rows


def minimization() -> list[Row]:
    """A supercooled frame, to its minimum."""
    mixture = dg.built_in("ka_0.0")[0]
    x, codes, box = frame_of(mixture, 4096, 0.55)
    native, lammps = get_minimizer("native"), get_minimizer("lammps")
    return compare(
        "inherent structure of 4096 particles at T = 0.55",
        lambda: native.minimize(mixture, x[None], codes, box),
        {"LAMMPS, FIRE": (lambda: lammps.minimize(mixture, x[None], codes, box), 2.5)},
        ("native, descent", lambda: native.minimize(mixture, x[None], codes, box, minimizer="descent")),
        runs=3,
    )


def frame_of(mixture: Mixture, particles: int, temperature: float) -> tuple[Array, NDArray[np.int64], Array]:
    """Positions (particle, 3), species codes and box of a liquid."""
    *_, frame = liquid_frames(mixture, particles, temperature, 1)
    codes = np.repeat(np.arange(2), mixture.counts(particles))
    return frame, codes, np.full(3, mixture.box_length(particles))


def liquid_frames(mixture: Mixture, particles: int, temperature: float, number: int) -> Iterator[Array]:
    """Frames of a liquid, 8 τ apart, cooled from twice its temperature."""
    with get_engine("lammps").start(mixture, particles, 7, 2 * temperature, 0.004) as simulation:
        simulation.run(2000)
        simulation.set_temperature(temperature)
        simulation.run(5000)
        for _ in range(number):
            simulation.run(2000)
            yield simulation.positions()


# --- faithfulness --------------------------------------------------------------------------------------------------


def faithfulness(number: int) -> None:
    """Print the table, of so many frames at each temperature."""
    mixture = dg.built_in("ka_0.0")[0]
    codes = np.repeat(np.arange(2), mixture.counts(PARTICLES))
    box = np.full(3, mixture.box_length(PARTICLES))
    native, lammps, longest = get_minimizer("native"), get_minimizer("lammps"), shortest_time(mixture)

    def by_fire(step: float) -> Callable[[Array], tuple[Array, int]]:
        def minimize(start: Array) -> tuple[Array, int]:
            x = start.copy()
            return x, fire(x, codes, box, potential_of(mixture), 1e-6, step * longest, MOST_EVALUATIONS)[1]

        return minimize

    def by(engine: str, minimizer: str) -> Callable[[Array], tuple[Array, int]]:
        def minimize(start: Array) -> tuple[Array, int]:
            found = (native if engine == "native" else lammps).minimize(
                mixture, start[None], codes, box, 1e-6, minimizer
            )
            return found.positions[0].astype(np.float64), int(found.evaluations[0])

        return minimize

    steps = {
        f"native, FIRE, longest step {step}": by_fire(step) for step in (0.01, 0.02, 0.03, 0.04, 0.05, LONGEST_STEP)
    }
    ways = steps | {
        "native, descent": by("native", "descent"),
        "LAMMPS, FIRE": by("lammps", "fire"),
        "LAMMPS, cg": by("lammps", "cg"),
    }
    for T in TEMPERATURES:
        starts = list(liquid_frames(mixture, PARTICLES, T, number))
        truth = [steepest_descent(mixture, start, codes, box) for start in starts]
        for name, minimize in ways.items():
            ends, evaluations = zip(*(minimize(start) for start in starts), strict=True)
            far = np.array([apart(end, true) > 0.1 for end, true in zip(ends, truth, strict=True)])
            print(
                f"T = {T} | {name} | {far.mean():.1%} of the particles elsewhere | {1 - far.any(axis=1).mean():.0%} of the "
                f"frames in their minimum | {np.mean(evaluations):.0f} evaluations",
                flush=True,
            )


def apart(x: Array, y: Array) -> Array:
    """Distance of every particle, but for a shift of all."""
    moved = x - y
    return np.linalg.norm(moved - moved.mean(axis=0), axis=1)


def steepest_descent(mixture: Mixture, start: Array, codes: NDArray[np.int64], box: Array) -> Array:
    """Minimum in which dx/dt = −∇V ends, by a stiff solver to SETTLED, then by Newton's method.

    Raises
    ------
    RuntimeError
        If the solver gives up, or ends elsewhere than near a minimum.
    """
    potential = potential_of(mixture)

    def force(t: float, flat: Array) -> Array:
        x = flat.reshape(-1, 3)
        cells = sort_into_cells(x, codes, 2, box, potential.cutoff.max())
        ordered, result = by_slot(cells, x), np.empty_like(x)
        F = np.zeros_like(ordered)
        forces(ordered, cells, box, list_neighbors(cells, box, potential.cutoff), potential, F)
        by_particle(cells, F, result)
        return result.ravel()

    table = [[mixture.pair(a, b) for b in mixture.species] for a in mixture.species]
    epsilon = np.array([[pair.epsilon for pair in row] for row in table])[codes[:, None], codes]
    sigma = np.array([[pair.sigma for pair in row] for row in table])[codes[:, None], codes]

    def jacobian(t: float, flat: Array) -> Array:
        # of Δ = 0: −V'' along the pair, −V'/r across it
        x = flat.reshape(-1, 3)
        d = x[:, None] - x
        d -= box * np.rint(d / box)
        r = np.linalg.norm(d, axis=-1)
        i, j = np.nonzero((r < mixture.cutoff * sigma) & (r > 0))
        d, r, s6 = d[i, j], r[i, j], (sigma[i, j] / r[i, j]) ** 6
        across = -24 * epsilon[i, j] * (2 * s6**2 - s6) / r**2
        along = 24 * epsilon[i, j] * (26 * s6**2 - 7 * s6) / r**2
        e = d / r[:, None]
        block = (along - across)[:, None, None] * e[:, :, None] * e[:, None, :] + across[:, None, None] * np.eye(3)
        J = np.zeros((len(x), 3, len(x), 3))
        J[i, :, j, :] = block
        for k in range(len(x)):
            J[k, :, k, :] = -block[i == k].sum(axis=0)
        return J.reshape(3 * len(x), -1)

    solver = scipy.integrate.BDF(force, 0.0, start.ravel(), np.inf, jac=jacobian, rtol=1e-6, atol=1e-8)
    while np.sqrt((force(solver.t, solver.y) ** 2).sum() / len(codes)) > SETTLED:
        if problem := solver.step():
            raise RuntimeError(problem)
    flat = solver.y
    for _ in range(10):
        curvature, modes = np.linalg.eigh(-jacobian(0.0, flat))
        if curvature[0] < -1e-6:
            raise RuntimeError(f"the descent ended at a saddle, of curvature {curvature[0]}")
        inside = modes[:, curvature > 1e-6]
        step = inside @ ((inside.T @ force(0.0, flat)) / curvature[curvature > 1e-6])
        if np.abs(step).max() > 0.05:
            raise RuntimeError(f"the minimum lies {np.abs(step).max()} σ from where the descent ended")
        flat = flat + step
    return flat.reshape(-1, 3)


if __name__ == "__main__":
    faithfulness(int(sys.argv[1])) if len(sys.argv) > 1 else rows()
