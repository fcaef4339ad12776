"""Jobs of a batch system: replaced when they end, with the reason reported when they do not run."""

from __future__ import annotations

import asyncio
import shlex
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import TYPE_CHECKING, Any

from distributed import Status
from distributed.deploy.spec import ProcessInterface
from tornado.ioloop import PeriodicCallback

from daskglass.errors import ClusterError
from daskglass.registry import BATCH_SYSTEMS

if TYPE_CHECKING:
    from dask_jobqueue import JobQueueCluster

LOOK = 2.0  # s between checks of the workers
ASK = 10.0  # s between queries to the batch system
LATELY = 60.0  # s after its submission in which every check also queries a job
SETTLED = 3.0  # s after which the batch system knows of a job
LOST = 20.0  # s without a worker after which a running job is replaced: a worker restarts faster
AGAIN = 60.0  # s after a rejection before the next try
SOON, SELDOM = 5.0, 600.0  # s to wait after a job that ended early: at first, doubled each time, and at most
MOST_STILLBORN = 3  # jobs that end before a worker connects, if none ever did


class Jobs:
    """The jobs of one cluster.

    Attributes
    ----------
    problem : why no job will run any more; empty while one may
    """

    def __init__(
        self, kind: str, number: int, wait: float, logs: Path, report: Callable[[str], None], say: Callable[[str], None]
    ) -> None:
        self.kind, self.number, self.wait, self.logs = kind, number, wait, logs
        self.report, self.say = report, say
        self.problem = ""
        self._rejection = ""
        self._last_seen: dict[str, float] = {}
        self._submitted: dict[str, float] = {}
        self._stillborn = 0
        self._reported = ""
        self._since = self._asked = time.monotonic()
        self._next_try = 0.0

    def job_class(self, job: type[Any]) -> type[Any]:
        """Class of jobs that report their numbers, and the batch system's reason for a rejection."""
        jobs = self

        class Reporting(job):
            async def start(self) -> None:
                try:
                    await super().start()
                except (RuntimeError, ValueError, OSError) as error:
                    jobs.rejected(error)
                    # not submitted: the next check drops it
                    self.job_id = None
                    await ProcessInterface.start(self)
                else:
                    jobs.submitted(str(self.job_id))

            @contextmanager
            def job_file(self) -> Iterator[str]:
                # dask-jobqueue closes its file and opens another of the same name, which another user could create first
                with NamedTemporaryFile("w", suffix=".sh") as file:
                    file.write(self.job_script())
                    file.flush()
                    yield file.name

            async def _submit_job(self, script: str) -> str:
                if not getattr(self, "use_stdin", False):
                    return await super()._submit_job(script)
                # LSF reads its standard input; dask-jobqueue would use a shell, and hide the error of LSF
                with open(script) as file:
                    process = await asyncio.create_subprocess_exec(
                        *shlex.split(self.submit_command), stdin=file,
                        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
                    )  # fmt: skip
                    printed, failed = await process.communicate()
                if process.returncode:
                    raise RuntimeError(failed.decode(errors="replace"))
                return printed.decode(errors="replace")

            async def close(self) -> None:
                self.status = Status.closed
                if self.job_id:
                    try:
                        await self._call([*shlex.split(self.cancel_command), str(self.job_id)])
                    except RuntimeError:
                        # perhaps it ended already; the guardian tries again at the end
                        return
                    jobs.report(f"-{self.job_id}")

        Reporting.__name__ = job.__name__
        return Reporting

    def rejected(self, error: Exception) -> None:
        """Remember why a job was rejected."""
        # dask-jobqueue puts the standard error of a failed command last
        words = " ".join((str(error).rpartition("stderr:\n")[2].strip() or str(error)).split())
        if self._submitted and words != self._rejection:
            self.say(f"the batch system accepts no more jobs; trying again every {AGAIN:g} s: {words}")
        self._rejection = words or "no reason given"
        self._next_try = time.monotonic() + AGAIN

    def submitted(self, job: str) -> None:
        """Remember a job that was accepted."""
        self._submitted[job] = time.monotonic()
        self.report(f"+{job}")
        self._rejection = ""

    def keep(self, cluster: JobQueueCluster) -> PeriodicCallback:
        """Keep the jobs of a cluster running, on its event loop, until the returned callback is stopped."""

        async def look() -> None:
            await self._look(cluster)

        callback = PeriodicCallback(look, LOOK * 1000)
        assert cluster.loop is not None
        cluster.loop.add_callback(callback.start)
        cluster.scale(jobs=self.number)
        return callback

    def check(self) -> None:
        """Raise an error if the study cannot run.

        Raises
        ------
        ClusterError
            If jobs are rejected and none runs, no worker connects in time, or all jobs end before a worker connects.
        """
        if self.problem:
            raise ClusterError(self.problem)

    async def _look(self, cluster: JobQueueCluster) -> None:
        now = time.monotonic()
        here = {str(ws.name) for ws in cluster.scheduler.workers.values()}
        missing: dict[str, str] = {}
        for name, job in list(cluster.workers.items()):
            number = str(job.job_id)
            if any(worker == str(name) or worker.startswith(f"{name}-") for worker in here):
                if number not in self._last_seen:
                    self._stillborn = 0
                self._last_seen[number] = now
            elif job.job_id:
                missing[name] = number
            elif job.status == Status.running:
                # rejected
                await self._replace(cluster, name)
        if here:
            self._since = now
        elif self._rejection and not missing and (not self._submitted or now - self._since > self.wait):
            # a batch system that accepted jobs before may do so again
            self.problem = f"the batch system accepts no job: {self._rejection}"
        # jobs may wait in the queue for hours: query them rarely
        lately = any(n in self._last_seen or now - self._submitted[n] < LATELY for n in missing.values())
        if missing and (lately or now - self._asked > ASK):
            self._asked = now
            await self._ask(cluster, missing, now, bool(here))
        if len(cluster.worker_spec) < self.number and now > self._next_try:
            cluster.scale(jobs=self.number)

    async def _replace(self, cluster: JobQueueCluster, name: str) -> None:
        cluster.worker_spec.pop(name, None)
        await cluster.workers.pop(name).close()

    async def _ask(self, cluster: JobQueueCluster, missing: dict[str, str], now: float, working: bool) -> None:
        """Ask the batch system whether jobs without a worker exist, and why they wait."""
        states = await self._states()
        for name, number in missing.items():
            seen = self._last_seen.get(number)
            if states is not None and number not in states and now - self._submitted[number] > SETTLED:
                await self._replace(cluster, name)
                if seen is None:
                    self._stillborn += 1
                    self._next_try = now + min(SELDOM, SOON * 2 ** (self._stillborn - 1))
                # if workers connected before, the profile is not to blame
                if self._stillborn >= MOST_STILLBORN:
                    message = f"{self._stillborn} jobs ended before a worker connected: {self._last_line(number)}"
                    if self._last_seen:
                        self.say(message)
                    else:
                        self.problem = message
            elif seen is not None and now - seen > LOST:
                await self._replace(cluster, name)
        waiting = sorted({(states or {}).get(number, "") for number in missing.values()} - {""})
        reasons = ", ".join(waiting) or f"see `{BATCH_SYSTEMS[self.kind].why}` for the reason"
        message = f"no worker: {len(missing)} jobs, {reasons}" if not working else ""
        if message != self._reported and (not message or now - self._since > ASK):
            self._reported = message
            if message:
                self.say(message)
        if not working and now - self._since > self.wait:
            self.problem = f"no worker within {self.wait:g} s: {len(missing)} jobs, {reasons}"

    async def _states(self) -> dict[str, str] | None:
        """State of each job by number; None if the batch system does not answer or cannot be asked."""
        if not (asking := BATCH_SYSTEMS[self.kind].states):
            return None
        command = await asyncio.create_subprocess_exec(
            *asking, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL
        )
        output, _ = await command.communicate()
        if command.returncode:
            return None
        lines = (line.split(maxsplit=1) for line in output.decode(errors="replace").splitlines())
        return {line[0]: line[1].strip() if len(line) > 1 else "" for line in lines if line}

    def _last_line(self, number: str) -> str:
        """Last line of a job's log."""
        for log in sorted(self.logs.glob(f"*{number}*")):
            if lines := log.read_text(errors="replace").strip().splitlines():
                return f"{lines[-1].strip()} ({log})"
        return f"job {number} left no log in {self.logs}; check that the nodes share that folder with this machine"
