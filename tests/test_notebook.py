"""What a notebook shows: tables whose variables say their name and unit, and models in one line."""

import numpy as np
import pytest
import xarray as xr

import daskglass as dg
from tests.conftest import mixture
from tests.physics.arrays.data import everything
from tests.report.synthetic import build

WHOLE = everything()
MIXTURE = dg.built_in("ka_0.0")[0]


def softness():
    return dg.Softness.fit(WHOLE["examples"], samples_per_class=15)


def predictor():
    return dg.LinearPredictor.fit(WHOLE["features"], WHOLE["target"].assign_attrs(units="sigma"))


def structure():
    run = mixture(0, frames=1)
    return dg.structure_functions(run["position"], run["species"], run["box"], mu=[1.0, 1.5])


def radial():
    run = mixture(0)
    return dg.radial_distribution(run["position"], run["species"], run["box"], r_max=3.0, bin_width=0.25)


def of_structure(function):
    run = mixture(0, box=(9.5, 9.6, 9.7), frames=1)
    return function(run["position"], run["species"], run["box"])


def scores():
    return dg.score(*(WHOLE[name] for name in ("indicator", "propensity", "species", "half")))


RESULTS = {
    "structure_functions": structure,
    "radial_distribution": radial,
    "excess_entropy": lambda: dg.excess_entropy(radial(), 1.2),
    "local_excess_entropy": lambda: dg.local_excess_entropy(structure()),
    "hop_indicator": lambda: dg.hop_indicator(WHOLE["position"], 2.0),
    "rearrangement_labels": lambda: dg.rearrangement_labels(WHOLE["hop"], WHOLE["species"]),
    "scattering_function": lambda: dg.scattering_function(WHOLE["position"], WHOLE["species"]),
    "relaxation_time": lambda: dg.relaxation_time(WHOLE["scattering"]),
    "mean_squared_displacement": lambda: dg.mean_squared_displacement(WHOLE["position"], WHOLE["species"]),
    "diffusivity": lambda: dg.diffusivity(WHOLE["msd"]),
    "reduced_diffusivity": lambda: dg.reduced_diffusivity(WHOLE["D"], 1.2, WHOLE["T"]),
    "Softness.transform": lambda: softness().transform(WHOLE["G"]),
    "Softness.to_dataset": lambda: softness().to_dataset(),
    "recall_precision": lambda: dg.recall_precision(WHOLE["values"], WHOLE["hop"]),
    "strata": lambda: dg.strata(WHOLE["values"]),
    "rearrangement_probability": lambda: dg.rearrangement_probability(
        WHOLE["hop"], WHOLE["values"], dg.strata(WHOLE["values"])
    ),
    "arrhenius": lambda: dg.arrhenius(WHOLE["P"]),
    "onset_temperature": lambda: dg.onset_temperature(WHOLE["fit"]),
    "collapse": lambda: dg.collapse(WHOLE["fit"], 0.7),
    "bootstrap": lambda: dg.bootstrap(WHOLE["counts"], 3, 0, 4),
    "local_energy": lambda: of_structure(lambda *run: dg.local_energy(*run, MIXTURE)),
    "local_density": lambda: of_structure(dg.local_density),
    "bond_order": lambda: of_structure(lambda *run: dg.bond_order(*run, 6, [1.1], 0.15)),
    "inherent_structures": lambda: of_structure(lambda *run: dg.inherent_structures(*run, MIXTURE, tolerance=1e100)),
    "structural_features": lambda: of_structure(lambda *run: dg.structural_features(*run, MIXTURE, generations=1)),
    "propensity": lambda: dg.propensity(WHOLE["final"], WHOLE["initial"], WHOLE["species"]),
    "score": scores,
    "score_difference": lambda: dg.score_difference(scores(), scores()),
    "LinearPredictor.to_dataset": lambda: predictor().to_dataset(),
    "LinearPredictor.predict": lambda: predictor().predict(WHOLE["features"]),
    "LinearPredictor.cross_validated": lambda: dg.LinearPredictor.cross_validated(WHOLE["features"], WHOLE["target"]),
    "receiver_operating_curve": lambda: dg.receiver_operating_curve(WHOLE["values"], WHOLE["hop"]),
}
# these return a part of what they are given, or numbers that are no arrays of xarray, or nothing to look at
OTHERS = {
    "open_store", "query", "write_gsd", "load_study", "Mixture", "built_in", "pair_energy", "pair_force", "supercooled",
    "without_affine_motion", "neighborhood_average",
}  # fmt: skip
# coordinates of the arrays that are given, and names
GIVEN = {
    "system",
    "time",
    "particle",
    "temperature",
    "stratum",
    "configuration",
    "feature",
    "neighbor",
    "true",
    "predicted",
}


def test_every_public_function_is_looked_at():
    assert {name.partition(".")[0] for name in RESULTS} | OTHERS == set(dg.__all__[1:])


@pytest.mark.parametrize("name", RESULTS)
def test_all_that_a_function_returns_says_its_name_and_unit(name):
    found = RESULTS[name]()
    variables = found.variables if isinstance(found, xr.Dataset) else {found.name: found, **found.coords}

    for each, variable in variables.items():
        if each not in GIVEN or each in (getattr(found, "data_vars", ())):
            assert variable.attrs.get("long_name"), each
            assert variable.attrs.get("units"), each


def test_errors_and_scaled_barriers_are_named_after_what_they_are_of():
    errors = dg.bootstrap(WHOLE["counts"], 3, 0, 4)

    assert errors["activation_energy_err"].attrs == {
        "long_name": "standard error of the activation energy ΔE", "units": "epsilon",
    }  # fmt: skip
    assert dg.collapse(WHOLE["fit"], 0.7)["scaled_energy"].attrs["long_name"] == "scaled activation energy y_E"


def test_the_offset_of_a_predictor_has_the_unit_of_what_is_predicted():
    assert predictor().to_dataset()["bias"].attrs["units"] == "sigma"


@pytest.mark.parametrize(
    ("model", "shown"),
    [
        (softness, "<daskglass.Softness (neighbor: 2 × mu: 9), width 0.2, bias "),
        (predictor, "<daskglass.LinearPredictor (feature: 3), bias "),
    ],
)
def test_a_model_is_shown_in_one_line(model, shown):
    text = repr(model())

    assert text.startswith(shown)
    assert len(text) < 140
    assert "\n" not in text


def test_a_model_without_metrics_is_shown_too():
    weights = xr.DataArray(np.ones(2), {"feature": ["E", "rho"]}, ["feature"])

    text = repr(dg.LinearPredictor(weights, weights, weights, weights, bias=0.5, penalty=0.01, metrics={}))

    assert text == "<daskglass.LinearPredictor (feature: 2), bias 0.5, penalty 0.01>"


def test_groups_and_variables_of_a_store_are_in_the_order_of_their_names(tmp_path):
    store = dg.open_store(build(tmp_path / "made.zarr"))
    found = dg.query(tmp_path / "made.zarr", temperature=0.6)

    assert len(store["ka_0.0"].children) > 2
    assert list(store["ka_0.0"].children) == sorted(store["ka_0.0"].children)
    for each in (store["ka_0.0/production"], store["ka_0.0/ensemble"], found):
        assert len(each.data_vars) > 2
        assert list(each.data_vars) == sorted(each.data_vars)


def test_a_store_and_a_run_show_their_variables(tmp_path):
    store = dg.open_store(build(tmp_path / "made.zarr"))

    assert "ensemble" in store._repr_html_()
    html = store["ka_0.0/production"].dataset._repr_html_()
    assert all(name in html for name in ("position", "softness", "temperature", "replica", "particle"))
    found = dg.query(tmp_path / "made.zarr", variables=["softness"], temperature=0.6, species="A")
    assert "softness" in found._repr_html_()
    assert set(found["softness"].dims) == {"system", "replica", "time", "particle"}
