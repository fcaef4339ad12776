"""One link of a temperature sweep: equilibrate a replica at one temperature, hand it on, record its runs.

A link is divided into segments by number of steps. At the end of each the engine's checkpoint is written *and the
simulation goes on from the checkpoint read back*, so a link that was interrupted and resumed does the same arithmetic
as one that was not, and records the same frames to the bit. The same is done where a link is handed over: the next
colder one starts from that checkpoint, and this one goes on from it.
"""

from __future__ import annotations

import math
import shutil
import time
import uuid
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import gsd.hoomd
import numpy as np

from daskglass.engines import ENERGY, PRESSURE, TEMPERATURE, Engine, Simulation, get_engine, saved
from daskglass.engines.link import Link, Receipt
from daskglass.engines.relaxed import is_relaxed
from daskglass.engines.saved import FINAL, State
from daskglass.engines.schedules import expected_length, relaxation, uniform_steps
from daskglass.errors import EngineError
from daskglass.physics.relaxation import crossing_time, self_scattering
from daskglass.store.durable import publish, sync

OWNER = "owner"  # who works on a link: one that was thought dead, and was replaced, finds another's name and stops

Report = Callable[[int, int, float], None]


def hand_over(link: Link, report: Report | None = None) -> State:
    """Run a link up to the state that the next colder one starts from, or what is left of that.

    Parameters and errors are those of `simulate`.
    """
    owner = _own(link)
    state = saved.handed_over(link)
    if state is None:
        _work(link, report, owner, _Work.begin)
        state = saved.handed_over(link)
        assert state is not None
    _disown(link, owner)
    return state


def simulate(link: Link, report: Report | None = None) -> Receipt:
    """Run one link, or what is left of it.

    A link already complete in its folder for the same settings returns at once; an interrupted one goes on from its
    last checkpoint. One that is to record something else goes on from what it handed over; one that began otherwise, or
    after a hotter link that changed, starts over.

    Parameters
    ----------
    link : what to simulate
    report : called with (steps done, steps expected in all, potential energy per particle) after every frame and
        measurement

    Raises
    ------
    EngineError
        If the engine is missing or fails, the hotter link has not been handed over, or another process has taken over.
    """
    owner = _own(link)
    state = saved.reached(link)
    if state.phase != "done":
        state = _work(link, report, owner, _Work.finish)
    _disown(link, owner)
    return _receipt(link, state)


def _own(link: Link) -> str:
    folder = Path(link.folder)
    folder.mkdir(parents=True, exist_ok=True)
    owner = uuid.uuid4().hex
    # before the state is read: from here on, nobody else changes it
    (folder / OWNER).write_text(owner)
    return owner


def _disown(link: Link, owner: str) -> None:
    folder = Path(link.folder)
    if (folder / OWNER).exists() and (folder / OWNER).read_text() == owner:
        (folder / OWNER).unlink()
    # it, and the folders that were made for it
    sync(folder, *folder.parents[:4])


def _work(link: Link, report: Report | None, owner: str, what: Callable[[_Work], None]) -> State:
    try:
        return _try(link, report, owner, what)
    except _LostError as error:
        warnings.warn(f"{error}; simulating this run again from its beginning", stacklevel=3)
        saved.clear(Path(link.folder), keep_handed=saved.handed_over(link) is not None)
        return _try(link, report, owner, what)


def _try(link: Link, report: Report | None, owner: str, what: Callable[[_Work], None]) -> State:
    work = _Work(link, get_engine(link.engine, link.threads), saved.reached(link), report, owner)
    try:
        what(work)
    finally:
        work.close()
    return work.state


class _LostError(Exception):
    """A run that was being recorded is not what the last checkpoint says: a power cut, or another hand."""


class _Work:
    """A link at work: the running simulation and the state it has reached."""

    def __init__(self, link: Link, engine: Engine, state: State, report: Report | None, owner: str) -> None:
        self.link = link
        self.engine = engine
        self.state = state
        self.report = report
        self.owner = owner
        self.folder = Path(link.folder)
        self.segment = max(1, saved.SEGMENT // link.particles)
        self.since = time.perf_counter()
        self.writer: gsd.hoomd.HOOMDTrajectory | None = None
        self.simulation = self._start()

    def begin(self) -> None:
        """Equilibrate until the link is handed over."""
        for _ in self._equilibrate():
            return

    def finish(self) -> None:
        """Do every phase that is left."""
        phases = ["equilibration", *self.link.runs]
        for phase in phases[phases.index(self.state.phase) :]:
            self.state = replace(self.state, phase=phase)
            if phase == "equilibration":
                for _ in self._equilibrate():
                    pass
            else:
                self._record(phase)
            self.state = replace(self.state, step=0, recorded=0)
        self._check_owner()
        part = self.folder / "checkpoint.part"
        shutil.copyfile(self.folder / self.state.checkpoint, part)
        self._commit(replace(self.state, phase="done", checkpoint=FINAL), part)

    def close(self) -> None:
        """Close files and simulation, whole or not."""
        if self.writer is not None:
            self.writer.close()
        self.simulation.close()

    def _check_owner(self) -> None:
        # before anything is written: a worker that lost its scheduler works on for a while, beside the one in its place
        path = self.folder / OWNER
        if not path.exists() or path.read_text() != self.owner:
            raise EngineError("another process took over this simulation", file=self.folder)

    def _start(self) -> Simulation:
        link = self.link
        start = self.folder / self.state.checkpoint if self.state.checkpoint else saved.start_of(link)
        if start is None:
            seed = int(np.random.SeedSequence((link.seed, link.replica)).generate_state(1)[0])
            return self.engine.start(link.mixture, link.particles, seed, link.temperature, link.timestep)
        return self.engine.load(start, link.mixture, link.timestep, link.temperature)

    # --- equilibration ---------------------------------------------------------------------------------------------

    def _equilibrate(self) -> Iterator[None]:
        """Equilibrate, and yield once the link has been handed over, if it is to be."""
        link, interval = self.link, max(1, round(1.0 / self.link.timestep))  # 1 τ_A between measurements
        if link.relaxation_time is not None:
            self.state = replace(self.state, relaxation_time=link.relaxation_time)
        if not len(self.state.origin):
            self._take_origin()
        self.state = replace(self.state, handed=saved.handed_over(link) is not None)
        waiting = None if self.state.handed else link.handover
        while True:
            if self.state.step % interval == 0:
                # not where a checkpoint happens to lie: an interruption there must not decide
                if waiting and self._has_lasted(waiting.of(self.state.relaxation_time)):
                    self._hand_over()
                    waiting = None
                    yield
                if self._has_lasted(link.equilibration.of(self.state.relaxation_time)):
                    break
            self._advance((self.state.step // interval + 1) * interval)
            if link.relaxation_time is None:
                self._measure()
            self._report()
            self._checkpoint_if_due()
        self._checkpoint()

    def _has_lasted(self, duration: float) -> bool:
        # a measurement not yet made is NaN, and nothing is larger than NaN
        return self.state.step * self.link.timestep >= duration * (1 - 1e-12)

    def _hand_over(self) -> None:
        self._checkpoint()
        part = self.folder / "checkpoint.part"
        shutil.copyfile(self.folder / self.state.checkpoint, part)
        self._check_owner()
        saved.write_handed_over(self.link, self.state, part)
        self.state = replace(self.state, handed=True)

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

    # --- recording -------------------------------------------------------------------------------------------------

    def _record(self, run: str) -> None:
        part, whole = self.folder / f"{run}.gsd.part", self.folder / f"{run}.gsd"
        if self.state.recorded and whole.exists() and not part.exists():
            return
        if self.state.recorded:
            _check_holds(part, self.state.recorded)
        if run == "relaxation":
            recorded, kept = self._relax(part)
        else:
            recorded = kept = uniform_steps(getattr(self.link, run), self.link.timestep)
            self._append(part, recorded)
        self._checkpoint()
        if self.writer is not None:
            self.writer.close()
            self.writer = None
        self._check_owner()
        if kept == recorded:
            publish([(part, whole)], self.folder)
        else:
            there = set(kept)
            copy = _copy(part, [k for k, step in enumerate(recorded) if step in there])
            publish([(copy, whole)], self.folder)
            part.unlink()

    def _relax(self, part: Path) -> tuple[list[int], list[int]]:
        """Record until the run is long enough; return the steps recorded, and those of the frames to keep."""
        assert self.link.relaxation is not None
        run = relaxation(self.link.relaxation, self.state.relaxation_time, self.link.timestep)
        A = self.link.mixture.counts(self.link.particles)[0]
        steps: list[int] = []
        kept: list[int] = []
        for end, more in run.stretches():
            steps += more
            if len(steps) < self.state.recorded:
                # it went on from there before it was interrupted
                continue
            self._append(part, steps)
            kept = run.kept(end)
            if self.writer is not None:
                self.writer.file.flush()
            if is_relaxed(part, steps, kept, run.lags, A):
                break
        return steps, kept

    def _append(self, part: Path, steps: list[int]) -> None:
        """Record the frames at these steps of the phase that are not yet there."""
        if self.writer is None and self.state.recorded < len(steps):
            self.writer = _reopen(part, self.state.recorded)
        for step in steps[self.state.recorded :]:
            self._advance(step)
            frame = self.simulation.frame()
            frame.configuration.step = step
            self._check_owner()
            assert self.writer is not None
            self.writer.append(frame)
            self.state = replace(self.state, recorded=self.state.recorded + 1)
            self._report()
            self._checkpoint_if_due()

    # --- steps and checkpoints -------------------------------------------------------------------------------------

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
            self._commit(replace(self.state, checkpoint=name), part)
            self.simulation.close()
            self.simulation = self._start()

    def _commit(self, state: State, checkpoint: Path) -> None:
        now = time.perf_counter()
        self.state = replace(state, wall=state.wall + now - self.since)
        self.since = now
        saved.write(self.folder, self.state, checkpoint)

    def _report(self) -> None:
        if self.report is not None:
            energy = float(self.simulation.frame().log[ENERGY][0]) / self.link.particles
            self.report(self.state.total, _expected_steps(self.link, self.state), energy)


def _expected_steps(link: Link, state: State) -> int:
    # while equilibrating, what the present estimate of τ_α asks for
    phases = ["equilibration", *link.runs]
    tau = float(np.nan_to_num(state.relaxation_time, nan=0.0))
    length = {"equilibration": link.equilibration.of(tau), "relaxation": 0.0}
    if link.relaxation is not None:
        length["relaxation"] = expected_length(link.relaxation, tau)
    for run in ("production", "training"):
        if (of := getattr(link, run)) is not None:
            length[run] = (of.frames - 1) * of.interval
    left = sum(length[phase] for phase in phases[phases.index(state.phase) + 1 :])
    present = max(state.step, round(length[state.phase] / link.timestep))
    return state.total - state.step + present + round(left / link.timestep)


def _reopen(path: Path, frames: int) -> gsd.hoomd.HOOMDTrajectory:
    # an unfinished run cut back to the frames of the last checkpoint, open for more
    if frames:
        publish([(_copy(path, range(frames)), path)], path.parent)
    else:
        # not cut to nothing: another process may still have it open
        path.unlink(missing_ok=True)
    return gsd.hoomd.open(path, "r+" if frames else "w")


def _check_holds(path: Path, frames: int) -> None:
    try:
        with gsd.hoomd.open(path, "r") as file:
            if len(file) < frames:
                raise _LostError(f"{path} has {len(file)} of {frames} frames")
            # the last is the first to be damaged
            _ = file[frames - 1]
    except (FileNotFoundError, RuntimeError) as error:
        raise _LostError(f"{path} cannot be read: {error}") from error


def _copy(path: Path, frames: Sequence[int]) -> Path:
    """Copy some frames of a file to one beside it."""
    copy = path.with_suffix(".kept")
    with gsd.hoomd.open(path, "r") as old, gsd.hoomd.open(copy, "w") as new:
        for k in frames:
            new.append(old[int(k)])
    return copy


def _receipt(link: Link, state: State) -> Receipt:
    folder = Path(link.folder)
    with gsd.hoomd.open(folder / "production.gsd", "r") as frames:
        energy, pressure, temperature = (
            float(np.mean([frame.log[key][0] for frame in frames])) for key in (ENERGY, PRESSURE, TEMPERATURE)
        )
    return Receipt(
        runs={run: folder / f"{run}.gsd" for run in link.runs},
        checkpoint=folder / state.checkpoint,
        relaxation_time=state.relaxation_time,
        energy=energy / link.particles,
        pressure=pressure,
        temperature=temperature,
        steps=state.total,
        wall=state.wall,
    )
