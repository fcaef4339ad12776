"""One default and one order of arguments: functions and the study file agree."""

from inspect import signature

import pytest

import daskglass as dg
from daskglass.physics.structure import MU, mu_grid
from daskglass.study import settings


def default(function, argument):
    return signature(function).parameters[argument].default


@pytest.mark.parametrize(
    ("section", "arguments"),
    [
        (settings.Hops(), {"window": dg.hop_indicator}),
        (
            settings.Hops(),
            dict.fromkeys(("soft", "hard", "soft_separation", "hard_separation"), dg.rearrangement_labels),
        ),
        (settings.Structure(), {"width": dg.structure_functions}),
        (settings.Softness(), dict.fromkeys(("samples_per_class", "C", "seed"), dg.Softness.fit)),
        (settings.Strata(), dict.fromkeys(("bins", "percentiles"), dg.strata)),
        (settings.Radial(), dict.fromkeys(("r_max", "bin_width"), dg.radial_distribution)),
        (settings.Radial(), {"core": dg.excess_entropy}),
        (settings.Dynamics(), {"q": dg.scattering_function}),
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_study_file_that_names_no_value_computes_what_the_functions_do(section, arguments):
    assert {key: getattr(section, key) for key in arguments} == {
        key: default(function, key) for key, function in arguments.items()
    }


def test_a_study_file_that_names_no_radii_has_those_of_the_functions():
    assert tuple(mu_grid(*settings.Structure().mu)) == default(dg.structure_functions, "mu") == MU


def test_a_rearrangement_is_the_same_for_labels_recall_and_barriers():
    thresholds = {
        default(dg.rearrangement_labels, "soft"),
        default(dg.recall_precision, "threshold"),
        default(dg.rearrangement_probability, "threshold"),
    }

    assert len(thresholds) == 1


@pytest.mark.parametrize("function", [dg.scattering_function, dg.mean_squared_displacement])
def test_motion_is_of_positions_species_and_lags_in_this_order(function):
    assert list(signature(function).parameters)[:3] == ["position", "species", "lags"]
