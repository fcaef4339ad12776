"""Doing tasks: those whose predecessors are complete, a bounded number at a time, and what became of them."""

from __future__ import annotations

import heapq
import time
import traceback
import uuid
import warnings
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from daskglass.errors import DaskglassError, reason
from daskglass.pipeline.tasks import Task
from daskglass.store.aside import writing
from daskglass.store.ledger import Entry, Ledger, completed, failed, notes

RETRIES = 2  # of a task that failed: file systems of clusters do now and then
TICK = 2.0  # s between two times that others hear of the work
SIMULATE_FIRST = 2**40  # more than any number of tasks: chains of simulations are the longest way through a study
Tick = Callable[[Mapping[str, Any]], None]


@dataclass(frozen=True)
class Result:
    """What a task brought back, what it warned of, how long it took, and what it wrote.

    Attributes
    ----------
    warnings : its own, and those of the partial results behind it that no other result counts
    seconds : that it took itself
    partial : seconds of the partial results behind it that no other result counts
    """

    value: Any
    warnings: tuple[str, ...]
    seconds: float
    partial: float = 0.0
    wrote: Mapping[str, Any] = field(default_factory=dict)


class WorkersDiedError(Exception):
    """Worker processes died when they ran a task; its text says how."""


@dataclass(frozen=True)
class Call:
    """A task that is handed out.

    Attributes
    ----------
    name : of this try
    priority : the highest goes first
    results : handles of the partial results that it needs
    counts : places of those among them whose seconds and warnings it counts
    aside : folder through which it writes
    """

    task: Task
    name: str
    priority: int
    results: list[Any]
    counts: tuple[int, ...]
    aside: Path


class Executor(Protocol):
    """Who does tasks: the workers of a cluster, or this process.

    Attributes
    ----------
    window : number of tasks that it is to have at a time
    memory : bytes of a worker process; None where that is not known
    """

    window: int
    memory: int | None

    def submit(self, call: Call) -> Hashable:
        """Take a task, and return a handle of its result."""

    def ended(self, until: float) -> Sequence[tuple[Hashable, Result | BaseException | None]]:
        """Tasks that ended, and how; of partial results nothing. None of them if none ends until then (monotonic)."""

    def tick(self) -> None:
        """Let others hear of the work; raises what stops it."""

    def map(self, function: Callable[..., Any], lists: Sequence[Sequence[Any]]) -> Iterable[tuple[int, Any]]:
        """Call a function on arguments from lists; yield numbers and results as they come, and tick meanwhile."""


Start = Callable[[float], Executor]  # who does work of so many core seconds, started when there is some


@dataclass
class Outcome:
    """How a run ended."""

    done: int = 0
    failures: dict[str, str] = field(default_factory=dict)
    tracebacks: dict[str, str] = field(default_factory=dict)
    warnings: dict[str, list[str]] = field(default_factory=dict)


def work(
    executor: Executor,
    todo: list[Task],
    ledger: Ledger,
    aside: Path,
    finished: Callable[[Task], None] = lambda task: None,
) -> Outcome:
    """Do tasks, and remember in the ledger how each of them ended.

    A task is handed out once all that it waits for is complete, simulations first and else in the order of the list, and so
    many at a time that neither a scheduler nor this process grows with the study. Tasks whose worker processes died again and
    again are tried once more at the end, each alone: so one that kills its workers is told from those beside it.

    Parameters
    ----------
    executor : who does them; hears every two seconds that it is to tick
    todo : tasks, every one after those it waits for
    ledger : of the store, which has no marks of these tasks
    aside : folder of this run, through which its tasks write
    finished : called with every task that wrote, and is remembered

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
    flying: dict[Hashable, Task] = {}
    next_tick = 0.0
    while True:
        while len(flying) < executor.window and (task := agenda.next(alone=not flying)):
            handle = executor.submit(agenda.call(task, aside))
            if task.inputs is None:
                agenda.results[task.key] = handle
            flying[handle] = task
        if not flying:
            return outcome
        entries: list[Entry] = []
        complete: list[Task] = []
        for handle, result in executor.ended(next_tick):
            task = flying.pop(handle)
            if isinstance(result, BaseException):
                if isinstance(result, WorkersDiedError) and agenda.try_alone(task):
                    continue
                trace = "".join(traceback.format_exception(result))
                entries += fail(task, _cause(result, task, ledger.store), trace)
                continue
            complete.append(task)
            if task.inputs is not None and result is not None:
                entries.append(completed(task.key, task.inputs, _receipt(result, task.threads)))
        ledger.record(entries)
        for task in complete:
            agenda.complete(task)
            if task.inputs is not None:
                outcome.done += 1
                if said := notes(ledger.marks[task.key]):
                    outcome.warnings[task.key] = said
                finished(task)
        if time.monotonic() >= next_tick:
            executor.tick()
            next_tick = time.monotonic() + TICK


def call(
    function: Callable[..., Any],
    arguments: tuple[Any, ...],
    settings: Mapping[str, Any],
    results: Sequence[Result],
    aside: Path,
    counts: Iterable[int] = (),
) -> Result:
    """Run a task, which counts the seconds and warnings of some of the partial results that it is handed, by their places."""
    began = time.perf_counter()
    with warnings.catch_warnings(record=True) as caught, writing(aside) as wrote:
        warnings.simplefilter("default")
        value = function(*arguments, *(result.value for result in results), **settings)
    seconds = time.perf_counter() - began
    counted = [results[place] for place in counts]
    texts = [*(text for each in counted for text in each.warnings), *(str(warning.message) for warning in caught)]
    partial = sum(each.seconds + each.partial for each in counted)
    return Result(value, tuple(dict.fromkeys(texts)), seconds, partial, wrote.receipt())


class _Agenda:
    """Which tasks are left, which of them can start, and the partial results that others still need.

    Attributes
    ----------
    tasks : that are not complete, in order
    results : partial results that tasks not yet submitted need
    """

    def __init__(self, todo: list[Task]) -> None:
        self.tasks = {task.key: task for task in todo}
        self.results: dict[str, Hashable] = {}
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
        self._counted: dict[str, str] = {}  # by whom, of each partial result that others need
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

    def call(self, task: Task, aside: Path) -> Call:
        """Hand a task out: what needs a partial result first counts it, so that nothing counts its seconds or warnings twice."""
        # a scheduler may know the first try of a task, or the same task of another run
        name = f"{task.key}/{self._run}" + "/alone" * (task.key in self._alone)
        results = [self.results[key] for key in task.needs]
        counts = tuple(
            place for place, key in enumerate(task.needs) if self._counted.setdefault(key, task.key) == task.key
        )
        return Call(task, name, -self._rank[task.key], results, counts, aside)

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


def _receipt(result: Result, threads: int) -> dict[str, Any]:
    receipt = {"seconds": round(result.seconds, 3), **result.value, **result.wrote}
    if threads > 1:
        receipt["threads"] = threads
    if result.partial:
        receipt["partial_seconds"] = round(result.partial, 3)
    return receipt | {"warnings": list(result.warnings)} if result.warnings else receipt


def _cause(error: BaseException, task: Task, path: Path) -> str:
    if isinstance(error, WorkersDiedError):
        return f"{task.key}: {error}"
    if isinstance(error, OSError) and error.strerror:
        return reason(error, path)
    text = str(error).strip()
    return text if isinstance(error, DaskglassError) else f"{type(error).__name__}: {text}"
