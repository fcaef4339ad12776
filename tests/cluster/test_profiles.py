"""Profiles of cluster.yaml: what is valid, what is refused, and the job scripts they give."""

import os
import re
import shlex
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import dask
import pytest
import yaml
from distributed.cli.dask_worker import main as worker_command
from hypothesis import given
from hypothesis import strategies as st

from daskglass.cluster.folders import is_private
from daskglass.cluster.job_script import (
    DEPRECATED,
    cluster_class,
    cluster_keys,
    job_options,
    job_script,
    walltime_seconds,
)
from daskglass.cluster.profiles import load_profile
from daskglass.cluster.shipped import SHIPPED
from daskglass.errors import StudyError
from daskglass.registry import BATCH_SYSTEMS

CONTENT = yaml.safe_load(SHIPPED.read_text())
BATCH = [name for name, profile in CONTENT.items() if profile["type"] in BATCH_SYSTEMS]
USERS = {
    "slurm": ("#SBATCH -p normal", "#SBATCH --cpus-per-task=16", "#SBATCH --mem=60G", "#SBATCH -t 04:00:00"),
    "slurm-gpu": ("#SBATCH -p gpu", "#SBATCH --gres=gpu:1", "#SBATCH --no-requeue"),
    "pbs": ("#PBS -q workq", "#PBS -l select=1:ncpus=16:mem=60GB", "#PBS -l walltime=04:00:00", "#PBS -r n"),
    "lsf": ("#BSUB -q normal", "#BSUB -n 16", "#BSUB -W 4:00", "#BSUB -rn"),
    "sge": ("#$ -q all.q", "#$ -pe smp 16", "#$ -l h_vmem=4G", "#$ -l h_rt=04:00:00", "#$ -r n"),
    "htcondor": ("MY.DaskWorkerCores = 16", "MY.DaskWorkerMemory = 64000000000", "MY.DaskWorkerDisk = 10000000000"),
    "oar": ("#OAR -q default", "#OAR -l /nodes=1/core=16,walltime=04:00:00"),
}  # fmt: skip


@pytest.fixture
def load(tmp_path):
    def changed(profile: str = "slurm", **keys):
        """Load a shipped profile with other keys; `...` leaves one out."""
        content = {key: value for key, value in (CONTENT[profile] | keys).items() if value is not ...}
        path = tmp_path / "cluster.yaml"
        path.write_text(yaml.safe_dump({"mine": content}))
        return load_profile("mine", path)

    return changed


@pytest.fixture
def certificates(tmp_path):
    files = {key: tmp_path / f"{key}.pem" for key in ("tls_ca_file", "tls_cert", "tls_key")}
    for file in files.values():
        file.write_text("a certificate")
    return {key: str(file) for key, file in files.items()}


def worker(script: str) -> dict:
    """What the worker's own command line makes of the line that starts it."""
    [line] = re.findall(r"-m distributed\.cli\.dask_worker ([^'\n]*)", script)
    return worker_command.make_context("dask-worker", shlex.split(line)).params


@pytest.mark.parametrize("name", BATCH)
def test_every_shipped_profile_gives_a_job_script_with_what_the_user_set_and_what_daskglass_adds(name):
    profile = load_profile(name, SHIPPED)
    script = job_script(profile)
    assert set(USERS[name]) <= set(script.splitlines())
    assert shlex.quote(sys.executable) in script
    parsed = worker(script)
    assert (parsed["nthreads"], parsed["nanny"]) == (1, True)
    assert (parsed["worker_class"], parsed["dashboard"]) == ("daskglass.cluster.servers.PrivateWorker", False)
    assert parsed["interface"] == profile.options["interface"]
    assert parsed["resources"] == ("GPU=1" if name == "slurm-gpu" else None)
    assert parsed["n_workers"] == (None if name == "slurm-gpu" else "16")  # without the option there is one
    lifetime = {"slurm-gpu": ("42600s", "300s"), "htcondor": (None, None)}.get(name, ("13800s", "300s"))
    assert (parsed["lifetime"], parsed["lifetime_stagger"]) == lifetime


@pytest.mark.parametrize("name", BATCH)
def test_the_cluster_class_accepts_the_options_and_gives_its_jobs_the_same_script(load, name):
    profile = load(name, interface="lo")
    with cluster_class(profile.kind)(**job_options(profile)) as cluster:
        assert cluster.scheduler_address.startswith("tcp://127.0.0.1:")
        assert cluster.dashboard_link.startswith("http://127.0.0.1:")
        names = {cluster.scheduler_address: "tls://SCHEDULER:8786", "dummy-name": "WORKER"}
        script = cluster.job_script()
    for theirs, ours in names.items():
        script = script.replace(theirs, ours)
    assert script == job_script(profile)


def test_every_kind_of_cluster_has_a_shipped_profile():
    assert {profile["type"] for profile in CONTENT.values()} == {"local", *BATCH_SYSTEMS}


def test_the_file_at_the_top_of_the_repository_is_the_shipped_one():
    assert (Path(__file__).parents[2] / "cluster.yaml").resolve() == SHIPPED.resolve()


def test_the_commented_profile_of_a_running_scheduler_is_a_valid_one(tmp_path, certificates):
    commented = SHIPPED.read_text().partition("# lab:")
    text = "".join(commented[1:]).replace("\n# ", "\n").removeprefix("# ")
    for key in certificates:
        text = text.replace(f"~/certificates/{key.removeprefix('tls_').removesuffix('_file')}.pem", certificates[key])
    (tmp_path / "cluster.yaml").write_text(text)
    profile = load_profile("lab", tmp_path / "cluster.yaml")
    assert (profile.kind, profile.address) == ("address", "tls://login1:8786")
    assert str(profile.tls_key) == certificates["tls_key"]


@pytest.mark.parametrize(("processes", "per_process"), [(16, "3.73GiB"), (4, "14.90GiB"), (1, "59.60GiB")])
def test_fewer_processes_than_cores_have_more_memory_each_and_one_task_at_a_time(load, processes, per_process):
    script = job_script(load(processes=processes))
    assert f"--memory-limit {per_process} " in script
    assert worker(script)["nthreads"] == 1


@pytest.mark.parametrize(
    ("walltime", "lifetime", "stagger"),
    [("1-00:00:00", 85800, 300), ("00:40:00", 1800, 300), ("00:08:00", 360, 60), ("00:01:00", 46, 7)],
)
def test_workers_leave_before_the_walltime_and_not_together(load, walltime, lifetime, stagger):
    parsed = worker(job_script(load(walltime=walltime)))
    assert (parsed["lifetime"], parsed["lifetime_stagger"]) == (f"{lifetime}s", f"{stagger}s")
    assert lifetime + stagger <= walltime_seconds("slurm", walltime) - stagger


def test_what_the_user_gave_is_not_overruled(load):
    profile = load(
        python="apptainer exec glass.sif python",
        processes=2,
        worker_extra_args=["--lifetime=3h", "--lifetime-stagger=10min"],
        scheduler_options={"interface": "eth0", "dashboard_address": "localhost:8787"},
    )
    parsed = worker(job_script(profile))
    assert (parsed["lifetime"], parsed["lifetime_stagger"], parsed["n_workers"]) == ("3h", "10min", "2")
    assert "apptainer exec glass.sif python -m distributed" in job_script(profile)
    assert job_options(profile)["scheduler_options"] == {"interface": "eth0", "dashboard_address": "localhost:8787"}


@pytest.mark.parametrize(
    ("given", "parent"),
    [(None, "tmp"), ("$TMPDIR/a b", "tmp/a b"), ('~/"x`', 'home/"x`'), ("${TMPDIR}/$(touch x)$", "tmp/$(touch x)$")],
    ids=["by default", "blank and variable of the node", "home and quotes", "commands"],
)
def test_jobs_spill_below_local_directory_in_a_folder_of_the_user_alone(load, tmp_path, given, parent):
    (tmp_path / "tmp").mkdir()
    options = job_options(load() if given is None else load(local_directory=given))
    lines = [*options["job_script_prologue"], f"echo {options['local_directory']}"]

    def scratch():
        environment = os.environ | {"TMPDIR": str(tmp_path / "tmp"), "HOME": str(tmp_path / "home")}
        done = subprocess.run(
            ["sh", "-e", "-c", "\n".join(lines)], capture_output=True, text=True, check=True, env=environment
        )
        return Path(done.stdout.strip())

    usual = tmp_path / parent / f"daskglass-{os.getuid()}"
    assert scratch() == usual
    assert is_private(usual)
    # a link may be somebody else's
    usual.rename(usual.with_name("own"))
    usual.symlink_to(usual.with_name("own"))
    assert is_private(another := scratch())
    assert another != usual


def test_the_scheduler_listens_on_the_interface_and_its_dashboard_on_loopback(load):
    assert job_options(load())["scheduler_options"] == {"interface": "ib0", "dashboard_address": "127.0.0.1:0"}
    assert "interface" not in job_options(load(scheduler_options={"host": "login1"}))["scheduler_options"]


def test_arguments_added_go_into_the_script(load, tmp_path):
    assert f"#SBATCH -o {tmp_path}/" in job_script(load(), log_directory=str(tmp_path))


def test_a_command_longer_than_any_path_is_no_path(load):
    assert "x" * 300 in job_script(load(python="x" * 300))


def test_what_dask_jobqueue_rejects_is_reported_with_its_reason(load):
    with pytest.raises(StudyError, match="'mine': dask-jobqueue rejects the profile: KeyError: 'Outptu'"):
        job_script(load("htcondor", job_directives_skip=["Outptu"]))


@st.composite
def walltimes(draw):
    kind = draw(st.sampled_from([name for name, system in BATCH_SYSTEMS.items() if system.walltimes]))
    form = draw(st.sampled_from(BATCH_SYSTEMS[kind].walltimes))
    first, *rest = re.findall("[DHMS]", form)
    most = {"H": 23, "M": 59, "S": 59}
    numbers = {first: draw(st.integers(1, 400))} | {unit: draw(st.integers(0, most[unit])) for unit in rest}
    text = re.sub("[DHMS]", lambda unit: f"{numbers[unit.group()]:02d}", form)
    long = {"D": "days", "H": "hours", "M": "minutes", "S": "seconds"}
    return kind, text, timedelta(**{long[unit]: number for unit, number in numbers.items()})


@given(walltimes())
def test_a_walltime_is_read_in_every_format_of_its_batch_system(walltime):
    kind, text, duration = walltime
    assert walltime_seconds(kind, text) == duration.total_seconds()


@pytest.mark.parametrize(
    ("kind", "text", "seconds"),
    [
        ("slurm", "90", 5400),
        ("slurm", "90:00", 5400),
        ("slurm", "48:00:00", 172800),
        ("slurm", "2-12", 216000),
        ("pbs", "90", 90),
        ("lsf", "90", 5400),
        ("lsf", "1:30", 5400),
        ("sge", "90", 90),
    ],
)
def test_the_same_text_is_another_walltime_elsewhere(kind, text, seconds):
    assert walltime_seconds(kind, text) == seconds


@pytest.mark.parametrize(
    ("kind", "text"),
    [("slurm", "4h"), ("slurm", "0"), ("slurm", "1:60:00"), ("slurm", "1-24"), ("slurm", "-5"), ("slurm", "04:00:00 "),
     ("slurm", "٤"), ("pbs", "1-00:00:00"), ("lsf", "4:00:00"), ("sge", "4:00"), ("oar", "4"), ("oar", "")],
)  # fmt: skip
def test_a_walltime_in_another_format_is_refused_with_the_formats_there_are(kind, text):
    with pytest.raises(StudyError, match=f"is not a walltime of {kind}; write it as one of .*MM"):
        walltime_seconds(kind, text)


def test_a_file_in_the_working_folder_goes_before_the_shipped_one_and_local_is_always_there(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert load_profile("slurm").options["queue"] == "normal"
    Path("cluster.yaml").write_text(yaml.safe_dump({"here": CONTENT["slurm"] | {"queue": "mine", "wait": "90s"}}))
    assert load_profile("here").options["queue"] == "mine"
    assert load_profile("here").wait == 90
    assert (load_profile("local").kind, load_profile("local").workers) == ("local", None)
    with pytest.raises(StudyError, match=r"unknown cluster 'slurm'; cluster\.yaml has local, here"):
        load_profile("slurm")


def test_none_is_no_cluster_and_no_name_of_one(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert load_profile("none").kind == "none"
    Path("cluster.yaml").write_text("none: {type: local}\n")
    with pytest.raises(StudyError, match=r"cluster\.yaml:1: none: means no cluster; give it another name"):
        load_profile("none")


def test_local_may_be_given_a_number_of_workers(load):
    assert load("local", workers=3).workers == 3


def test_null_is_the_same_as_leaving_out(load):
    assert load(account=None, wait=None, processes=None) == load(account=..., wait=..., processes=...)


@pytest.mark.parametrize(
    ("profile", "keys", "place", "message"),
    [
        ("slurm", {"job-extra-directives": []}, "job-extra-directives", r"unknown key; did you mean job_extra_directives\?"),
        ("slurm", {"qeue": "normal"}, "qeue", r"unknown key; did you mean queue\?"),
        ("slurm", {"7": 7}, "7", "unknown key; the known ones are account, cores"),
        ("local", {"cores": 4}, "cores", r"unknown key; .*workers"),
        ("htcondor", {"walltime": "1:00"}, "walltime", "unknown key"),
        ("slurm", {"project": "glass"}, "project", "deprecated; use account"),
        *(("slurm", {old: []}, old, f"deprecated; use {new}") for old, new in DEPRECATED.items()),
        ("slurm", {"n_workers": 3}, "n_workers", "use `jobs`"),
        ("slurm", {"dashboard_address": ":1"}, "dashboard_address", "put it under scheduler_options"),
        ("slurm", {"name": "x"}, "name", "use `job_name`"),
        ("slurm", {"security": False}, "security", "TLS"),
        ("slurm", {"protocol": "tcp://"}, "protocol", "TLS"),
        ("slurm", {"asynchronous": True}, "asynchronous", "daskglass sets it"),
        ("slurm", {"type": "slrum"}, "type", r"'slrum' is not a cluster type; did you mean slurm\?"),
        ("slurm", {"type": ...}, "type", "missing: give one of local, address"),
        ("slurm", {"type": ..., "typ": "slurm"}, "type", r"rename typ to type\?"),
        ("slurm", {"jobs": ...}, "jobs", "missing"),
        ("slurm", {"cores": ...}, "cores", "missing"),
        ("slurm", {"memory": None}, "memory", "missing"),
        ("slurm", {"walltime": None}, "walltime", "missing"),
        ("slurm", {"interface": ...}, "interface", "missing: give the network that the nodes share.*ip -brief address"),
        ("htcondor", {"disk": ...}, "disk", "missing"),
        ("slurm", {"jobs": 0}, "jobs", "whole number from 1 to"),
        ("slurm", {"cores": "16"}, "cores", "whole number from 1 to"),
        ("slurm", {"processes": True}, "processes", "whole number from 1 to"),
        ("local", {"workers": 1.5}, "workers", "whole number from 1 to"),
        ("local", {"workers": 10**9}, "workers", "from 1 to 1,000,000;"),
        ("slurm", {"jobs": 10**15}, "jobs", "from 1 to 1,000,000;"),
        ("slurm", {"memory": "9e999GB"}, "memory", "size with its unit"),
        ("slurm", {"memory": "1e30GB"}, "memory", "size with its unit"),
        ("slurm", {"wait": float("inf")}, "wait", "a time such as 24h"),
        ("slurm", {"death_timeout": "60; touch x"}, "death_timeout", "a time such as 24h"),
        ("slurm", {"interface": "ib0; touch x"}, "interface", "goes into the job script"),
        ("slurm", {"job_name": "a b"}, "job_name", "goes into the job script"),
        ("slurm", {"log_directory": "/my logs"}, "log_directory", "goes into the job script"),
        ("slurm", {"log_directory": "/logs/%x"}, "log_directory", "goes into the job script"),
        ("slurm", {"log_directory": "s3://bucket/logs"}, "log_directory", "address, and s3: is not supported"),
        ("slurm", {"shared_temp_directory": "$NO_SUCH_ROOM"}, "shared_temp_directory", "NO_SUCH_ROOM, .*is not set"),
        ("slurm", {"log_directory": "$NO_SUCH_ROOM/x"}, "log_directory", "NO_SUCH_ROOM, .*is not set; .*job_script_prologue"),
        ("slurm", {"local_directory": 7}, "local_directory", "must be text"),
        ("slurm", {"python": "module load x && python"}, "python", "are shell syntax"),
        ("slurm", {"python": "it's"}, "python", "No closing quotation"),
        ("slurm", {"worker_extra_args": ["--preload x; touch y"]}, "worker_extra_args", "are shell syntax"),
        ("slurm", {"worker_extra_args": ["--name $NO_SUCH_ROOM"]}, "worker_extra_args", "NO_SUCH_ROOM, .*is not set"),
        ("htcondor", {"local_directory": "/x/$(y)"}, "local_directory", "HTCondor macro"),
        ("slurm", {"local_directory": "s3://bucket/x"}, "local_directory", "s3: is not supported"),
        ("slurm", {"log_directory": "-x"}, "log_directory", "read it as an option"),
        ("slurm", {"job_name": "--wrap=x"}, "job_name", "read it as an option"),
        ("slurm", {"queue": "a b"}, "queue", "letters, digits and _ @"),
        ("slurm", {"account": "$HOME"}, "account", "letters, digits and _ @"),
        ("lsf", {"project": "a;b"}, "project", "letters, digits and _ @"),
        ("slurm", {"queue": True}, "queue", "must be text"),
        ("slurm", {"memory": "64 potatoes"}, "memory", "size with its unit, such as 64GB"),
        ("slurm", {"memory": 64}, "memory", "size with its unit"),
        ("htcondor", {"disk": "64"}, "disk", "size with its unit"),
        ("slurm", {"wait": "24 potatoes"}, "wait", "a time such as 24h"),
        ("slurm", {"wait": [24]}, "wait", "a time such as 24h"),
        ("slurm", {"walltime": "4h"}, "walltime", "not a walltime of slurm; write it as one of MM, MM:SS, HH:MM:SS, D-HH"),
        ("lsf", {"walltime": "04:00:00"}, "walltime", "not a walltime of lsf"),
        ("slurm", {"walltime": 43200}, "walltime", "must be in quotes"),
        ("slurm-gpu", {"processes": ...}, "resources", "set `processes` to"),
        ("slurm-gpu", {"resources": {"gpu": 1}}, "resources", "must be {GPU: 1}"),
        ("slurm-gpu", {"resources": {"GPU": 0.5}}, "resources", "whole number from 1 to"),
        ("slurm", {"queue": "normal\nrm -rf x"}, "queue", "would break the job script"),
        ("slurm", {"job_extra_directives": ["-n 1", "a\nb"]}, "job_extra_directives.1", "would break the job script"),
        ("htcondor", {"job_extra_directives": {"a\nb": 1}}, "job_extra_directives", "would break the job script"),
        ("htcondor", {"job_script_prologue": ["a\nb"]}, "job_script_prologue.0", "would break the job script"),
        ("slurm", {"job_script_prologue": "module load x"}, "job_script_prologue", "must be a list"),
        ("slurm", {"job_extra_directives": {"a": 1}}, "job_extra_directives", "must be a list"),
        ("htcondor", {"job_extra_directives": ["a"]}, "job_extra_directives", "must be a mapping"),
        ("slurm", {"nanny": False}, "nanny", "must be true"),
        ("slurm", {"worker_extra_args": ["--nthreads", "4"]}, "worker_extra_args", "--nthreads is set by daskglass"),
        ("slurm", {"worker_extra_args": ["--nworkers 4"]}, "worker_extra_args", "--nworkers is set by daskglass"),
        ("slurm", {"worker_extra_args": ["--dashboard-address=:0"]}, "worker_extra_args", "--dashboard-address is set"),
        ("slurm", {"worker_extra_args": ["--no-nanny"]}, "worker_extra_args", "--no-nanny is set by daskglass"),
        ("slurm", {"worker_extra_args": ["--lifetime-stagger", "1h"]}, "worker_extra_args", "needs --lifetime"),
        ("slurm", {"worker_extra_args": ["--lifetime", "5h"]}, "worker_extra_args", "must be shorter than the walltime"),
        ("slurm", {"worker_extra_args": ["--lifetime"]}, "worker_extra_args", "--lifetime needs a time"),
        ("slurm", {"worker_extra_args": ["--lifetime", "soon"]}, "worker_extra_args", "--lifetime needs a time"),
        ("slurm", {"worker_extra_args": "--preload x"}, "worker_extra_args", "must be a list"),
        ("slurm", {"scheduler_options": []}, "scheduler_options", "must be a mapping"),
        ("slurm", {"scheduler_options": {"protocol": "tcp"}}, "scheduler_options.protocol", "TLS"),
        ("slurm", {"worker_extra_args": ["--host", "0.0.0.0"]}, "worker_extra_args", "--host is set by daskglass"),
        ("slurm", {"worker_extra_args": ["--listen-address=tls://0.0.0.0"]}, "worker_extra_args", "--listen-address is set"),
        ("slurm", {"scheduler_options": {"dashbord_address": "localhost:0"}}, "scheduler_options.dashbord_address",
         r"did you mean dashboard_address\?"),
        ("slurm", {"scheduler_options": {"interface": None}}, "scheduler_options.interface", "one network of this machine"),
        *(("slurm", {"scheduler_options": {"host": host}}, "scheduler_options.host", "not all of them")
          for host in ("0.0.0.0", "::", "", "*", "tls://0.0.0.0", None)),
        *(("slurm", {"scheduler_options": {"dashboard_address": address}}, "scheduler_options.dashboard_address", "loopback")
          for address in (":8787", "0.0.0.0:8787", "login1:8787", 8787, None)),
    ],
)  # fmt: skip
def test_a_bad_profile_is_refused_naming_file_line_key_and_remedy(load, tmp_path, profile, keys, place, message):
    with pytest.raises(StudyError) as caught:
        load(profile, **keys)
    where = re.escape(f"{tmp_path}/cluster.yaml:") + r"\d+: " + re.escape(f"mine.{place}: ")
    assert re.search(f"^{where}.*{message}", str(caught.value), re.MULTILINE), str(caught.value)


def test_a_file_in_the_working_folder_that_cannot_be_read_is_not_passed_over(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "cluster.yaml").mkdir()
    with pytest.raises(StudyError, match=r"cluster\.yaml: cannot be read: it is a folder"):
        load_profile("local")
    (tmp_path / "cluster.yaml").rmdir()
    (tmp_path / "cluster.yaml").symlink_to("nowhere.yaml")
    with pytest.raises(StudyError, match=r"cluster\.yaml: cannot be read"):
        load_profile("local")


def test_many_problems_of_a_profile_are_reported_in_short(load):
    with pytest.raises(StudyError) as caught:
        load(**{f"k{k}": 1 for k in range(3000)})
    assert len(str(caught.value).splitlines()) == 20


def test_an_error_is_reported_with_its_line(tmp_path):
    path = tmp_path / "cluster.yaml"
    path.write_text(SHIPPED.read_text().replace("queue: workq", "qeue: workq"))
    line = path.read_text().partition("qeue")[0].count("\n") + 1
    with pytest.raises(StudyError, match=re.escape(f"{path}:{line}: pbs.qeue: unknown key")):
        load_profile("pbs", path)


def test_a_mistake_in_another_profile_does_not_matter(tmp_path):
    path = tmp_path / "cluster.yaml"
    path.write_text(yaml.safe_dump({"good": CONTENT["slurm"], "bad": {"type": "moon"}}))
    assert load_profile("good", path).jobs == 10


def test_lines_of_shell_of_a_profile_or_of_dask_s_configuration_come_after_ours_and_win(load):
    ours = "export MALLOC_TRIM_THRESHOLD_=67108864\nexport MALLOC_MMAP_THRESHOLD_=33554432\n"
    ours += "export OMP_WAIT_POLICY=passive\n"
    assert f"{ours}module load x\n" in job_script(load(job_script_prologue=["module load x"]))
    with dask.config.set({"jobqueue.slurm.job-script-prologue": ["module load y"]}):
        script = job_script(load(job_script_prologue=...))
    with (
        dask.config.set({"jobqueue.slurm.env-extra": ["module load z"]}),
        pytest.warns(FutureWarning, match="env_extra"),
    ):
        assert "\nmodule load z\n" in job_script(load())
    assert script.index(ours) < script.index("\nmodule load y\n")


def commands_of(kind: str, script: str) -> str:
    """The lines of shell that a node runs, as the manual of HTCondor has them in its one line, or as they are."""
    if kind != "htcondor":
        return script
    [quoted] = re.findall('^Arguments = "(.*)"$', script, re.MULTILINE)
    dash_c, _, line = quoted.replace('""', '"').partition(" ")
    assert dash_c == "-c"
    assert line[0] == line[-1] == "'"
    return line[1:-1].replace("''", "'")


@pytest.mark.parametrize("as_path", [True, False], ids=["path", "words"])
@pytest.mark.parametrize("name", BATCH)
def test_values_with_blanks_and_characters_of_a_shell_reach_the_worker_as_they_are(
    load, tmp_path, monkeypatch, name, as_path
):
    folder = tmp_path / "my $(touch stolen) folder's; *"
    folder.mkdir()
    python = folder / "python"
    python.write_text('#!/bin/sh\nprintf "%s\\n" "$@" > "$OUTPUT"\n')
    python.chmod(0o755)
    hostile = "a b'c;d&*" if name == "htcondor" else "a b\"$(touch stolen)`'c;d&*"
    words = [str(python)] if as_path else ["env", "-u", "X", str(python)]
    if name == "htcondor":
        # its macros are refused
        (tmp_path / "plain place").mkdir()
        python = python.rename(tmp_path / "plain place" / "python")
        words = [*words[:-1], str(python)]
    profile = load(
        name,
        python=str(python) if as_path else shlex.join(words),
        local_directory="$SCRATCH/x y",  # of the node
        worker_extra_args=["--preload", shlex.quote(hostile), "--name 'two words'"],
    )
    output = tmp_path / "output"
    script = tmp_path / "script.sh"
    script.write_text(commands_of(profile.kind, job_script(profile)))
    subprocess.run(["bash", "-n", str(script)], check=True)
    environment = {"PATH": "/usr/bin:/bin", "OUTPUT": str(output), "SCRATCH": f"{tmp_path}/o'me & co"}
    subprocess.run(["bash", str(script)], check=True, cwd=tmp_path, env=environment)
    arguments = output.read_text().splitlines()
    assert arguments[:2] == ["-m", "distributed.cli.dask_worker"]
    assert arguments[arguments.index("--local-directory") + 1] == f"{tmp_path}/o'me & co/x y/daskglass-{os.getuid()}"
    assert arguments[arguments.index("--preload") + 1] == hostile
    assert "two words" in arguments
    assert not (tmp_path / "stolen").exists()


def test_the_home_folder_and_variables_are_expanded_in_paths_of_a_profile(load, monkeypatch, tmp_path, certificates):
    monkeypatch.setenv("SCRATCH", "/scratch/me")
    monkeypatch.setenv("HOME", str(tmp_path))
    profile = load(
        log_directory="$SCRATCH/logs", shared_temp_directory="~/keys",
        worker_extra_args=["--preload", "~/setup.py"],
    )  # fmt: skip
    options = job_options(profile)
    assert (options["log_directory"], options["shared_temp_directory"]) == ("/scratch/me/logs", f"{tmp_path}/keys")
    assert f"{tmp_path}/setup.py" in options["worker_extra_args"]
    files = {key: f"~/{Path(file).name}" for key, file in certificates.items()}
    lab = load("local", type="address", workers=..., address="tls://login1:8786", **files)
    assert str(lab.tls_key) == certificates["tls_key"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("base: &base {type: slurm}\nmine: *base\n", r"2: mine: aliases such as \*base"),
        ("mine: {type: slurm, job_extra_directives: " + "[" * 5000, "1: mine.job_extra_directives.*nested more than"),
        (f"mine:\n  jobs: {'9' * 5000}\n", "2: mine.jobs: number of 5,000 characters"),
        ("mine:\n  type: slurm\n  walltime: 12:00:00\n  jobs: yes\n", "4: mine.jobs: must be a whole number"),
    ],
)
def test_what_exhausts_a_reader_is_refused_with_its_line(tmp_path, text, message):
    (tmp_path / "cluster.yaml").write_text(text)
    with pytest.raises(StudyError, match=message):
        load_profile("mine", tmp_path / "cluster.yaml")


def test_an_account_with_a_leading_zero_stays_what_it_is(tmp_path):
    text = SHIPPED.read_text().replace("account: null ", "account: 0432 ", 1)
    assert "account: 0432" in text
    (tmp_path / "cluster.yaml").write_text(text)
    assert load_profile("slurm", tmp_path / "cluster.yaml").options["account"] == "0432"


def test_lines_of_shell_may_have_line_breaks(load):
    script = job_script(load(job_script_prologue=["if true; then\n  module load cuda\nfi"]))
    assert "\n  module load cuda\n" in script


@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("tcp://login1:8786", "traffic between hosts must be TLS"),
        ("tcp://127.0.0.1@login1:8786", "traffic between hosts must be TLS"),
        ("tcp://localhost:8786", "uses no certificates"),
        ("tls://login1", "such as tls://host:8786"),
        ("tls://login1:port", "such as tls://host:8786"),
        ("login1:8786", "such as tls://host:8786"),
        (None, "such as tls://host:8786"),
    ],
)
def test_an_address_that_is_open_or_none_is_refused(load, certificates, address, message):
    with pytest.raises(StudyError, match=message):
        load("local", type="address", workers=..., address=address, **certificates)


@pytest.mark.parametrize(
    ("change", "message"), [(None, "missing: tls:// needs"), ("/no/such.pem", "not a readable file")]
)
@pytest.mark.parametrize("key", ["tls_ca_file", "tls_cert", "tls_key"])
def test_tls_without_its_three_files_is_refused(load, certificates, key, change, message):
    with pytest.raises(StudyError, match=f"{key}: {message}"):
        load("local", type="address", workers=..., address="tls://login1:8786", **(certificates | {key: change}))


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "127.0.0.2", "[::1]"])
def test_a_scheduler_on_this_machine_needs_no_certificates(load, host):
    assert load("local", type="address", workers=..., address=f"tcp://{host}:8786").address == f"tcp://{host}:8786"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: [", "not valid YAML"),
        ("a: 1\na: 2", "2: a: given twice"),
        ("- a", "must map names to profiles"),
        ("mine: 3", "consists of keys"),
    ],
)
def test_a_file_that_is_none_is_refused(tmp_path, text, message):
    path = tmp_path / "cluster.yaml"
    path.write_text(text)
    with pytest.raises(StudyError, match=message):
        load_profile("mine", path)


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(StudyError, match=r"none\.yaml: cannot be read"):
        load_profile("local", tmp_path / "none.yaml")


@pytest.mark.parametrize("kind", BATCH_SYSTEMS)
def test_keys_come_from_the_classes_that_take_them(kind):
    assert {
        "cores",
        "memory",
        "queue" if kind != "htcondor" else "disk",
        "scheduler_options",
        "job_name",
    } <= cluster_keys(kind)
    assert "self" not in cluster_keys(kind)
    assert "base_class_kwargs" not in cluster_keys(kind)


def test_the_classes_of_dask_jobqueue_leave_signals_alone():
    code = (
        "import signal\nfrom daskglass.cluster.job_script import cluster_class\ncluster_class('slurm')\n"
        "print(signal.getsignal(signal.SIGINT) is signal.default_int_handler, signal.getsignal(signal.SIGTERM) is signal.SIG_DFL)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "True True\n"
