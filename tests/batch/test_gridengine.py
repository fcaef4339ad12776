"""The Grid Engine that tests run on: what it must do for them, and daskglass on it."""

import os
import subprocess

import pytest

from daskglass.cluster.connect import connect
from daskglass.cluster.profiles import load_profile
from daskglass.errors import ClusterError

PROFILE = """\
sge:
  type: sge
  jobs: 2
  wait: 1m
  queue: debug
  cores: 1
  memory: 1GB
  walltime: "00:30:00"
  interface: lo
"""
pytestmark = [pytest.mark.gridengine, pytest.mark.xdist_group("gridengine")]


def submit(tmp_path, script):
    (tmp_path / "job.sh").write_text(f"#!/bin/sh\n{script}\n")
    command = ["qsub", "-terse", "-o", "/dev/null", "-j", "y", str(tmp_path / "job.sh")]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def states():
    """State of each job that waits or runs, by its number."""
    table = subprocess.run(["qstat"], capture_output=True, text=True, check=True).stdout
    return {line.split()[0]: line.split()[4] for line in table.splitlines()[2:]}


def test_a_job_runs(gridengine, tmp_path):
    submit(tmp_path, f"echo $QUEUE >{tmp_path}/part; mv {tmp_path}/part {tmp_path}/written")
    gridengine.wait((tmp_path / "written").exists, "the job does not run")
    assert (tmp_path / "written").read_text() == "debug\n"
    gridengine.wait(lambda: not states(), "the job does not end")


def test_a_deleted_job_ends_with_all_it_started(gridengine, tmp_path):
    number = submit(tmp_path, "sleep 303 & sleep 303; wait")
    gridengine.wait(lambda: states().get(number) == "r", "the job does not start")
    gridengine.wait(lambda: [p.command for p in gridengine.processes()].count("sleep 303") == 2, "it starts nothing")
    subprocess.run(["qdel", number], check=True)
    gridengine.wait(lambda: number not in states(), "the job does not end")
    gridengine.wait(lambda: "sleep 303" not in [p.command for p in gridengine.processes()], "its processes live on")


def test_a_queue_that_is_not_there_is_refused_in_words_of_qsub(gridengine, tmp_path):
    (tmp_path / "job.sh").write_text("#!/bin/sh\n")
    done = subprocess.run(["qsub", "-q", "nowhere", str(tmp_path / "job.sh")], capture_output=True, text=True)
    assert done.returncode == 1
    assert 'unknown queue "nowhere"' in done.stderr


def test_it_is_reached_from_its_own_network_alone(gridengine):
    interfaces = subprocess.run(["ip", "-brief", "link"], capture_output=True, text=True, check=True).stdout
    assert [line.split()[0] for line in interfaces.splitlines()] == ["lo"]
    networks = {os.readlink(f"/proc/{process.pid}/ns/net") for process in gridengine.processes()}
    assert networks == {os.readlink("/proc/thread-self/ns/net")}
    assert networks != {os.readlink(f"/proc/{os.getppid()}/ns/net")}


def test_daskglass_runs_its_workers_on_it_and_takes_them_away(gridengine, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "cluster.yaml").write_text(PROFILE)
    with connect(load_profile("sge"), tmp_path / "store.zarr") as connection:
        assert connection.client.scheduler.address.startswith("tls://127.0.0.1:")
        connection.client.wait_for_workers(2, timeout=60)
        assert connection.client.submit(sum, (1, 2)).result() == 3
        (first, *_) = states()
        subprocess.run(["qdel", first], check=True)
        gridengine.wait(lambda: first not in states(), "the job does not end")
        gridengine.wait(lambda: len(connection.client.nthreads()) == 2, "the job is not replaced", 60)
    gridengine.wait(lambda: not states(), "jobs are left")
    assert not list(tmp_path.glob(".*"))


def test_why_grid_engine_rejects_a_job_is_reported_in_its_words(gridengine, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "cluster.yaml").write_text(PROFILE.replace("queue: debug", "queue: nowhere"))
    with (
        pytest.raises(ClusterError, match=r'accepts no job: .*unknown queue "nowhere"'),
        connect(load_profile("sge"), tmp_path / "store.zarr"),
    ):
        pass
