"""Isoconfigurational ensembles from files to the scoreboard: what the store holds, and what stops a study."""

import itertools
import re

import numpy as np
import pytest

import daskglass as dg
from daskglass.physics.systems import kob_andersen
from daskglass.report.boards import board_tables
from daskglass.report.results import open_results
from tests.studies import command_here

# one worker runs the study, for all of them
pytestmark = pytest.mark.xdist_group("ensembles")

N, EDGE = 1000, 10
MIXTURE = kob_andersen(0.0)
L = MIXTURE.box_length(N)
TYPES = np.repeat([0, 1], MIXTURE.counts(N)).astype(np.int8)
LAGS = (10.0, 100.0)
TRAJECTORIES = 6
STUDY = """
study: ensembles
store: ensembles.zarr
systems: [{system: ka_0.0}]
source:
  trajectories:
    format: isoconfigurational
    path: "T{temperature}/{configuration}_{lag}.npz"
inherent: {engine: native}
predictor: {generations: 1}
"""


def configuration(number):
    """Thermal positions near a lattice, and where trajectories end at each lag: some particles move farther than others."""
    rng = np.random.default_rng(number)
    sites = np.stack(np.meshgrid(*[np.arange(EDGE)] * 3, indexing="ij"), axis=-1).reshape(-1, 3)
    initial = (sites + 0.5) * L / EDGE + rng.normal(0, 0.05, (N, 3))
    mobile = 0.05 + 0.1 * rng.uniform(size=(1, N, 1))
    ends = {lag: initial + mobile * np.log(lag) * rng.normal(size=(TRAJECTORIES, N, 3)) for lag in LAGS}
    return initial, ends


def write(folder, number, temperature=0.5, lags=LAGS, **changed):
    """Write the files of a configuration, a file a lag."""
    initial, ends = configuration(number)
    (folder / f"T{temperature}").mkdir(exist_ok=True)
    for lag in lags:
        arrays = {"types": TYPES, "initial_positions": initial, "positions": ends[lag], **changed}
        kept = {name: array for name, array in arrays.items() if array is not None}
        np.savez(folder / f"T{temperature}" / f"{number}_{lag:g}.npz", **kept)


def run(folder, text=STUDY, *options):
    """Run a study of the ensembles in a folder."""
    (folder / "study.yaml").write_text(text)
    return command_here("run", "study.yaml", "--cluster", "none", *options, folder=folder)


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
    assert board["indicator"].size == 4 * 5 * 2 + 1
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

    done = run(finished)

    assert done.returncode == 0, done.stderr
    after = dg.open_store(finished / "ensembles.zarr")["ka_0.0/isoconfigurational"].dataset["propensity"].load()
    changed = (before != after).any("particle").isel(temperature=0, replica=0)
    assert changed.sel(configuration=3).values.tolist() == [True, False]
    assert not changed.sel(configuration=[1, 2, 5]).any()
    write(finished, 3)
    assert run(finished).returncode == 0


def test_configurations_and_temperatures_may_join(finished):
    write(finished, 8)
    write(finished, 1, temperature=0.6)

    done = run(finished, STUDY.replace("{system: ka_0.0}", "{system: ka_0.0, temperatures: [0.6, 0.5]}"))

    # of the second temperature there is one of five configurations
    assert done.returncode == 1
    assert "T = 0.6, replica 0, configuration 2: no file at lag 10" in done.stderr + done.stdout
    (finished / "T0.6/1_10.npz").unlink()
    (finished / "T0.6/1_100.npz").unlink()


def failure(folder, text=STUDY):
    """What a study that cannot be run says."""
    done = run(folder, text)
    assert done.returncode in (1, 2), done.stdout
    return re.sub(r"\s+", " ", done.stderr + done.stdout)


def test_a_lag_that_some_configuration_lacks_is_named(tmp_path):
    write(tmp_path, 1)
    write(tmp_path, 2, lags=(10.0,))

    assert "configuration 2: no file at lag 100 τ; there are files at [10.0]" in failure(tmp_path)


def test_labels_that_nobody_gives_are_asked_for(tmp_path):
    write(tmp_path, 1)

    no_lag = STUDY.replace("{configuration}_{lag}", "{configuration}_10")
    assert "no lag for T0.5/1_10.npz: put {lag} into source.trajectories.path" in failure(tmp_path, no_lag)
    no_number = STUDY.replace("{configuration}_{lag}", "1_{lag}")
    assert "no configuration for" in failure(tmp_path, no_number)


def test_types_of_another_meaning_are_refused(tmp_path):
    write(tmp_path, 1, types=1 - TYPES)

    assert "types holds A 200, B 800; the mixture of the system has the fractions A 0.8, B 0.2" in failure(tmp_path)


def test_species_in_another_order_than_the_mixtures_are_known_by_their_names(tmp_path):
    text = STUDY.replace("{system: ka_0.0}", "{system: ka_0.0, species: [B, A]}")
    write(tmp_path, 1)

    assert "types holds B 800, A 200; the mixture of the system has the fractions B 0.2, A 0.8" in failure(
        tmp_path, text
    )
    write(tmp_path, 1, types=1 - TYPES)
    (tmp_path / "study.yaml").write_text(text)
    assert command_here("run", "study.yaml", "--dry-run", folder=tmp_path).returncode == 0


def test_two_files_of_one_place_are_refused(tmp_path):
    for part in (0, 1):
        (tmp_path / f"part{part}").mkdir()
        write(tmp_path / f"part{part}", 1, lags=(10.0,))

    found = failure(tmp_path, STUDY.replace('"T{temp', '"part{trajectory}/T{temp'))
    assert "are both of T = 0.5, replica 0, configuration 1, lag 10 τ" in found


def test_files_at_temperatures_that_are_not_asked_for_do_not_matter(tmp_path):
    write(tmp_path, 1)
    write(tmp_path, 7, temperature=0.6, lags=(10.0,))

    (tmp_path / "study.yaml").write_text(STUDY.replace("{system: ka_0.0}", "{system: ka_0.0, temperatures: [0.5]}"))

    done = command_here("run", "study.yaml", "--dry-run", folder=tmp_path)
    assert done.returncode == 0, done.stderr
    assert re.search(r"convert\s*│ 1 ", done.stdout)


def test_types_beyond_the_species_are_refused(tmp_path):
    write(tmp_path, 1, types=TYPES + 1)

    assert "types has codes up to 2; there are 2 species, ['A', 'B']" in failure(tmp_path)


def test_a_box_that_disagrees_with_the_density_is_refused(tmp_path):
    write(tmp_path, 1)
    text = STUDY.replace("inherent:", "    constants: {box: 9.0}\ninherent:")

    assert "1000 particles in a box of 9 σ have a density of 1.372; that of the mixture is 1.2" in failure(
        tmp_path, text
    )


def test_trajectories_that_start_elsewhere_are_refused(tmp_path):
    write(tmp_path, 1)
    initial, ends = configuration(2)
    np.savez(tmp_path / "T0.5/1_100.npz", types=TYPES, initial_positions=initial, positions=ends[100.0])

    assert "initial_positions are not those of" in failure(tmp_path)


def test_wrapped_ends_are_refused(tmp_path):
    initial, ends = configuration(1)
    shifted = np.mod(initial + L / 2, L)
    write(tmp_path, 1, initial_positions=shifted, positions=np.mod(ends[100.0] + L / 2, L))

    assert "wrapped" in failure(tmp_path)


def test_particles_in_another_order_are_refused(tmp_path):
    write(tmp_path, 1)
    write(tmp_path, 2, types=TYPES[::-1])

    assert "types differ from those of the first file of the system" in failure(tmp_path)


def test_objects_are_refused_by_name(tmp_path):
    write(tmp_path, 1, positions=np.array([None], object))

    assert "positions is an array of Python objects, which is never unpickled" in failure(tmp_path)


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


def test_ensembles_are_no_trajectories_to_convert(tmp_path):
    write(tmp_path, 1)

    done = command_here(
        "convert", "--format", "isoconfigurational", "--system", "ka_0.0", "T{temperature}/{configuration}_{lag}.npz", "x.zarr",
        folder=tmp_path,
    )  # fmt: skip

    assert done.returncode == 2
    assert "format isoconfigurational holds no trajectories" in re.sub(r"\s+", " ", done.stderr)


def test_a_mixture_is_needed(tmp_path):
    write(tmp_path, 1)
    text = STUDY.replace("ka_0.0", "mine").replace(
        "inherent: {engine: native}", "    constants: {box: 9.41}\ninherent: none"
    )

    assert "local energies need its `mixture:`" in failure(tmp_path, text)


def test_what_is_asked_for_must_be_there(tmp_path):
    write(tmp_path, 1)

    text = STUDY.replace("{system: ka_0.0}", "{system: ka_0.0, temperatures: [0.7]}")
    assert "no file at T = 0.7; there are files at [0.5]" in failure(tmp_path, text)
