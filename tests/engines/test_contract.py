"""What is true of every engine: its state, its ensemble, its checkpoints, its frames and its minima."""

import importlib
import itertools
import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import gsd.hoomd
import numpy as np
import pytest

from daskglass.engines import ENERGY, PRESSURE, TEMPERATURE, get_engine, get_minimizer, saved
from daskglass.engines.link import Duration, Link
from daskglass.engines.schedules import Logarithmic, Uniform
from daskglass.engines.sweep import simulate
from daskglass.errors import EngineError, StudyError
from daskglass.physics.energies import pair_energy, pair_force
from daskglass.physics.systems import kob_andersen

ENGINES = ("lammps", "hoomd")
MOST_EVALUATIONS = {
    "native": "physics.minima.MOST_EVALUATIONS",
    "lammps": "engines.lammps.MAX_EVALUATIONS",
    "hoomd": "engines.hoomd.MAX_EVALUATIONS",
}
MIXTURE = kob_andersen(0.0)
PARTICLES = 300  # the smallest boxes of every engine hold at least 211
BOX = np.full(3, MIXTURE.box_length(PARTICLES))
SETTLED = 3000  # steps of 0.004 after which the thermostat of every engine is its Nosé-Hoover one


def installed(name):
    pytest.importorskip(name, reason=f"engine {name} is not installed")
    return name


@pytest.fixture(params=ENGINES, scope="module")
def name(request):
    return installed(request.param)


@pytest.fixture(scope="module")
def engine(name):
    return get_engine(name)


@pytest.fixture(params=MOST_EVALUATIONS, scope="module")
def minimizing(request):
    return request.param if request.param == "native" else installed(request.param)


@pytest.fixture(scope="module")
def minimizer(minimizing):
    """Engine of which nothing more is asked than minima."""
    return get_minimizer(minimizing)


@pytest.fixture
def reproducible(request):
    """Skip where two runs do not agree to the bit: a GPU sums forces in an order of its own."""
    name = request.getfixturevalue("minimizing" if "minimizer" in request.fixturenames else "name")
    if name == "hoomd" and importlib.import_module("hoomd").device.GPU.get_available_devices():
        pytest.skip("engine hoomd computes on a GPU, where no two runs agree to the bit")


@pytest.fixture(scope="module")
def liquid():
    """Six thermal frames of a small equilibrated liquid: (frames, particles, 3) float32, and species."""
    with get_engine("lammps").start(MIXTURE, PARTICLES, 5, 1.0, 0.004) as simulation:
        simulation.run(SETTLED)
        frames = []
        for _ in range(6):
            simulation.run(100)
            frames.append(simulation.positions())
        species = simulation.frame().particles.typeid
    return np.array(frames, dtype=np.float32), species


@pytest.fixture
def started(engine):
    """One simulation at the start, its lattice still whole."""
    with engine.start(MIXTURE, PARTICLES, 1, 1.0, 0.004) as simulation:
        yield simulation


def energy_by_hand(mixture, positions):
    """Sum of the pair energies of unwrapped positions sorted by species."""
    i, j = np.triu_indices(len(positions), 1)
    separation = positions[i] - positions[j]
    box = mixture.box_length(len(positions))
    r = np.linalg.norm(separation - box * np.rint(separation / box), axis=1)
    names = np.repeat(mixture.species, mixture.counts(len(positions)))
    return sum(pair_energy(mixture, a, b, r[(names[i] == a) & (names[j] == b)]).sum() for a, b in ("AA", "AB", "BB"))


def test_start_has_sorted_species_the_asked_density_and_temperature(engine):
    with engine.start(kob_andersen(0.2), PARTICLES, 1, 2.5, 0.001) as simulation:
        assert simulation.step == 0
        frame = simulation.frame()
    assert frame.particles.types == ["A", "B"]
    np.testing.assert_array_equal(frame.particles.typeid, np.repeat([0, 1], [240, 60]))
    assert PARTICLES / np.prod(frame.configuration.box[:3]) == pytest.approx(1.16)
    assert frame.log[TEMPERATURE][0] == pytest.approx(2.5)


def test_start_depends_on_the_seed_and_on_nothing_else(engine, reproducible):
    def positions(seed):
        with engine.start(MIXTURE, PARTICLES, seed, 1.0, 0.004) as simulation:
            simulation.run(50)
            return simulation.positions()

    np.testing.assert_array_equal(positions(1), positions(1))
    assert not np.array_equal(positions(1), positions(2))


def test_momentum_stays_zero(started):
    before = started.positions().mean(axis=0)
    started.run(200)
    np.testing.assert_allclose(started.positions().mean(axis=0), before, atol=1e-9)


def test_a_run_in_pieces_is_the_run_in_one(engine):
    def positions(pieces):
        with engine.start(MIXTURE, PARTICLES, 1, 1.0, 0.004) as simulation:
            for steps in pieces:
                simulation.run(steps)
            assert simulation.step == 30
            return simulation.positions()

    np.testing.assert_allclose(positions([30]), positions([7, 1, 22]), atol=1e-10)


def test_hot_start_of_the_widest_built_in_well_is_stable(engine):
    with engine.start(kob_andersen(0.4), PARTICLES, 3, 6.29, 0.001) as simulation:
        simulation.run(2000)
        assert simulation.frame().log[TEMPERATURE][0] == pytest.approx(6.29, rel=0.3)


def test_thermostat_samples_the_canonical_kinetic_temperature(engine):
    T, steps = 1.0, 32_000
    with engine.start(MIXTURE, PARTICLES, 4, T, 0.004) as simulation:
        simulation.run(5000)
        samples = [simulation.run(40) or simulation.frame().log[TEMPERATURE][0] for _ in range(steps // 40)]
    # the temperature of whole steps is lower than that of half steps by Δt²⟨a²⟩/12, 0.004 here, and HOOMD-blue's
    # thermostat holds the latter; statistical errors are below 0.003 for the mean and 0.15 for the ratio of variances
    assert np.mean(samples) == pytest.approx(T, abs=0.013)
    assert 0.5 < np.var(samples) / (2 * T**2 / (3 * PARTICLES)) < 1.7


def test_set_temperature_changes_the_temperature(engine):
    with engine.start(MIXTURE, PARTICLES, 1, 2.0, 0.004) as simulation:
        simulation.set_temperature(1.0)
        simulation.run(SETTLED)
        samples = [simulation.run(50) or simulation.frame().log[TEMPERATURE][0] for _ in range(20)]
    assert np.mean(samples) == pytest.approx(1.0, abs=0.08)


@pytest.mark.parametrize("delta", [0.0, 0.3])
def test_energy_of_a_liquid_is_the_sum_over_its_pairs(engine, delta):
    mixture = kob_andersen(delta)
    with engine.start(mixture, PARTICLES, 1, 3.0, 0.001) as simulation:
        simulation.run(1003)
        energy = simulation.frame().log[ENERGY][0]
        assert energy == pytest.approx(energy_by_hand(mixture, simulation.positions()), rel=1e-10)


def test_pressure_is_that_of_the_virial(engine):
    # of the lattice at T: P = ρT(N − 1)/N − dU/d(3V), from the energies of the lattice scaled up and down; T has 3N − 3
    # degrees of freedom
    with engine.start(MIXTURE, PARTICLES, 1, 1.0, 0.004) as simulation:
        positions, pressure = simulation.positions(), simulation.frame().log[PRESSURE][0]

    def energy(scale):
        # interactions keep their cut-off: pairs near it contribute their force, not the step of their number
        return energy_within(positions * scale, BOX[0] * scale, positions)

    volume, h = np.prod(BOX), 1e-6
    virial = -(energy(1 + h) - energy(1 - h)) / (6 * h * volume)
    assert pressure == pytest.approx(1.0 * (PARTICLES - 1) / volume + virial, rel=1e-5)


def energy_within(positions, box, reference):
    """Energy of the pairs that interact in `reference`, without shift, at the separations of `positions`."""
    i, j = np.triu_indices(len(positions), 1)

    def distance(points, edge):
        separation = points[i] - points[j]
        return np.linalg.norm(separation - edge * np.rint(separation / edge), axis=1)

    names = np.repeat(MIXTURE.species, MIXTURE.counts(len(positions)))
    r, r_0 = distance(positions, box), distance(reference, BOX[0])
    total = 0.0
    for a, b in ("AA", "AB", "BB"):
        pair = MIXTURE.pair(a, b)
        kind = ((names[i] == a) & (names[j] == b)) | ((names[i] == b) & (names[j] == a))
        inverse_6 = (pair.sigma / r[kind & (r_0 < MIXTURE.cutoff * pair.sigma)]) ** 6
        total += (4 * pair.epsilon * (inverse_6**2 - inverse_6)).sum()
    return total


def test_frames_hold_wrapped_positions_that_unwrap_to_the_same_place(engine):
    with engine.start(MIXTURE, PARTICLES, 1, 3.0, 0.004) as simulation:
        simulation.run(SETTLED)
        frame, unwrapped = simulation.frame(), simulation.positions()
    box = frame.configuration.box[:3]
    assert frame.configuration.step == SETTLED
    assert frame.configuration.box.dtype == frame.particles.position.dtype == np.float32
    assert frame.particles.N == PARTICLES
    assert (np.abs(frame.particles.position) <= box / 2).all()
    assert np.any(frame.particles.image)
    again = frame.particles.position + frame.particles.image * box + box / 2
    np.testing.assert_allclose(again, unwrapped, atol=1e-5)


def test_a_frame_is_written_and_read_back_the_same(started, tmp_path):
    frame = started.frame()
    with gsd.hoomd.open(tmp_path / "frame.gsd", "w") as file:
        file.append(frame)
    with gsd.hoomd.open(tmp_path / "frame.gsd", "r") as file:
        again = file[0]
    np.testing.assert_array_equal(again.particles.position, frame.particles.position)
    np.testing.assert_array_equal(again.particles.image, frame.particles.image)
    assert {key: value[0] for key, value in again.log.items()} == {key: value[0] for key, value in frame.log.items()}


def test_looking_at_a_simulation_does_not_change_it(engine, reproducible):
    def positions(look):
        with engine.start(MIXTURE, PARTICLES, 1, 1.0, 0.004) as simulation:
            for _ in range(20):
                simulation.run(20)
                if look:
                    simulation.frame()
            return simulation.positions()

    np.testing.assert_array_equal(positions(look=True), positions(look=False))


def test_nothing_is_printed_or_left_behind(engine, tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    with engine.start(MIXTURE, PARTICLES, 70_000, 1.0, 0.004) as simulation:
        simulation.run(10)
        positions, species = simulation.positions(), simulation.frame().particles.typeid
    engine.minimize(MIXTURE, positions[None], species, BOX)
    assert capfd.readouterr() == ("", "")
    assert os.listdir(tmp_path) == []


def test_simulations_in_two_threads_do_not_disturb_each_other(engine, reproducible):
    def positions(seed):
        with engine.start(MIXTURE, PARTICLES, seed, 1.0, 0.004) as simulation:
            for _ in range(10):
                simulation.run(50)
            return simulation.positions()

    alone = [positions(seed) for seed in range(4)]
    with ThreadPoolExecutor(2) as pool:
        together = list(pool.map(positions, range(4)))
    np.testing.assert_array_equal(together, alone)


def test_an_exploding_simulation_is_an_error_in_the_words_of_the_engine(name, engine):
    with (
        engine.start(MIXTURE, PARTICLES, 1, 1.0, 1.0) as simulation,
        pytest.raises(EngineError, match={"lammps": "LAMMPS", "hoomd": "HOOMD-blue"}[name]),
    ):
        simulation.run(1000)


@pytest.mark.parametrize("steps", [200, SETTLED], ids=["settling", "settled"])
def test_checkpoint_continues_to_the_bit_from_a_folder_with_spaces(engine, tmp_path, steps, reproducible):
    path = tmp_path / "a folder" / "check point"
    path.parent.mkdir()
    with engine.start(MIXTURE, PARTICLES, 1, 1.0, 0.004) as simulation:
        simulation.run(steps)
        simulation.save(path)
        before = simulation.positions()

    def go_on():
        with engine.load(path, MIXTURE, 0.004, 0.9) as simulation:
            assert simulation.step == steps
            np.testing.assert_array_equal(simulation.positions(), before)
            simulation.run(200)
            return simulation.positions()

    np.testing.assert_array_equal(go_on(), go_on())


@pytest.mark.parametrize("steps", [200, SETTLED], ids=["settling", "settled"])
def test_checkpoint_keeps_velocities_and_thermostat(engine, tmp_path, steps):
    with engine.start(MIXTURE, PARTICLES, 1, 1.0, 0.004) as simulation:
        simulation.run(steps)
        simulation.save(tmp_path / "c")
        simulation.run(20)
        expected = simulation.positions()
    with engine.load(tmp_path / "c", MIXTURE, 0.004, 1.0) as simulation:
        simulation.run(20)
        np.testing.assert_allclose(simulation.positions(), expected, atol=1e-9)


@pytest.mark.parametrize("content", [None, b"", b"not a checkpoint"], ids=["missing", "empty", "other"])
def test_what_is_no_checkpoint_is_an_error(engine, tmp_path, content):
    if content is not None:
        (tmp_path / "c").write_bytes(content)
    with pytest.raises(EngineError):
        engine.load(tmp_path / "c", MIXTURE, 0.004, 1.0)


def test_minima_have_no_force_and_less_energy_than_the_frames(minimizer, liquid):
    positions, species = liquid
    minima = minimizer.minimize(MIXTURE, positions[:3], species, BOX)
    again = minimizer.minimize(MIXTURE, minima.positions, species, BOX)
    assert minima.converged.all()
    assert (minima.force_rms <= 1e-5).all()
    assert (minima.energy < -7.2).all()
    assert minima.positions.dtype == np.float32
    np.testing.assert_allclose(again.positions, minima.positions, atol=2e-3)  # a minimum stays where it is


def test_a_minimum_read_back_in_single_precision_has_forces_of_about_1e_4(minimizer, liquid):
    positions, species = liquid
    minima = minimizer.minimize(MIXTURE, positions[:1], species, BOX, tolerance=1e-7)
    x = minima.positions[0].astype(float)
    separation = x[:, None] - x
    separation -= BOX * np.rint(separation / BOX)
    r = np.linalg.norm(separation, axis=-1)
    np.fill_diagonal(r, np.inf)
    force = np.zeros_like(r)
    for (a, first), (b, second) in itertools.product(enumerate("AB"), repeat=2):
        pairs = (species[:, None] == a) & (species == b) & np.isfinite(r)
        force[pairs] = pair_force(MIXTURE, first, second, r[pairs])
    total = ((force / r)[..., None] * separation).sum(axis=1)
    assert minima.force_rms[0] <= 1e-7
    assert 2e-5 < np.sqrt((total**2).sum() / PARTICLES) < 4e-4


def test_energy_of_a_minimum_is_the_sum_over_its_pairs(minimizer, liquid):
    positions, species = liquid
    minima = minimizer.minimize(MIXTURE, positions[:1], species, BOX)
    by_hand = energy_by_hand(MIXTURE, minima.positions[0].astype(float)) / PARTICLES
    assert minima.energy[0] == pytest.approx(by_hand, abs=1e-8)


def test_a_frame_is_minimised_to_the_same_bits_whatever_its_block(minimizer, liquid, reproducible):
    positions, species = liquid
    together = minimizer.minimize(MIXTURE, positions, species, BOX)
    alone = minimizer.minimize(MIXTURE, positions[4:5], species, BOX)
    pair = minimizer.minimize(MIXTURE, positions[[4, 1]], species, BOX)
    for other in (alone, pair):
        np.testing.assert_array_equal(together.positions[4], other.positions[0])
        assert together.force_rms[4] == other.force_rms[0]
        assert together.evaluations[4] == other.evaluations[0]
    np.testing.assert_array_equal(together.positions[1], pair.positions[1])


def test_minima_are_continuous_with_unwrapped_frames(minimizer, liquid):
    positions, species = liquid
    images = np.random.default_rng(0).integers(-3, 4, positions[:1].shape)
    moved = (positions[:1].astype(float) + images * BOX).astype(np.float32)
    minima = minimizer.minimize(MIXTURE, moved, species, BOX)
    assert np.linalg.norm(minima.positions - moved, axis=2).max() < 1.5


def test_every_frame_has_its_own_box(minimizer, liquid, reproducible):
    positions, species = liquid
    stretched = np.stack([positions[0], positions[0] * np.float32(1.02)])
    minima = minimizer.minimize(MIXTURE, stretched, species, np.stack([BOX, BOX * 1.02]))
    alone = minimizer.minimize(MIXTURE, stretched[1:], species, BOX * 1.02)
    assert minima.converged.all()
    np.testing.assert_array_equal(minima.positions[1], alone.positions[0])


def test_a_frame_that_is_not_finite_is_named(minimizer, liquid):
    positions, species = liquid
    broken = positions.copy()
    broken[2, 17, 1] = np.nan
    with pytest.raises(EngineError, match="frame 2, particle 17"):
        minimizer.minimize(MIXTURE, broken, species, BOX)


def test_positions_that_do_not_fit_the_species_are_refused(minimizer, liquid):
    positions, species = liquid
    with pytest.raises(EngineError, match="positions must have the shape"):
        minimizer.minimize(MIXTURE, positions[:, :-1], species, BOX)
    with pytest.raises(EngineError, match="species codes must be"):
        minimizer.minimize(MIXTURE, positions, species + 1, BOX)


def test_a_frame_that_does_not_converge_is_reported(minimizing, minimizer, liquid, monkeypatch):
    monkeypatch.setattr(f"daskglass.{MOST_EVALUATIONS[minimizing]}", 10)
    positions, species = liquid
    minima = minimizer.minimize(MIXTURE, positions[:2], species, BOX)
    assert not minima.converged.any()
    assert (minima.force_rms > 1e-5).all()
    assert (minima.evaluations <= 12).all()


def test_an_unknown_minimizer_is_refused(minimizer, liquid):
    positions, species = liquid
    with pytest.raises(StudyError, match="minimizer 'sd'"):
        minimizer.minimize(MIXTURE, positions[:1], species, BOX, minimizer="sd")


class Interrupted(Exception):
    pass


def recorded(folder):
    """Every frame recorded in a link's folder, comparable to the bit."""
    content = {}
    for path in sorted(folder.glob("*.gsd")):
        with gsd.hoomd.open(path, "r") as file:
            content[path.name] = [
                (
                    frame.configuration.step,
                    frame.particles.position.tobytes(),
                    frame.particles.image.tobytes(),
                    {key: value.tobytes() for key, value in frame.log.items()},
                )
                for frame in file
            ]
    return content


def test_an_interrupted_link_records_the_same_bits_and_a_colder_one_goes_on_from_it(
    name, tmp_path, monkeypatch, reproducible
):
    monkeypatch.setattr(saved, "SEGMENT", PARTICLES * 700)  # 700 steps: not a multiple of any interval
    link = Link(
        engine=name,
        system="ka_0.0",
        mixture=MIXTURE,
        particles=PARTICLES,
        replica=0,
        seed=1,
        temperature=2.0,
        timestep=0.004,
        folder=tmp_path / "link",
        production=Uniform(5, 1.0),
        relaxation=Logarithmic(origins=2, points=8, longest=5),
        equilibration=Duration(minimum=8.0, multiple=5.0),
    )
    whole = replace(link, folder=tmp_path / "whole")
    receipt = simulate(whole)
    for call in (5, 9, 20):
        calls = iter(range(10**9))

        def report(step, total, energy, calls=calls, call=call):
            if next(calls) == call:
                raise Interrupted

        with pytest.raises(Interrupted):
            simulate(link, report)
    assert simulate(link).steps == receipt.steps
    assert recorded(link.folder) == recorded(whole.folder)
    assert [frame[0] for frame in recorded(link.folder)["production.gsd"]] == [0, 250, 500, 750, 1000]
    assert receipt.temperature == pytest.approx(2.0, abs=0.5)

    cold = replace(
        link, temperature=1.5, folder=tmp_path / "cold", previous=link.folder, relaxation=None, relaxation_time=1.0
    )
    assert simulate(cold).energy < receipt.energy - 0.1


@pytest.fixture
def both():
    return [get_engine(installed(name)) for name in ENGINES]


def test_engines_start_from_the_same_state(both):
    frames = []
    for engine in both:
        with engine.start(kob_andersen(0.2), PARTICLES, 7, 1.0, 0.001) as simulation:
            frames.append(simulation.frame())
    first, second = frames
    np.testing.assert_array_equal(first.particles.typeid, second.particles.typeid)
    np.testing.assert_allclose(first.particles.position, second.particles.position, atol=1e-6)
    for key in (ENERGY, PRESSURE, TEMPERATURE):
        assert first.log[key][0] == pytest.approx(second.log[key][0], rel=1e-10)


def test_engines_find_the_same_inherent_structure(minimizer, liquid):
    positions, species = liquid
    native = get_minimizer("native")
    minima = native.minimize(MIXTURE, positions[:2], species, BOX)
    # from a thermal frame every minimiser may fall into another of many near basins; from here there is but one
    near = minima.positions + np.random.default_rng(1).normal(0, 0.005, minima.positions.shape).astype(np.float32)
    first, second = (engine.minimize(MIXTURE, near, species, BOX, tolerance=1e-7) for engine in (native, minimizer))
    assert first.converged.all()
    assert second.converged.all()
    np.testing.assert_allclose(first.energy, second.energy, atol=1e-9)
    np.testing.assert_allclose(first.positions, second.positions, atol=1e-3)


def test_an_unknown_engine_is_refused_with_those_there_are():
    with pytest.raises(StudyError, match="unknown engine 'gromacs': choose lammps or hoomd"):
        get_engine("gromacs")


# T = 0.70: mean of the frames of an independent trajectory of the same liquid, N = 4096, 200 τ_A; T = 0.90: published
# with that trajectory, whose frames give -6.177 and 8.77
@pytest.mark.long
@pytest.mark.parametrize(("temperature", "energy", "pressure"), [(0.90, -6.171, 8.77), (0.70, -6.519, 6.42)])
def test_energy_and_pressure_of_the_reference_liquid(engine, temperature, energy, pressure):
    with engine.start(MIXTURE, 4096, 1, 1.8, 0.004) as simulation:
        simulation.run(5000)
        for T in (0.90, temperature):
            simulation.set_temperature(T)
            simulation.run(25000)
        logs = [simulation.run(250) or simulation.frame().log for _ in range(100)]
    assert np.mean([log[ENERGY] for log in logs]) / 4096 == pytest.approx(energy, abs=0.01)
    assert np.mean([log[PRESSURE] for log in logs]) == pytest.approx(pressure, abs=0.1)
