"""What a study costs, before it runs: tasks and their memory, bytes, particle-steps and hours."""

from __future__ import annotations

import math
import os
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from daskglass.cluster.job_script import MALLOC, NO_CLUSTER, Profile, lifetime_seconds
from daskglass.errors import StudyError
from daskglass.pipeline.plan import figures_of_study, plan_study
from daskglass.pipeline.tasks import FAN_IN, Task
from daskglass.registry import ENGINES, Speed
from daskglass.stages import registry
from daskglass.stages.declare import Plan, Reduce, Rows, Step
from daskglass.store.template import Layout
from daskglass.study.settings import Study

BASE = 440_000_000  # bytes of a worker process that has imported everything, LAMMPS and scikit-learn too
OF_A_TASK = 0.02  # s that any task takes: reading, writing, and remembering what it did
OF_A_FIGURE = 0.6  # s of a figure, or of the page, and of its share of the import of Matplotlib
KEPT = MALLOC["MALLOC_TRIM_THRESHOLD_"]  # bytes freed by earlier tasks that a process keeps


@dataclass(frozen=True)
class TaskKind:
    """All tasks of one function on one run of a system, and the memory of the largest.

    Attributes
    ----------
    run : that they read; empty for tasks on tables
    frames : that the largest holds
    nbytes : of its arrays at the peak, beyond the process itself
    whole_rows : whether it holds all frames of a temperature and replica, and so grows with the length of the run
    """

    stage: str
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


def kinds_of(plan: Plan, only: Sequence[str] = ()) -> list[TaskKind]:
    """All tasks of a system, as many of each kind as `tasks_of` lists, counted without listing them."""
    found: list[TaskKind] = []
    for stage in registry.STAGES:
        for step in stage.steps if not only or stage.name in only else ():
            if not step.is_in(plan):
                continue
            found += _of_step(plan, stage.name, step) if isinstance(step, Step) else _of_sum(plan, stage.name, step)
    return found


def _of_step(plan: Plan, stage: str, step: Step) -> list[TaskKind]:
    counts, name = step.over.count(plan), step.function.__name__
    if isinstance(step.over, Rows) or step.whole_rows:
        counts = {"": sum(counts.values())}
    if not step.whole_rows:
        return [
            TaskKind(stage, plan.system, name, run, number, frames, step.memory(plan, run))
            for run, number in counts.items()
            for frames in [plan.layouts[run].block_frames if run else 0]
        ]
    runs = plan.runs(step.whole_rows)
    run = max(runs, key=lambda run: plan.layouts[run].frames)
    frames = plan.layouts[run].frames
    return [TaskKind(stage, plan.system, name, run, counts[""], frames, step.memory(plan, run), whole_rows=True)]


def _of_sum(plan: Plan, stage: str, reduce: Reduce) -> list[TaskKind]:
    leaves, results = (sum(over.count(plan).values()) for over in (reduce.count.over, reduce.into))
    number = results * _tree(leaves // results)
    combined = TaskKind(stage, plan.system, reduce.combine.__name__, "", number, 0, reduce.memory(plan, ""))
    return [*_of_step(plan, stage, reduce.count), combined]


def _tree(leaves: int) -> int:
    """Tasks that combine `leaves` partial results, `FAN_IN` at a time."""
    levels = [math.ceil(leaves / FAN_IN)]
    while levels[-1] > 1:
        levels.append(math.ceil(levels[-1] / FAN_IN))
    return sum(levels)


def largest_of(kinds: Iterable[TaskKind]) -> dict[str, TaskKind]:
    """Of each stage the kind of task that needs most memory."""
    found: dict[str, TaskKind] = {}
    for kind in kinds:
        if kind.stage not in found or kind.nbytes > found[kind.stage].nbytes:
            found[kind.stage] = kind
    return found


# --- workers -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Workers:
    """Worker processes, which do one task at a time.

    Attributes
    ----------
    number : of them
    memory : bytes of each
    jobs : that they are in; 0 where there are none
    lifetime : of each, s
    threads : most that each can have
    cores : of them all
    """

    number: int
    memory: int
    jobs: int = 0
    lifetime: float = math.inf
    threads: int = 1
    cores: int = 1


def workers_of(profile: Profile) -> Workers | None:
    """Workers that a profile asks for; None where the scheduler runs already and has its own.

    A local cluster shares the memory of the machine, or of the cgroup, among its workers, as Dask does; without a cluster
    this process has all of it.
    """
    from dask.utils import parse_bytes
    from distributed.system import MEMORY_LIMIT

    if profile.kind == "address":
        return None
    if profile.kind == NO_CLUSTER:
        return Workers(1, MEMORY_LIMIT)
    if profile.kind == "local":
        number = profile.workers or len(os.sched_getaffinity(0))
        cores = len(os.sched_getaffinity(0))
        return Workers(number, MEMORY_LIMIT // number, threads=max(1, cores // (profile.workers or 1)), cores=cores)
    processes = profile.options.get("processes", profile.options["cores"])
    return Workers(
        profile.jobs * processes,
        parse_bytes(profile.options["memory"]) // processes,
        profile.jobs,
        lifetime_seconds(profile),
        profile.options["cores"] // profile.options.get("processes", 1),
        profile.jobs * profile.options["cores"],
    )


def check_fits(kinds: Iterable[TaskKind], memory: int) -> None:
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
    import dask
    from distributed.config import config

    limit = dask.config.get("distributed.worker.memory.terminate", config=config) or 1.0
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


# --- cost ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Cost:
    """Cost of one system.

    Attributes
    ----------
    nbytes, files : of the store, uncompressed
    kinds : of its tasks, with the memory that they need
    hours : of one core, by stage, figures too; they lack what cannot be estimated
    chain : hours of the longest chain of tasks that wait for one another: simulations of one replica, from hot to cold
    threads : of a simulation
    parallel : share of the time of a simulation that threads divide among them
    """

    system: str
    particles: int
    frames: int
    particle_steps: float
    nbytes: int
    files: int
    kinds: tuple[TaskKind, ...]
    tasks: dict[str, int]
    hours: dict[str, float]
    chain: float
    threads: int
    parallel: float
    notes: tuple[str, ...]


def costs(study: Study, gpu: bool = False) -> list[Cost]:
    """Estimate the cost of every system of a study; reads headers of files, writes nothing."""
    return [cost_of(plan, gpu) for plan in plan_study(study)]


def wall_hours(plans: Sequence[Cost], workers: int) -> float:
    """Hours on `workers` workers: all hours shared, but not less than the longest chain takes."""
    shared = sum(
        hours / (plan.threads if stage == "simulate" else 1) for plan in plans for stage, hours in plan.hours.items()
    )
    return max(shared / workers, *(plan.chain for plan in plans))


def with_threads(cost: Cost, threads: int) -> Cost:
    """Cost of a system whose simulations run on another number of threads."""
    now, then = (Speed((0.0, 0.0), 0.0, cost.parallel).speedup(number) for number in (cost.threads, threads))
    hours = {
        stage: hours * (now / cost.threads * threads / then if stage == "simulate" else 1)
        for stage, hours in cost.hours.items()
    }
    return replace(cost, hours=hours, chain=cost.chain * now / then, threads=threads)


def best_threads(plans: Sequence[Cost], workers: Workers) -> tuple[int, float]:
    """Threads of a simulation with which a study ends first on the cores of these workers, and hours that it takes."""
    threaded = any(plan.parallel for plan in plans)
    choices = [2**k for k in range(workers.threads.bit_length()) if threaded or k == 0]
    return min(
        (
            (t, wall_hours([with_threads(plan, t) for plan in plans], max(1, min(workers.number, workers.cores // t))))
            for t in choices
        ),
        key=lambda choice: choice[::-1],
    )


def longer_than(plans: Iterable[Cost], lifetime: float) -> list[str]:
    """Name the tasks that may not end while a worker lives: what is done of them is lost with it, again and again.

    Simulations leave checkpoints, other tasks do not. Those that take more than half a lifetime count.
    """
    found = []
    for plan in plans:
        for stage, hours in plan.hours.items():
            blocks = sum(kind.number for kind in plan.kinds if kind.stage == stage and kind.frames)
            seconds = 3600 * hours / max(blocks, 1)
            if stage not in ("simulate", registry.FIGURES) and seconds > lifetime / 2:
                found.append(
                    f"{plan.system}: a task of stage {stage} takes about {seconds / 3600:.2g} h, and a worker leaves after "
                    f"{lifetime / 3600:.2g} h, before the walltime: ask for a longer one"
                )
    return found


def seconds_left(plans: Iterable[Plan], todo: Iterable[Task]) -> float:
    """Seconds of one core that tasks take: of what a stage takes the share of them; figures are of no system alone.

    Infinite where simulations are to run of as many steps as nobody knows.
    """
    left = Counter((task.system, task.stage) for task in todo)
    seconds = OF_A_FIGURE * sum(number for (_, stage), number in left.items() if stage == registry.FIGURES)
    for plan in plans:
        for stage in [stage for system, stage in left if system == plan.system]:
            share = left[plan.system, stage] / sum(kind.number for kind in kinds_of(plan, [stage]))
            seconds += share * _seconds(plan, False, [stage])[stage]
        if left[plan.system, "simulate"] and plan.source.effort().notes:
            return math.inf
    return seconds


def cost_of(plan: Plan, gpu: bool = False) -> Cost:
    """Estimate the cost of a system, on workers that offer GPUs or not."""
    source, kinds, effort = plan.source, kinds_of(plan), plan.source.effort()
    hours = {stage: seconds / 3600 for stage, seconds in _seconds(plan, gpu).items() if seconds}
    # each system has panels in all of them
    hours[registry.FIGURES] = OF_A_FIGURE * (len(figures_of_study([plan])) + 1) / 3600
    tasks: dict[str, int] = {}
    for kind in kinds:
        tasks[kind.stage] = tasks.get(kind.stage, 0) + kind.number
    layouts = plan.layouts.values()
    return Cost(
        system=plan.system,
        particles=source.particles,
        frames=sum(layout.rows * layout.frames for layout in layouts),
        particle_steps=effort.particle_steps,
        nbytes=sum(sum(layout.nbytes().values()) for layout in layouts),
        files=sum(_files(layout) for layout in layouts),
        kinds=tuple(kinds),
        tasks=tasks,
        hours=hours,
        chain=hours.get("simulate", 0.0) / effort.threads * effort.chain / (effort.particle_steps or 1.0),
        threads=effort.threads,
        parallel=ENGINES[effort.engine].core.parallel if effort.engine else 0.0,
        notes=effort.notes,
    )


def _seconds(plan: Plan, gpu: bool, only: Sequence[str] = ()) -> dict[str, float]:
    """Seconds of one core, by stage; of all, or of some alone."""
    seconds = {
        stage.name: sum(
            (step.count if isinstance(step, Reduce) else step).seconds(plan, gpu)
            for step in stage.steps
            if step.is_in(plan)
        )
        for stage in registry.STAGES
        if not only or stage.name in only
    }
    for kind in kinds_of(plan, only):
        seconds[kind.stage] += OF_A_TASK * kind.number
    return seconds


def _files(layout: Layout) -> int:
    """Chunks, or shards, of all variables of a run."""
    return sum(
        layout.rows * (layout.blocks_of_a_row if layout.along in variable.dims else 1) for variable in layout.variables
    )
