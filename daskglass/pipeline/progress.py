"""How far the run of a store is: tasks done, running, failed and left, from its ledger and its lock alone."""

from __future__ import annotations

import socket
import time
from collections import defaultdict, deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from daskglass.errors import StoreError
from daskglass.store.ledger import Entry, core_seconds, read_entry, stage_and_system
from daskglass.store.lock import holder_of, is_dead
from daskglass.study.paths import check_no_file, ledger_path, lock_path

MINUTE = 60.0  # over which speed is measured, and after which a run that says nothing is called silent
NOTES = 6  # the last ones, that have room on a screen

RunState = Literal["running", "silent", "finished", "stopped"]


@dataclass(frozen=True)
class Row:
    """One stage of one system, in numbers of tasks.

    `running` counts tasks whose partial results the ledger never sees, too: it may be more than is left.
    """

    system: str
    stage: str
    total: int
    done: int
    running: int
    failed: int

    @property
    def left(self) -> int:
        """Tasks neither done nor failed, whether they run or wait."""
        return self.total - self.done - self.failed


@dataclass(frozen=True)
class Note:
    """What some tasks warned of, or why they failed: its text, the first of the tasks, their number, and when it was last."""

    kind: Literal["failed", "warning"]
    text: str
    key: str
    tasks: int
    at: float


@dataclass(frozen=True)
class Progress:
    """How far the last run of a store is.

    Attributes
    ----------
    study : its name
    state : running; silent, where a run that holds the store says nothing any more; finished; stopped
    rows : one per stage and system of the study
    pace : tasks per second of each stage that finished some in the last minute (in twice the mean time of its tasks,
        where that is longer; since its first task began in this run, where that is shorter), partial results not counted
    speed : particle-frames per second of them; stages that do not work on frames have none
    spent : seconds of one core that all complete tasks of each stage took, partial results too
    left : seconds for the tasks left of each stage: the mean time of its tasks × tasks left / workers, but not less than the
        time of one task; empty where nothing runs. Partial results are not in it.
    remaining : their sum; None where nothing runs
    unknown : stages with tasks left of which none was ever finished: `left` holds nothing for them
    workers, dashboard, host, pid : of the process that runs, or died holding its lock
    began, now : seconds since the epoch: when the run planned its tasks, and to which moment all this belongs
    silence : seconds since the run last said something
    alive : whether anything may still come: false once nothing holds the store, or the process that does is dead
    notes : the last warnings and failures of this run, newest first
    """

    study: str
    state: RunState
    rows: tuple[Row, ...]
    pace: Mapping[str, float]
    speed: Mapping[str, float]
    spent: Mapping[str, float]
    left: Mapping[str, float]
    remaining: float | None
    unknown: tuple[str, ...]
    workers: int
    dashboard: str
    host: str
    pid: int | str
    began: float
    now: float
    silence: float
    alive: bool
    notes: tuple[Note, ...]

    @property
    def stages(self) -> tuple[str, ...]:
        """Stages in the order of the study."""
        return tuple(dict.fromkeys(row.stage for row in self.rows))

    @property
    def systems(self) -> tuple[str, ...]:
        """Systems in the order of the study."""
        return tuple(dict.fromkeys(row.system for row in self.rows))

    @property
    def total(self) -> Row:
        """All stages and systems together."""
        return _sum(self.rows)

    def of_stage(self, stage: str) -> Row:
        """One stage of all systems together."""
        return _sum([row for row in self.rows if row.stage == stage], stage)


def _sum(rows: Sequence[Row], stage: str = "") -> Row:
    numbers = [(0, 0, 0, 0), *((row.total, row.done, row.running, row.failed) for row in rows)]
    return Row("", stage, *(sum(column) for column in zip(*numbers, strict=True)))


class Tally:
    """What the lines of a ledger come to since the last plan in it; takes them one by one, in order.

    Every line costs the same however many came before, so that a ledger of 10^5 tasks can be followed.
    """

    def __init__(self) -> None:
        self.seconds: dict[str, tuple[float, int]] = {}  # sum and number of all tasks of a stage, earlier runs' too
        self.spent: dict[str, float] = defaultdict(float)
        self._took: dict[str, float] = {}  # core seconds of each complete task
        self.take({"key": "plan", "at": 0.0})

    def take(self, entry: Entry) -> None:
        """Take the next line."""
        key = entry["key"]
        if key == "plan":
            self.plan = entry
            self.finished: set[str] = set()
            self.done: dict[tuple[str, str], int] = defaultdict(int)
            self.failed: dict[tuple[str, str], int] = defaultdict(int)
            self.causes: dict[str, str] = {}  # of failed tasks
            self.failures: dict[str, dict[str, float]] = {}  # by cause, the last one behind: tasks, and when
            self.warnings: dict[str, Note] = {}
            self.recent: dict[str, deque[tuple[float, float]]] = defaultdict(deque)  # times, and particle-frames
            self.first: dict[str, float] = {}
            return
        stage, system = stage_and_system(key)
        if key in self.causes:
            cause = self.causes.pop(key)
            self.failed[system, stage] -= 1
            del self.failures[cause][key]
            if not self.failures[cause]:
                del self.failures[cause]
        if key in self.finished:
            self.finished.remove(key)
            self.done[system, stage] -= 1
        if "failed" in entry:
            cause = self.causes[key] = entry["failed"]
            self.failed[system, stage] += 1
            tasks = self.failures.pop(cause, {})
            tasks[key] = entry["at"]
            self.failures[cause] = tasks
            return
        self.spent[stage] -= self._took.pop(key, 0.0)
        if "seconds" in entry:
            self._take_finished(entry, stage, system)

    def _take_finished(self, entry: Entry, stage: str, system: str) -> None:
        key, at, seconds = entry["key"], entry["at"], entry["seconds"]
        self.finished.add(key)
        self.done[system, stage] += 1
        spent, tasks = self.seconds.get(stage, (0.0, 0))
        self.seconds[stage] = (spent + seconds, tasks + 1)
        self._took[key] = core_seconds(entry)
        self.spent[stage] += self._took[key]
        self.first[stage] = min(self.first.get(stage, at), at - seconds)
        recent = self.recent[stage]
        recent.append((at, self.plan.get("particles", {}).get(system, 0) * entry.get("frames", 0)))
        while recent[0][0] < at - self._window(stage):
            recent.popleft()
        texts = list(entry.get("warnings", []))
        if unconverged := entry.get("unconverged"):
            texts.append(f"frames that did not converge, and are left out: {len(unconverged)}")
        for text in texts:
            # behind all others: the newest stands last
            before = self.warnings.pop(text, None)
            first, tasks = (before.key, before.tasks) if before else (key, 0)
            self.warnings[text] = Note("warning", text, first, tasks + 1, at)

    def _window(self, stage: str) -> float:
        return max(MINUTE, 2 * (self.mean_seconds(stage) or 0.0))

    def mean_seconds(self, stage: str) -> float | None:
        """Mean time of a stage's tasks; None before the first one is done."""
        if stage not in self.seconds:
            return None
        spent, tasks = self.seconds[stage]
        return spent / tasks

    def speed(self, stage: str, now: float) -> tuple[float, float]:
        """Tasks and particle-frames per second that a stage finished of late."""
        start = max(now - self._window(stage), self.first.get(stage, now))
        finished = [frames for at, frames in self.recent.get(stage, ()) if at > start]
        return (len(finished) / (now - start), sum(finished) / (now - start)) if finished else (0.0, 0.0)

    def notes(self) -> tuple[Note, ...]:
        """Return the last warnings and failures, newest first; failures of one cause are one."""
        failed = [
            Note("failed", cause, next(iter(tasks)), len(tasks), next(reversed(tasks.values())))
            for cause, tasks in list(self.failures.items())[-NOTES:]
        ]
        warned = [self.warnings[text] for text in list(self.warnings)[-NOTES:]]
        return tuple(sorted([*failed, *warned], key=lambda note: -note.at)[:NOTES])


def progress(tally: Tally, holder: Entry | None, dead: bool, now: float) -> Progress:
    """Work out how far a run is.

    Parameters
    ----------
    tally : of the store's ledger
    holder : what the store's lock says, None where there is none; `dead` where the process it names is no more
    now : seconds since the epoch
    """
    plan, holder, held = tally.plan, holder or {}, holder is not None
    if plan["at"] < holder.get("started", 0.0):
        # of an earlier run: this one has not planned yet
        plan = {"at": now}
    rows = tuple(
        Row(
            system,
            stage,
            total,
            plan["done"].get(system, {}).get(stage, 0) + tally.done.get((system, stage), 0),
            holder.get("running", {}).get(system, {}).get(stage, 0),
            tally.failed.get((system, stage), 0),
        )
        for system, totals in plan.get("totals", {}).items()
        for stage, total in totals.items()
    )
    # a run that waits for its first worker has reported nothing yet; one that has nothing left reports nothing more
    silence = max(now - holder.get("at", now), 0.0)
    ending = bool(rows) and not any(row.left for row in rows)
    if ending:
        rows = tuple(replace(row, running=0) for row in rows)
    if held:
        state: RunState = "silent" if dead or (silence > MINUTE and not ending) else "running"
    else:
        state = "finished" if rows and not any(row.left or row.failed for row in rows) else "stopped"
    workers = holder.get("workers", 0)
    left: dict[str, int] = defaultdict(int)
    for row in rows:
        left[row.stage] += row.left
    open_stages = [stage for stage, tasks in left.items() if tasks > 0]
    means = {stage: tally.mean_seconds(stage) for stage in open_stages}
    times = {
        stage: mean * max(left[stage] / workers, 1.0) for stage, mean in means.items() if mean is not None and workers
    }
    running = state == "running"
    speeds = {stage: tally.speed(stage, now) for stage in left} if running else {}
    return Progress(
        study=plan.get("study", ""),
        state=state,
        rows=rows,
        pace={stage: tasks for stage, (tasks, _) in speeds.items() if tasks > 0},
        speed={stage: frames for stage, (_, frames) in speeds.items() if frames > 0},
        spent={stage: tally.spent[stage] for stage in left if tally.spent.get(stage)},
        left=times if running else {},
        remaining=sum(times.values()) if running and workers else None,
        unknown=tuple(stage for stage, mean in means.items() if mean is None),
        workers=workers,
        dashboard=holder.get("dashboard", ""),
        host=holder.get("host", ""),
        pid=holder.get("pid", ""),
        began=plan["at"],
        now=now,
        silence=silence,
        alive=held and not dead,
        notes=tally.notes(),
    )


class Follower:
    """Follows the run of a store, reading only what its ledger gained since it last looked."""

    def __init__(self, store: Path) -> None:
        self.store, self.ledger, self.lock = store, ledger_path(store), lock_path(store)
        self.tally, self.offset = Tally(), 0

    def look(self) -> Progress:
        """How far the run is now.

        Raises
        ------
        StoreError
            If there is no store, nor a run that is about to make one.
        """
        # the lock first: once it is gone, the ledger holds all that the run did
        holder = holder_of(self.lock)
        if self.ledger.exists():
            self._read()
        elif holder is None:
            check_no_file(self.store)
            raise StoreError("no store here", file=self.store, remedy="`daskglass run STUDY.yaml` makes one")
        known = holder is not None and holder["host"] == socket.gethostname() and "started" in holder
        return progress(self.tally, holder, known and is_dead(holder or {}), time.time())

    def _read(self) -> None:
        if self.ledger.stat().st_size < self.offset:
            # another ledger took its place
            self.tally, self.offset = Tally(), 0
        with self.ledger.open("rb") as file:
            file.seek(self.offset)
            added = file.read()
        # a line that is being written is left for the next time
        whole = added[: added.rfind(b"\n") + 1]
        self.offset += len(whole)
        for line in whole.splitlines():
            if (entry := read_entry(line, str(self.ledger))) is not None:
                self.tally.take(entry)


def headline(now: Progress) -> str:
    """RunState of a run in one line: `running for 3 min, 41 of 98 tasks done, 2 workers, about 2 min left`."""
    if now.state == "silent":
        who = f"the run on {now.host}, process {now.pid}"
        if not now.alive:
            return f"{who}, died holding the store's lock; run the same command to continue"
        return f"{who}, has not reported for {duration(now.silence)}"
    if not now.rows:
        return "planning, or waiting for workers" if now.alive else "no run found; start one with `daskglass run`"
    total = now.total
    said = [f"{total.done:,} of {total.total:,} tasks done"]
    if total.failed:
        said.append(f"{total.failed:,} failed")
    if now.state != "running":
        return ", ".join([now.state, *said])
    said.append(f"{now.workers:,} worker{'s' * (now.workers != 1)}")
    return ", ".join([f"running for {duration(now.now - now.began)}", *said, time_left(now)])


def time_left(now: Progress) -> str:
    """Time that a run still takes, as far as it is known."""
    if not now.total.left:
        return "nothing left" if not now.total.failed else "nothing left that can be done"
    if now.remaining is None:
        return "time left unknown until there are workers"
    if not now.unknown:
        return f"about {duration(now.remaining)} left"
    if not now.remaining:
        return "time left not known yet"
    unknown = ", ".join(now.unknown) if len(now.unknown) < 3 else f"{len(now.unknown)} stages"
    return f"at least {duration(now.remaining)} left ({unknown} not counted)"


def duration(seconds: float) -> str:
    """Length of time in words, to two digits or so: 45 s, 12 min, 3.4 h, 2.5 days."""
    if seconds < 2 * 60:
        return f"{seconds:.0f} s"
    if seconds < 2 * 3600:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h" if seconds < 48 * 3600 else f"{seconds / 86400:.1f} days"


def pace(tasks: float) -> str:
    """Tasks per second in short: 12/s, 3.4/min, 5/h."""
    for seconds, unit in ((1, "s"), (60, "min")):
        if tasks * seconds >= 1:
            return f"{tasks * seconds:,.{1 if tasks * seconds < 10 else 0}f}/{unit}"
    return f"{3600 * tasks:.{1 if 3600 * tasks < 10 else 0}f}/h"


def rate(speed: float) -> str:
    """Speed in particle-frames per second, in short: 940, 12 k, 3.4 M."""
    for size, unit in ((1e9, " G"), (1e6, " M"), (1e3, " k")):
        if speed >= size:
            return f"{speed / size:.{1 if speed < 10 * size else 0}f}{unit}"
    return f"{speed:.0f}"
