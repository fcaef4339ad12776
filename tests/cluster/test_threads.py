"""Simulations on several cores: what is asked of the machine, of the batch system, of Dask, and of the dry run."""

import os
import time

import pytest

from daskglass.cluster.connect import connect
from daskglass.cluster.job_script import THREADS, for_threads, job_script
from daskglass.cluster.profiles import load_profile
from daskglass.errors import ClusterError, StudyError
from daskglass.pipeline.dispatch import Call
from daskglass.pipeline.estimate import Cost, Workers, best_threads, wall_hours, with_threads
from daskglass.pipeline.on_dask import OnDask
from daskglass.pipeline.tasks import Task
from daskglass.study.load import load_study

CORES = len(os.sched_getaffinity(0))
STUDY = """\
study: threads
store: threads.zarr
systems: [{system: ka_0.0, particles: 1200, temperatures: [1.0, 0.8]}]
source: {simulate: {engine: ENGINE, threads: 2}}
"""


@pytest.fixture
def slurm(tmp_path):
    def load(more=""):
        path = tmp_path / "cluster.yaml"
        path.write_text(
            f'hpc: {{type: slurm, jobs: 10, cores: 16{more}, memory: 64GB, walltime: "04:00:00", interface: lo}}\n'
        )
        return load_profile("hpc", path)

    return load


def test_workers_of_a_batch_system_get_so_many_cores_and_offer_them(slurm):
    profile = for_threads(slurm(), 4)
    script = job_script(profile)
    assert profile.options["processes"] == 4
    assert "--nworkers 4" in script
    assert "--resources threads=4" in script
    assert "--cpus-per-task=16" in script
    # fewer processes than cores have them already
    assert for_threads(slurm(", processes: 2"), 4).options["processes"] == 2
    assert for_threads(slurm(), 1) == slurm()


@pytest.mark.parametrize(("more", "threads"), [("", 17), (", processes: 8", 4)])
def test_more_threads_than_a_worker_has_cores_are_refused(slurm, more, threads):
    with pytest.raises(StudyError, match=rf"source\.simulate\.threads: {threads} .* a job has 16 cores"):
        for_threads(slurm(more), threads)


@pytest.mark.parametrize("name", ["local", "none"])
def test_more_threads_than_this_machine_has_cores_are_refused(name):
    with pytest.raises(StudyError, match=f"this machine has {CORES} cores"):
        for_threads(load_profile(name), CORES + 1)


def test_an_engine_without_threads_refuses_them(tmp_path):
    (tmp_path / "s.yaml").write_text(STUDY.replace("ENGINE", "hoomd"))
    with pytest.raises(StudyError, match="engine hoomd simulates on one thread; got threads: 2"):
        load_study(tmp_path / "s.yaml")


def task_of(number, threads):
    return Task("simulate", "x", f"simulate-{number}", time.sleep, (0.0,), inputs={}, threads=threads)


def run_on(profile, tmp_path, threads):
    with connect(profile, tmp_path / "x.zarr") as connection:
        executor = OnDask(connection.client)
        workers = connection.client.scheduler_info(n_workers=-1)["workers"].values()
        offered = [worker["resources"] for worker in workers]
        future = executor.submit(Call(task_of(0, threads), "first", 0, [], (), tmp_path))
        future.result(timeout=60)
    return offered


@pytest.mark.skipif(CORES < 2, reason="this machine has one core")
def test_a_simulation_waits_for_a_worker_of_so_many_cores(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    offered = run_on(for_threads(load_profile("local"), 2), tmp_path, 2)
    assert offered == [{THREADS: 2}] * (CORES // 2)


def test_where_no_worker_offers_so_many_cores_it_is_said(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ClusterError, match=r"threads: 2, but no worker offers that many.*--resources threads=2"):
        run_on(load_profile("local"), tmp_path, 2)


def cost(chain, hours):
    return Cost(
        system="x", particles=1000, frames=1, particle_steps=1.0, nbytes=1, files=1, kinds=(), tasks={},
        hours={"simulate": hours, "convert": 4.0}, chain=chain, threads=1, parallel=0.75, notes=(),
    )  # fmt: skip


def test_threads_shorten_a_chain_and_cost_core_hours():
    four = with_threads(cost(chain=100.0, hours=200.0), 4)
    # 1 / (1/4 + 3/16) of the speed of one
    assert four.chain == pytest.approx(100 * 7 / 16)
    assert four.hours == pytest.approx({"simulate": 200 * 4 * 7 / 16, "convert": 4.0})
    assert with_threads(four, 1).hours == pytest.approx({"simulate": 200.0, "convert": 4.0})


def test_the_number_of_threads_with_which_a_study_ends_first_is_found():
    workers = Workers(64, 10**9, jobs=4, threads=16, cores=64)
    few = [cost(chain=100.0, hours=200.0)]
    assert best_threads(few, workers)[0] == 16
    # a profile that gives each process one core has none for threads
    assert best_threads(few, Workers(64, 10**9, jobs=4, threads=1, cores=64))[0] == 1
    # all cores have enough to do: threads would only lose
    many = [cost(chain=1.0, hours=20_000.0)]
    assert best_threads(many, workers) == (1, pytest.approx(wall_hours(many, 64)))
