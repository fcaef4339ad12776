"""What a study costs is known before it runs: its tasks, their memory, and the time on so many workers."""

import math
import multiprocessing
import os
import re
import statistics
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
import zarr
from distributed.worker_memory import parse_memory_limit

from daskglass.cli.tables import print_costs
from daskglass.cluster.profiles import load_profile
from daskglass.engines.schedules import Logarithmic, Uniform, expected_length, uniform_steps
from daskglass.errors import StudyError
from daskglass.physics.softness import Softness
from daskglass.physics.structure import mu_grid
from daskglass.pipeline import run as pipeline
from daskglass.pipeline.estimate import (
    BASE,
    OF_A_TASK,
    Workers,
    check_fits,
    cost_of,
    costs,
    kinds_of,
    largest_of,
    longer_than,
    seconds_left,
    wall_hours,
    workers_of,
)
from daskglass.pipeline.here import Here
from daskglass.pipeline.plan import attributes, plan_study
from daskglass.pipeline.tasks import tasks_of
from daskglass.report.tasks import figure_tasks
from daskglass.sources.simulated import simulated
from daskglass.store.blocks import Block, write_block, write_table
from daskglass.store.ledger import Ledger
from daskglass.store.tables import read_tables
from daskglass.store.template import lay_out
from daskglass.study.load import load_study
from tests.studies import FILES, TINY

ROOT = Path(__file__).parents[2]
SYSTEM = "ka_0.0"
THERMAL = """\
study: planned
store: {folder}/planned.zarr
systems:
  - {{system: ka_0.0, particles: {particles}, temperatures: [0.9, 0.8, 0.7], replicas: 2}}
source:
  simulate:
    production: {{frames: {frames}}}
    training: {{frames: {frames}, temperature: 0.8}}
inherent: none
structure: {{mu: [0.4, 2.8, 0.1]}}
radial: {{r_max: 3.4}}
"""
MEASURED = ("structure_of_examples", "soften", "indicate", "count_grouped_pairs", "summarize", "count_strata")
LARGE, SMALL = (32768, 48), (432, 32)  # particles and frames


def plans_of(text, folder):
    (folder / "study.yaml").write_text(text)
    return plan_study(load_study(folder / "study.yaml"))


def costs_of(text, folder):
    return [cost_of(plan) for plan in plans_of(text, folder)]


def thermal(folder, particles=1000, frames=101):
    return plans_of(THERMAL.format(folder=folder, particles=particles, frames=frames), folder)[0]


def nbytes_of(plan, function):
    return next(kind.nbytes for kind in kinds_of(plan) if kind.function == function)


def assert_all_counted(plan):
    counted = Counter()
    for kind in kinds_of(plan):
        counted[kind.stage, kind.function] += kind.number
    assert counted == Counter((task.stage, task.function.__name__) for task in tasks_of(plan))


# --- tasks ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("frames", [21, 500])
def test_all_tasks_of_a_simulated_study_are_counted(tmp_path, frames):
    text = TINY.replace("frames: 21", f"frames: {frames}").replace("frames: 41", f"frames: {frames + 20}")
    assert_all_counted(plans_of(text, tmp_path)[0])


def test_all_tasks_of_a_thermal_study_are_counted(tmp_path):
    assert_all_counted(thermal(tmp_path, frames=300))


@pytest.mark.xdist_group("tiny")
def test_all_tasks_of_a_study_of_files_are_counted(files):
    assert_all_counted(plans_of(FILES, files)[0])


def test_a_study_of_more_than_a_million_tasks_is_planned(tmp_path):
    text = "study: large\nstore: large.zarr\nsystems: [{system: ka_0.0, particles: 1000000}]\n"
    text += "source: {simulate: {production: {frames: 10001}}}\n"
    (tmp_path / "large.yaml").write_text(text)
    assert sum(costs(load_study(tmp_path / "large.yaml"))[0].tasks.values()) > 1e6


# --- memory --------------------------------------------------------------------------------------------------------


def lay_out_and_fill(plan):
    """Write one row of every run: a jittered lattice, and values drawn at random; and a model."""
    rng = np.random.default_rng(0)
    edge, N = plan.source.box[0], plan.source.particles
    sites = int(np.ceil(N ** (1 / 3)))
    lattice = (np.column_stack(np.unravel_index(np.arange(N), (sites,) * 3)) + 0.5) / sites * edge
    for run in ("production", "training"):
        layout = plan.layouts[run]
        lay_out(plan.path, layout, attributes(plan, None), plan.source.attributes(run))
        for block in layout.blocks():
            frames = block.stop - block.start
            jitter = rng.normal(0, 0.1, (frames, N, 3))
            values = {"position": (lattice + jitter).astype(np.float32)}
            there = {variable.name for variable in layout.variables}
            for name in there.intersection(("hop", *plan.settings["structural"])):
                values[name] = rng.exponential(0.1, (frames, N)).astype(np.float32)
            if block.temperature == 0.8:
                write_block(plan.path, block, values)
    mu = mu_grid(*plan.settings["structure.mu"])
    weights = xr.DataArray(np.ones((2, len(mu))), coords={"neighbor": ["A", "B"], "mu": mu})
    metrics = {"accuracy": 1.0, "confusion": np.eye(2), "trained_on": 1, "held_out": 1}
    metrics |= {"soft_examples": 1, "hard_examples": 1}
    write_table(plan.path, f"{SYSTEM}/model", Softness(weights, weights, weights, 0.0, 0.1, metrics).to_dataset())


def needed(plan, function, block):
    """What comes from other tasks: examples in every frame, or edges."""
    frames = np.arange(block.start, block.stop)
    replica, particle, label = (np.full(frames.size, value) for value in (block.replica, 0, 1))
    results = {
        "structure_of_examples": np.column_stack([replica, frames, particle, label]),
        "count_grouped_pairs": np.linspace(0.01, 0.3, 11),
        "count_strata": {name: np.tile(np.linspace(0.01, 0.3, 6), (3, 1)) for name in plan.settings["structural"]},
    }
    return [results[function]] if function in results else []


def call(plan, function):
    """Run the middle task of a function in a row."""
    tasks = [task for task in tasks_of(plan) if task.function.__name__ == function]
    blocks = [next(argument for argument in task.arguments if isinstance(argument, Block)) for task in tasks]
    there = [k for k, block in enumerate(blocks) if (block.temperature, block.replica) == (0.8, 0)]
    k = there[len(there) // 3]
    tasks[k].function(*tasks[k].arguments, *needed(plan, function, blocks[k]), **tasks[k].settings)


def resident(which):
    return 1024 * int(re.search(rf"{which}:\s+(\d+)", Path("/proc/self/status").read_text())[1])


def grown(small, large, function):
    """Bytes by which this process grows while it runs a task, once it has run a small one."""
    call(thermal(small, *SMALL), function)
    plan = thermal(large, *LARGE)
    Path("/proc/self/clear_refs").write_text("5")  # the peak is counted from here
    before = resident("VmRSS")
    call(plan, function)
    return resident("VmHWM") - before


@pytest.fixture(scope="module")
def stores(tmp_path_factory):
    folders = [tmp_path_factory.mktemp(name) for name in ("small", "large")]
    for folder, size in zip(folders, (SMALL, LARGE), strict=True):
        lay_out_and_fill(thermal(folder, *size))
    return folders


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells the peak of a process")
@pytest.mark.parametrize("function", MEASURED)
def test_the_memory_of_a_task_is_foreseen(stores, function):
    # one peak may hold the compiler too, and the kernel counts pages by core: the median of three fresh processes tells
    processes = multiprocessing.get_context("forkserver")
    processes.set_forkserver_preload([__name__])
    with processes.Pool(1, maxtasksperchild=1) as fresh:
        peak = statistics.median(fresh.starmap(grown, 3 * [(*stores, function)], chunksize=1))
    assert 0.7 < nbytes_of(thermal(stores[1], *LARGE), function) / peak < 1.45


@pytest.mark.parametrize("function", ["label", "select"])
def test_tasks_on_whole_rows_grow_with_the_run(tmp_path, function):
    short, long = (nbytes_of(thermal(tmp_path, 4096, frames), function) for frames in (2001, 4001))
    assert long / short == pytest.approx(2, rel=0.1)


@pytest.mark.parametrize("function", ["convert", *MEASURED])
def test_tasks_on_blocks_do_not_grow_with_the_run(tmp_path, function):
    assert nbytes_of(thermal(tmp_path, 4096, 2001), function) == nbytes_of(thermal(tmp_path, 4096, 4001), function)


def test_a_study_that_fits_into_its_workers_is_let_through(tmp_path):
    kinds = kinds_of(thermal(tmp_path))
    check_fits(kinds, 2 * max(kind.memory for kind in kinds))


def test_a_task_that_would_fill_its_worker_is_refused(tmp_path):
    # the nanny ends a worker at 95 % of its memory
    kinds = kinds_of(thermal(tmp_path))
    largest = max(kind.memory for kind in kinds)
    check_fits(kinds, int(largest / 0.94))
    with pytest.raises(StudyError, match="95% of it for use"):
        check_fits(kinds, int(largest / 0.96))


def test_a_task_that_does_not_fit_is_refused_with_what_it_needs_and_the_remedy(tmp_path):
    kinds = kinds_of(thermal(tmp_path, 32768, 1001))
    with pytest.raises(
        StudyError, match=r"ka_0\.0: stage ensemble \(bulk_dynamics of the production run, 1,001 frames.*needs .* GB"
    ) as error:
        check_fits(kinds, BASE + 10**8)
    assert "has 0.54 GB" in str(error.value)
    assert "fewer `processes`" in str(error.value)
    assert "fewer frames" in str(error.value)


def test_motion_in_a_long_run_needs_no_more_memory_than_in_one_of_a_thousand_frames(tmp_path):
    largest = {
        frames: max(
            kind.memory for kind in kinds_of(thermal(tmp_path, 32768, frames)) if kind.function == "bulk_dynamics"
        )
        for frames in (1001, 1025, 100_001)
    }
    assert largest[1025] < largest[1001]
    # beside its frames, it holds the shards that it reads them from
    assert largest[100_001] < 1.5 * largest[1001]


def test_a_process_with_everything_imported_counts_too(tmp_path):
    with pytest.raises(StudyError, match="needs"):
        check_fits(kinds_of(thermal(tmp_path, 1000, 21)), BASE)


def test_the_largest_kind_of_every_stage_is_found(tmp_path):
    kinds = kinds_of(thermal(tmp_path, 32768, 1001))
    assert largest_of(kinds)["structure"].function == "select"
    assert largest_of(kinds)["softness"].function == "soften"


def test_a_task_longer_than_workers_live_is_warned_of(tmp_path):
    plans = costs_of(THERMAL.format(folder=tmp_path, particles=100_000, frames=1001), tmp_path)
    assert longer_than(plans, math.inf) == []
    (warning, *_) = longer_than(plans, 1.0)
    assert re.match(
        r"ka_0\.0: a task of stage \w+ takes about .* h, and a worker leaves after .* ask for a longer one", warning
    )
    # a worker has lived for a while when it begins: half of its lifetime is what a task can count on
    longest = max(
        3600 * hours / sum(kind.number for kind in plans[0].kinds if kind.stage == stage and kind.frames)
        for stage, hours in plans[0].hours.items()
        if stage in ("convert", "hops", "softness", "entropy", "indicators", "ensemble", "barriers")
    )
    assert longer_than(plans, 1.9 * longest) != []
    assert longer_than(plans, 2.1 * longest) == []


# --- workers -------------------------------------------------------------------------------------------------------


def test_local_workers_share_the_memory_as_dask_shares_it(tmp_path):
    file = tmp_path / "cluster.yaml"
    file.write_text("local: {type: local, workers: 4}\n")
    workers, cores = workers_of(load_profile("local", file)), len(os.sched_getaffinity(0))
    assert workers == Workers(4, parse_memory_limit("auto", 1, 4, logger=None), threads=max(1, cores // 4), cores=cores)


def test_workers_of_a_batch_system_share_the_memory_of_their_job(tmp_path):
    file = tmp_path / "cluster.yaml"
    file.write_text(
        'hpc: {type: slurm, jobs: 10, cores: 16, processes: 8, memory: 64GB, walltime: "04:00:00", interface: ib0}\n'
    )
    assert workers_of(load_profile("hpc", file)) == Workers(
        80, 8 * 10**9, 10, lifetime=4 * 3600 - 3 * 300, threads=2, cores=160
    )


def test_wall_time_is_the_work_shared_but_not_less_than_the_longest_chain(tmp_path):
    (tmp_path / "study.yaml").write_text(THERMAL.format(folder=tmp_path, particles=1000, frames=101))
    (cost,) = found = costs(load_study(tmp_path / "study.yaml"))
    hours = sum(cost.hours.values())
    # the temperatures of a replica wait for one another until they are handed over, and then no more
    assert cost.chain < cost.hours["simulate"] / 2
    (tmp_path / "study.yaml").write_text(
        THERMAL.format(folder=tmp_path, particles=1000, frames=101).replace(
            "simulate:", "simulate:\n    handover: full"
        )
    )
    (in_turn,) = costs(load_study(tmp_path / "study.yaml"))
    assert in_turn.chain == pytest.approx(in_turn.hours["simulate"] / 2)
    assert wall_hours(found, 1) == pytest.approx(hours)
    assert wall_hours(found, 1000) == pytest.approx(cost.chain)


def test_what_is_left_takes_its_share_of_its_stage_and_of_each_task(tmp_path):
    plan = plans_of(
        THERMAL.format(folder=tmp_path, particles=1000, frames=101).replace(
            "    production:", "    relaxation_time: {0.9: 4.0, 0.8: 40.0, 0.7: 400.0}\n    production:"
        ),
        tmp_path,
    )[0]
    tasks = tasks_of(plan)
    hops = [task for task in tasks if task.function.__name__ == "hops"]
    total, parts = seconds_left([plan], tasks), [seconds_left([plan], hops[k::2]) for k in (0, 1)]
    hours = cost_of(plan).hours
    assert total == pytest.approx(3600 * (sum(hours.values()) - hours["figures"]))
    assert total > OF_A_TASK * len(tasks)
    assert sum(parts) == pytest.approx(seconds_left([plan], hops))
    assert seconds_left([plan], []) == 0.0


def test_figures_that_are_left_take_their_time_too(tmp_path):
    plan = thermal(tmp_path)
    figures = figure_tasks([plan], [])
    assert seconds_left([plan], figures) == pytest.approx(3600 * cost_of(plan).hours["figures"])
    assert seconds_left([plan], figures[:2]) == pytest.approx(seconds_left([plan], figures) * 2 / len(figures))


def test_every_stage_of_a_study_has_a_price(tmp_path):
    cost = cost_of(thermal(tmp_path))
    assert cost.hours.keys() == {*cost.tasks, "figures"}
    assert min(cost.hours.values()) > 0


def test_simulations_of_as_many_steps_as_nobody_knows_are_no_small_work(tmp_path):
    mine = (
        "system: mine, mixture: {species: [A, B], fractions: [0.8, 0.2], delta: 0.0, cutoff: 2.5, density: 1.2, pairs: {"
        "AA: {epsilon: 1.0, sigma: 1.0}, AB: {epsilon: 1.5, sigma: 0.8}, BB: {epsilon: 0.5, sigma: 0.88}}}"
    )
    text = THERMAL.format(folder=tmp_path, particles=1000, frames=101).replace("system: ka_0.0", mine)
    (plan,) = plans_of(text, tmp_path)
    tasks = tasks_of(plan)
    assert seconds_left([plan], tasks) == math.inf
    assert seconds_left([plan], [task for task in tasks if task.stage != "simulate"]) < math.inf


def test_what_does_not_fit_into_this_process_is_refused_before_anything_is_written(tmp_path):
    (tmp_path / "study.yaml").write_text(THERMAL.format(folder=tmp_path, particles=1000, frames=101))
    with pytest.raises(StudyError, match=r"needs .* GB in a worker, which has 0\.5 GB"):
        pipeline.run(
            load_study(tmp_path / "study.yaml"), lambda seconds: Here(memory=500_000_000), draw=lambda plans, tasks: []
        )
    assert not (tmp_path / "planned.zarr").exists()


def test_without_a_cluster_this_process_has_all_memory():
    assert workers_of(load_profile("none")) == Workers(1, parse_memory_limit("auto", 1, 1, logger=None))


def test_relaxation_times_are_foreseen_within_a_factor_of_two(tmp_path):
    study = load_study(ROOT / "pipelines/validation.yaml")
    systems = {system.system: system for system in study.systems}
    for name, tables in read_tables(ROOT / "docs/validation").items():
        source = simulated(study, systems[name], Ledger(tmp_path / "nothing.zarr"))
        measured = tables.ensemble["relaxation_time"]
        foreseen = [source.relaxation_time(T) for T in measured["temperature"].values]
        assert np.abs(np.log(foreseen / measured)).max() < np.log(2), name


def test_the_steps_foreseen_are_those_that_the_engine_will_take(tmp_path):
    tau = {0.9: 4.0, 0.8: 40.0}
    known = f"relaxation_time: {tau}\n    relaxation: {{longest: 25, origins: 7, points: 20}}\n    production:"
    text = THERMAL.format(folder=tmp_path, particles=1000, frames=101).replace("production:", known)
    (cost,) = costs_of(text.replace("[0.9, 0.8, 0.7]", "[0.9, 0.8]"), tmp_path)
    # at least 100 τ_A, or 20 τ_α at the hottest temperature and 8 at the coldest
    equilibration = {0.9: 100_000, 0.8: 320_000}
    relaxation = {T: expected_length(Logarithmic(7, 20, 25.0), tau[T]) / 1e-3 for T in tau}
    uniform = uniform_steps(Uniform(101, 1.0), 1e-3)[-1]
    of_replica = sum(equilibration.values()) + sum(relaxation.values()) + uniform * 3  # one of them for training
    assert cost.particle_steps == pytest.approx(1000 * 2 * of_replica, rel=1e-6)


def test_files_and_bytes_foreseen_are_those_that_the_arrays_have(tmp_path):
    plan = thermal(tmp_path, 500, 40)
    cost = cost_of(plan)
    files = nbytes = 0
    for run, layout in plan.layouts.items():
        lay_out(plan.path, layout, attributes(plan, None), plan.source.attributes(run))
        for variable in layout.variables:
            array = zarr.open_array(plan.path, path=f"{SYSTEM}/{run}/{variable.name}", mode="r")
            files += math.prod(
                -(-size // each) for size, each in zip(array.shape, array.shards or array.chunks, strict=True)
            )
            nbytes += array.nbytes
    assert (cost.files, cost.nbytes) == (files, nbytes)


def test_a_dry_run_says_jobs_workers_memory_and_wall_time(tmp_path, capsys):
    (tmp_path / "study.yaml").write_text(THERMAL.format(folder=tmp_path, particles=1000, frames=101))
    print_costs("planned", "planned.zarr", costs(load_study(tmp_path / "study.yaml")), Workers(160, 4 * 10**9, 10))
    told = capsys.readouterr().out
    assert "workers: 10 jobs × 16 = 160, 4 GB each; the largest task needs" in told
    assert "wall time: about" in told
