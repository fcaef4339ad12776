"""One link of a temperature sweep: equilibrate a replica at one temperature, record its runs, hand it on.

A link is divided into segments by number of steps. At the end of each the engine's checkpoint is written *and the
simulation goes on from the checkpoint read back*, so a link that was interrupted and resumed does the same arithmetic
as one that was not, and records the same frames to the bit.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import math
import shutil
import time
import uuid
import warnings
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import NamedTuple

import gsd.hoomd
import numpy as np
from numpy.typing import NDArray

from daskglass.engines import ENERGY, PRESSURE, TEMPERATURE, Engine, Simulation, get_engine
from daskglass.errors import EngineError, StudyError
from daskglass.physics.relaxation import crossing_time, self_scattering
from daskglass.physics.systems import Mixture
from daskglass.store.durable import publish, sync

SEGMENT = 10**8  # particle-steps between checkpoints: about a minute on one core
STATE = "state.npz"
FINAL = "final.checkpoint"
OWNER = "owner"  # who works on a link: one that was thought dead, and was replaced, finds another's name and stops

Report = Callable[[int, int, float], None]


class Uniform(NamedTuple):
    """A run of frames evenly spaced in time, the first at its start."""

    frames: int
    interval: float  # τ_A


class Logarithmic(NamedTuple):
    """A run of frames spaced logarithmically from each of several overlapping origins."""

    origins: int
    points: int
    longest: float  # τ_α


class Equilibration(NamedTuple):
    """Least time before anything is recorded."""

    minimum: float  # τ_A
    multiple: float  # τ_α


@dataclass(frozen=True)
class Link:
    """Everything that decides what one link simulates, in plain values.

    Attributes
    ----------
    engine : name of the engine
    system : name of the system, for messages
    mixture : the system
    particles : number of particles
    replica : number of the replica; every replica draws its own lattice and velocities
    seed : of the study
    temperature : ε_AA/k_B
    timestep : τ_A
    folder : where this link's files go
    production, training : runs of uniform frames
    equilibration : how long before recording
    previous : folder of the link at the next hotter temperature; None to start from a lattice
    relaxation : run of logarithmic frames
    relaxation_time : τ_α in τ_A where it is known; None to measure it

    Raises
    ------
    StudyError
        If an interval is not a whole number of time steps, or a run has no frames.
    """

    engine: str
    system: str
    mixture: Mixture
    particles: int
    replica: int
    seed: int
    temperature: float
    timestep: float
    folder: Path
    production: Uniform
    equilibration: Equilibration
    previous: Path | None = None
    training: Uniform | None = None
    relaxation: Logarithmic | None = None
    relaxation_time: float | None = None

    def __post_init__(self) -> None:
        for name in ("particles", "temperature", "timestep"):
            if not getattr(self, name) > 0:
                raise StudyError(f"{name} must be positive; got {getattr(self, name)}")
        if self.relaxation_time is not None and not 0 < self.relaxation_time < math.inf:
            raise StudyError(f"relaxation_time must be positive and finite; got {self.relaxation_time}")
        for run in (self.production, self.training):
            if run is not None:
                uniform_steps(run.frames, run.interval, self.timestep)
        if self.relaxation is not None and not (min(self.relaxation[:2]) >= 1 and self.relaxation.longest >= 5):
            raise StudyError(
                "relaxation must have at least one origin and one point, and lags up to at least 5 τ_α; "
                f"got {tuple(self.relaxation)}"
            )


@dataclass(frozen=True)
class Receipt:
    """What a finished link left behind.

    Attributes
    ----------
    runs : GSD file of each run recorded: production, training, relaxation
    checkpoint : the engine's state at the end, where the next link starts
    relaxation_time : τ_α given or last measured during equilibration, τ_A
    energy : mean potential energy per particle over the production frames, ε_AA
    pressure : the same, ε_AA/σ_AA³
    temperature : mean kinetic temperature over the production frames, ε_AA/k_B
    steps : time steps run in this link
    wall : seconds spent, without what an interruption lost
    """

    runs: dict[str, Path]
    checkpoint: Path
    relaxation_time: float
    energy: float
    pressure: float
    temperature: float
    steps: int
    wall: float


def simulate(link: Link, report: Report | None = None) -> Receipt:
    """Run one link, or what is left of it.

    A link already complete in its folder for the same settings returns at once; an interrupted one goes on from its
    last checkpoint; one with other settings, or after a hotter link that changed, starts over.

    Parameters
    ----------
    link : what to simulate
    report : called with (steps done, steps expected in all, potential energy per particle) after every frame and
        measurement

    Raises
    ------
    EngineError
        If the engine is missing or fails, the previous link is not complete, or another process has taken over.
    """
    folder = Path(link.folder)
    folder.mkdir(parents=True, exist_ok=True)
    fingerprint = _fingerprint(link)
    owner = uuid.uuid4().hex
    # before the state is read: from here on, nobody else changes it
    (folder / OWNER).write_text(owner)
    state = _read_state(folder)
    if state is None or state.fingerprint != fingerprint or not _whole(link, state):
        _clear(folder)
        state = _State(fingerprint)
    if state.phase != "done":
        try:
            state = _finish(link, state, report, owner)
        except _LostError as error:
            warnings.warn(f"{error}; simulating this run again from its beginning", stacklevel=2)
            _clear(folder)
            state = _finish(link, _State(fingerprint), report, owner)
    (folder / OWNER).unlink(missing_ok=True)
    # it, and the folders that were made for it
    sync(folder, *folder.parents[:4])
    return _receipt(link, state)


def _finish(link: Link, state: _State, report: Report | None, owner: str) -> _State:
    work = _Work(link, get_engine(link.engine), state, report, owner)
    try:
        work.finish()
    finally:
        work.close()
    return work.state


def lag_grid(longest_steps: int) -> list[int]:
    """Lags of relaxation runs: round(10^{k/10}) time steps, k = 0, 1, 2, …, up to the first not below `longest_steps`.

    The grid is the same at every temperature, so runs of different length share their lags.
    """
    grid = [1]
    for k in itertools.count(1):
        if grid[-1] >= longest_steps:
            return grid
        lag = round(10 ** (k / 10))
        if lag > grid[-1]:
            grid.append(lag)
    raise AssertionError("unreachable")


def relaxation_steps(run: Logarithmic, relaxation_time: float, timestep: float) -> list[int]:
    """Return the steps of a relaxation run's frames: origins × (points + 1), the first 0.

    The longest lag is the first of the grid of at least `longest` τ_α, or the first with `points` lags up to it. Frames
    lie at origin + lag for the largest `points` lags and lag 0. Origins are about τ_α apart: they are then nearly
    independent, and the run is little longer than its longest lag.

    Parameters
    ----------
    run : numbers of origins and of points, and the longest lag in τ_α
    relaxation_time : τ_α, τ_A
    timestep : τ_A
    """
    # rounded, lest a longest lag that is a lag to the last bit be taken for more
    grid = lag_grid(math.ceil(round(run.longest * relaxation_time / timestep, 6)))
    while len(grid) < run.points:
        grid = lag_grid(grid[-1] + 1)
    lags = [0, *grid[-run.points :]]
    spacing = max(1, round(grid[-1] / run.longest))
    while True:
        steps = {origin * spacing + lag for origin in range(run.origins) for lag in lags}
        if len(steps) == run.origins * len(lags):
            return sorted(steps)
        # two frames fell on one step: the number of frames must not depend on τ_α
        spacing += 1


def uniform_steps(frames: int, interval: float, timestep: float) -> list[int]:
    """Return the steps of a run of uniform frames, the first 0.

    Raises
    ------
    StudyError
        If the interval is not a whole number of time steps, or there are no frames.
    """
    steps = round(interval / timestep)
    if frames < 1 or steps < 1 or not math.isclose(steps * timestep, interval, rel_tol=1e-9):
        raise StudyError(
            f"a run needs frames >= 1 and an interval of a whole number of time steps; got {frames} frames, "
            f"interval {interval} = {interval / timestep:.6g} time steps of {timestep}"
        )
    return [i * steps for i in range(frames)]


@dataclass(frozen=True)
class _State:
    """How far a link has come; always that of its last checkpoint when on disk."""

    fingerprint: str
    phase: str = "equilibration"
    step: int = 0  # within the phase
    total: int = 0  # within the link
    recorded: int = 0  # frames of the phase
    checkpoint: str = ""
    relaxation_time: float = math.nan
    wall: float = 0.0
    origin_step: int = 0
    last: tuple[float, float] = (0.0, 1.0)  # lag and F of the last measurement
    origin: NDArray[np.float64] = field(default_factory=lambda: np.empty((0, 3)))


class _LostError(Exception):
    """A run that was being recorded is not what the last checkpoint says: a power cut, or another hand."""


class _Work:
    """A link at work: the running simulation and the state it has reached."""

    def __init__(self, link: Link, engine: Engine, state: _State, report: Report | None, owner: str) -> None:
        self.link = link
        self.engine = engine
        self.state = state
        self.report = report
        self.owner = owner
        self.folder = Path(link.folder)
        self.segment = max(1, SEGMENT // link.particles)
        self.since = time.perf_counter()
        self.writer: gsd.hoomd.HOOMDTrajectory | None = None
        self.simulation = self._begin()

    def finish(self) -> None:
        """Do every phase that is left."""
        phases = _phases(self.link)
        for phase in phases[phases.index(self.state.phase) :]:
            self.state = replace(self.state, phase=phase)
            if phase == "equilibration":
                self._equilibrate()
            else:
                self._record(phase)
            self.state = replace(self.state, step=0, recorded=0)
        self._check_owner()
        shutil.copyfile(self.folder / self.state.checkpoint, self.folder / (FINAL + ".part"))
        publish([(self.folder / (FINAL + ".part"), self.folder / FINAL)], self.folder)
        self._commit(replace(self.state, phase="done", checkpoint=FINAL))

    def _check_owner(self) -> None:
        # before anything is written: a worker that lost its scheduler works on for a while, beside the one in its place
        path = self.folder / OWNER
        if not path.exists() or path.read_text() != self.owner:
            raise EngineError("another process took over this simulation", file=self.folder)

    def close(self) -> None:
        """Close files and simulation, whole or not."""
        if self.writer is not None:
            self.writer.close()
        self.simulation.close()

    def _begin(self) -> Simulation:
        link = self.link
        if not self.state.checkpoint and link.previous is None:
            seed = int(np.random.SeedSequence((link.seed, link.replica)).generate_state(1)[0])
            return self.engine.start(link.mixture, link.particles, seed, link.temperature, link.timestep)
        start = self.folder / self.state.checkpoint if self.state.checkpoint else Path(str(link.previous)) / FINAL
        return self.engine.load(start, link.mixture, link.timestep, link.temperature)

    def _equilibrate(self) -> None:
        interval = max(1, round(1.0 / self.link.timestep))  # 1 τ_A between measurements
        if self.link.relaxation_time is not None:
            self.state = replace(self.state, relaxation_time=self.link.relaxation_time)
        if not len(self.state.origin):
            self._take_origin()
        while not self._equilibrated():
            self._advance((self.state.step // interval + 1) * interval)
            if self.link.relaxation_time is None:
                self._measure()
            self._report()
            self._checkpoint_if_due()
        self._checkpoint()

    def _equilibrated(self) -> bool:
        # a measurement not yet made is NaN, and nothing is larger than NaN
        least = max(self.link.equilibration.multiple * self.state.relaxation_time, self.link.equilibration.minimum)
        return self.state.step * self.link.timestep >= least * (1 - 1e-12)

    def _measure(self) -> None:
        positions = self.simulation.positions()
        displacement = positions - self.state.origin
        A = self.link.mixture.counts(self.link.particles)[0]
        now = (
            (self.state.step - self.state.origin_step) * self.link.timestep,
            self_scattering(displacement[:A], displacement.mean(axis=0)),
        )
        if now[1] > math.exp(-1):
            self.state = replace(self.state, last=now)
        else:
            self.state = replace(self.state, relaxation_time=crossing_time(self.state.last, now))
            self._take_origin()

    def _take_origin(self) -> None:
        self.state = replace(
            self.state, origin=self.simulation.positions(), origin_step=self.state.step, last=(0.0, 1.0)
        )

    def _record(self, run: str) -> None:
        schedule = _schedule(self.link, run, self.state.relaxation_time)
        part, whole = self.folder / f"{run}.gsd.part", self.folder / f"{run}.gsd"
        if self.state.recorded < len(schedule):
            self.writer = _reopen(part, self.state.recorded)
            for step in schedule[self.state.recorded :]:
                self._advance(step)
                frame = self.simulation.frame()
                frame.configuration.step = step
                self._check_owner()
                self.writer.append(frame)
                self.state = replace(self.state, recorded=self.state.recorded + 1)
                self._report()
                self._checkpoint_if_due()
            self._checkpoint()
            self.writer.close()
            self.writer = None
        if part.exists():
            self._check_owner()
            publish([(part, whole)], self.folder)

    def _advance(self, stop: int) -> None:
        # up to a step of the phase, with the checkpoints on the way, but not one that falls on its end
        while self.state.step < stop:
            boundary = (self.state.step // self.segment + 1) * self.segment
            steps = min(stop, boundary) - self.state.step
            self.simulation.run(steps)
            self.state = replace(self.state, step=self.state.step + steps, total=self.state.total + steps)
            if self.state.step < stop:
                self._report()
                self._checkpoint()

    def _checkpoint_if_due(self) -> None:
        if self.state.step and self.state.step % self.segment == 0:
            self._checkpoint()

    def _checkpoint(self) -> None:
        name = f"{self.state.phase}-{self.state.step}.checkpoint"
        if name != self.state.checkpoint:
            self._check_owner()
            if self.writer is not None:
                self.writer.file.flush()
                sync(self.folder / f"{self.state.phase}.gsd.part")
            part = self.folder / "checkpoint.part"
            self.simulation.save(part)
            publish([(part, self.folder / name)], self.folder)
            self._commit(replace(self.state, checkpoint=name))
            self.simulation.close()
            self.simulation = self._begin()

    def _commit(self, state: _State) -> None:
        now = time.perf_counter()
        self.state = replace(state, wall=state.wall + now - self.since)
        self.since = now
        _write_state(self.folder, self.state)
        for old in self.folder.glob("*.checkpoint"):
            if old.name != self.state.checkpoint:
                old.unlink()

    def _report(self) -> None:
        if self.report is not None:
            energy = float(self.simulation.frame().log[ENERGY][0]) / self.link.particles
            self.report(self.state.total, _expected_steps(self.link, self.state), energy)


def _phases(link: Link) -> list[str]:
    recorded = [run for run in ("relaxation", "production", "training") if getattr(link, run) is not None]
    return ["equilibration", *recorded]


def _schedule(link: Link, run: str, relaxation_time: float) -> list[int]:
    if run == "relaxation":
        return relaxation_steps(getattr(link, run), relaxation_time, link.timestep)
    frames, interval = getattr(link, run)
    return uniform_steps(frames, interval, link.timestep)


def _expected_steps(link: Link, state: _State) -> int:
    # while equilibrating, what the present estimate of τ_α asks for
    phases = _phases(link)
    left = phases[phases.index(state.phase) + 1 :]
    if state.phase == "equilibration":
        tau = np.nan_to_num(state.relaxation_time, nan=0.0)
        least = max(link.equilibration.minimum, link.equilibration.multiple * tau)
        present = max(state.step, round(least / link.timestep))
    else:
        tau = state.relaxation_time
        present = _schedule(link, state.phase, tau)[-1]
    return state.total - state.step + present + sum(_schedule(link, run, float(tau))[-1] for run in left)


def _reopen(path: Path, frames: int) -> gsd.hoomd.HOOMDTrajectory:
    # an unfinished run cut back to the frames of the last checkpoint, open for more
    if frames:
        kept = path.with_suffix(".kept")
        try:
            with gsd.hoomd.open(path, "r") as old, gsd.hoomd.open(kept, "w") as new:
                if len(old) < frames:
                    raise _LostError(f"{path} has {len(old)} of {frames} frames")
                for i in range(frames):
                    new.append(old[i])
        except (FileNotFoundError, RuntimeError) as error:
            raise _LostError(f"{path} cannot be read: {error}") from error
        publish([(kept, path)], path.parent)
    else:
        # not cut to nothing: another process may still have it open
        path.unlink(missing_ok=True)
    return gsd.hoomd.open(path, "r+" if frames else "w")


def _fingerprint(link: Link) -> str:
    # where files lie does not matter, what they continue does
    settings = {name: value for name, value in vars(link).items() if name not in ("folder", "previous")}
    settings |= {"mixture": link.mixture.model_dump(), "segment": SEGMENT, "previous": _previous_fingerprint(link)}
    return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()


def _previous_fingerprint(link: Link) -> str | None:
    if link.previous is None:
        return None
    state = _read_state(Path(link.previous))
    if state is None or state.phase != "done":
        raise EngineError(f"{link.system} T={link.temperature}: the hotter link in {link.previous} is not complete")
    return state.fingerprint


def _whole(link: Link, state: _State) -> bool:
    # whether every file the state speaks of is there
    phases = [*_phases(link), "done"]
    finished = [f"{run}.gsd" for run in phases[1 : phases.index(state.phase)]]
    return all((Path(link.folder) / name).exists() for name in [*finished, state.checkpoint])


def _clear(folder: Path) -> None:
    # the state first: files without a state are nothing, a state without its files would be a lie
    for pattern in (STATE, "*.checkpoint", "*.gsd", "*.part", "*.kept"):
        for path in folder.glob(pattern):
            path.unlink()


def _write_state(folder: Path, state: _State) -> None:
    plain = {name: value for name, value in vars(state).items() if name != "origin"}
    part = folder / (STATE + ".part")
    with part.open("wb") as file:
        np.savez(file, plain=np.array(json.dumps(plain)), origin=state.origin)
    publish([(part, folder / STATE)], folder)


def _read_state(folder: Path) -> _State | None:
    if not (folder / STATE).exists():
        return None
    try:
        with np.load(folder / STATE, allow_pickle=False) as file:
            plain = json.loads(str(file["plain"]))
            return _State(**plain | {"last": tuple(plain["last"])}, origin=file["origin"])
    except (ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile) as error:
        raise EngineError(
            f"damaged: {error}", file=folder / STATE, remedy=f"delete {folder} to simulate it again"
        ) from error


def _receipt(link: Link, state: _State) -> Receipt:
    folder = Path(link.folder)
    with gsd.hoomd.open(folder / "production.gsd", "r") as frames:
        energy, pressure, temperature = (
            float(np.mean([frame.log[key][0] for frame in frames])) for key in (ENERGY, PRESSURE, TEMPERATURE)
        )
    return Receipt(
        runs={run: folder / f"{run}.gsd" for run in _phases(link)[1:]},
        checkpoint=folder / state.checkpoint,
        relaxation_time=state.relaxation_time,
        energy=energy / link.particles,
        pressure=pressure,
        temperature=temperature,
        steps=state.total,
        wall=state.wall,
    )
