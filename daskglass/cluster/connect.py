"""Where a study runs: the Dask cluster of a profile, started, joined, and stopped again."""

from __future__ import annotations

import getpass
import logging
import os
import shlex
import signal
import socket
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import dask
import psutil
from distributed import Client, Nanny, Scheduler, SchedulerPlugin, SpecCluster, Worker, WorkerPlugin
from distributed.security import Security
from distributed.system import MEMORY_LIMIT

from daskglass.cluster.folders import private_folder
from daskglass.cluster.guardian import guarded
from daskglass.cluster.job_script import LOOPBACK, MALLOC, Profile, check_plain, cluster_class, job_options
from daskglass.cluster.jobs import Jobs
from daskglass.cluster.keys import make_keys, security_of
from daskglass.cluster.servers import PrivateScheduler, PrivateWorker
from daskglass.errors import ClusterError, StudyError

MOST_DEATHS = 3  # of worker processes that ran one task
WORKERLESS = 120.0  # s without a worker after which a local run is given up: nannies restart most, not all
MOST_LOSSES = 10  # of workers that went with all their job while they ran one task
SETTINGS = {
    "distributed.scheduler.allowed-failures": MOST_DEATHS - 1,
    # jobs are kept by `Jobs` alone: Dask would forget lost ones without replacing them
    "distributed.deploy.lost-worker-timeout": "1000 days",
    **{f"distributed.nanny.pre-spawn-environ.{name}": value for name, value in MALLOC.items()},
}


@dataclass(frozen=True)
class Connection:
    """A cluster at work.

    Attributes
    ----------
    client : of its scheduler
    dashboard : address of Dask's dashboard, as seen from this machine; of a cluster that was started, with its secret
    tunnel : command that brings the dashboard to another machine; empty where it is on this one alone
    check : raises ClusterError once no worker can be had any more
    scheduler : where it lives in this process
    """

    client: Client
    dashboard: str
    tunnel: str
    check: Callable[[], None]
    scheduler: PrivateScheduler | None


@contextmanager
def connect(profile: Profile, beside: Path, say: Callable[[str], None] = lambda text: None) -> Iterator[Connection]:
    """Start the cluster of a profile, or join the running one, and in the end stop what was started.

    All that is started talks TLS with keys of this run. `local`: one process with one thread per core, all on loopback; the
    keys are in memory alone. Batch systems: the keys lie in a folder that nobody else can read and are removed however this
    process ends, as the jobs are cancelled.

    Parameters
    ----------
    profile : of cluster.yaml
    beside : path, on storage that the nodes share, beside which keys and logs may lie: the store
    say : prints what a person waits for

    Raises
    ------
    StudyError
        If the profile does not suit this machine.
    ClusterError
        If no worker can be had; in the words of the batch system.
    """
    start = {"local": _local, "address": _joined}.get(profile.kind, _batch)
    # Dask's processes spill into the folder for what is temporary, and import from it
    temporary = private_folder(Path(dask.config.get("temporary-directory") or tempfile.gettempdir()))
    with dask.config.set(SETTINGS | {"temporary-directory": str(temporary)}), ExitStack() as stack:
        # what was started is stopped in order, however often someone presses Ctrl-C meanwhile
        stack.callback(signal.signal, signal.SIGINT, signal.getsignal(signal.SIGINT))
        stack.callback(signal.signal, signal.SIGTERM, signal.getsignal(signal.SIGTERM))
        connection = stack.enter_context(start(profile, beside, say))
        stack.callback(signal.signal, signal.SIGINT, signal.SIG_IGN)
        stack.callback(signal.signal, signal.SIGTERM, signal.SIG_IGN)
        connection.client.register_plugin(Deaths())
        connection.client.register_plugin(WorkingFolder(os.getcwd()))
        while not connection.client.nthreads():
            connection.check()
            time.sleep(0.1)
        yield connection


@contextmanager
def _local(profile: Profile, beside: Path, say: Callable[[str], None]) -> Iterator[Connection]:
    number = profile.workers or len(os.sched_getaffinity(0))
    # every user of this machine can reach its loopback
    ours = {"host": LOOPBACK, "protocol": "tls://", "security": Security.temporary()}
    worker = {
        "cls": Nanny,
        "options": ours
        | {
            "nthreads": 1,
            "memory_limit": MEMORY_LIMIT // number,
            "worker_class": PrivateWorker,
            "dashboard": False,
            "silence_logs": logging.CRITICAL,
        },
    }
    with _ignoring_interrupts():
        # a terminal sends Ctrl-C to workers too: this process stops them in order
        cluster = SpecCluster(
            workers=dict.fromkeys(range(number), worker),
            scheduler={"cls": PrivateScheduler, "options": ours | {"dashboard_address": f"{LOOPBACK}:0"}},
            security=ours["security"],
            # a task's error comes back with its future, and is reported once
            silence_logs=logging.CRITICAL,
        )
    with cluster, Client(cluster) as client:
        check = _any_worker(client, WORKERLESS, "all worker processes are gone; the same command again continues")
        yield Connection(client, cluster.scheduler.dashboard, "", check, cluster.scheduler)


@contextmanager
def _joined(profile: Profile, beside: Path, say: Callable[[str], None]) -> Iterator[Connection]:
    assert profile.address is not None
    security = None
    if profile.tls_ca_file and profile.tls_cert and profile.tls_key:
        security = security_of(profile.tls_ca_file, profile.tls_cert, profile.tls_key)
    if security is None:
        say(
            f"warning: {profile.address}: no keys: every user of this machine can run code there as you, and read what it does"
        )
    try:
        client = Client(profile.address, security=security)
    except (OSError, TimeoutError) as error:
        raise ClusterError(f"{profile.address}: no scheduler answers there: {error}") from error
    problem = f"{profile.address}: the scheduler has had no worker for {profile.wait:g} s"
    with client:
        yield Connection(client, client.dashboard_link, "", _any_worker(client, profile.wait, problem), None)


def _any_worker(client: Client, patience: float, problem: str) -> Callable[[], None]:
    """Return a check that raises after `patience` seconds without a worker."""
    since: float | None = None

    def check() -> None:
        nonlocal since
        if client.nthreads():
            since = None
        elif since is None:
            since = time.monotonic()
        elif time.monotonic() - since > patience:
            raise ClusterError(problem)

    return check


@contextmanager
def _batch(profile: Profile, beside: Path, say: Callable[[str], None]) -> Iterator[Connection]:
    options = job_options(profile)
    interface = options["scheduler_options"].get("interface")
    if interface and interface not in psutil.net_if_addrs():
        raise StudyError(
            f"cluster {profile.name!r}: interface: this machine has no network {interface}, but "
            f"{', '.join(psutil.net_if_addrs())}; where nodes name it otherwise, give this machine's own as "
            "scheduler_options: {interface: …}"
        )
    shared = Path(options.pop("shared_temp_directory", None) or beside.absolute().parent)
    logs = Path(options.pop("log_directory", None) or beside.absolute().with_name(f"{beside.name}.logs"))
    for path in (shared, logs):
        try:
            check_plain(path)
        except StudyError as error:
            raise StudyError(f"{error}; rename it, or say shared_temp_directory and log_directory") from None
    batch = cluster_class(profile.kind)
    with ExitStack() as stack:
        stack.callback(_remove_if_empty, logs)
        keys, security = make_keys(shared, beside)
        cancel = [*shlex.split(batch.job_cls.cancel_command), *options.get("cancel_command_extra", [])]
        tell = stack.enter_context(guarded(keys, cancel))
        jobs = Jobs(profile.kind, profile.jobs, profile.wait, logs, tell, say)
        cluster = stack.enter_context(
            batch(
                **options,
                job_cls=jobs.job_class(batch.job_cls),
                scheduler_cls=PrivateScheduler,
                log_directory=str(logs),
                security=security,
                silence_logs=logging.CRITICAL,
            )
        )
        keeping = jobs.keep(cluster)
        stack.callback(cluster.loop.add_callback, keeping.stop)
        client = stack.enter_context(Client(cluster, security=security))
        dashboard = cluster.scheduler.dashboard
        port = urlsplit(dashboard).port
        tunnel = f"ssh -N -L {port}:{LOOPBACK}:{port} {getpass.getuser()}@{socket.getfqdn()}"
        yield Connection(client, dashboard, tunnel, jobs.check, cluster.scheduler)


def _remove_if_empty(folder: Path) -> None:
    if folder.is_dir() and not any(folder.iterdir()):
        folder.rmdir()


@contextmanager
def _ignoring_interrupts() -> Iterator[None]:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


class WorkingFolder(WorkerPlugin):
    """Lets workers work in the folder that the study is run in, wherever a batch system starts them."""

    name = "working-folder"

    def __init__(self, folder: str) -> None:
        self.folder = folder

    def setup(self, worker: Worker) -> None:
        """Go there."""
        os.chdir(self.folder)


class Deaths(SchedulerPlugin):
    """Tells tasks that kill their worker process from those that were there when a job or a node went.

    Dask gives a task up after several workers died that were to run it. Where a process dies of its task, its nanny starts
    another; where a job is cancelled or a node goes down, the nanny is gone too, and the task is not to blame, unless this
    happens very often: a batch system may kill all of a job for one task's memory.
    """

    name = "deaths"

    def __init__(self) -> None:
        self.nannies: dict[str, str] = {}
        self.dead: dict[str, list[str]] = {}
        self.losses: dict[str, int] = {}

    def add_worker(self, scheduler: Scheduler, worker: str) -> None:
        """Blame the tasks of a process in whose place its nanny started this one."""
        nanny = scheduler.workers[worker].nanny
        if nanny is None:
            return
        self.nannies[worker] = nanny
        for key in self.dead.pop(nanny, []):
            if key in scheduler.tasks:
                scheduler.tasks[key].suspicious += 1
                self.losses[key] -= 1

    def remove_worker(self, scheduler: Scheduler, worker: str, *, stimulus_id: str, **kwargs: Any) -> None:
        """Take the blame from the tasks of a worker that went, until its nanny shows that it is alive."""
        nanny = self.nannies.pop(worker, None)
        _, event = scheduler.get_events(worker)[-1]
        if nanny is None or event["expected"]:
            return
        keys = [key for key in event["processing-tasks"] if key in scheduler.tasks]
        for key in keys:
            self.losses[key] = self.losses.get(key, 0) + 1
            if self.losses[key] < MOST_LOSSES and scheduler.tasks[key].suspicious:
                scheduler.tasks[key].suspicious -= 1
        self.dead[nanny] = keys
