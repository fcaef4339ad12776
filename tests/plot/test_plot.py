"""Panels of figures: each draws the numbers it was given, where it was told to, or says what is missing."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from operator import attrgetter
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pytest
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure

import daskglass as dg
from daskglass.errors import DataError
from daskglass.plot import panel
from daskglass.report.figures import drawn
from daskglass.report.results import read_results
from tests.conftest import mixture
from tests.report.ensembles import board
from tests.report.synthetic import tree

STORE, BOARD = tree(), board()
ENSEMBLE = STORE["ka_0.0/ensemble"].to_dataset()
SOFTNESS = ENSEMBLE.sel(variable="softness")
SCORES = BOARD["ka_0.0/scoreboard"].to_dataset().sel(temperature=0.5, indicator="local_energy, 2")
PREDICTOR = BOARD["ka_0.0/predictor"].to_dataset().sel(temperature=0.5, lag=10.0)
MIXTURE = dg.built_in("ka_0.0")[0]
FRAME = STORE["ka_0.0/production"].to_dataset().isel(temperature=-1, replica=0, time=0)
LAG = np.array([0.0, 0.1, 1.0, 10.0])
F = xr.Dataset(
    {"scattering": ("lag", np.exp(-LAG)), "scattering_err": ("lag", 0.01 * LAG)},
    {"lag": ("lag", LAG, {"units": "tau"})},
)
RATES = np.linspace(0, 1, 5)
CURVE = xr.Dataset(
    {"true_positive_rate": ("false_positive_rate", np.sqrt(RATES)), "area": 0.7}, {"false_positive_rate": RATES}
)
S2 = ENSEMBLE["s2_grouped_pooled"].interp(softness_bin=SOFTNESS["stratum_middle"])

Call = Callable[..., Axes]
CALLS: dict[str, Call] = {
    "pair_potential": lambda **k: dg.plot.pair_potential(MIXTURE, **k),
    "radial_distribution": lambda **k: dg.plot.radial_distribution(ENSEMBLE.isel(temperature=-1), **k),
    "scattering_function": lambda **k: dg.plot.scattering_function(F, **k),
    "diffusivity": lambda **k: dg.plot.diffusivity(ENSEMBLE, **k),
    "reduced_diffusivity": lambda **k: dg.plot.reduced_diffusivity(ENSEMBLE, **k),
    "snapshot": lambda **k: dg.plot.snapshot(FRAME, mixture=MIXTURE, **k),
    "slab": lambda **k: dg.plot.slab(FRAME, "softness", MIXTURE, **k),
    "joint_histogram": lambda **k: dg.plot.joint_histogram(ENSEMBLE["joint"], ENSEMBLE["pearson_pooled"], **k),
    "by_softness": lambda **k: dg.plot.by_softness(ENSEMBLE, **k),
    "rearrangement_probability": lambda **k: dg.plot.rearrangement_probability(SOFTNESS, **k),
    "arrhenius": lambda **k: dg.plot.arrhenius(SOFTNESS, SOFTNESS["temperature"], **k),
    "onset_temperature": lambda **k: dg.plot.onset_temperature(SOFTNESS, **k),
    "barriers": lambda **k: dg.plot.barriers(SOFTNESS, S2, **k),
    "collapse": lambda **k: dg.plot.collapse(SOFTNESS, **k),
    "score": lambda **k: dg.plot.score(SCORES, **k),
    "noise_ceiling": lambda **k: dg.plot.noise_ceiling(SCORES, **k),
    "receiver_operating_curve": lambda **k: dg.plot.receiver_operating_curve(CURVE, **k),
    "weights": lambda **k: dg.plot.weights(PREDICTOR, **k),
}
NOT_IN_THE_REPORT = {"scattering_function", "receiver_operating_curve"}


@pytest.fixture
def ax() -> Axes:
    return Figure().subplots()


@pytest.fixture(autouse=True)
def no_current_axes(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Small snapshots, and nothing that another test drew."""
    monkeypatch.setattr("daskglass.plot.spheres.PIXELS", 60)
    plt.close("all")
    yield
    plt.close("all")


def bars(ax: Axes, k: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Points, and half the lengths of their vertical error bars."""
    line, _, (*_, vertical) = ax.containers[k]
    ends = np.array([segment[:, 1] for segment in vertical.get_segments()])
    return line.get_xdata(), line.get_ydata(), (ends[:, 1] - ends[:, 0]) / 2


# --- axes ----------------------------------------------------------------------------------------------------------


def test_every_function_of_the_namespace_is_drawn_here() -> None:
    assert set(CALLS) == set(dg.plot.__all__) == set(dir(dg.plot))


@pytest.mark.parametrize("name", CALLS)
def test_a_panel_is_drawn_into_the_axes_given_which_are_returned(name: str, ax: Axes) -> None:
    assert CALLS[name](ax=ax) is ax
    assert ax.has_data()
    assert plt.get_fignums() == []


@pytest.mark.parametrize("name", CALLS)
def test_without_axes_the_current_ones_are_drawn_into_and_can_be_saved(name: str, tmp_path: Any) -> None:
    found = CALLS[name]()

    assert plt.get_fignums() == [1]
    assert found.figure is plt.figure(1)
    plt.savefig(tmp_path / "panel.png")
    assert plt.imread(tmp_path / "panel.png").std() > 0


@pytest.mark.parametrize("name", CALLS)
def test_anything_but_axes_is_refused(name: str) -> None:
    with pytest.raises(DataError, match=r"ax must be one matplotlib\.axes\.Axes; got ndarray"):
        CALLS[name](ax=np.empty(2))


@pytest.mark.parametrize("name", sorted(set(CALLS) - {"onset_temperature", "slab", "snapshot", "joint_histogram"}))
def test_colours_are_those_that_are_given(name: str, ax: Axes) -> None:
    CALLS[name](ax=ax, color="tomato")

    shades = [line.get_color() for line in panel_lines(ax)]
    shades += [tuple(collection.get_facecolor()[0][:3]) for collection in ax.collections if name == "noise_ceiling"]
    assert shades
    assert set(shades) <= {"tomato", (1.0, 99 / 255, 71 / 255)}


def panel_lines(ax: Axes) -> list[Any]:
    """Lines of data: without those for the eye, which have no places of their own."""
    return [line for line in ax.lines if line.get_transform() == ax.transData and len(line.get_xdata()) > 2]


def test_matplotlib_is_imported_when_a_panel_is_asked_for_and_pyplot_when_it_has_no_axes() -> None:
    code = """
import sys
import daskglass as dg
assert "plot" in dir(dg) and not {"matplotlib", "numba"} & set(sys.modules)
assert "diffusivity" in dir(dg.plot) and "matplotlib" not in sys.modules
from matplotlib.figure import Figure
import xarray as xr
D = xr.DataArray([1e-4, 1e-3], dims="temperature", coords={"temperature": [0.5, 0.6]})
dg.plot.diffusivity(D, ax=Figure().subplots())
assert "matplotlib.pyplot" not in sys.modules
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_a_name_that_is_no_panel_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="colour"):
        attrgetter("colour")(dg.plot)


# --- numbers -------------------------------------------------------------------------------------------------------


def test_pair_potentials_are_those_of_the_mixture(ax: Axes) -> None:
    dg.plot.pair_potential(MIXTURE, ["AB"], ax=ax)
    (line,) = panel_lines(ax)
    r, V = line.get_data()

    np.testing.assert_array_equal(V, dg.pair_energy(MIXTURE, "A", "B", r))
    assert line.get_label() == "AB"
    assert ax.get_ylim()[0] < V.min() < 0


def test_the_wells_of_all_curves_lie_within_the_limits(ax: Axes) -> None:
    dg.plot.pair_potential(MIXTURE, ["AB"], ax=ax)
    dg.plot.pair_potential(MIXTURE, ["BB"], ax=ax)

    assert all(ax.get_ylim()[0] < line.get_ydata().min() for line in panel_lines(ax))


def test_a_radial_distribution_has_a_line_and_a_band_for_each_neighbour(ax: Axes) -> None:
    table = ENSEMBLE.isel(temperature=-1)
    dg.plot.radial_distribution(table, "g_thermal", ax=ax)
    A, B = panel_lines(ax)

    assert [A.get_label(), B.get_label()] == ["neighbor = A", "neighbor = B"]
    np.testing.assert_array_equal(B.get_ydata(), table["g_thermal"].sel(neighbor="B"))
    band = ax.collections[1].get_paths()[0].vertices
    g, error = (table[name].sel(neighbor="B").values for name in ("g_thermal", "g_thermal_err"))
    assert band[:, 1].max() == pytest.approx((g + error).max())


def test_a_radial_distribution_of_particles_is_drawn_as_it_is_computed(ax: Axes) -> None:
    run = mixture(0)
    g = dg.radial_distribution(run["position"], run["species"], run["box"], r_max=3.0, bin_width=0.1)
    dg.plot.radial_distribution(g.sel(neighbor="A"), label="here", ax=ax)
    (line,) = panel_lines(ax)

    np.testing.assert_array_equal(line.get_data(), (g["r"], g.sel(neighbor="A")))
    assert line.get_label() == "here"
    assert ax.get_xlabel() == r"$r$ ($\sigma$)"


def test_the_lag_0_has_no_place_on_a_logarithmic_axis(ax: Axes) -> None:
    dg.plot.scattering_function(F, ax=ax)
    (line,) = panel_lines(ax)

    np.testing.assert_array_equal(line.get_data(), (LAG[1:], np.exp(-LAG[1:])))
    assert ax.get_xlabel() == r"$t$ ($\tau$)"


@pytest.mark.parametrize("lazy", [False, True])
def test_diffusion_is_drawn_against_the_inverse_temperature_with_its_errors(ax: Axes, lazy: bool) -> None:
    table = ENSEMBLE.chunk() if lazy else ENSEMBLE
    dg.plot.diffusivity(table, ax=ax)
    x, y, half = bars(ax)

    rising = ENSEMBLE.sortby("temperature")
    np.testing.assert_array_equal(x, 1 / rising["temperature"])
    np.testing.assert_array_equal(y, rising["diffusivity"])
    np.testing.assert_allclose(half, rising["diffusivity_err"])
    assert ax.get_ylabel() == r"$D$ ($\sigma^{2}/\tau$)"


def test_what_does_not_diffuse_is_left_out(ax: Axes) -> None:
    D = ENSEMBLE["diffusivity"].copy(data=[1e-3, 1e-4, 0.0, np.nan, 1e-6])
    dg.plot.diffusivity(D, ax=ax)

    assert panel_lines(ax)[0].get_ydata().tolist() == [1e-6, 1e-4, 1e-3]


def test_reduced_diffusion_has_errors_both_ways(ax: Axes) -> None:
    dg.plot.reduced_diffusivity(ENSEMBLE, "s2_thermal", ax=ax)
    line, _, (across, _) = ax.containers[0]

    np.testing.assert_array_equal(line.get_data(), (ENSEMBLE["s2_thermal"], ENSEMBLE["reduced_diffusivity"]))
    assert np.ptp(across.get_segments()[0][:, 0]) == pytest.approx(0.04)


def test_each_stratum_has_its_points_and_one_without_events_has_none(ax: Axes) -> None:
    P = SOFTNESS[["probability", "probability_err"]].isel(temperature=[0, 1])
    P["probability"] = P["probability"].copy(data=P["probability"].values)
    P["probability"][dict(temperature=0, stratum=1)] = 0.0
    dg.plot.rearrangement_probability(P, ax=ax)

    assert [len(ax.containers[k].lines[0].get_xdata()) for k in range(5)] == [2, 1, 2, 2, 2]
    x, y, half = bars(ax, 0)
    np.testing.assert_allclose(x[::-1], 1 / P["temperature"])
    np.testing.assert_array_equal(y[::-1], P["probability"].isel(stratum=0))
    np.testing.assert_allclose(half[::-1], P["probability_err"].isel(stratum=0))
    assert len({line.get_color() for line in panel_lines(ax) or [c.lines[0] for c in ax.containers]}) == 5


def test_points_and_lines_of_a_fit_to_computed_probabilities_agree(ax: Axes) -> None:
    T = xr.DataArray([0.5, 0.6, 0.8], dims="temperature", coords={"temperature": [0.5, 0.6, 0.8]})
    energy = xr.DataArray([3.0, 2.0], dims="stratum", coords={"stratum": [-0.5, 0.5]})
    P = xr.Dataset({"probability": np.exp(-energy / T), "events": 100 * xr.ones_like(energy * T)})
    dg.plot.rearrangement_probability(P, ax=ax)
    points = [container.lines[0] for container in ax.containers]
    dg.plot.arrhenius(dg.arrhenius(P), T, ax=ax)
    lines = panel_lines(ax)[-2:]

    for point, line in zip(points, lines, strict=True):
        np.testing.assert_allclose(np.log(line.get_ydata()[[0, -1]]), np.log(point.get_ydata()[[-1, 0]]), rtol=1e-6)
        assert line.get_color() == point.get_color()


def test_the_onset_is_marked_with_its_error(ax: Axes) -> None:
    dg.plot.onset_temperature(SOFTNESS, ax=ax)
    T, error = float(SOFTNESS["onset_temperature"]), float(SOFTNESS["onset_temperature_err"])

    assert ax.lines[0].get_xdata() == pytest.approx([1 / T, 1 / T])
    assert ax.patches[0].get_x() == pytest.approx(1 / (T + error))


@pytest.mark.parametrize("variable", ["activation_energy", "activation_entropy", "scaled_energy", "scaled_entropy"])
def test_barriers_are_drawn_against_the_entropy_of_their_strata(ax: Axes, variable: str) -> None:
    dg.plot.barriers(SOFTNESS, S2, variable, ax=ax)
    known = np.isfinite(S2.values)

    line = ax.containers[0].lines[0]
    np.testing.assert_array_equal(line.get_data(), (S2[known], SOFTNESS[variable][known]))


def test_scaled_barriers_lie_on_the_line_of_equality(ax: Axes) -> None:
    dg.plot.collapse(SOFTNESS, ax=ax)
    x, y = ax.lines[-1].get_data()

    np.testing.assert_array_equal(y, SOFTNESS["scaled_energy"])
    np.testing.assert_allclose(x, y, atol=0.02)


def test_a_joint_histogram_has_the_first_dimension_along_x_and_no_empty_bins(ax: Axes) -> None:
    joint = ENSEMBLE["joint"]
    dg.plot.joint_histogram(joint, 0.295, ax=ax)
    image = ax.collections[0]

    counts = image.get_array().reshape(joint.shape[::-1])
    np.testing.assert_array_equal(counts.filled(0), joint.values.T)
    assert counts.mask.sum() == (joint.values == 0).sum()
    assert isinstance(image.norm, LogNorm)
    assert ax.texts[0].get_text() == "$r$ = 0.29"


def test_bins_of_softness_are_drawn_at_their_middles(ax: Axes) -> None:
    dg.plot.by_softness(ENSEMBLE, ax=ax)
    x, y, half = bars(ax)

    np.testing.assert_array_equal(x, ENSEMBLE["softness_bin"])
    np.testing.assert_array_equal(y, ENSEMBLE["s2_grouped_pooled"])
    np.testing.assert_allclose(half, 0.01)


def test_scores_are_drawn_by_their_size_against_the_lag(ax: Axes) -> None:
    dg.plot.score(SCORES, ax=ax)
    x, y, half = bars(ax)

    assert (SCORES["pearson"] < 0).all()
    np.testing.assert_array_equal(x, SCORES["lag"])
    np.testing.assert_array_equal(y, -SCORES["pearson"])
    np.testing.assert_allclose(half, SCORES["pearson_err"])
    assert ax.get_xscale() == "log"


def test_scores_of_generations_are_drawn_as_they_are_computed(ax: Axes) -> None:
    run = BOARD["ka_0.0/isoconfigurational"].to_dataset().isel(temperature=0, replica=0, lag=0)
    scores = dg.score(run["local_energy_averaged"], run["propensity"], run["species"])
    scores = scores.assign_coords(generation=np.arange(1, scores.sizes["generation"] + 1))
    dg.plot.score(scores, "generation", ax=ax)

    np.testing.assert_array_equal(bars(ax)[1], abs(scores["pearson"]))


def test_the_ceiling_is_the_lower_edge_of_what_is_shaded(ax: Axes) -> None:
    dg.plot.noise_ceiling(SCORES, ax=ax)

    edge = ax.collections[0].get_paths()[0].vertices[:, 1]
    assert edge.min() == pytest.approx(float(SCORES["ceiling"].min()))
    assert edge.max() == 1


def test_a_receiver_operating_curve_is_that_of_the_table(ax: Axes) -> None:
    S = xr.DataArray([[1.0, 0.5, -0.2, -1.0]], dims=("time", "particle"))
    hop = xr.DataArray([[0.7, 0.1, 0.4, 0.0]], dims=("time", "particle"))
    curve = dg.receiver_operating_curve(S, hop)
    dg.plot.receiver_operating_curve(curve, ax=ax)

    np.testing.assert_array_equal(ax.lines[-1].get_data(), (curve["false_positive_rate"], curve["true_positive_rate"]))


def test_weights_of_a_model_stand_above_the_names_of_features(ax: Axes) -> None:
    rng = np.random.default_rng(0)
    features = xr.Dataset({n: (("configuration", "particle"), rng.normal(size=(6, 50))) for n in ("energy", "density")})
    model = dg.LinearPredictor.fit(
        features, 0.2 * features["energy"] + 0.01 * features["density"] + features["energy"] ** 2
    )
    dg.plot.weights(model, ax=ax)
    x, y, half = bars(ax)

    np.testing.assert_array_equal(y, model.weights)
    np.testing.assert_allclose(half, model.errors)
    assert dict(zip(x, [t.get_text() for t in ax.get_xticklabels()], strict=True)) == {0: "energy", 1: "density"}


def test_weights_along_radii_are_a_curve_with_a_band(ax: Axes) -> None:
    some = PREDICTOR.isel(feature=slice(1, 4)).assign_coords(mu=("feature", [0.4, 0.5, 0.6]))
    dg.plot.weights(some, "mu", ax=ax)
    (line,) = panel_lines(ax)

    np.testing.assert_array_equal(line.get_data(), ([0.4, 0.5, 0.6], some["weights"]))
    assert len(ax.collections) == 1


def test_a_slab_holds_the_particles_between_its_faces_also_through_the_boundary(ax: Axes) -> None:
    box = FRAME["box"].values
    depth = box[2] - 0.5
    dg.plot.slab(FRAME, "softness", MIXTURE, depth=depth, thickness=1.5, positions="inherent", ax=ax)
    discs = ax.collections[0]

    x = np.mod(FRAME["inherent"].values, box)
    inside = ((x[:, 2] > depth) | (x[:, 2] < 1.0)) & np.isfinite(FRAME["softness"].values)
    assert 5 < inside.sum() < inside.size / 3
    np.testing.assert_array_equal(discs.get_array(), FRAME["softness"].values[inside])
    np.testing.assert_allclose(discs.get_offsets(), x[inside, :2])


def test_discs_are_as_large_as_their_particles(ax: Axes) -> None:
    everyone = FRAME.assign(energy=("particle", np.ones(FRAME.sizes["particle"])))
    dg.plot.slab(everyone, "energy", MIXTURE, thickness=20.0, ax=ax)

    sizes = ax.collections[0].get_widths()
    np.testing.assert_allclose(sizes, np.where(FRAME["species"] == 0, 1.0, 0.88))


def test_values_of_both_signs_part_at_white_and_others_do_not() -> None:
    both, one = (panel.shades(values, {}) for values in (np.linspace(-1, 2, 101), np.linspace(1, 2, 101)))

    assert both.norm.vmin == -both.norm.vmax
    assert (both.cmap.name, one.cmap.name) == ("RdBu_r", "viridis")
    assert panel.shades(np.linspace(1, 2, 101), {"vmin": 0.0}).norm.vmin == 0.0


def test_a_snapshot_shows_particles_in_the_shades_of_their_values(ax: Axes) -> None:
    values = np.where(FRAME["species"] == 0, 1.0, np.nan)
    frame = FRAME.assign(red=("particle", values))
    dg.plot.snapshot(frame, "red", ax=ax, cmap="Reds", vmin=0, vmax=1)
    picture = np.asarray(ax.images[0].get_array())

    shown = picture[picture[..., 3] > 0.99][:, :3]
    red = (shown[:, 0] - shown[:, 2] > 0.2).mean()
    assert 0.2 < red < 1


# --- what is missing -----------------------------------------------------------------------------------------------

WRONG: list[tuple[Callable[[], Any], str]] = [
    (lambda: dg.plot.pair_potential("ka_0.0"), "mixture must be a Mixture.*got str"),
    (lambda: dg.plot.pair_potential(MIXTURE, ["AC"]), r"mixture has no pair 'AC'; it has \['AA', 'AB', 'BB'\]"),
    (lambda: dg.plot.radial_distribution(ENSEMBLE["s2"]), "g lacks the dimension r"),
    (lambda: dg.plot.radial_distribution(ENSEMBLE, "h"), "g lacks h"),
    (lambda: dg.plot.radial_distribution(ENSEMBLE["g"].drop_vars("r")), "g needs a one-dimensional coordinate r"),
    (lambda: dg.plot.scattering_function(ENSEMBLE), "F lacks scattering"),
    (lambda: dg.plot.diffusivity(ENSEMBLE["s2_grouped_pooled"]), "D lacks the dimension temperature"),
    (lambda: dg.plot.reduced_diffusivity(ENSEMBLE, "s3"), "table lacks s3"),
    (lambda: dg.plot.rearrangement_probability(ENSEMBLE), r"P\.probability is also over variable"),
    (lambda: dg.plot.rearrangement_probability(ENSEMBLE[["s2"]]), "P lacks probability"),
    (lambda: dg.plot.arrhenius(ENSEMBLE[["s2"]], [0.5, 0.6]), "fit lacks activation_energy"),
    (lambda: dg.plot.arrhenius(SOFTNESS, [0.5]), "temperature must hold two or more positive numbers"),
    (lambda: dg.plot.onset_temperature(ENSEMBLE), r"T_A\.onset_temperature is also over variable"),
    (lambda: dg.plot.onset_temperature(xr.DataArray(np.nan)), "T_A must be a finite number"),
    (lambda: dg.plot.barriers(SOFTNESS, ENSEMBLE["s2"]), "s2 lacks the dimension stratum"),
    (lambda: dg.plot.barriers(SOFTNESS, S2[:3]), "stratum differs: fit has 5, s2 has 3"),
    (lambda: dg.plot.collapse(SOFTNESS.drop_vars("scaled_energy")), "scaled lacks scaled_energy"),
    (lambda: dg.plot.joint_histogram(ENSEMBLE["s2"]), "joint must be over two dimensions"),
    (lambda: dg.plot.by_softness(ENSEMBLE, "s2"), "table.s2 lacks the dimension softness_bin"),
    (lambda: dg.plot.score(SCORES.drop_vars("pearson")), "scores lacks pearson"),
    (lambda: dg.plot.noise_ceiling(SCORES.drop_vars("ceiling")), "scores lacks ceiling"),
    (lambda: dg.plot.noise_ceiling(SCORES, "generation"), r"scores\.ceiling is also over lag"),
    (lambda: dg.plot.receiver_operating_curve(SCORES), "curves lacks true_positive_rate"),
    (lambda: dg.plot.weights(SCORES), "model lacks weights"),
    (lambda: dg.plot.weights(PREDICTOR, "mu"), r"model needs a coordinate mu over \(feature,\)"),
    (lambda: dg.plot.weights(PREDICTOR, "feature"), r"model\.feature must hold numbers"),
    (lambda: dg.plot.slab(FRAME, "hops"), "frame lacks hops"),
    (lambda: dg.plot.slab(FRAME.drop_vars("box"), "softness"), "frame lacks box"),
    (lambda: dg.plot.slab(FRAME, "softness", thickness=0), "thickness must be positive"),
    (lambda: dg.plot.snapshot(STORE["ka_0.0/production"].to_dataset()), r"frame\.softness is also over temperature"),
]  # fmt: skip


@pytest.mark.parametrize(("call", "problem"), WRONG, ids=[problem for _, problem in WRONG])
def test_what_is_missing_is_named_before_anything_is_drawn(call: Callable[[], Any], problem: str) -> None:
    with pytest.raises(DataError, match=problem):
        call()
    assert plt.get_fignums() == []


# --- the report ----------------------------------------------------------------------------------------------------


def test_the_panels_of_the_report_are_these(monkeypatch: pytest.MonkeyPatch) -> None:
    called = set()

    def noted(name: str, function: Call) -> Call:
        def call(*given: Any, **more: Any) -> Axes:
            called.add(name)
            return function(*given, **more)

        return call

    for module, names in dg.plot._HOME.items():
        for name in names:
            monkeypatch.setattr(f"daskglass.{module}.{name}", noted(name, getattr(dg.plot, name)))
    for study in (STORE, BOARD):
        results = read_results(study)
        for figure in results.figures:
            drawn(figure, results)

    assert called == set(CALLS) - NOT_IN_THE_REPORT
