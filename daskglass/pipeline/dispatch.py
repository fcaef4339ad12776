"""Handing tasks to Dask: those whose predecessors are complete, a bounded number at a time, and what became of them."""

from __future__ import annotations

import heapq
import time
import traceback
import uuid
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from distributed import Client, Future, KilledWorker, as_completed

from daskglass.errors import ClusterError, DaskglassError, reason
from daskglass.pipeline.tasks import Task
from daskglass.store.aside import writing
from daskglass.store.ledger import Entry, Ledger, completed, failed, notes, stage_and_system

RETRIES = 2  # of a task that failed: file systems of clusters do now and then
LEAST_WINDOW, WINDOW_PER_THREAD = 1000, 4  # tasks that the scheduler has at a time
TICK = 2.0  # s between two times that others hear of the work
POLL = 0.005  # s between two looks for tasks that ended
SIMULATE_FIRST = 2**40  # more than any number of tasks: chains of simulations are the longest way through a study
Tick = Callable[[Mapping[str, Any]], None]


@dataclass(frozen=True)
class Result:
    """What a task brought back, what it warned of, how long it took, and what it wrote."""

    value: Any
    warnings: tuple[str, ...]
    seconds: float
    wrote: Mapping[str, Any] = field(default_factory=dict)


@dataclass
class Outcome:
    """How a run ended."""

    done: int = 0
    failures: dict[str, str] = field(default_factory=dict)
    tracebacks: dict[str, str] = field(default_factory=dict)
    warnings: dict[str, list[str]] = field(default_factory=dict)


def work(
    client: Client,
    todo: list[Task],
    ledger: Ledger,
    aside: Path,
    finished: Callable[[Task], None] = lambda task: None,
    tick: Tick = lambda state: None,
) -> Outcome:
    """Do tasks on a cluster, and remember in the ledger how each of them ended.

    A task goes to the scheduler once all that it waits for is complete, simulations first and else in the order of the
    list, and so many at a time that neither the scheduler nor this process grows with the study. Tasks whose worker processes
    died again and again are tried once more at the end, each alone: so one that kills its workers is told from those beside
    it.

    Parameters
    ----------
    client : of the cluster
    todo : tasks, every one after those it waits for
    ledger : of the store, which has no marks of these tasks
    aside : folder of this run, through which its tasks write
    finished : called with every task that wrote, and is remembered
    tick : called every two seconds with what goes on: number of `workers`, and of tasks `running` by system and stage

    Raises
    ------
    ClusterError
        If the scheduler is gone.
    """
    outcome, agenda = Outcome(), _Agenda(todo)

    def fail(task: Task, cause: str, trace: str = "") -> Iterator[Entry]:
        for key in agenda.drop(task):
            outcome.failures[key], outcome.tracebacks[key] = cause, trace
            yield failed(key, cause)

    refused = [entry for task in todo if task.problem for entry in fail(task, task.problem)]
    ledger.record(refused)
    # partial results stay where they are; the receipts of what was written come here
    partial, written = as_completed(), as_completed(with_results=True, raise_errors=False)
    flying: dict[Future, Task] = {}
    # where graphics processors are offered, simulations run on them only
    workers = client.scheduler_info(n_workers=-1)["workers"].values()
    gpu = {"GPU": 1} if any("GPU" in worker["resources"] for worker in workers) else None
    window, next_tick = LEAST_WINDOW, 0.0
    while True:
        while len(flying) < window and (task := agenda.next(alone=not flying)):
            future = client.submit(
                call,
                task.function,
                task.arguments,
                task.settings,
                [agenda.results[key] for key in task.needs],
                aside,
                key=agenda.name(task),
                retries=RETRIES,
                pure=False,
                priority=agenda.priority(task),
                resources=gpu if task.stage == "simulate" else None,
            )
            if task.inputs is None:
                agenda.results[task.key] = future
            flying[future] = task
            (partial if task.inputs is None else written).add(future)
        if not flying:
            return outcome
        entries: list[Entry] = []
        complete: list[Task] = []
        for future, result in _ended(partial, written, next_tick):
            task = flying.pop(future)
            if isinstance(result, Result) or future.status == "finished":
                complete.append(task)
                if task.inputs is not None:
                    entries.append(completed(task.key, task.inputs, _receipt(result)))
            elif future.status == "error":
                error = future.exception()
                if isinstance(error, KilledWorker) and agenda.try_alone(task):
                    continue
                entries += fail(task, _cause(error, task, ledger.store), "".join(traceback.format_exception(error)))
            elif future.status in ("lost", "pending"):
                # its worker went with the result: Dask does it again
                flying[future] = task
                (partial if task.inputs is None else written).add(future)
            else:
                raise ClusterError("the scheduler is gone; rerun to continue")
        ledger.record(entries)
        for task in complete:
            agenda.complete(task)
            if task.inputs is not None:
                outcome.done += 1
                if said := notes(ledger.marks[task.key]):
                    outcome.warnings[task.key] = said
                finished(task)
        if time.monotonic() >= next_tick:
            # more threads may have come
            window = max(LEAST_WINDOW, WINDOW_PER_THREAD * sum(client.nthreads().values()))
            tick(state_of(client))
            next_tick = time.monotonic() + TICK


def call(
    function: Callable[..., Any],
    arguments: tuple[Any, ...],
    settings: Mapping[str, Any],
    results: list[Result],
    aside: Path,
) -> Result:
    """Run a task on a worker."""
    began = time.perf_counter()
    with warnings.catch_warnings(record=True) as caught, writing(aside) as wrote:
        warnings.simplefilter("default")
        value = function(*arguments, *(result.value for result in results), **settings)
    said = tuple(dict.fromkeys(str(warning.message) for warning in caught))
    return Result(value, said, time.perf_counter() - began, wrote.receipt())


class _Agenda:
    """Which tasks are left, which of them can start, and the partial results that others still need.

    Attributes
    ----------
    tasks : that are not complete, in order
    results : partial results that tasks not yet submitted need
    """

    def __init__(self, todo: list[Task]) -> None:
        self.tasks = {task.key: task for task in todo}
        self.results: dict[str, Future] = {}
        self._rank = {
            task.key: number - SIMULATE_FIRST * (task.stage == "simulate") for number, task in enumerate(todo)
        }
        self._before = {key: self.tasks.keys() & {*task.needs, *task.after} for key, task in self.tasks.items()}
        self._followers: dict[str, list[str]] = {key: [] for key in self.tasks}
        self._users: dict[str, int] = dict.fromkeys(self.tasks, 0)
        for key, before in self._before.items():
            for each in before:
                self._followers[each].append(key)
            for need in self.tasks[key].needs:
                self._users[need] += 1
        self._ready = [(self._rank[key], key) for key, before in self._before.items() if not before]
        heapq.heapify(self._ready)
        self._suspects: list[str] = []
        self._alone: set[str] = set()
        self._run = uuid.uuid4().hex[:8]

    def next(self, alone: bool) -> Task | None:
        """Take the next task that can start; one that is to run alone only if nothing else can, and nothing runs."""
        while self._ready:
            _, key = heapq.heappop(self._ready)
            if key in self.tasks:
                return self.tasks[key]
        if alone and self._suspects:
            self._alone.add(key := self._suspects.pop(0))
            return self.tasks[key]
        return None

    def try_alone(self, task: Task) -> bool:
        """Put a task aside, to be run once more with nothing beside it; not if that has been done."""
        if task.key in self._alone:
            return False
        self._suspects.append(task.key)
        return True

    def name(self, task: Task) -> str:
        """Key of a task with the scheduler, which may know its first try, or the same task of another run."""
        return f"{task.key}/{self._run}" + "/alone" * (task.key in self._alone)

    def priority(self, task: Task) -> int:
        """Priority of a task with the scheduler."""
        return -self._rank[task.key]

    def complete(self, task: Task) -> None:
        """Let those that wait for a task start, once it was the last they waited for."""
        del self.tasks[task.key]
        self._let_go(task)
        for key in self._followers.pop(task.key):
            self._before[key].discard(task.key)
            if not self._before[key]:
                heapq.heappush(self._ready, (self._rank[key], key))

    def drop(self, task: Task) -> list[str]:
        """Give a task up, and all that wait for it; keys of those of them that write, in order."""
        given_up, writing = [task.key], []
        while given_up:
            key = given_up.pop()
            if (gone := self.tasks.pop(key, None)) is None:
                continue
            given_up += self._followers.pop(key)
            self._let_go(gone)
            if gone.inputs is not None:
                writing.append(key)
        return sorted(writing, key=self._rank.__getitem__)

    def _let_go(self, task: Task) -> None:
        """Let go of partial results that only this task needed."""
        for need in task.needs:
            self._users[need] -= 1
            if not self._users[need]:
                self.results.pop(need, None)


def _ended(partial: as_completed, written: as_completed, until: float) -> list[tuple[Future, Any]]:
    """Tasks that ended, with the receipts of those that wrote; none if none ends until then."""
    while True:
        ended = [(future, None) for future in partial.next_batch(block=False)]
        ended += written.next_batch(block=False)
        if ended or time.monotonic() >= until:
            return ended
        time.sleep(POLL)


def _receipt(result: Result) -> dict[str, Any]:
    receipt = {"seconds": round(result.seconds, 3), **result.value, **result.wrote}
    return receipt | {"warnings": list(result.warnings)} if result.warnings else receipt


def _cause(error: BaseException, task: Task, path: Path) -> str:
    if isinstance(error, KilledWorker):
        return (
            f"{task.key}: worker processes died when they ran it, the last with nothing beside it: most often memory ran "
            f"out (--dry-run lists what a task needs), or compiled code crashed (the log of worker {error.last_worker.name})"
        )
    if isinstance(error, OSError) and error.strerror:
        return reason(error, path)
    text = str(error).strip()
    return text if isinstance(error, DaskglassError) else f"{type(error).__name__}: {text}"


def state_of(client: Client) -> dict[str, Any]:
    """Number of workers, and of the tasks they run, by system and stage."""
    processing = client.processing()
    running: dict[str, dict[str, int]] = {}
    for keys in processing.values():
        for key in keys:
            stage, system = stage_and_system(str(key))
            of_system = running.setdefault(system, {})
            of_system[stage] = of_system.get(stage, 0) + 1
    return {"workers": len(processing), "running": running}
