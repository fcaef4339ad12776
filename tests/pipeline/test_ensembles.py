"""Isoconfigurational ensembles from files to the scoreboard: what the store holds."""

import itertools
import re

import numpy as np
import pytest

import daskglass as dg
from daskglass.report.boards import board_tables
from daskglass.report.results import open_results
from tests.pipeline.ensembles import LAGS, MIXTURE, STUDY, TRAJECTORIES, TYPES, N, configuration, failure, run, write
from tests.studies import command, command_here

# one worker runs the study, for all of them
pytestmark = pytest.mark.xdist_group("ensembles")

# a page takes as long as the rest of a small study: none is drawn that is like the one before
UNDRAWN = ("--system", "ka_0.0")


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """Folder of a finished study: one temperature, four configurations, two lags."""
    folder = tmp_path_factory.mktemp("ensembles")
    for number in (1, 2, 3, 5):
        write(folder, number)
    done = run(folder)
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture(scope="module")
def tree(finished):
    return dg.open_store(finished / "ensembles.zarr")


@pytest.fixture(scope="module")
def ensembles(tree):
    return tree["ka_0.0/isoconfigurational"].to_dataset().load()


def test_the_store_holds_configurations_and_propensities(ensembles):
    assert ensembles["propensity"].dims == ("temperature", "replica", "configuration", "lag", "particle")
    assert ensembles["propensity_half"].dims == ("temperature", "replica", "configuration", "lag", "half", "particle")
    assert ensembles["configuration"].values.tolist() == [1, 2, 3, 5]
    assert ensembles["lag"].values.tolist() == list(LAGS)
    assert (ensembles["trajectories"] == TRAJECTORIES).all()
    for number in (1, 5):
        initial, ends = configuration(number)
        one = ensembles.sel(configuration=number).isel(temperature=0, replica=0)
        assert np.allclose(one["position"], initial, atol=1e-6)
        for lag in LAGS:
            moved = ends[lag] - initial
            moved -= moved.mean(axis=1, keepdims=True)
            assert np.allclose(one["propensity"].sel(lag=lag), np.linalg.norm(moved, axis=-1).mean(axis=0), rtol=1e-6)


def test_inherent_structures_of_configurations_are_those_of_the_api(ensembles):
    one = ensembles.isel(temperature=0, replica=0, configuration=1)

    minimum = dg.inherent_structures(one["position"], one["species"], one["box"], MIXTURE)

    assert np.allclose(one["inherent"], minimum, atol=1e-4)
    assert float(one["inherent_force"]) < 1e-5


@pytest.mark.parametrize(("suffix", "positions"), [("", "inherent"), ("_thermal", "position")])
def test_indicators_are_those_of_the_api(ensembles, suffix, positions):
    one = ensembles.isel(temperature=0, replica=0, configuration=2)
    where = (one[positions], one["species"], one["box"])
    everyone = one["species"] >= 0
    of_all = {
        "local_energy": dg.local_energy(*where, MIXTURE),
        "local_density": dg.local_density(*where),
        "local_bond_order": dg.bond_order(*where, 6, [1.1], 0.15).isel(distance=0),
        "local_entropy": dg.local_excess_entropy(dg.structure_functions(*where, centers=everyone)),
    }
    A = one["species"].values == 0

    for name, x in of_all.items():
        assert np.allclose(one[f"{name}{suffix}"][A], x[A], rtol=1e-5)
        assert one[f"{name}{suffix}"][~A].isnull().all()
        for generation in range(4):
            x = dg.neighborhood_average(x, where[0], one["box"])
            averaged = one[f"{name}_averaged{suffix}"].isel(generation=generation)
            assert np.allclose(averaged[A], x[A], rtol=1e-4)


def test_predictions_are_of_configurations_never_seen(ensembles, tree):
    run = ensembles.isel(temperature=0)
    features = dg.structural_features(
        run["inherent"], run["species"], run["box"], MIXTURE, run["position"], generations=1
    ).where(run["species"] == 0)
    target = run["propensity"].sel(lag=100.0, drop=True)

    predicted = dg.LinearPredictor.cross_validated(features, target, ("replica", "configuration"))
    model = dg.LinearPredictor.from_dataset(
        tree["ka_0.0/predictor"].to_dataset().isel(temperature=0).sel(lag=100.0).drop_vars(("temperature", "lag"))
    )

    stored = run["predicted_propensity"].sel(lag=100.0)
    assert np.allclose(stored, predicted.transpose("replica", "configuration", "particle"), rtol=1e-4, equal_nan=True)
    again = dg.LinearPredictor.fit(features, target, ("replica", "configuration"))
    assert np.allclose(model.weights, again.weights, rtol=1e-3, atol=1e-6)
    assert model.predict(features).sizes["configuration"] == 4


def test_the_scoreboard_holds_what_the_api_scores(ensembles, tree):
    board = tree["ka_0.0/scoreboard"].to_dataset().load()
    run = ensembles.isel(temperature=0)
    p, half = run["propensity"], run["propensity_half"]
    averaged = run["local_energy_averaged"].isel(generation=1)

    score = dg.score(averaged, p, run["species"], half, over=("replica", "configuration"))

    one = board.isel(temperature=0).sel(indicator="local_energy, 2")
    for name in ("pearson", "pearson_err", "pearson_pooled", "spearman", "ceiling", "ceiling_err"):
        assert np.allclose(one[name], score[name]), name
    assert board["indicator"].size == 4 * 5 * 2 + 2
    # uniform mobilities between 0.05 and 0.15: the two halves agree, and no structure foresees them
    assert (one["ceiling"] > 0.6).all()
    assert (abs(one["pearson"]) < 4 * one["pearson_err"] + 0.1).all()


def test_differences_are_of_the_same_configurations(tree):
    board = tree["ka_0.0/scoreboard"].to_dataset().load().isel(temperature=0, replica=0).sel(lag=10.0)
    first, second = (board["pearson_each"].sel(indicator=name) for name in ("local_energy, 1", "local_density"))

    apart = board.sel(indicator="local_energy, 1", other="local_density")

    difference = (first - second).values
    assert np.isclose(apart["pearson_difference"], difference.mean())
    assert np.isclose(apart["pearson_difference_err"], difference.std(ddof=1) / 2)


def test_the_page_shows_the_scoreboard(finished):
    page = (finished / "ensembles.figures/index.html").read_text(encoding="utf-8")

    assert "linear predictor" in page
    assert "noise ceiling" in page
    assert "Claims of the paper" not in page
    assert page.count("<figure ") == 3
    assert {"figure_1.png", "figure_2.svg"} <= {file.name for file in (finished / "ensembles.figures").iterdir()}
    (board,) = open_results(finished / "ensembles.zarr").boards
    tables = board_tables(board)
    assert len(tables) == len(LAGS)
    pearson = [abs(float(row[1].replace("−", "-").split()[0])) for row in tables[0].rows]
    assert all(one >= other - 1e-3 for one, other in itertools.pairwise(pearson))


def test_a_finished_study_has_nothing_to_do_and_a_changed_file_is_read_again(finished):
    assert "nothing to do" in run(finished).stdout or "0 tasks" in run(finished).stdout
    before = dg.open_store(finished / "ensembles.zarr")["ka_0.0/isoconfigurational"].dataset["propensity"].load()
    initial, ends = configuration(3)
    moved = ends[10.0].copy()
    moved[:, 0] += 1.0
    np.savez(finished / "T0.5/3_10.npz", types=TYPES, initial_positions=initial, positions=moved)

    done = run(finished, STUDY, *UNDRAWN)

    assert done.returncode == 0, done.stderr
    after = dg.open_store(finished / "ensembles.zarr")["ka_0.0/isoconfigurational"].dataset["propensity"].load()
    changed = (before != after).any("particle").isel(temperature=0, replica=0)
    assert changed.sel(configuration=3).values.tolist() == [True, False]
    assert not changed.sel(configuration=[1, 2, 5]).any()
    write(finished, 3)
    assert run(finished, STUDY, *UNDRAWN).returncode == 0


def test_configurations_and_temperatures_may_join_and_some_files_be_missing(finished):
    write(finished, 8)
    for number in (1, 2, 3):
        write(finished, number, temperature=0.6)
    write(finished, 5, temperature=0.6, lags=(10.0,))

    joined = STUDY.replace("{system: ka_0.0}", "{system: ka_0.0, temperatures: [0.6, 0.5]}")
    done = run(finished, joined)

    assert done.returncode == 0, done.stderr
    assert "T = 0.6, replica 0, configuration 5: no file at lag 100 τ" in done.stderr
    assert "T = 0.6, replica 0, configuration 8: no file" in done.stderr
    tree = dg.open_store(finished / "ensembles.zarr")
    stored = tree["ka_0.0/isoconfigurational"].to_dataset().isel(replica=0).load()
    assert stored["temperature"].values.tolist() == [0.6, 0.5]
    there = stored["propensity"].notnull().all("particle")
    assert there.values.tolist() == [[[True, True]] * 3 + [[True, False], [False, False]], [[True, True]] * 5]
    assert stored["trajectories"].sel(temperature=0.6).values.tolist() == [[6, 6]] * 3 + [[6, 0], [0, 0]]
    assert stored["local_energy"].isel(configuration=-1).notnull().any("particle").values.tolist() == [False, True]
    initial, ends = configuration(5)
    moved = ends[10.0] - initial
    moved -= moved.mean(axis=1, keepdims=True)
    one = stored["propensity"].sel(temperature=0.6, configuration=5, lag=10.0)
    assert np.allclose(one, np.linalg.norm(moved, axis=-1).mean(axis=0))
    board = tree["ka_0.0/scoreboard"].to_dataset().load()
    assert board["configurations"].sel(indicator="local_energy").values.tolist() == [[4, 3], [5, 5]]
    assert board["pearson"].notnull().all()
    # one more file, and only what it belongs to is done again
    write(finished, 5, temperature=0.6, lags=(100.0,))
    again = run(finished, joined, *UNDRAWN)
    assert again.returncode == 0, again.stderr
    assert "configuration 5" not in again.stderr
    assert "convert: 9 of 10" in again.stdout


def test_a_lag_that_joins_at_one_configuration_leaves_the_others_whole(tmp_path):
    for number in (1, 2):
        write(tmp_path, number, lags=(10.0,))
    assert run(tmp_path, STUDY, "--stage", "convert").returncode == 0
    write(tmp_path, 2)

    done = run(tmp_path, STUDY, "--stage", "convert")

    assert done.returncode == 0, done.stderr
    stored = dg.open_store(tmp_path / "ensembles.zarr")["ka_0.0/isoconfigurational"]["propensity"].load()
    assert stored["lag"].values.tolist() == [10.0, 100.0]
    assert stored.notnull().all("particle").values.squeeze().tolist() == [[True, False], [True, True]]


def test_another_label_of_the_lag_loses_nothing(tmp_path):
    for number in (1, 2):
        write(tmp_path, number, lags=(10.0,))
    text = STUDY.replace("{configuration}_{lag}", "{configuration}_10")
    found = []
    for lag in (10, 20):
        labelled = text.replace("inherent:", f"    constants: {{lag: {lag}}}\ninherent:")
        assert run(tmp_path, labelled, "--stage", "convert").returncode == 0
        found.append(dg.open_store(tmp_path / "ensembles.zarr")["ka_0.0/isoconfigurational"]["propensity"].load())

    assert [each["lag"].item() for each in found] == [10.0, 20.0]
    assert np.array_equal(found[0], found[1])


@pytest.mark.parametrize("cluster", ["none", "local"])
def test_a_warning_of_a_task_reaches_the_terminal_once_wherever_the_task_ran(tmp_path, cluster):
    for number, lags in ((1, LAGS), (2, LAGS), (3, LAGS[:1])):
        write(tmp_path, number, lags=lags)
    (tmp_path / "study.yaml").write_text(STUDY)

    done = command("run", "study.yaml", "--stage", "convert", "--cluster", cluster, folder=tmp_path)

    assert done.returncode == 0, done.stderr
    (said,) = [line for line in done.stderr.splitlines() if "no file at lag 100 τ" in line]
    assert said.startswith("warning: ka_0.0, T = 0.5, replica 0, configuration 3: ")
    assert "(convert-ka_0.0/" in said


def test_few_configurations_at_a_lag_have_no_predictor_there(tmp_path):
    for number in (1, 2, 3):
        write(tmp_path, number)
    (tmp_path / "T0.5/3_100.npz").unlink()

    done = run(tmp_path)

    assert done.returncode == 0, done.stderr
    assert "T = 0.5: no predictor at lag 100 τ: fewer than 3 configurations have a propensity there" in done.stderr
    tree = dg.open_store(tmp_path / "ensembles.zarr")
    predicted = tree["ka_0.0/isoconfigurational"]["predicted_propensity"].notnull().any("particle")
    assert predicted.values.squeeze().tolist() == [[True, False]] * 3
    assert tree["ka_0.0/predictor"]["lag"].values.tolist() == [10.0]


def test_tables_are_of_production_runs(finished):
    done = command_here("tables", "ensembles.zarr", "tables", folder=finished)

    assert done.returncode != 0
    said = re.sub(r"\s+", " ", done.stderr)
    assert "ka_0.0 has isoconfigurational ensembles and no production run" in said
    assert "daskglass query" in said


def test_of_one_trajectory_there_is_no_ceiling(tmp_path):
    for number in (1, 2, 3):
        _, ends = configuration(number)
        write(tmp_path, number, lags=(10.0,), positions=ends[10.0][:1])

    done = run(tmp_path)

    assert done.returncode == 0, done.stderr
    board = dg.open_store(tmp_path / "ensembles.zarr")["ka_0.0/scoreboard"].to_dataset()
    assert "ceiling" not in board or board["ceiling"].isnull().all()
    assert "the noise ceiling is not known" in (tmp_path / "ensembles.figures/index.html").read_text(encoding="utf-8")


def test_propensities_of_a_file_are_taken_as_they_are_and_cages_are_scored(tmp_path):
    given = {}
    for number in (1, 2, 3):
        initial, _ = configuration(number)
        given[number] = np.random.default_rng(number).uniform(size=N)
        write(tmp_path, number, lags=(10.0,), positions=None, md_prop=given[number], initial_positions_cage=initial)

    done = run(tmp_path)

    assert done.returncode == 0, done.stderr
    tree = dg.open_store(tmp_path / "ensembles.zarr")
    stored = tree["ka_0.0/isoconfigurational"].to_dataset().isel(temperature=0, replica=0, lag=0).load()
    assert np.array_equal(stored["propensity"].sel(configuration=2), given[2])
    assert (stored["trajectories"] == -1).all()
    assert np.allclose(stored["local_energy_cage"], stored["local_energy_thermal"], equal_nan=True)
    assert "local_energy_cage, 4" in tree["ka_0.0/scoreboard"]["indicator"].values


def test_configurations_of_all_replicas_are_scored_and_fitted_together(tmp_path):
    for replica in (0, 1):
        (tmp_path / f"r{replica}").mkdir()
        for number in (1, 2):
            folder = tmp_path / f"r{replica}"
            initial, ends = configuration(10 * replica + number)
            write(folder, number, lags=(10.0,), initial_positions=initial, positions=ends[10.0])

    done = run(tmp_path, STUDY.replace('"T{temp', '"r{replica}/T{temp'))

    assert done.returncode == 0, done.stderr
    tree = dg.open_store(tmp_path / "ensembles.zarr")
    ensembles = tree["ka_0.0/isoconfigurational"].to_dataset().load().isel(temperature=0)
    A = ensembles["species"] == 0
    assert ensembles["predicted_propensity"].where(A, 0.0).notnull().all()
    board = tree["ka_0.0/scoreboard"].to_dataset().load().isel(temperature=0, lag=0)
    assert (board["configurations"] == 4).all()
    one = ensembles.isel(replica=1, configuration=0, lag=0)
    pearson = np.corrcoef(one["local_energy"][A], one["propensity"][A])[0, 1]
    stored = board["pearson_each"].sel(indicator="local_energy").isel(replica=1, configuration=0)
    assert np.isclose(stored, pearson)


def test_of_two_configurations_nothing_is_predicted(tmp_path):
    for number in (1, 2):
        write(tmp_path, number)

    done = run(tmp_path)

    assert done.returncode == 0, done.stderr
    tree = dg.open_store(tmp_path / "ensembles.zarr")
    assert "predictor" not in tree["ka_0.0"].children
    assert "predicted_propensity" not in tree["ka_0.0/scoreboard"]["indicator"].values


def test_one_system_of_a_study_is_run_alone(tmp_path):
    (tmp_path / "ka_0.0").mkdir()
    for number in (1, 2):
        write(tmp_path / "ka_0.0", number, lags=(10.0,))
    text = STUDY.replace("[{system: ka_0.0}]", "[{system: ka_0.0}, {system: ka_0.1}]").replace(
        "T{temp", "{system}/T{temp"
    )

    assert "ka_0.1: none of the files found is of this system" in failure(tmp_path, text)
    done = run(tmp_path, text, "--system", "ka_0.0")

    assert done.returncode == 0, done.stderr
    assert list(dg.open_store(tmp_path / "ensembles.zarr").children) == ["ka_0.0"]
    assert "scoreboard" in dg.open_store(tmp_path / "ensembles.zarr")["ka_0.0"].children
    assert not (tmp_path / "ensembles.figures").exists()
    unknown = run(tmp_path, text, "--system", "ka_0.2")
    assert unknown.returncode == 2
    assert "the study lists no system 'ka_0.2'; it lists ka_0.0, ka_0.1" in re.sub(r"\s+", " ", unknown.stderr)
