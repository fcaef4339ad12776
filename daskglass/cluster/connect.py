"""Start, join and stop the Dask cluster of a profile."""

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
from daskglass.cluster.job_script import ENVIRONMENT, LOOPBACK, Profile, check_plain, cluster_class, job_options
from daskglass.cluster.jobs import Jobs
from daskglass.cluster.keys import make_keys, security_of
from daskglass.cluster.servers import PrivateScheduler, PrivateWorker
from daskglass.errors import ClusterError, StudyError

MOST_DEATHS = 3  # of worker processes that ran one task
WORKERLESS = 120.0  # s without a worker after which a local run ends: nannies restart most workers, not all
MOST_LOSSES = 10  # of workers lost with their whole job while they ran one task
SETTINGS = {
    "distributed.scheduler.allowed-failures": MOST_DEATHS - 1,
    # jobs are kept by `Jobs` alone: Dask would forget lost ones without replacing them
    "distributed.deploy.lost-worker-timeout": "1000 days",
    **{f"distributed.nanny.pre-spawn-environ.{name}": value for name, value in ENVIRONMENT.items()},
}


@dataclass(frozen=True)
class Connection:
    """A running cluster.

    Attributes
    ----------
    client : of its scheduler
    dashboard : address of Dask's dashboard, as seen from this machine, with its secret
    tunnel : command that forwards the dashboard to another machine; empty for a local cluster
    check : raises ClusterError when there are no workers and none will come
    scheduler : if it runs in this process
    """

    client: Client
    dashboard: str
    tunnel: str
    check: Callable[[], None]
    scheduler: PrivateScheduler | None


@contextmanager
def connect(profile: Profile, beside: Path, say: Callable[[str], None] = lambda text: None) -> Iterator[Connection]:
    """Start the cluster of a profile, or join a running one; at the end stop what was started.

    Everything started uses TLS with keys of this run. `local`: one single-threaded process per core, all on loopback, with
    keys only in memory. Batch systems: the keys are in a private folder; however this process ends, the keys are removed and
    the jobs cancelled.

    Parameters
    ----------
    profile : of cluster.yaml
    beside : path of the store, on storage that the nodes share; keys and logs go beside it
    say : prints messages for the user

    Raises
    ------
    StudyError
        If the profile does not fit this machine.
    ClusterError
        If no worker starts, with the batch system's reason.
    """
    start = {"local": _local, "address": _joined}.get(profile.kind, _batch)
    # Dask's processes spill into the temporary folder, and import from it
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
            "resources": dict(profile.resources),
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
        check = _any_worker(client, WORKERLESS, "all worker processes died; rerun to continue")
        yield Connection(client, cluster.scheduler.dashboard, "", check, cluster.scheduler)


@contextmanager
def _joined(profile: Profile, beside: Path, say: Callable[[str], None]) -> Iterator[Connection]:
    assert profile.address is not None
    security = None
    if profile.tls_ca_file and profile.tls_cert and profile.tls_key:
        security = security_of(profile.tls_ca_file, profile.tls_cert, profile.tls_key)
    if security is None:
        say(
            f"warning: {profile.address}: no keys: every user of this machine can run code there as you and read its data"
        )
    try:
        client = Client(profile.address, security=security)
    except (OSError, TimeoutError) as error:
        raise ClusterError(f"{profile.address}: no scheduler answers: {error}") from error
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
            f"cluster {profile.name!r}: interface: this machine has no network {interface}; it has "
            f"{', '.join(psutil.net_if_addrs())}; if only the nodes have {interface}, set this machine's network with "
            "scheduler_options: {interface: …}"
        )
    shared = Path(options.pop("shared_temp_directory", None) or beside.absolute().parent)
    logs = Path(options.pop("log_directory", None) or beside.absolute().with_name(f"{beside.name}.logs"))
    for path in (shared, logs):
        try:
            check_plain(path)
        except StudyError as error:
            raise StudyError(f"{error}; rename it, or set shared_temp_directory and log_directory") from None
    batch = cluster_class(profile.kind)
    with ExitStack() as stack:
        stack.callback(_remove_if_empty, logs)
        keys, security = make_keys(shared, beside)
        cancel = [*shlex.split(batch.job_cls.cancel_command), *options.get("cancel_command_extra", [])]
        report = stack.enter_context(guarded(keys, cancel))
        jobs = Jobs(profile.kind, profile.jobs, profile.wait, logs, report, say)
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
    """Moves workers to the folder that the study runs in, wherever a batch system starts them."""

    name = "working-folder"

    def __init__(self, folder: str) -> None:
        self.folder = folder

    def setup(self, worker: Worker) -> None:
        """Change to the folder."""
        os.chdir(self.folder)


class Deaths(SchedulerPlugin):
    """Distinguishes tasks that kill their worker process from tasks that lost a job or a node.

    Dask gives up a task after several of its workers died. If the task killed its process, the nanny starts another. If a
    job was cancelled or a node went down, the nanny is gone too and the task is not to blame, unless this happens very
    often: a batch system may kill a whole job for one task's memory.
    """

    name = "deaths"

    def __init__(self) -> None:
        self.nannies: dict[str, str] = {}
        self.dead: dict[str, list[str]] = {}
        self.losses: dict[str, int] = {}

    def add_worker(self, scheduler: Scheduler, worker: str) -> None:
        """Blame the tasks of the process that this one replaces on the same nanny."""
        nanny = scheduler.workers[worker].nanny
        if nanny is None:
            return
        self.nannies[worker] = nanny
        for key in self.dead.pop(nanny, []):
            if key in scheduler.tasks:
                scheduler.tasks[key].suspicious += 1
                self.losses[key] -= 1

    def remove_worker(self, scheduler: Scheduler, worker: str, *, stimulus_id: str, **kwargs: Any) -> None:
        """Do not blame the tasks of a lost worker until its nanny proves to be alive."""
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
