"""Tasks on the workers of a Dask cluster."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from distributed import Client, Future, KilledWorker, as_completed, wait

from daskglass.cluster.job_script import THREADS
from daskglass.errors import ClusterError
from daskglass.pipeline.dispatch import RETRIES, TICK, Call, Result, Tick, WorkersDiedError, call
from daskglass.pipeline.tasks import Task
from daskglass.store.ledger import stage_and_system

LEAST_WINDOW, WINDOW_PER_THREAD = 1000, 4  # tasks that the scheduler has at a time
POLL = 0.005  # s between two looks for tasks that ended


class OnDask:
    """An `Executor` that is the workers of a Dask cluster.

    Parameters
    ----------
    client : of the cluster
    tick : called with what goes on: number of `workers`, and of tasks `running` by system and stage
    memory : of a worker process, bytes, where it is known
    """

    def __init__(self, client: Client, tick: Tick = lambda state: None, memory: int | None = None) -> None:
        self.client, self._tick, self.memory = client, tick, memory
        self.window = LEAST_WINDOW
        # partial results stay where they are; the receipts of what was written come here
        self._partial, self._written = as_completed(), as_completed(with_results=True, raise_errors=False)
        # where graphics processors are offered, simulations run on them only
        workers = client.scheduler_info(n_workers=-1)["workers"].values()
        self._threads = max((worker["resources"].get(THREADS, 1) for worker in workers), default=1)
        self._gpu = {"GPU": 1} if any("GPU" in worker["resources"] for worker in workers) else {}

    def submit(self, new: Call) -> Future:
        """Hand a task to the scheduler."""
        task = new.task
        future = self.client.submit(
            call,
            task.function,
            task.arguments,
            task.settings,
            new.results,
            new.aside,
            new.counts,
            key=new.name,
            retries=RETRIES,
            pure=False,
            priority=new.priority,
            resources=self._resources(task),
        )
        (self._partial if task.inputs is None else self._written).add(future)
        return future

    def _resources(self, task: Task) -> dict[str, int] | None:
        if task.stage != "simulate":
            return None
        if task.threads > self._threads:
            raise ClusterError(
                f"source.simulate.threads: {task.threads}, but no worker offers that many; start them with "
                f"--nthreads 1 --resources {THREADS}={task.threads}"
            )
        return self._gpu | ({THREADS: task.threads} if task.threads > 1 else {}) or None

    def ended(self, until: float) -> list[tuple[Future, Result | BaseException | None]]:
        """Tasks that ended, and how.

        Raises
        ------
        ClusterError
            If the scheduler is gone.
        """
        while True:
            # a partial result is the same as none here: it may be large
            partial = [(future, None) for future in self._partial.next_batch(block=False)]
            found = [
                *self._how(self._partial, partial),
                *self._how(self._written, self._written.next_batch(block=False)),
            ]
            if found or time.monotonic() >= until:
                return found
            time.sleep(POLL)

    def _how(
        self, batch: as_completed, ended: Sequence[tuple[Future, Any]]
    ) -> Iterator[tuple[Future, Result | BaseException | None]]:
        for future, result in ended:
            if isinstance(result, Result) or future.status == "finished":
                yield future, result
            elif future.status == "error":
                error = future.exception()
                yield future, _died(error) if isinstance(error, KilledWorker) else error
            elif future.status in ("lost", "pending"):
                # its worker went with the result: Dask does it again
                batch.add(future)
            else:
                raise ClusterError("the scheduler is gone; rerun to continue")

    def tick(self) -> None:
        """Report what goes on; more threads may have come."""
        self.window = max(LEAST_WINDOW, WINDOW_PER_THREAD * sum(self.client.nthreads().values()))
        self._tick(_state_of(self.client))

    def map(self, function: Callable[..., Any], lists: Sequence[Sequence[Any]]) -> Iterator[tuple[int, Any]]:
        """Call a function on arguments from lists; yield numbers and results as they come, and tick meanwhile."""
        numbers = {future: number for number, future in enumerate(self.client.map(function, *lists, pure=False))}
        left = set(numbers)
        while left:
            try:
                done, left = wait(left, timeout=TICK, return_when="FIRST_COMPLETED")
            except TimeoutError:
                self.tick()
                continue
            for future in done:
                yield numbers[future], future.result()


def _died(error: KilledWorker) -> WorkersDiedError:
    found = WorkersDiedError(
        "worker processes died when they ran it, the last with nothing beside it: most often memory ran out (--dry-run lists "
        f"what a task needs), or compiled code crashed (the log of worker {error.last_worker.name})"
    )
    found.__cause__ = error
    return found


def _state_of(client: Client) -> Mapping[str, Any]:
    """Number of workers, and of the tasks they run, by system and stage."""
    processing = client.processing()
    running: dict[str, dict[str, int]] = {}
    for keys in processing.values():
        for key in keys:
            stage, system = stage_and_system(str(key))
            of_system = running.setdefault(system, {})
            of_system[stage] = of_system.get(stage, 0) + 1
    return {"workers": len(processing), "running": running}
