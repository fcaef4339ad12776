"""One default and one order of arguments: functions and the study file agree."""

from inspect import signature

import pytest

import daskglass as dg
from daskglass.physics.structure import MU, mu_grid
from daskglass.study.settings import Study


def default(function, argument):
    return signature(function).parameters[argument].default


def of_study(section):
    return Study.model_fields[section].default


@pytest.mark.parametrize(
    ("section", "function", "arguments"),
    [
        ("hops", dg.hop_indicator, ["window"]),
        ("hops", dg.rearrangement_labels, ["soft", "hard", "soft_separation", "hard_separation"]),
        ("structure", dg.structure_functions, ["width"]),
        ("softness", dg.Softness.fit, ["samples_per_class", "C", "seed"]),
        ("strata", dg.strata, ["bins", "percentiles"]),
        ("radial", dg.radial_distribution, ["r_max", "bin_width"]),
        ("radial", dg.excess_entropy, ["core"]),
        ("dynamics", dg.scattering_function, ["q"]),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_a_study_file_that_names_no_value_computes_what_the_functions_do(section, function, arguments):
    for argument in arguments:
        assert getattr(of_study(section), argument) == default(function, argument), argument


def test_a_study_file_that_names_no_radii_has_those_of_the_functions():
    assert tuple(mu_grid(*of_study("structure").mu)) == default(dg.structure_functions, "mu") == MU


def test_a_rearrangement_is_the_same_for_labels_recall_and_barriers():
    thresholds = {
        default(dg.rearrangement_labels, "soft"),
        default(dg.recall_precision, "threshold"),
        default(dg.rearrangement_probability, "threshold"),
        default(dg.receiver_operating_curve, "threshold"),
    }

    assert len(thresholds) == 1


@pytest.mark.parametrize("function", [dg.scattering_function, dg.mean_squared_displacement])
def test_motion_is_of_positions_species_and_lags_in_this_order(function):
    assert list(signature(function).parameters)[:3] == ["position", "species", "lags"]
