"""The HOOMD-blue engine: what is its own, and what it refuses."""

import importlib
from types import SimpleNamespace

import numpy as np
import pytest

from daskglass.engines import ENERGY, TEMPERATURE, get_engine, hoomd
from daskglass.errors import EngineError, StudyError
from daskglass.physics.systems import kob_andersen

MIXTURE = kob_andersen(0.0)


@pytest.fixture
def engine():
    pytest.importorskip("hoomd", reason="engine hoomd is not installed")
    return get_engine("hoomd")


@pytest.fixture
def other_library():
    """Whatever a test puts in the place of HOOMD-blue is forgotten afterwards."""
    hoomd.library.cache_clear()
    yield
    hoomd.library.cache_clear()


def test_energy_is_conserved_without_thermostat(engine):
    with engine.start(MIXTURE, 300, 2, 1.0, 0.002) as simulation:
        simulation.run(6000)
        simulation._method.thermostat = None
        energies = []
        for _ in range(20):
            simulation.run(250)
            log = simulation.frame().log
            energies.append(log[ENERGY][0] / 300 + 1.5 * log[TEMPERATURE][0] * 299 / 300)
    assert np.std(energies) < 1e-3
    assert abs(np.polyfit(np.arange(20), energies, 1)[0] * 20) < 1e-3


def test_a_change_of_temperature_does_not_ring(engine):
    # a single Nosé-Hoover thermostat alone would swing by 0.8 around 2.0, and lose a third of that in 6 τ_A
    with engine.start(MIXTURE, 500, 1, 2.0, 0.004) as simulation:
        simulation.run(3000)
        samples = [simulation.run(25) or simulation.frame().log[TEMPERATURE][0] for _ in range(60)]
    assert np.std(samples) < 2.5 * 2.0 * (2 / 3 / 500) ** 0.5


def test_checkpoint_loses_nothing(engine, tmp_path):
    with engine.start(MIXTURE, 300, 1, 1.0, 0.004) as simulation:
        simulation.run(2600)
        simulation.save(tmp_path / "first")
    with engine.load(tmp_path / "first", MIXTURE, 0.004, 1.0) as simulation:
        simulation.save(tmp_path / "second")
    with np.load(tmp_path / "first") as first, np.load(tmp_path / "second") as second:
        assert first["positions"].dtype == first["velocities"].dtype == np.float64
        assert np.any(first["thermostat"])
        for name in first:
            np.testing.assert_array_equal(first[name], second[name])


def test_checkpoint_of_another_mixture_is_refused(engine, tmp_path):
    with engine.start(MIXTURE, 300, 1, 1.0, 0.004) as simulation:
        simulation.save(tmp_path / "c")
    other = MIXTURE.model_copy(update={"fractions": (0.5, 0.5)})
    with pytest.raises(EngineError, match=r"has \[240, 60\] particles .* \[150, 150\]"):
        engine.load(tmp_path / "c", other, 0.004, 1.0)


def test_a_checkpoint_that_cannot_be_written_is_an_error(engine, tmp_path):
    with (
        engine.start(MIXTURE, 300, 1, 1.0, 0.004) as simulation,
        pytest.raises(EngineError, match="cannot write checkpoint"),
    ):
        simulation.save(tmp_path / "no such folder" / "c")


def test_a_box_too_small_is_refused_with_the_least_number_of_particles(engine):
    with pytest.raises(EngineError, match="at least 211"):
        engine.start(MIXTURE, 210, 1, 1.0, 0.004)
    with engine.start(MIXTURE, 211, 1, 1.0, 0.004) as simulation:
        simulation.run(10)


def test_conjugate_gradients_are_refused(engine):
    with pytest.raises(StudyError, match="unknown hoomd minimizer 'cg': choose fire"):
        engine.minimize(MIXTURE, np.zeros((1, 2, 3)), [0, 1], [9.0] * 3, minimizer="cg")


def test_a_missing_package_is_named_with_its_remedy(monkeypatch, other_library):
    def refuse(name):
        raise ModuleNotFoundError(f"No module named {name!r}")

    monkeypatch.setattr(importlib, "import_module", refuse)
    with pytest.raises(EngineError, match=r"engine hoomd is not installed .* conda install -c conda-forge hoomd"):
        hoomd.Hoomd()


@pytest.mark.parametrize(
    ("version", "precision", "message"),
    [("3.11.0", (64, 32), "is version 3.11.0; daskglass needs 4 or later"), ("4.8.2", (32, 32), "single precision")],
)
def test_an_unfit_version_is_refused(monkeypatch, other_library, version, precision, message):
    old = SimpleNamespace(version=SimpleNamespace(version=version, floating_point_precision=precision))
    monkeypatch.setattr(importlib, "import_module", lambda name: old)
    with pytest.raises(EngineError, match=message):
        hoomd.Hoomd()
