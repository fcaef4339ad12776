"""What a stage is: steps, each with what it runs over, reads, writes, is handed, and needs; declared beside its function.

Order, halos, what is erased before a step runs again, the template of the store, marks in the ledger, checks of memory, the
dry run, progress and the documentation's tables follow from these declarations.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from daskglass.errors import StudyError, setting
from daskglass.sources import Source
from daskglass.store.blocks import Block
from daskglass.store.template import Layout

ALL, PARTICLES, PRODUCTION, TRAINED, MOTION, MOVING = "all", "particles", "production", "trained", "motion", "moving"
ENSEMBLES = "ensembles"  # configurations of isoconfigurational ensembles, in place of frames
STRUCTURES = "structures"  # frames, and configurations, whose structure is computed
POSITIONS = "positions"  # inherent structures, or thermal positions in a study without
RECORDED = "recorded"  # files that an engine writes, not in the store
MOVED = "moved"  # how far particles move in isoconfigurational trajectories, in files
STRUCTURAL = "structural"  # all structural variables that particles are binned by
INDICATED = "indicated"  # all that is scored against propensity
SMALL = 10_000_000  # bytes of tasks on tables that do not grow with frames or particles


@dataclass(frozen=True)
class Plan:
    """One system of a study as its stages are planned: where its frames come from, and all settings by their keys.

    Attributes
    ----------
    path : of the store
    settings : by key of the study file; and `positions`, `species`, `mixture`, `structural` and
        `softness.train_on.temperature` as they are for this system
    layouts : of every run, by its name
    earlier : hashes of whole sections of the study file, as ledgers of daskglass 0.1.0 hold them
    """

    path: Path
    source: Source
    settings: Mapping[str, Any]
    layouts: Mapping[str, Layout]
    earlier: Mapping[str, frozenset[str]]

    @property
    def system(self) -> str:
        """Name of the system."""
        return self.source.system

    def runs(self, of: str) -> tuple[str, ...]:
        """Runs that a step is over."""
        recorded = self.source.runs
        ensembles = tuple(run for run, of in recorded.items() if of.configurations is not None)
        uniform = tuple(run for run, of in recorded.items() if of.times is not None)
        motion = tuple(run for run, of in recorded.items() if of.lags is not None and run not in ensembles)
        trained = self.settings["softness.train_on.run"]
        chosen = {
            ALL: tuple(run for run in recorded if run not in ensembles),
            ENSEMBLES: ensembles,
            STRUCTURES: (*uniform, *ensembles),
            PARTICLES: uniform,
            PRODUCTION: ("production",) * ("production" in recorded),
            TRAINED: (trained,) * (trained in recorded),
            MOTION: motion,
            # and what has some of its lags
            MOVING: motion if all(recorded[run].alone for run in motion) else (*motion, *uniform),
        }
        return chosen[of]

    def blocks(self, of: str) -> list[Block]:
        """Blocks of the runs that a step is over; of the run that softness is trained on, at that temperature alone."""
        T = self.settings["softness.train_on.temperature"]
        return [
            block for run in self.runs(of) for block in self._blocks[run] if of != TRAINED or block.temperature == T
        ]

    def rows(self, of: str) -> list[Block]:
        """One block per temperature and replica, over all its frames."""
        return [replace(block, stop=self.layouts[block.run].frames) for block in self.blocks(of) if block.start == 0]

    @cached_property
    def _blocks(self) -> dict[str, list[Block]]:
        return {run: layout.blocks() for run, layout in self.layouts.items()}

    def number(self, of: str, run: str) -> int:
        """Number of rows of a run that a step is over."""
        replicas = self.layouts[run].sizes["replica"]
        return replicas if of == TRAINED else replicas * self.layouts[run].sizes["temperature"]

    def frames_of(self, run: str, key: str, part: float = 1.0) -> int:
        """Number of frames of a run in a part of the time that a setting gives.

        Raises
        ------
        StudyError
            If it is not whole.
        """
        duration = part * self.settings[key]
        interval = float(np.diff(self.layouts[run].coordinates["time"][:2])[0])
        if abs(duration / interval - round(duration / interval)) > 1e-3:
            raise StudyError(
                f"{'half of ' * (part == 0.5)}{setting(key)}, {duration:g} τ, is not a whole number of frames of the {run} run, "
                f"which are {interval:g} τ apart",
                remedy=f"change {setting(key)}, or {setting('source.trajectories.timestep')} if frames are not so far apart",
            )
        return round(duration / interval)


# --- what a step runs over -----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Place:
    """A system, or one temperature of it, or one replica of that, or a part of its work."""

    system: str
    temperature: float | None = None
    replica: int | None = None
    part: str = ""

    @property
    def key(self) -> str:
        """Name of the place in keys of tasks."""
        T = "" if self.temperature is None else f"/T{self.temperature}"
        return f"{self.system}{T}" + ("" if self.replica is None else f"/r{self.replica}") + self.part


@dataclass(frozen=True)
class Item:
    """One place of a step.

    Attributes
    ----------
    arguments : what the task is called with, before results of other tasks
    inputs : hashes of what comes from outside the store, by name
    follows : places of the same step that come before it
    problem : why the task cannot be done; empty where it can
    keeps : whether what it wrote before stays until it is written again
    """

    place: Block | Place
    arguments: tuple[Any, ...]
    inputs: Mapping[str, str] = field(default_factory=dict)
    follows: tuple[Block | Place, ...] = ()
    problem: str = ""
    keeps: bool = False


class Over(Protocol):
    """What there is one task of a step for."""

    def items(self, plan: Plan) -> Iterator[Item]:
        """List them, in order."""

    def count(self, plan: Plan) -> Mapping[str, int]:
        """Count them, by run, without listing them; `""` for what is of no run."""


@dataclass(frozen=True)
class Blocks:
    """Every block of some runs."""

    of: str

    def items(self, plan: Plan) -> Iterator[Item]:
        """List the blocks."""
        return (Item(block, (plan.path, block)) for block in plan.blocks(self.of))

    def count(self, plan: Plan) -> Mapping[str, int]:
        """Count the blocks."""
        return {run: plan.number(self.of, run) * plan.layouts[run].blocks_of_a_row for run in plan.runs(self.of)}


@dataclass(frozen=True)
class Rows:
    """Every temperature and replica of some runs, with all its frames."""

    of: str

    def items(self, plan: Plan) -> Iterator[Item]:
        """List the rows."""
        return (Item(row, (plan.path, row)) for row in plan.rows(self.of))

    def count(self, plan: Plan) -> Mapping[str, int]:
        """Count the rows."""
        return {run: plan.number(self.of, run) for run in plan.runs(self.of)}


@dataclass(frozen=True)
class Temperatures:
    """Every temperature of a run."""

    of: str = PRODUCTION

    def items(self, plan: Plan) -> Iterator[Item]:
        """List the temperatures."""
        for run in plan.runs(self.of):
            for T in plan.source.temperatures(run):
                yield Item(Place(plan.system, T), (plan.path, plan.system, T))

    def count(self, plan: Plan) -> Mapping[str, int]:
        """Count the temperatures."""
        return {"": sum(len(plan.source.temperatures(run)) for run in plan.runs(self.of))}


@dataclass(frozen=True)
class WholeSystem:
    """The system as a whole, if it has some runs; where `reads_store` is false, from results of other tasks alone."""

    reads_store: bool = True
    of: str = PRODUCTION

    def items(self, plan: Plan) -> Iterator[Item]:
        """List the system."""
        if plan.runs(self.of):
            yield Item(Place(plan.system), (plan.path, plan.system) if self.reads_store else ())

    def count(self, plan: Plan) -> Mapping[str, int]:
        """Count it."""
        return {"": int(bool(plan.runs(self.of)))}


# --- steps and stages ----------------------------------------------------------------------------------------------


def _itself(plan: Plan, place: Any) -> Sequence[Any]:
    return (place,)


def _small(plan: Plan, run: str) -> int:
    return SMALL


def always(plan: Plan) -> bool:
    """Whatever the study."""
    return True


@dataclass(frozen=True)
class Step:
    """Tasks of one function.

    Attributes
    ----------
    function : called with the store's path and a block or row, or the name of the system; then results of the steps it
        `takes`; and its settings, by keyword
    over : what there is one task for each of
    name : told from other steps of the stage by this, in keys of tasks
    reads : variables of runs; the task waits for all tasks that write them there
    reach : blocks whose variables it reads; by default the block itself, or all of a system that it is for as a whole
    tables : groups of the system that it reads
    takes : names of steps, in order, whose results it is called with
    writes : variables of the run; or, of a `table`, those it adds to it
    recorded : whether the source decides which of these variables there are
    table : group of the system that it writes
    settings : keys of settings, by the keyword they are handed over with; the only ones its result depends on
    constants : keywords that are the same in all studies
    revision : of what it computes: with a later one, results are computed anew though no setting changed
    memory : bytes of arrays at the peak, for the largest block of a run
    whole_rows : run of which it holds all frames of a temperature and replica at once
    seconds : of one core, or of one GPU where workers offer them and the function uses one, for all its tasks, beside what
        any task takes
    when : whether a study has this step
    threads : of one task
    """

    function: Callable[..., Any]
    over: Over
    name: str = ""
    reads: tuple[str, ...] = ()
    reach: Callable[[Plan, Any], Sequence[Any]] = _itself
    tables: tuple[str, ...] = ()
    takes: tuple[str, ...] = ()
    writes: tuple[str, ...] = ()
    recorded: bool = False
    table: str = ""
    settings: Mapping[str, str] = field(default_factory=dict)
    constants: Mapping[str, Any] = field(default_factory=dict)
    revision: int = 1
    memory: Callable[[Plan, str], int] = _small
    whole_rows: str = ""
    seconds: Callable[[Plan, bool], float] = lambda plan, gpu: 0.0
    when: Callable[[Plan], bool] = always
    threads: Callable[[Plan], int] = lambda plan: 1

    def is_in(self, plan: Plan) -> bool:
        """Whether a study has tasks of it."""
        return self.when(plan) and any(self.over.count(plan).values())

    @property
    def is_written(self) -> bool:
        """Whether its results go to the store, or to files; else they go to other tasks only."""
        return bool(self.writes or self.table)


@dataclass(frozen=True)
class Reduce:
    """A sum over blocks: counted on each, combined sixteen at a time, in order, into one result for each of `into`.

    Attributes
    ----------
    name : under which other steps take the results
    count : what is done to each block
    combine : of any number of results
    memory : bytes of a task that combines
    """

    name: str
    count: Step
    combine: Callable[..., Any]
    into: Over
    memory: Callable[[Plan, str], int] = _small

    def is_in(self, plan: Plan) -> bool:
        """Whether a study has tasks of it."""
        return self.count.is_in(plan)


@dataclass(frozen=True)
class Stage:
    """Steps that a person sees as one, in order."""

    name: str
    steps: tuple[Step | Reduce, ...]


def per_particle_frame(seconds: float, of: str = PARTICLES, once: float = 0.0) -> Callable[[Plan, bool], float]:
    """Seconds of one core in all, of a step that works on every particle of every frame of some runs; `once`: on top."""
    return lambda plan, gpu: once + seconds * particle_frames(plan, of)


def particle_frames(plan: Plan, of: str = PARTICLES) -> int:
    """Particles times frames of some runs."""
    return plan.source.particles * sum(plan.number(of, run) * plan.layouts[run].frames for run in plan.runs(of))


# --- memory --------------------------------------------------------------------------------------------------------

# Bytes of a particle and frame, or of a particle where one frame is held at a time; arrays by their types.
POSITION, VALUE, LABEL = 12, 4, 1
CELLS = 120  # of one frame: positions wrapped, sorted and gathered in double precision; indices and distances
IN_FLIGHT = 10  # pieces of an array that Zarr reads or writes at a time: its setting async.concurrency


def reading(layout: Layout, frames: int, each: int) -> int:
    """Bytes that reading one variable, `each` a particle and frame, needs beside the array it fills.

    At most: of chunks on their way, what is on disk and what it decodes to; of shards, what is on disk as a whole.
    """
    chunks = min(IN_FLIGHT, math.ceil(frames / layout.chunk)) * 2 * layout.chunk
    shards = min(IN_FLIGHT, math.ceil(frames / layout.block)) * layout.block if layout.block > layout.chunk else 0
    return (chunks + min(shards, frames)) * layout.sizes["particle"] * each


def writing(layout: Layout, frames: int, each: int) -> int:
    """Bytes that writing a block of one variable needs beside its array: a chunk in other order, and encoded twice.

    The encoded chunks of a shard are held, and joined.
    """
    chunks = min(IN_FLIGHT, math.ceil(frames / layout.chunk)) * layout.chunk
    return ((3 * chunks) if layout.block == layout.chunk else chunks + 2 * frames) * layout.sizes["particle"] * each


def affine(plan: Plan) -> int:
    """Bytes of a particle and frame of positions relative to a box that varies."""
    return POSITION * (plan.source.box is None)


def minimized(plan: Plan) -> bool:
    """Whether a study has inherent structures."""
    return bool(plan.settings[POSITIONS] == "inherent")
