"""Clusters that need no batch system: of this machine, running ones that are joined, and what guards the jobs of others."""

import os
import re
import resource
import signal
import socket
import subprocess
import tempfile
import textwrap
import time
from contextlib import contextmanager
from pathlib import Path

import dask
import numpy as np
import psutil
import pytest
from distributed import LocalCluster

from daskglass.cluster import connect as cluster
from daskglass.cluster.connect import connect
from daskglass.cluster.keys import make_keys
from daskglass.cluster.profiles import load_profile
from daskglass.errors import ClusterError
from tests.studies import started


@pytest.fixture
def profile(tmp_path, monkeypatch):
    """Profile as cluster.yaml would have it, checked."""
    monkeypatch.chdir(tmp_path)

    def load(text):
        path = tmp_path / "cluster.yaml"
        path.write_text(f"here: {{{text}}}\n")
        return load_profile("here", path)

    return load


def lose_all_workers(connection):
    connection.client.retire_workers(list(connection.client.nthreads()))


def wait_for_the_problem(connection, message):
    def check_for_ever():
        while True:
            connection.check()

    with pytest.raises(ClusterError, match=message):
        check_for_ever()


def test_a_local_run_that_has_lost_all_its_workers_ends(profile, tmp_path, monkeypatch):
    monkeypatch.setattr(cluster, "WORKERLESS", 0.5)
    with connect(profile("type: local, workers: 1"), tmp_path / "store.zarr") as connection:
        connection.check()
        lose_all_workers(connection)
        wait_for_the_problem(connection, "all worker processes died; rerun to continue")


def pages_of_results(repeats=100):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(repeats):
        np.ones(2**17)
    return (resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before) / repeats


def test_workers_keep_the_memory_of_a_result_for_the_next(profile, tmp_path, monkeypatch):
    # nannies of other clusters of this process have left theirs here
    monkeypatch.delenv("MALLOC_TRIM_THRESHOLD_", raising=False)
    with connect(profile("type: local, workers: 1"), tmp_path / "store.zarr") as connection:
        # 1 MiB are 256 pages, and too small for huge ones
        assert connection.client.submit(pages_of_results).result() < 64


def test_threads_of_a_simulation_sleep_while_they_wait(profile, tmp_path, monkeypatch):
    monkeypatch.delenv("OMP_WAIT_POLICY", raising=False)
    with connect(profile("type: local, workers: 1"), tmp_path / "store.zarr") as connection:
        assert connection.client.submit(os.getenv, "OMP_WAIT_POLICY").result() == "passive"


def test_a_running_cluster_is_joined_with_its_keys_and_left_running(profile, tmp_path):
    _, security = make_keys(tmp_path, tmp_path / "theirs")
    with LocalCluster(
        n_workers=1,
        threads_per_worker=1,
        host="127.0.0.1",
        protocol="tls://",
        security=security,
        dashboard_address=None,
    ) as theirs:
        joined = profile(
            f"type: address, address: '{theirs.scheduler_address}', wait: 1s, tls_ca_file: {security.tls_ca_file}, "
            f"tls_cert: {security.tls_client_cert}, tls_key: {security.tls_client_key}"
        )
        with connect(joined, tmp_path / "store.zarr") as connection:
            assert connection.client.submit(sum, (1, 2)).result() == 3
        assert len(theirs.scheduler.workers) == 1
        with connect(joined, tmp_path / "store.zarr") as connection:
            lose_all_workers(connection)
            wait_for_the_problem(connection, "the scheduler has had no worker for 1 s")


def test_joining_without_keys_warns_of_the_other_users_of_the_machine(profile, tmp_path):
    said = []
    with LocalCluster(n_workers=1, threads_per_worker=1, host="127.0.0.1", dashboard_address=None) as theirs:
        address = theirs.scheduler_address
        with connect(
            profile(f"type: address, address: '{address}'"), tmp_path / "store.zarr", said.append
        ) as connection:
            assert connection.client.submit(sum, (1, 2)).result() == 3
    assert said == [
        f"warning: {address}: no keys: every user of this machine can run code there as you and read its data"
    ]


def test_a_scheduler_that_does_not_answer_is_reported(profile, tmp_path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"tcp://127.0.0.1:{free.getsockname()[1]}"
    joined = profile(f"type: address, address: '{address}'")
    with (
        dask.config.set({"distributed.comm.timeouts.connect": "1s"}),
        pytest.raises(ClusterError, match=f"{address}: no scheduler answers"),
        connect(joined, tmp_path / "store.zarr"),
    ):
        pass


# --- the guardian, and keys ---

GUARDED = """
import sys, time
from pathlib import Path
from daskglass.cluster.guardian import guarded
with guarded(Path("keys"), [sys.executable, "cancel.py"]) as report:
    report("+1"), report("+2"), report("-1")
    print("ready", flush=True)
    sys.stdin.read()
"""
CANCEL = "import sys; open('cancelled', 'a').write(sys.argv[1] + '\\n')"


@contextmanager
def guarded_process(folder):
    """Process with keys and two jobs, one of them over, in a session of its own; and its guardian."""
    (folder / "keys").mkdir()
    (folder / "cancel.py").write_text(CANCEL)
    with started("-c", GUARDED, cwd=folder, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "ready\n"
        (guardian,) = psutil.Process(process.pid).children()
        yield process, guardian


def assert_cleaned_up(folder):
    cancelled, until = folder / "cancelled", time.monotonic() + 10
    # there, and written
    while not (cancelled.exists() and cancelled.read_text()) and time.monotonic() < until:
        time.sleep(0.05)
    assert cancelled.read_text() == "2\n"
    assert not (folder / "keys").exists()


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_to_all_processes_of_a_run_leaves_nothing_behind(tmp_path, how):
    with guarded_process(tmp_path) as (process, guardian):
        for each in (guardian.pid, process.pid):
            os.kill(each, how)
        process.wait(timeout=10)
    assert_cleaned_up(tmp_path)


def test_a_guardian_that_was_killed_leaves_nothing_behind(tmp_path):
    with guarded_process(tmp_path) as (process, guardian):
        guardian.kill()
        process.stdin.close()
        assert process.wait(timeout=10) == 0
    assert_cleaned_up(tmp_path)


def test_keys_of_one_store_leave_those_of_another_alone(tmp_path):
    first, _ = make_keys(tmp_path, tmp_path / "a" / "x;touch $HOME.zarr")
    second, _ = make_keys(tmp_path, tmp_path / "b" / "x;touch $HOME.zarr")
    again, _ = make_keys(tmp_path, tmp_path / "a" / "x;touch $HOME.zarr")
    assert [folder.exists() for folder in (first, second, again)] == [False, True, True]
    assert re.fullmatch(r"[\w.]+", again.name)


def test_keys_are_readable_by_their_owner_alone_whatever_the_umask(tmp_path):
    before = os.umask(0)
    folder, security = make_keys(tmp_path, tmp_path / "store.zarr")
    os.umask(before)
    assert folder.stat().st_mode & 0o777 == 0o700
    assert {file.stat().st_mode & 0o777 for file in folder.iterdir()} == {0o600}
    used = {
        getattr(security, f"tls_{role}_{what}")
        for role in ("scheduler", "worker", "client")
        for what in ("cert", "key")
    }
    assert {Path(file).parent for file in used} == {folder}


def test_storage_that_keeps_no_permissions_gets_no_keys(tmp_path, monkeypatch):
    make = tempfile.mkdtemp

    def for_all(**options):
        folder = make(**options)
        os.chmod(folder, 0o777)
        return folder

    monkeypatch.setattr(tempfile, "mkdtemp", for_all)
    with pytest.raises(ClusterError, match=f"{tmp_path}: other users could read the keys.*shared_temp_directory"):
        make_keys(tmp_path, tmp_path / "store.zarr")
    assert not list(tmp_path.iterdir())


def test_a_folder_that_somebody_else_calls_like_that_of_our_keys_stays(tmp_path):
    first, _ = make_keys(tmp_path, tmp_path / "store.zarr")
    first.chmod(0o777)
    second, _ = make_keys(tmp_path, tmp_path / "store.zarr")
    assert first.exists()
    assert second.exists()


# --- a batch system that is not here: what it is asked by, and what it answers ---

PROFILE = "jobs: 2, cores: 1, memory: 2GB, interface: lo, wait: 4s"


@pytest.fixture
def answer(tmp_path, monkeypatch):
    """Programs of a batch system, of so many lines of shell."""
    programs = tmp_path / "programs"
    programs.mkdir()
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")

    def put(**lines):
        for name, text in lines.items():
            (programs / name).write_text(f"#!/bin/sh\n{textwrap.dedent(text)}\n")
            (programs / name).chmod(0o755)

    return put


def test_a_job_script_is_one_file_from_first_to_last_and_the_user_s_alone(answer, profile, tmp_path):
    answer(
        sbatch="stat -c %a $1 >mode; cp $1 taken; echo 'Submitted batch job 7'",
        squeue="echo '7 PENDING (Priority)'",
        scancel="true",
    )
    slurm = profile(f"type: slurm, queue: debug, walltime: '00:30:00', {PROFILE.replace('jobs: 2', 'jobs: 1')}")
    with pytest.raises(ClusterError, match="no worker within 4 s"), connect(slurm, tmp_path / "store.zarr"):
        pass
    assert Path("mode").read_text() == "600\n"
    assert "distributed.cli.dask_worker" in Path("taken").read_text()


def test_the_reason_of_lsf_is_reported_when_it_accepts_no_job(answer, profile, tmp_path):
    answer(bsub="cat >/dev/null; echo 'nowhere: No such queue. Job not submitted.' >&2; exit 255", bkill="exit 1")
    lsf = profile(f"type: lsf, queue: nowhere, walltime: '00:30', {PROFILE}")
    with (
        pytest.raises(
            ClusterError, match=r"the batch system accepts no job: nowhere: No such queue\. Job not submitted\."
        ),
        connect(lsf, tmp_path / "store.zarr"),
    ):
        pass


def test_a_batch_system_that_refuses_a_job_in_between_is_asked_again(answer, profile, tmp_path):
    answer(
        sbatch="""
            if [ -e taken ]; then echo 'sbatch: error: Socket timed out' >&2; exit 1; fi
            touch taken; echo 'Submitted batch job 7'
        """,
        squeue="true",
        scancel="true",
    )
    said = []
    slurm = profile(f"type: slurm, queue: debug, walltime: '00:30:00', {PROFILE.replace('wait: 4s', 'wait: 12s')}")
    began = time.monotonic()
    with (
        pytest.raises(ClusterError, match="the batch system accepts no job: sbatch: error: Socket timed out"),
        connect(slurm, tmp_path / "store.zarr", said.append),
    ):
        pass
    # not at once: what was taken before may be taken again
    assert time.monotonic() - began > 12
    assert any("accepts no more jobs" in text for text in said)


def test_a_job_that_could_not_be_cancelled_is_cancelled_by_the_guardian(answer, profile, tmp_path):
    answer(
        sbatch="echo 'Submitted batch job 7'",
        squeue="echo '7 PENDING (Priority)'",
        scancel="echo $* >>asked; [ $(wc -l <asked) -gt 2 ]",
    )
    slurm = profile(f"type: slurm, queue: debug, walltime: '00:30:00', {PROFILE.replace('jobs: 2', 'jobs: 1')}")
    with pytest.raises(ClusterError, match="no worker within 4 s"), connect(slurm, tmp_path / "store.zarr"):
        pass
    asked = Path("asked").read_text().split()
    assert set(asked) == {"7"}
    assert len(asked) >= 2
