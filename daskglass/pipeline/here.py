"""Tasks in this process, one after another: for small work, and to debug in."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from daskglass.pipeline.dispatch import RETRIES, TICK, Call, Result, Tick, call


@dataclass(eq=False)
class Handed:
    """A task that was handed out, and its result once it is done."""

    call: Call
    result: Result | None = None


class Here:
    """An `Executor` that is this process: it does a task when it is asked how that ended.

    Parameters
    ----------
    tick : called with what goes on: `workers`, of which this is one, and the task `running`, by system and stage
    memory : of this process, bytes, where it is known
    """

    window = 1

    def __init__(self, tick: Tick = lambda state: None, memory: int | None = None) -> None:
        self._tick, self.memory = tick, memory
        self._now: Handed | None = None

    def submit(self, new: Call) -> Handed:
        """Take a task."""
        self._now = Handed(new)
        return self._now

    def ended(self, until: float) -> list[tuple[Handed, Result | BaseException | None]]:
        """Do the task and return how it ended, however long that takes."""
        if (now := self._now) is None:
            return []
        if time.monotonic() >= until:
            # who watches is to see what runs
            self.tick()
        with self._ticking():
            found = _try(now.call)
        self._now = None
        if isinstance(found, Result):
            now.result = found
        return [(now, found)]

    def tick(self) -> None:
        """Report what goes on."""
        now = self._now
        running = {} if now is None else {now.call.task.system: {now.call.task.stage: 1}}
        self._tick({"workers": 1, "running": running})

    def map(self, function: Callable[..., Any], lists: Sequence[Sequence[Any]]) -> Iterator[tuple[int, Any]]:
        """Call a function on arguments from lists, in order; yield numbers and results, and tick meanwhile."""
        for number, arguments in enumerate(zip(*lists, strict=True)):
            with self._ticking():
                found = function(*arguments)
            yield number, found

    @contextmanager
    def _ticking(self) -> Iterator[None]:
        """Tick while something runs that takes longer than that; what stops a tick is raised at the end."""
        over = threading.Event()
        stopped: list[BaseException] = []

        def ticks() -> None:
            try:
                while not over.wait(TICK):
                    self.tick()
            except BaseException as error:
                stopped.append(error)

        # Ctrl-C may come at any point here: a thread that was not told that it is over must not keep the process from its end
        ticking = threading.Thread(target=ticks, daemon=True)
        try:
            ticking.start()
            yield
        finally:
            over.set()
            if ticking.is_alive():
                ticking.join()
        if stopped:
            raise stopped[0]


def _try(handed: Call) -> Result | Exception:
    """Do a task, again if it fails, as Dask does."""
    task, results = handed.task, [each.result for each in handed.results]
    for _ in range(RETRIES + 1):
        try:
            return call(task.function, task.arguments, task.settings, results, handed.aside, handed.counts)
        except Exception as error:
            failed = error
    return failed
