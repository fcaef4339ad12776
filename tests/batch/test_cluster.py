"""A whole study on a real Slurm, with TLS, and what happens to it when jobs, nodes, disks and people get in its way."""

import itertools
import random
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from contextlib import suppress
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

import psutil
import pytest
from distributed import Client
from distributed.security import Security

from daskglass.cluster.connect import connect
from daskglass.cluster.folders import is_private
from daskglass.cluster.profiles import load_profile
from daskglass.registry import FIGURES, OTHER_FIGURES
from daskglass.store.ledger import Ledger
from tests.cluster.test_strangers import stranger
from tests.pipeline.test_pipeline import assert_same_store
from tests.studies import BRIEF, command, started

pytestmark = [pytest.mark.slurm, pytest.mark.xdist_group("slurm")]

PROFILE = """\
slurm:
  type: slurm
  jobs: 3
  wait: 2m
  queue: debug
  cores: 1
  memory: 3GB
  walltime: "00:30:00"
  interface: lo
  job_extra_directives: ["--no-requeue"]
"""


@pytest.fixture
def folder(slurm, tmp_path):
    """Folder with a study and a cluster of three jobs; whatever happened there, nothing may be left of it."""
    (tmp_path / "brief.yaml").write_text(BRIEF)
    (tmp_path / "cluster.yaml").write_text(PROFILE)
    yield tmp_path
    slurm.wait(lambda: not open_jobs(slurm), "jobs are left", 30)
    slurm.wait(lambda: not workers(tmp_path), "workers are left", 30)
    assert not list(tmp_path.rglob(".*.keys.*"))
    assert not [*tmp_path.rglob("*.lock*"), *tmp_path.rglob(".*.lock*")]


def open_jobs(slurm):
    return [job for job in slurm.jobs() if job.state in ("PENDING", "RUNNING", "COMPLETING")]


NANNY, WORKER = "distributed.cli.dask_worker", "multiprocessing.spawn"


def workers(folder, kinds=(NANNY, WORKER)):
    """Processes of workers and nannies that work in a folder."""
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            if process.cwd() == str(folder) and any(kind in " ".join(process.cmdline()) for kind in kinds):
                found.append(process)
    return found


def running(folder, *arguments):
    """Process that runs the study on Slurm."""
    arguments = ("-m", "daskglass", "run", "brief.yaml", "--cluster", "slurm", "--quiet", *arguments)
    return started(*arguments, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def done_tasks(folder):
    return len(Ledger(folder / "brief.zarr").marks)


def until(process, true):
    while not true():
        assert process.poll() is None, process.stderr.read()
        time.sleep(0.1)


def assert_finished(process, undisturbed, store):
    """The study is complete, and is the undisturbed one to the bit."""
    _, said = process.communicate(timeout=300)
    assert process.returncode == 0, said
    assert_same_store(undisturbed, store)


def test_a_study_on_slurm_is_the_one_of_a_laptop_though_a_node_goes_down_and_a_second_run_asks_for_the_store(
    undisturbed, folder, slurm
):
    with running(folder) as process:
        until(process, lambda: done_tasks(folder) > 5)
        second = command("run", "brief.yaml", "--cluster", "slurm", folder=folder)
        assert second.returncode == 1
        assert f"process {process.pid} on {socket.gethostname()} is writing to this store" in second.stderr
        (node, *_) = (job.node for job in open_jobs(slurm) if job.state == "RUNNING")
        slurm.set_node(node, "down")
        try:
            assert_finished(process, undisturbed, folder / "brief.zarr")
        finally:
            slurm.set_node(node, "resume")
    again = command("run", "brief.yaml", "--cluster", "slurm", folder=folder)
    # no job was asked for
    assert again.stdout.startswith("brief.zarr: 0 tasks done")
    drawn = command("run", "brief.yaml", "--cluster", "slurm", "--from", "figures", folder=folder)
    dashboard, study, *_ = drawn.stdout.splitlines()
    assert dashboard.startswith("dashboard: http://127.0.0.1:")
    assert "ssh -N -L" in dashboard
    assert study.endswith("/study")
    assert f"{len(FIGURES) + len(OTHER_FIGURES) + 1} tasks done" in drawn.stdout


def test_cancelled_jobs_and_killed_processes_are_replaced(undisturbed, folder, slurm):
    draw = random.Random(0)
    done = dict.fromkeys(("cancelled", WORKER, NANNY), 0)
    with running(folder) as process:
        for what in itertools.cycle(done):
            before = done_tasks(folder)
            with suppress(subprocess.TimeoutExpired):
                process.wait(timeout=5)
            # where all is slow, so are disturbances: work that never gets anywhere shows nothing
            while process.poll() is None and done_tasks(folder) < before + 2:
                time.sleep(0.1)
            if process.returncode is not None:
                break
            if what == "cancelled":
                there = [job.id for job in open_jobs(slurm) if job.state == "RUNNING"]
                end = partial(subprocess.run, check=True)
                targets = [["scancel", job] for job in there]
            else:
                targets, end = workers(folder, [what]), psutil.Process.kill
            if targets:
                end(draw.choice(targets))
                done[what] += 1
        assert all(done.values()), done
        assert_finished(process, undisturbed, folder / "brief.zarr")


@pytest.mark.long
def test_a_run_stopped_or_killed_takes_its_jobs_and_keys_with_it_and_continues(undisturbed, folder, slurm):
    for how, after in ((signal.SIGINT, 3), (signal.SIGTERM, 12), (signal.SIGKILL, 24)):
        with running(folder) as process:
            until(process, lambda: done_tasks(folder) > after)  # noqa: B023
            process.send_signal(how)
            _, said = process.communicate(timeout=60)
        if how != signal.SIGKILL:
            assert process.returncode == 1
            assert "interrupted" in said
            assert not list(folder.glob("*.lock*"))
        slurm.wait(lambda: not open_jobs(slurm), "jobs are left", 30)
        assert not list(folder.glob(".*"))
    with running(folder) as process:
        assert_finished(process, undisturbed, folder / "brief.zarr")


@pytest.mark.long
def test_a_study_longer_than_the_walltime_finishes(undisturbed, folder, slurm):
    # a batch system counts minutes, and the study takes less than one where machines are fast: a third of a walltime, then
    short = PROFILE.replace("00:30:00", "00:01:00").replace("jobs: 3", "jobs: 1")
    (folder / "cluster.yaml").write_text(f"{short}  worker_extra_args: [--lifetime, 20s, --lifetime-stagger, 5s]\n")
    before = len(slurm.jobs())
    with running(folder) as process:
        assert_finished(process, undisturbed, folder / "brief.zarr")
    assert len(slurm.jobs()) - before >= 2
    # workers leave by themselves: none was still there at its limit
    assert "TIMEOUT" not in {job.state for job in slurm.jobs()[before:]}


@pytest.mark.long
def test_a_full_disk_is_reported_and_more_room_finishes(undisturbed, folder):
    disk = folder / "disk"
    disk.mkdir()
    (folder / "brief.yaml").write_text(BRIEF.replace("brief.zarr", "disk/brief.zarr"))
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", disk], check=True)
    try:
        with running(folder) as process:
            _, said = process.communicate(timeout=300)
        assert process.returncode == 1
        assert "No space left on device" in said
        subprocess.run(["mount", "-o", "remount,size=200m", disk], check=True)
        with running(folder) as process:
            assert_finished(process, undisturbed, disk / "brief.zarr")
    finally:
        subprocess.run(["umount", "--lazy", disk], check=True)


# --- what a batch system has against a job ---


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("queue: debug", "queue: nowhere", "the batch system accepts no job: sbatch: error: invalid partition specified"),
        ("queue: debug\n", "queue: short\n", r"no worker within 5 s: 3 jobs, PENDING (PartitionTimeLimit)"),
        ("cores: 1", "cores: 1\n  python: /nowhere/python", "jobs ended before a worker connected: "),
    ],
    ids=["rejected", "pending", "stillborn"],
)  # fmt: skip
def test_what_prevents_a_run_is_reported_in_the_words_of_slurm(folder, old, new, message):
    text = PROFILE.replace(old, new)
    (folder / "cluster.yaml").write_text(text.replace("wait: 2m", "wait: 5s") if "short" in new else text)
    done = command("run", "brief.yaml", "--cluster", "slurm", folder=folder)
    assert done.returncode == 1
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert not (folder / "brief.zarr").exists()


# --- who may talk to it ---


@pytest.fixture
def connection(folder, monkeypatch):
    monkeypatch.chdir(folder)
    with connect(load_profile("slurm"), folder / "brief.zarr") as connection:
        connection.client.wait_for_workers(3, timeout=60)
        yield connection


def listening(process):
    return {c.laddr for c in process.net_connections("inet") if c.status == psutil.CONN_LISTEN}


def test_nothing_listens_but_on_the_network_of_the_profile(connection, folder):
    here = listening(psutil.Process())
    there = [listening(process) for process in workers(folder)]
    assert here
    # nanny and worker of each job, which serve no HTTP
    assert [len(ports) for ports in there] == [1] * (2 * 3)
    assert {address.ip for ports in (here, *there) for address in ports} == {"127.0.0.1"}


def test_a_client_without_the_keys_of_the_run_is_refused(connection):
    address = connection.client.scheduler.address
    assert address.startswith("tls://")
    strangers = [(address.replace("tls:", "tcp:"), None), (address, Security.temporary())]
    for where, security in strangers:
        with pytest.raises((OSError, TimeoutError)):
            Client(where, security=security, timeout="3s")
    # of a worker too
    worker = next(iter(connection.client.nthreads()))
    with pytest.raises((OSError, TimeoutError)):
        Client(worker.replace("tls:", "tcp:"), timeout="3s")


def test_another_user_can_do_nothing_to_scheduler_nannies_and_workers(connection, folder):
    found = {address.port for process in (psutil.Process(), *workers(folder)) for address in listening(process)}
    assert len(found) >= 2 + 2 * 3
    done, tried = stranger(found, secret=urlsplit(connection.dashboard).path.split("/")[1])
    assert not done
    assert tried


def test_pages_are_shown_to_who_knows_the_secret_of_the_run_alone(connection):
    def status(address):
        try:
            with urllib.request.urlopen(address, timeout=10) as answer:
                return answer.status
        except urllib.error.HTTPError as error:
            return error.code

    address = urlsplit(connection.dashboard)
    assert status(connection.dashboard) == 200
    for path in ("/", "/status", "/sitemap.json", "/health"):
        assert status(f"http://{address.netloc}{path}") == 403


def test_workers_spill_into_a_folder_of_the_user_alone(connection):
    for folder in connection.client.run(lambda dask_worker: dask_worker.local_directory).values():
        assert is_private(Path(folder))
        assert is_private(Path(folder).parent.parent)


def test_keys_are_readable_by_their_owner_alone(connection, folder):
    (keys,) = folder.glob(".daskglass.*.keys.*")
    assert keys.stat().st_mode & 0o777 == 0o700
    assert {file.stat().st_mode & 0o777 for file in keys.iterdir()} == {0o600}
