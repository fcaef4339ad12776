"""Isoconfigurational trajectories: runs from one configuration, each with velocities of its own, and how far particles moved.

A trajectory leaves one file, of distances moved at every lag, and on request of displacements. While it runs, a state and a
checkpoint lie beside it; after an interruption it goes on from there, and ends with the same numbers.
"""

from __future__ import annotations

import hashlib
import json
import uuid
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gsd.hoomd
import numpy as np
from numpy.typing import NDArray

from daskglass.engines import ENERGY, PRESSURE, Engine, Simulation, get_engine
from daskglass.engines.saved import SEGMENT, relaxation_time_in
from daskglass.engines.schedules import first_not_below
from daskglass.errors import EngineError
from daskglass.physics.systems import Mixture
from daskglass.store.durable import publish

if TYPE_CHECKING:
    from daskglass.engines.states import State

RECORDED = ("distance", "energy", "pressure")  # at every lag; and, where positions are kept:
DISPLACEMENT = "displacement"
Record = Mapping[str, NDArray[np.floating]]  # what is recorded at one lag


@dataclass(frozen=True)
class Isoconfigurational:
    """Some trajectories from one configuration, in plain values that travel between processes.

    Attributes
    ----------
    engine, threads : name of the engine, and of its threads
    mixture : the system
    temperature : ε_AA/k_B
    timestep : τ_A
    production : GSD file that the configuration is a frame of
    frame : its number
    replica : number of the replica
    seed : of the study
    numbers : of the trajectories
    steps : at which it is recorded how far particles have moved, rising
    folder : where files go
    relaxation_times : τ_α of the simulation that the first of the steps not below ends trajectories at; None: all are recorded
    positions : whether displacements are kept, from which positions follow
    """

    engine: str
    mixture: Mixture
    temperature: float
    timestep: float
    production: Path
    frame: int
    replica: int
    seed: int
    numbers: tuple[int, ...]
    steps: tuple[int, ...]
    folder: Path
    threads: int = 1
    relaxation_times: float | None = None
    positions: bool = False

    @property
    def fingerprint(self) -> str:
        """Hash of all that decides a trajectory beside the configuration and its number."""
        decisive = [self.engine, self.mixture.model_dump(), self.temperature, self.timestep, self.replica, self.seed]
        return hashlib.sha256(
            json.dumps([*decisive, self.frame, self.steps, self.threads, SEGMENT], sort_keys=True).encode()
        ).hexdigest()

    @property
    def asked(self) -> tuple[object, ...]:
        """All that decides what these trajectories leave, beside the simulation that they start from."""
        return self.fingerprint, self.numbers, self.relaxation_times, self.positions


@dataclass(frozen=True)
class Motion:
    """What a trajectory leaves.

    Attributes
    ----------
    distance : (lag, particle) that particles have moved, drift removed, σ_AA
    energy, pressure : (lag,) potential energy per particle, ε_AA, and pressure, ε_AA/σ_AA³
    displacement : (lag, particle, xyz) of particles, drift and all, σ_AA; None where it is not kept
    """

    distance: NDArray[np.float32]
    energy: NDArray[np.float64]
    pressure: NDArray[np.float64]
    displacement: NDArray[np.float32] | None = None


def simulate(job: Isoconfigurational) -> dict[str, Any]:
    """Run what is left of some trajectories.

    Raises
    ------
    EngineError
        If the engine is missing or fails, the configuration cannot be read, or the lags end before trajectories should.
    """
    job = _until_relaxed(job)
    start, source = _configuration(job)
    engine, steps = get_engine(job.engine, job.threads), 0
    job.folder.mkdir(parents=True, exist_ok=True)
    for number in job.numbers:
        run = _Run(job, engine, start, source, number)
        if not run.is_done():
            steps += run.finish()
        run.forget()
    return {"trajectories": len(job.numbers), "steps": steps}


def motion_of(folder: Path, number: int) -> Motion:
    """Read what a trajectory left.

    Raises
    ------
    EngineError
        If it is missing or damaged.
    """
    found = _read(_file(folder, number))
    if found is None:
        raise EngineError("no such trajectory", file=_file(folder, number), remedy="run the study again")
    return Motion(found["distance"], found["energy"], found["pressure"], found.get(DISPLACEMENT))


def _until_relaxed(job: Isoconfigurational) -> Isoconfigurational:
    """The same trajectories, with the steps alone up to the number of τ_α that they are to last."""
    if job.relaxation_times is None:
        return job
    folder = job.production.parent
    duration = job.relaxation_times * relaxation_time_in(folder)
    last = first_not_below(job.steps, duration, job.timestep)
    if last is None:
        raise EngineError(
            f"{job.relaxation_times:g} relaxation times are {duration:.4g} τ; the longest lag is "
            f"{job.steps[-1] * job.timestep:g} τ",
            file=folder,
            remedy="ask for shorter trajectories",
        )
    return replace(job, steps=job.steps[: last + 1], relaxation_times=None)


def _configuration(job: Isoconfigurational) -> tuple[State, str]:
    """Positions that trajectories start from, at rest, and a hash of them."""
    # who only plans needs no compiled loops
    from daskglass.engines.states import State

    try:
        with gsd.hoomd.open(job.production, "r") as file:
            frame = file[job.frame]
    except (OSError, RuntimeError, IndexError) as error:
        raise EngineError(f"frame {job.frame} cannot be read: {error}", file=job.production) from error
    box = np.asarray(frame.configuration.box[:3], np.float64)
    positions = np.mod(np.asarray(frame.particles.position, np.float64) + box / 2, box)
    # rounding may lead to the far wall
    positions[positions >= box] = 0.0
    species = np.asarray(frame.particles.typeid, np.int64)
    return State(positions, np.zeros_like(positions), species, box), hashlib.sha256(positions.tobytes()).hexdigest()


class _Run:
    """One trajectory, at work or done."""

    def __init__(self, job: Isoconfigurational, engine: Engine, start: State, source: str, number: int) -> None:
        self.job, self.engine, self.start, self.number = job, engine, start, number
        self.identity = f"{job.fingerprint} {source} {number}"
        self.segment = max(1, SEGMENT // len(start.positions))
        self.done = _file(job.folder, number)
        self.state = job.folder / f"t{number}.state.npz"
        self.recorded = (*RECORDED, DISPLACEMENT) if job.positions else RECORDED

    def is_done(self) -> bool:
        """Whether its file is there, of this trajectory and no other."""
        return self._read(self.done) is not None

    def finish(self) -> int:
        """Run what is left; return the number of steps."""
        recorded, step, checkpoint = self._reached()
        simulation = self._begin() if checkpoint is None else self._load(checkpoint)
        begun = step
        try:
            for stop in self.job.steps[len(recorded) :]:
                while step < stop:
                    boundary = (step // self.segment + 1) * self.segment
                    simulation.run(min(stop, boundary) - step)
                    step = min(stop, boundary)
                    if step == boundary and step < self.job.steps[-1]:
                        simulation = self._checkpoint(simulation, recorded, step)
                recorded.append(self._measure(simulation))
        finally:
            simulation.close()
        self._write(self.done, recorded, step)
        return step - begun

    def forget(self) -> None:
        """Delete what only an interruption needs."""
        self.state.unlink(missing_ok=True)
        self._forget()

    def _measure(self, simulation: Simulation) -> Record:
        moved = simulation.positions() - self.start.positions
        log = simulation.frame().log
        measured = {
            "distance": np.linalg.norm(moved - moved.mean(axis=0), axis=1).astype(np.float32),
            "energy": log[ENERGY][0] / len(moved),
            "pressure": log[PRESSURE][0],
            DISPLACEMENT: moved.astype(np.float32),
        }
        return {name: measured[name] for name in self.recorded}

    def _begin(self) -> Simulation:
        from daskglass.engines.states import drawn_velocities

        job = self.job
        entropy = (job.seed, job.replica, job.frame, self.number)
        rng = np.random.default_rng(np.random.SeedSequence(entropy))
        state = self.start._replace(
            velocities=drawn_velocities(len(self.start.positions), job.temperature, rng),
        )
        seed = int(np.random.SeedSequence(entropy).generate_state(1)[0])
        return self.engine.begin(job.mixture, state, seed, job.temperature, job.timestep)

    def _load(self, checkpoint: Path) -> Simulation:
        return self.engine.load(checkpoint, self.job.mixture, self.job.timestep, self.job.temperature)

    # --- files ---------------------------------------------------------------------------------------------------------

    def _reached(self) -> tuple[list[Record], int, Path | None]:
        """What is recorded, the step, and the checkpoint to go on from; nothing where there is none of this trajectory."""
        found = self._read(self.state)
        if found is None:
            return [], 0, None
        checkpoint = self._place(int(found["step"]))
        if not checkpoint.exists():
            return [], 0, None
        recorded: list[Record] = [{name: found[name][k] for name in self.recorded} for k in range(len(found["energy"]))]
        return recorded, int(found["step"]), checkpoint

    def _checkpoint(self, simulation: Simulation, recorded: list[Record], step: int) -> Simulation:
        """Write how far it is, and go on from there, as after an interruption."""
        place = self._place(step)
        with _aside(place) as part:
            simulation.save(part)
        self._write(self.state, recorded, step)
        self._forget(place)
        simulation.close()
        return self._load(place)

    def _read(self, place: Path) -> dict[str, NDArray[Any]] | None:
        """What a file holds, if it is of this trajectory and has all that is to be recorded."""
        found = _read(place)
        whole = found is not None and str(found["identity"]) == self.identity and set(self.recorded) <= set(found)
        return found if whole else None

    def _write(self, place: Path, recorded: Sequence[Record], step: int) -> None:
        series: dict[str, Any] = {name: np.array([each[name] for each in recorded]) for name in self.recorded}
        with _aside(place) as part, part.open("wb") as file:
            np.savez(file, identity=np.array(self.identity), step=np.array(step), **series)

    def _place(self, step: int) -> Path:
        return self.job.folder / f"t{self.number}-{step}.checkpoint"

    def _forget(self, but: Path | None = None) -> None:
        for old in self.job.folder.glob(f"t{self.number}-*.checkpoint"):
            if old != but:
                old.unlink()


def _file(folder: Path, number: int) -> Path:
    return folder / f"t{number}.npz"


@contextmanager
def _aside(place: Path) -> Iterator[Path]:
    """Yield a file to write, which takes its place once it is on disk."""
    part = place.with_name(f"{place.name}.{uuid.uuid4().hex}.part")
    try:
        yield part
        publish([(part, place)], place.parent)
    finally:
        part.unlink(missing_ok=True)


def _read(path: Path) -> dict[str, NDArray[Any]] | None:
    if not path.exists():
        return None
    try:
        with np.load(path, allow_pickle=False) as file:
            return {name: file[name] for name in file.files}
    except (ValueError, KeyError, EOFError, OSError, zipfile.BadZipFile) as error:
        raise EngineError(
            f"damaged: {error}", file=path, remedy="delete it to simulate this trajectory again"
        ) from error
