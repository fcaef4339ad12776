"""The Slurm that tests run on: what it must do for them, and that nothing of it stays."""

import os
import signal
import subprocess
from pathlib import Path

import psutil
import pytest

pytestmark = [pytest.mark.slurm, pytest.mark.xdist_group("slurm")]


@pytest.fixture
def another(slurm, monkeypatch):
    """A second cluster beside that of the session, not yet up."""
    monkeypatch.setenv("SLURM_CONF", f"/var/tmp/daskglass-slurm-{os.getpid()}-another/slurm.conf")
    yield slurm
    slurm.down()


def submit(*arguments, script="sleep 300"):
    command = ["sbatch", "--parsable", "--output=/dev/null", "--mem=100", *arguments, f"--wrap={script}"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def job(slurm, number):
    return next(job for job in slurm.jobs() if job.id == number)


def wait_for(slurm, number, *states):
    slurm.wait(lambda: job(slurm, number).state in states, f"job {number} does not become {states}")


def nodes():
    lines = subprocess.run(["sinfo", "--noheader", "--Node", "--format=%N %t"], capture_output=True, text=True).stdout
    return dict(line.split() for line in lines.splitlines())


def daemons(slurm):
    return [process for process in slurm.processes() if process.name in {"munged", "slurmctld", "slurmd"}]


def mentioning(text):
    """Command lines, of living processes, with this text in them."""
    return [
        " ".join(p.info["cmdline"])
        for p in psutil.process_iter(["cmdline"])
        if text in " ".join(p.info["cmdline"] or ())
    ]


def test_it_comes_up_from_nothing_and_down_leaves_nothing(another):
    folder = another.configuration().parent
    assert not folder.exists()
    another.up(2)
    number = submit()
    wait_for(another, number, "RUNNING")
    assert len(mentioning(f"{folder}/")) >= 4
    another.down()
    assert another.processes() == []
    assert mentioning(f"{folder}/") == []
    assert not folder.exists()


def test_up_twice_is_up(slurm):
    before = daemons(slurm)
    assert len(before) == 5
    slurm.up(3)
    assert daemons(slurm) == before


def test_another_number_of_nodes_begins_anew(another):
    another.up(1)
    assert nodes() == {"n1": "idle"}
    another.up(2)
    assert nodes() == {"n1": "idle", "n2": "idle"}


@pytest.mark.parametrize("daemon", ["munged", "slurmctld", "slurmd"])
def test_a_daemon_that_died_is_started_again(slurm, daemon):
    before = daemons(slurm)
    died = next(process for process in before if process.name == daemon)
    os.kill(died.pid, signal.SIGKILL)
    slurm.wait(lambda: died not in daemons(slurm), f"{daemon} does not die")
    slurm.up(3)
    assert sorted(process.command for process in daemons(slurm)) == sorted(process.command for process in before)
    number = submit("--nodelist=n1", script="true")
    wait_for(slurm, number, "COMPLETED")


def test_its_daemons_listen_on_loopback_alone(slurm):
    listening = [
        connection.laddr.ip
        for process in daemons(slurm)
        for connection in psutil.Process(process.pid).net_connections("inet")
        if connection.status == psutil.CONN_LISTEN
    ]
    assert listening == 4 * ["127.0.0.1"]


def test_a_job_runs_on_each_node(slurm, tmp_path):
    for node in ("n1", "n2", "n3"):
        submit(
            f"--nodelist={node}",
            script=f"echo $SLURMD_NODENAME >{tmp_path}/{node}.part; mv {tmp_path}/{node}.part {tmp_path}/{node}",
        )
    written = [tmp_path / node for node in ("n1", "n2", "n3")]
    slurm.wait(lambda: all(file.exists() for file in written), "a job does not run")
    assert [file.read_text() for file in written] == ["n1\n", "n2\n", "n3\n"]


def test_a_cancelled_job_ends_with_all_it_started(slurm):
    number = submit(script="sleep 301 & sleep 301; wait")
    wait_for(slurm, number, "RUNNING")
    slurm.wait(lambda: len([p for p in slurm.processes() if p.command == "sleep 301"]) == 2, "the job does not start")
    subprocess.run(["scancel", number], check=True)
    slurm.wait(lambda: not [p for p in slurm.processes() if p.command == "sleep 301"], "what the job started lives on")
    wait_for(slurm, number, "CANCELLED")


def test_a_partition_that_is_not_there_is_refused_in_words_of_sbatch(slurm):
    before = slurm.jobs()
    done = subprocess.run(["sbatch", "--partition=nowhere", "--wrap=true"], capture_output=True, text=True)
    assert done.returncode == 1
    assert "invalid partition specified: nowhere" in done.stderr
    assert slurm.jobs() == before


def test_a_job_longer_than_its_partition_allows_waits_for_ever_and_reports_why(slurm):
    number = submit("--partition=short", "--time=10")
    slurm.wait(lambda: job(slurm, number).reason == "PartitionTimeLimit", "the reason does not show")
    assert job(slurm, number).state == "PENDING"
    subprocess.run(["scancel", number], check=True)


def test_a_node_set_down_kills_its_job_and_up_brings_it_back(slurm):
    number = submit("--nodelist=n2", "--no-requeue", script="sleep 302")
    wait_for(slurm, number, "RUNNING")
    slurm.set_node("n2", "down")
    wait_for(slurm, number, "NODE_FAIL")
    slurm.wait(lambda: not [p for p in slurm.processes() if p.command == "sleep 302"], "its process lives on")
    assert nodes()["n2"] == "down"
    assert f"JobId={number} " in (slurm.configuration().parent / "jobs").read_text()
    slurm.up(3)
    assert nodes()["n2"] == "idle"


def test_a_configuration_of_others_is_not_touched(slurm, tmp_path, monkeypatch):
    theirs = tmp_path / "slurm.conf"
    theirs.write_text("ClusterName=theirs\n")
    monkeypatch.setenv("SLURM_CONF", str(theirs))
    for change in (slurm.up, slurm.down):
        with pytest.raises(RuntimeError, match="not of this script"):
            change()
    assert [file.name for file in Path(tmp_path).iterdir()] == ["slurm.conf"]
    assert theirs.read_text() == "ClusterName=theirs\n"
