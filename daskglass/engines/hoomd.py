"""HOOMD-blue as a library: simulation and minimisation on a GPU where there is one, else on one core."""

from __future__ import annotations

import functools
import importlib
import itertools
import zipfile
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import gsd.hoomd
import numpy as np
from numpy.typing import ArrayLike, NDArray
from typing_extensions import override

from daskglass.engines import Engine, Minima, Simulation
from daskglass.engines.states import State, check_shift, minimize_frames, recorded_frame
from daskglass.errors import EngineError
from daskglass.physics.energies import reduced_size
from daskglass.physics.minima import Minimum, shortest_time
from daskglass.physics.systems import Mixture
from daskglass.registry import ENGINES, entry_of

REMEDY = "install it with: conda install -c conda-forge hoomd"
OLDEST = 4
THERMOSTAT_DAMPING = 0.5  # τ_A
SETTLING = 10.0  # τ_A of stochastic velocity rescaling after a change of temperature
DYNAMICS_BUFFER = 0.3  # σ_AA
MINIMIZER_BUFFER = 0.2  # σ_AA
FIRE_TIMESTEP = 0.04  # longest, in units of min σ'/√ε of the pairs; twice as long ones are unstable
MAX_EVALUATIONS = 100_000
STRIDE = 10  # steps between two looks at whether the minimiser has converged
SLICE = 10**6  # particle-steps, about a second on one core
SEEDS = 2**16  # HOOMD-blue's seeds are 16 bits long
ANY = 1e9  # a tolerance that is always met


class Hoomd(Engine):
    """HOOMD-blue 4 or later, built for double precision; force evaluations of its minimiser are counted in tens."""

    def __init__(self) -> None:
        library()

    @override
    def begin(self, mixture: Mixture, state: State, seed: int, temperature: float, timestep: float) -> HoomdSimulation:
        point = _point(state)._replace(velocities=state.velocities, seed=seed % SEEDS)
        return HoomdSimulation(mixture, point, temperature, timestep)

    @override
    def load(self, path: Path, mixture: Mixture, timestep: float, temperature: float) -> HoomdSimulation:
        try:
            with np.load(path, allow_pickle=False) as file:
                point = _Point(**{name: file[name][()] for name in _Point._fields})
        except (OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile) as error:
            raise EngineError(f"{path} is not a checkpoint of engine hoomd: {error}") from error
        counts = np.bincount(point.species, minlength=len(mixture.species))
        if counts.tolist() != list(mixture.counts(len(point.species))):
            raise EngineError(
                f"checkpoint {path} has {counts.tolist()} particles of each species, but the mixture has "
                f"{list(mixture.counts(len(point.species)))} of {list(mixture.species)}"
            )
        return HoomdSimulation(mixture, point, temperature, timestep)

    @override
    def minimize(
        self,
        mixture: Mixture,
        positions: ArrayLike,
        species: ArrayLike,
        box: ArrayLike,
        tolerance: float = 1e-5,
        minimizer: str = "fire",
    ) -> Minima:
        entry_of(ENGINES["hoomd"].minimizers, minimizer, "hoomd minimizer")
        return minimize_frames(
            mixture, positions, species, box, tolerance, functools.partial(_minimize, mixture, tolerance)
        )


class HoomdSimulation(Simulation):
    """NVT dynamics; a checkpoint is a NumPy archive in double precision.

    The thermostat is HOOMD-blue's Nosé-Hoover one (Martyna, Tobias & Klein 1994). It is a single thermostat, not a chain,
    and a change of temperature makes it ring for tens of τ_A; so for the first 10 τ_A after a start or a change of
    temperature velocities are rescaled stochastically (Bussi et al. 2007), which is canonical, too, and does not ring.
    """

    def __init__(self, mixture: Mixture, point: _Point, temperature: float, timestep: float) -> None:
        md = library().md
        self._mixture = mixture
        self._timestep = float(timestep)
        self._temperature = float(point.temperature)
        self._settled = int(point.settled)
        self._simulation: Any = _simulation(mixture, point)
        self._pair = _potential(mixture, point.box, DYNAMICS_BUFFER)
        self._method = md.methods.ConstantVolume(filter=library().filter.All())
        self._simulation.operations.integrator = md.Integrator(
            dt=self._timestep, forces=[self._pair], methods=[self._method]
        )
        self._thermodynamics = md.compute.ThermodynamicQuantities(filter=library().filter.All())
        self._simulation.operations.computes.append(self._thermodynamics)
        if temperature == self._temperature:
            self._set_thermostat(tuple(point.thermostat.tolist()))
        else:
            self.set_temperature(temperature)
        self._advance(0)

    @property
    @override
    def step(self) -> int:
        return int(self._simulation.timestep)

    @override
    def run(self, steps: int) -> None:
        stop = self.step + int(steps)
        # HOOMD-blue holds Python's lock while it integrates: slices let the other threads of a worker live
        longest = max(1, SLICE // self._simulation.state.N_particles)
        while self.step < stop:
            settling = self._settled - self.step
            self._advance(min(stop - self.step, longest, settling if settling > 0 else stop))
            if self.step == self._settled:
                self._set_thermostat((0.0, 0.0))
                self._advance(0)
                self._method.thermostat.thermalize_dof()

    @override
    def set_temperature(self, temperature: float) -> None:
        self._temperature = float(temperature)
        self._settled = self.step + max(1, round(SETTLING / self._timestep))
        self._set_thermostat((0.0, 0.0))

    @override
    def isolate(self) -> None:
        self._settled = 0
        self._method.thermostat = None

    @override
    def forces(self) -> NDArray[np.float64]:
        return np.array(self._pair.forces)

    @override
    def positions(self) -> NDArray[np.float64]:
        return self._state().positions

    @override
    def frame(self) -> gsd.hoomd.Frame:
        # the virial costs a fifth of the speed, so it is computed for the present state only
        self._simulation.always_compute_pressure = True
        self._advance(0)
        frame = recorded_frame(
            self._mixture,
            self._state(),
            self.step,
            energy=self._pair.energy,
            pressure=self._thermodynamics.pressure,
            temperature=self._thermodynamics.kinetic_temperature,
        )
        self._simulation.always_compute_pressure = False
        return frame

    @override
    def save(self, path: Path) -> None:
        snapshot = self._simulation.state.get_snapshot()
        thermostat = getattr(self._method.thermostat, "translational_dof", (0.0, 0.0))
        point = _Point(
            positions=snapshot.particles.position,
            images=snapshot.particles.image,
            velocities=snapshot.particles.velocity,
            species=snapshot.particles.typeid,
            box=np.array(snapshot.configuration.box[:3]),
            step=self.step,
            seed=self._simulation.seed,
            temperature=self._temperature,
            settled=self._settled,
            thermostat=np.array(tuple(thermostat)),
        )
        try:
            with path.open("wb") as file:
                np.savez(file, **point._asdict())
        except OSError as error:
            raise EngineError(f"cannot write checkpoint {path}: {error}") from error

    @override
    def close(self) -> None:
        self._simulation = self._pair = self._method = self._thermodynamics = None

    def _set_thermostat(self, momentum: tuple[float, ...]) -> None:
        thermostats = library().md.methods.thermostats
        if self.step < self._settled:
            self._method.thermostat = thermostats.Bussi(kT=self._temperature, tau=THERMOSTAT_DAMPING)
        else:
            self._method.thermostat = thermostats.MTTK(kT=self._temperature, tau=THERMOSTAT_DAMPING)
            self._method.thermostat.translational_dof = momentum

    def _advance(self, steps: int) -> None:
        _run(self._simulation, steps, "simulation")

    def _state(self) -> State:
        snapshot = self._simulation.state.get_snapshot()
        box = np.array(snapshot.configuration.box[:3])
        particles = snapshot.particles
        unwrapped = particles.position + particles.image * box + box / 2
        return State(unwrapped, particles.velocity, particles.typeid, box)


class _Point(NamedTuple):
    # what a simulation continues from; positions are wrapped and centred on the origin
    positions: NDArray[np.float64]
    images: NDArray[np.int32]
    velocities: NDArray[np.float64]
    species: NDArray[np.integer]
    box: NDArray[np.float64]
    step: int
    seed: int
    temperature: float
    settled: int  # step from which the thermostat is the Nosé-Hoover one
    thermostat: NDArray[np.float64]  # its ξ and η


def _point(state: State) -> _Point:
    # at rest
    images = np.floor(state.positions / state.box)
    return _Point(
        positions=state.positions - images * state.box - state.box / 2,
        images=images.astype(np.int32),
        velocities=np.zeros_like(state.positions),
        species=state.species,
        box=state.box,
        step=0,
        seed=0,
        temperature=np.nan,
        settled=0,
        thermostat=np.zeros(2),
    )


def pair_scan(
    mixture: Mixture, first: str, second: str, r: ArrayLike
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Energy and force of two particles as HOOMD-blue computes them, to hold against `daskglass.physics.energies`.

    Parameters
    ----------
    mixture : the mixture
    first, second : names of the two species
    r : (n,) distances, σ_AA

    Returns
    -------
    Energies (n,), ε_AA, and forces (n,), ε_AA/σ_AA, positive when repulsive.
    """
    md = library().md
    distances = np.asarray(r, dtype=np.float64)
    species = np.array([mixture.species.index(first), mixture.species.index(second)])
    box = np.full(3, 3 * (max(mixture.longest_cutoff, distances.max()) + DYNAMICS_BUFFER))
    scan = []
    for distance in distances:
        ends = np.array([[-distance / 2, 0.0, 0.0], [distance / 2, 0.0, 0.0]])
        point = _point(State(np.zeros((2, 3)), np.zeros((2, 3)), species, box))._replace(positions=ends)
        simulation = _simulation(mixture, point)
        pair = _potential(mixture, box, DYNAMICS_BUFFER)
        simulation.operations.integrator = md.Integrator(dt=0.0, forces=[pair])
        _run(simulation, 0, "pair scan")
        scan.append((pair.energy, pair.forces[1, 0]))
    energy, force = np.transpose(scan)
    return energy, force


@functools.cache
def library() -> ModuleType:
    """Import HOOMD-blue with its molecular dynamics.

    Raises
    ------
    EngineError
        If it is missing, cannot be loaded, is too old, or computes in single precision.
    """
    try:
        hoomd = importlib.import_module("hoomd")
        importlib.import_module("hoomd.md")
    except (ImportError, OSError) as error:
        raise EngineError(f"engine hoomd is not installed ({error})", remedy=REMEDY) from error
    version = hoomd.version.version
    if int(version.split(".")[0]) < OLDEST:
        raise EngineError(f"engine hoomd is version {version}; daskglass needs {OLDEST} or later", remedy=REMEDY)
    if hoomd.version.floating_point_precision[0] != 64:
        raise EngineError(
            "engine hoomd is built for single precision, which is too low for inherent structures", remedy=REMEDY
        )
    return hoomd


def _simulation(mixture: Mixture, point: _Point) -> Any:
    hoomd = library()
    device = hoomd.device.auto_select(notice_level=0)
    snapshot = hoomd.Snapshot(device.communicator)
    snapshot.configuration.box = [*point.box.tolist(), 0, 0, 0]
    snapshot.particles.N = len(point.positions)
    snapshot.particles.types = list(mixture.species)
    snapshot.particles.typeid[:] = point.species
    snapshot.particles.position[:] = point.positions
    snapshot.particles.velocity[:] = point.velocities
    snapshot.particles.image[:] = point.images
    simulation = hoomd.Simulation(device=device, seed=int(point.seed))
    simulation.timestep = int(point.step)
    simulation.create_state_from_snapshot(snapshot)
    return simulation


def _potential(mixture: Mixture, box: NDArray[np.float64], buffer: float) -> Any:
    # ExpandedLJ compares r itself with r_cut, and shifts by the energy there
    shortest = 2 * (mixture.longest_cutoff + buffer)
    if box.min() <= shortest:
        raise EngineError(
            f"a box of edge {box.min():.3f} is too small for engine hoomd, which needs more than twice the cut-off "
            f"and a margin, {shortest:.3f}",
            remedy=f"use more particles, at least {int(mixture.density * shortest**3) + 1}",
        )
    check_shift(mixture, "hoomd")
    md = library().md
    style = md.pair.ExpandedLJ if mixture.delta else md.pair.LJ
    potential = style(nlist=md.nlist.Cell(buffer=buffer), mode="shift")
    for names in itertools.combinations_with_replacement(mixture.species, 2):
        pair = mixture.pair(*names)
        shift = {"delta": mixture.delta} if mixture.delta else {}
        potential.params[names] = {"epsilon": pair.epsilon, "sigma": reduced_size(mixture, pair), **shift}
        potential.r_cut[names] = mixture.cutoff * pair.sigma
    return potential


def _run(simulation: Any, steps: int, what: str) -> None:
    try:
        simulation.run(steps)
    except RuntimeError as error:
        cause = " ".join(str(error).split())
        raise EngineError(f"HOOMD-blue stopped the {what} at step {simulation.timestep}: {cause}") from error


def _minimize(
    mixture: Mixture,
    tolerance: float,
    positions: NDArray[np.float64],
    species: NDArray[np.int64],
    box: NDArray[np.float64],
) -> Minimum:
    hoomd = library()
    n = len(positions)
    point = _point(State(positions, np.zeros_like(positions), species, box))
    simulation = _simulation(mixture, point)
    pair = _potential(mixture, box, MINIMIZER_BUFFER)
    fire = hoomd.md.minimize.FIRE(
        dt=FIRE_TIMESTEP * shortest_time(mixture),
        # HOOMD-blue holds √(Σ|a|²/3N) against this, and its other two criteria are not ours
        force_tol=tolerance / 3**0.5,
        angmom_tol=ANY,
        energy_tol=ANY,
        min_steps_conv=1,
        forces=[pair],
        methods=[hoomd.md.methods.ConstantVolume(filter=hoomd.filter.All())],
    )
    simulation.operations.integrator = fire
    _run(simulation, 0, "minimisation")
    fire.reset()  # the first step is then a tenth of the longest
    while not fire.converged and simulation.timestep < MAX_EVALUATIONS:
        _run(simulation, STRIDE, "minimisation")
    particles = simulation.state.get_snapshot().particles
    moved = particles.position - point.positions + (particles.image - point.images) * box
    force_rms = float(np.sqrt(np.sum(pair.forces**2) / n))
    return Minimum(positions + moved, pair.energy / n, force_rms, int(simulation.timestep))
