"""Arrays, tables and single numbers that are refused, each in words that say what is wrong; and tables laid out otherwise."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import xarray as xr

import daskglass as dg
from daskglass.errors import DataError
from daskglass.physics import strata
from daskglass.physics.strata import stratum_edges, value_histogram
from tests.physics.arrays.data import FRAMES, MU, WIDTH, everything, system_arrays
from tests.physics.arrays.functions import LAGS

# --- words of errors -----------------------------------------------------------------------------------------------


def few():
    arrays = system_arrays()
    return arrays["position"], arrays["species"], arrays["box"]


@pytest.mark.parametrize("plain", [np.asarray, lambda x: x.values.tolist(), lambda x: pd.Series(x.values.ravel())])
def test_an_array_without_names_is_refused_with_the_lines_that_give_it_some(plain):
    position, species, box = few()
    with pytest.raises(
        DataError, match=r"import xarray as xr\n    species = xr\.DataArray\(species, dims=\"particle\""
    ):
        dg.structure_functions(position, plain(species), box)
    with pytest.raises(
        DataError, match=r"    position = xr\.DataArray\(position, dims=\(\"time\", \"particle\", \"xyz\"\)"
    ):
        dg.mean_squared_displacement(plain(position), species)


def test_a_dataset_is_refused_with_the_names_of_its_variables():
    position, species, _ = few()
    with pytest.raises(DataError, match=r"position is a whole Dataset: give one of its variables \['inherent'\]"):
        dg.mean_squared_displacement(position.to_dataset(name="inherent"), species)


def test_lengths_that_differ_are_named_with_their_arrays():
    position, species, box = few()
    with pytest.raises(DataError, match="particle differs: position has 24, species has 23"):
        dg.structure_functions(position, species.isel(particle=slice(23)), box)


def test_labels_that_differ_are_named_with_their_arrays():
    position, species, box = few()
    with pytest.raises(DataError, match=r"labels of time differ between position and box: box has no label 0\.0"):
        dg.structure_functions(position, species, box.assign_coords(time=box.time + 0.5))


def test_labels_are_not_dropped_where_arrays_are_added():
    D = xr.DataArray([1.0, 2.0], dims="temperature", coords={"temperature": [0.5, 0.6]})
    rho = xr.DataArray([1.2, 1.2], dims="temperature", coords={"temperature": [0.6, 0.7]})
    with pytest.raises(DataError, match="labels of temperature differ between D and density"):
        dg.reduced_diffusivity(D, rho, 0.5)


def test_dynamics_refuse_codes_without_a_name_as_structure_does():
    position, species, _ = few()
    species[0, 3] = 7
    with pytest.raises(DataError, match=r"particle 3: species code 7 has no name among \['A', 'B'\]"):
        dg.mean_squared_displacement(position, species)


def test_a_particle_with_a_position_but_no_species_is_refused():
    position, species, box = few()
    species[0, 3] = -1
    for function in (dg.mean_squared_displacement, lambda *a: dg.structure_functions(*a, box, MU, WIDTH)):
        with pytest.raises(DataError, match="particle 3: species code -1 has no name"):
            function(position, species)


def test_times_are_numbers_that_rise():
    position, species, _ = few()
    for wrong in (position.isel(time=slice(None, None, -1)), position.isel(time=[0, 2, 1])):
        with pytest.raises(DataError, match="times of frames must rise strictly"):
            dg.hop_indicator(wrong, 2.0)
    with pytest.raises(DataError, match="time must be numbers, in τ"):
        dg.mean_squared_displacement(position.assign_coords(time=pd.date_range("2020", periods=FRAMES)), species)


@pytest.mark.parametrize("wrong", [[0.0, 1.0, 1.0], [0.0, np.nan, 1.0], ["a", "b", "c"]])
def test_labels_that_are_not_numbers_each_once_are_refused(wrong):
    F = xr.DataArray([1.0, 0.5, 0.1], dims="lag", coords={"lag": wrong})
    for function in (dg.relaxation_time, dg.diffusivity):
        with pytest.raises(DataError, match="lag of"):
            function(F)
        with pytest.raises(DataError, match="needs a one-dimensional coordinate lag"):
            function(F.drop_vars("lag"))


def test_scattering_of_missing_frames_alone_is_unknown():
    position, species, _ = few()
    gone = position.isel(system=0) * np.nan
    assert dg.scattering_function(gone, species.isel(system=0), lags=LAGS).isnull().all()


def test_frames_that_are_missing_leave_the_average_of_those_that_exist():
    position, species, _ = few()
    position, species = position.isel(system=0), species.isel(system=0)
    for function in (dg.scattering_function, dg.mean_squared_displacement):
        kept = function(position.isel(time=slice(0, 9)), species, lags=LAGS)
        gone = function(position.where(position.time < 9), species, lags=LAGS)
        np.testing.assert_allclose(gone, kept, rtol=1e-12)


@pytest.mark.parametrize("value", [np.nan, np.inf, "x", "1.0", True, None, [1.0]])
def test_single_numbers_are_finite_numbers(value):
    position, species, box = few()
    for call in (
        lambda: dg.hop_indicator(position, value),
        lambda: dg.scattering_function(position, species, q=value),
        lambda: dg.structure_functions(position, species, box, width=value),
        lambda: dg.radial_distribution(position, species, box, r_max=value),
        lambda: dg.rearrangement_labels(system_arrays()["hop"], species, soft=value),
        lambda: dg.recall_precision(system_arrays()["values"], system_arrays()["values"], value),
    ):
        with pytest.raises(DataError, match="must be"):
            call()


# --- numbers that are none ------------------------------------------------------------------------------------------


def changed(array, value):
    found = array.copy(deep=True)
    found[{dim: 0 for dim in array.dims}] = value
    return found


@pytest.mark.parametrize("lazy", [False, True])
@pytest.mark.parametrize(("name", "call"), {
    "position": lambda a: dg.hop_indicator(a["position"], 4.0),
    "hop": lambda a: dg.rearrangement_labels(a["hop"], a["species"]),
    "values": lambda a: dg.recall_precision(a["values"], a["hop"]),
    "scattering": lambda a: dg.relaxation_time(a["scattering"]),
    "msd": lambda a: dg.diffusivity(a["msd"]),
    "g": lambda a: dg.excess_entropy(a["g"], 1.2),
    "G": lambda a: dg.local_excess_entropy(a["G"]),
    "D": lambda a: dg.reduced_diffusivity(a["D"], 1.2, 0.5),
}.items())  # fmt: skip
def test_infinity_is_no_missing_value(name, call, lazy):
    arrays = everything()
    arrays[name] = changed(arrays[name], -np.inf)
    if lazy:
        arrays = {key: array.chunk() for key, array in arrays.items()}
    with pytest.raises(DataError, match=r"is not finite at system 0, "):
        call(arrays).compute()


def test_infinity_in_a_table_is_named_with_its_variable():
    P = everything()["P"]
    wrong = P.assign(probability=changed(P.probability, np.inf))
    for table in (wrong, wrong.chunk()):
        with pytest.raises(DataError, match=r"P\.probability is not finite at system 0, temperature 0, stratum 0"):
            dg.arrhenius(table).compute()


@pytest.mark.parametrize(("name", "units", "call"), [
    ("position", "Å", lambda a: dg.hop_indicator(a["position"], 4.0)),
    ("position", "Angstrom", lambda a: dg.mean_squared_displacement(a["position"], a["species"], LAGS)),
    ("box", "nm", lambda a: dg.without_affine_motion(a["position"], a["box"])),
    ("msd", "Å^2", lambda a: dg.diffusivity(a["msd"])),
    ("msd", "nm2", lambda a: dg.diffusivity(a["msd"])),
    ("density", "nm**-3", lambda a: dg.excess_entropy(a["g"], a["density"])),
    ("T", "K", lambda a: dg.reduced_diffusivity(a["D"], 1.2, a["T"])),
])  # fmt: skip
def test_numbers_in_laboratory_units_are_refused(name, units, call):
    arrays = everything()
    with pytest.raises(DataError, match=r"is in .*: divide by σ, τ and ε"):
        call(arrays | {name: arrays[name].assign_attrs(units=units)})
    call(arrays | {name: arrays[name].assign_attrs(units="sigma**2/tau")})


def test_labels_in_laboratory_units_are_refused():
    arrays = everything()

    def in_(units, array, dim):
        return array.assign_coords({dim: (dim, array[dim].values, {"units": units})})

    for call in (
        lambda: dg.hop_indicator(in_("ps", arrays["position"], "time"), 4.0),
        lambda: dg.relaxation_time(in_("ns", arrays["scattering"], "lag")),
        lambda: dg.local_excess_entropy(in_("angstrom", arrays["G"], "mu")),
        lambda: dg.arrhenius(in_("K", arrays["P"], "temperature")),
    ):
        with pytest.raises(DataError, match=r"is in .*: divide by σ, τ and ε"):
            call()


def test_negative_numbers_that_cannot_be_are_refused():
    arrays = everything()
    for call in (lambda: dg.diffusivity(-arrays["msd"]), lambda: dg.local_excess_entropy(-arrays["G"])):
        with pytest.raises(DataError, match="must not be negative"):
            call()


# --- labels of one and of others ------------------------------------------------------------------------------------


def test_an_array_of_one_system_is_not_used_for_others():
    position, species, box = few()
    for p, s in (
        (position, species.sel(system="p")),
        (position.sel(system="p"), species),
        (position.sel(system="p"), species.sel(system="q")),
        (position.drop_vars("system"), species.sel(system="p")),
        (position.assign_coords(system=[0.5, 1.5]), species.sel(system="p")),
    ):
        with pytest.raises(DataError, match="select the same of both, or give"):
            dg.mean_squared_displacement(p, s, LAGS)
    both = dg.mean_squared_displacement(position, species.sel(system="p").drop_vars("system"), LAGS)
    alone = dg.mean_squared_displacement(position.sel(system="p"), species.sel(system="p"), LAGS)
    np.testing.assert_array_equal(both.sel(system="p"), alone)
    centers = position.sel(xyz="x") > 4
    assert dg.structure_functions(position, species, box, MU, WIDTH, centers=centers).notnull().any()


def test_labels_that_are_parts_of_others_are_refused():
    arrays = everything()
    rows = arrays["values"].stack(row=("system", "time"))
    with pytest.raises(DataError, match="system labels row of softness, but system of hop: unstack one of them"):
        dg.recall_precision(rows, arrays["hop"])
    xr.testing.assert_equal(
        dg.recall_precision(rows, arrays["hop"].stack(row=("system", "time"))).recall.unstack("row"),
        dg.recall_precision(*(arrays[name].rename(time="moment") for name in ("values", "hop"))).recall.rename(
            moment="time"
        ),
    )


def test_the_last_digit_of_a_label_does_not_matter():
    arrays = everything()
    sums = [0.1 * k for k in range(FRAMES)]
    fractions = [k / 10 for k in range(FRAMES)]
    assert sums != fractions
    found = dg.recall_precision(
        arrays["values"].assign_coords(time=sums).isel(time=slice(None, None, -1)),
        arrays["hop"].assign_coords(time=fractions),
    )
    xr.testing.assert_equal(found, dg.recall_precision(arrays["values"], arrays["hop"]))
    single = arrays["hop"].assign_coords(time=np.float32(sums))
    with pytest.raises(DataError, match=r"hop has no label 0\.1 \(softness has float64, hop float32\)"):
        dg.recall_precision(arrays["values"].assign_coords(time=fractions), single)


def test_names_of_species_are_a_list():
    position, species, _ = few()
    with pytest.raises(DataError, match=r'must be a list such as \["A", "B"\]; got 5'):
        dg.mean_squared_displacement(position, species.assign_attrs(names=5))


# --- tables --------------------------------------------------------------------------------------------------------


def counted():
    rng = np.random.default_rng(3)
    dims = ("temperature", "replica", "time", "stratum")
    T = np.array([0.5, 0.6, 0.7, 0.8])
    samples = np.full((4, 2, 6, 3), 4000)
    P = np.exp(np.array([4.0, 3.0, 2.0]) - np.array([4.0, 3.3, 2.6]) / T[:, None])
    events = rng.binomial(samples, np.broadcast_to(P[:, None, None], samples.shape))
    labels = {"temperature": T, "replica": [0, 1], "time": np.arange(6.0), "stratum": [0.0, 1.0, 2.0]}
    return xr.Dataset({"samples": (dims, samples), "events": (dims, events)}, labels)


def fits(counts):
    P = strata.probability_of(counts)
    fit = dg.arrhenius(P)
    onset = dg.onset_temperature(fit)
    spread = dg.bootstrap(counts, 4, 0, 2)
    return xr.merge([fit, onset.reset_coords(drop=True), dg.collapse(fit, onset), spread], compat="override")


@pytest.mark.parametrize("change", [
    lambda counts: counts.isel(temperature=[2, 0, 3, 1]),
    lambda counts: counts.isel(time=[5, 3, 0, 1, 2, 4]),
    lambda counts: counts.isel(replica=[1, 0]),
    lambda counts: counts.transpose("stratum", "time", "temperature", "replica"),
    lambda counts: counts.astype(">f8"),
    lambda counts: counts.astype(np.float32),
    lambda counts: counts.chunk(temperature=1, time=2),
])  # fmt: skip
def test_barriers_do_not_depend_on_how_counts_are_laid_out(change):
    expected = fits(counted())
    found = fits(change(counted())).compute().sortby("temperature")
    for name, values in expected.items():
        np.testing.assert_allclose(found[name].transpose(*values.dims), values, rtol=1e-8)


@pytest.mark.parametrize("nothing", [-1, np.nan])
def test_counts_that_are_missing_count_nothing(nothing):
    counts = counted()
    gone = counts.where((counts.replica == 0) | (counts.temperature != 0.6), nothing)
    alone = counts.sel(replica=[0], temperature=[0.6])
    P = strata.probability_of(gone).probability
    np.testing.assert_array_equal(P.sel(temperature=[0.6]), strata.probability_of(alone).probability)
    none = strata.probability_of(counts.where(counts.temperature != 0.6, nothing))
    assert none.probability.sel(temperature=0.6).isnull().all()
    kept = dg.arrhenius(strata.probability_of(counts.sel(temperature=[0.5, 0.7, 0.8])))
    xr.testing.assert_allclose(dg.arrhenius(none), kept, rtol=1e-12)


@pytest.mark.parametrize("wrong", [[0.5, 0.6, 0.6, 0.7], [0.0, 0.5, 0.6, 0.7], [np.nan, 0.5, 0.6, 0.7], list("abcd")])
def test_temperatures_are_positive_numbers_each_once(wrong):
    P = strata.probability_of(counted()).assign_coords(temperature=wrong)
    for function in (dg.arrhenius, dg.supercooled):
        with pytest.raises(DataError, match="temperature"):
            function(P)
        with pytest.raises(DataError, match="needs a one-dimensional coordinate temperature"):
            function(P.drop_vars("temperature"))


def test_a_table_without_a_variable_is_refused_by_its_name():
    P = strata.probability_of(counted())
    with pytest.raises(DataError, match="P lacks probability"):
        dg.arrhenius(P.drop_vars("probability"))
    with pytest.raises(DataError, match=r"P must be an xarray\.Dataset of probability and events; got DataArray"):
        dg.arrhenius(P.probability)
    with pytest.raises(DataError, match="fit lacks activation_entropy"):
        dg.onset_temperature(dg.arrhenius(P).drop_vars("activation_entropy"))


def test_what_is_no_probability_is_refused():
    P = strata.probability_of(counted())
    for wrong in (P.probability * 50, -P.probability):
        with pytest.raises(DataError, match="probability must lie between 0 and 1"):
            dg.arrhenius(P.assign(probability=wrong))


def test_supercooled_temperatures_are_those_of_one_system():
    P = strata.probability_of(counted()).expand_dims(system=["p", "q"])
    with pytest.raises(DataError, match="select one system first"):
        dg.supercooled(P)


@pytest.mark.parametrize("onset", [0.0, -0.7, np.nan])
def test_nothing_collapses_at_an_onset_that_is_none(onset):
    found = dg.collapse(dg.arrhenius(strata.probability_of(counted())), onset)
    assert found.to_array().isnull().all()


def test_an_onset_is_one_for_all_strata():
    fit = dg.arrhenius(strata.probability_of(counted()))
    with pytest.raises(DataError, match="onset must not vary along stratum"):
        dg.collapse(fit, fit.activation_energy)


def test_a_bootstrap_of_lazy_counts_is_one_task():
    spread = dg.bootstrap(counted().chunk(temperature=1, replica=1), 50, 0, 2)
    assert len(spread.probability_err.__dask_graph__()) < 200


@pytest.mark.parametrize("value", [2.0**41, -1e300])
def test_values_too_far_from_zero_for_a_stratum_are_refused(value):
    values = xr.DataArray([*np.arange(100.0), value], dims="particle")
    with pytest.raises(DataError, match=r"values beyond .* have no strata"):
        dg.strata(values)


def test_strata_are_fewer_than_their_numbers_can_tell():
    values = xr.DataArray(np.arange(100.0), dims="particle")
    with pytest.raises(DataError, match="bins must be a whole number, 32767 at most"):
        dg.strata(values, 40_000)
    with pytest.raises(DataError, match="at most 32768"):
        dg.rearrangement_probability(values, values, xr.DataArray(np.arange(40_000.0), dims="edge"))


@pytest.mark.parametrize("dtype", [np.float64, np.float16, ">f4", ">f8"])
def test_strata_do_not_depend_on_the_type_of_the_values(dtype):
    values = xr.DataArray(np.random.default_rng(0).normal(0, 2, 5000).astype(np.float16).astype(dtype), dims="particle")
    expected = stratum_edges(value_histogram(values.values.astype(float)), 5, (5.0, 95.0))
    np.testing.assert_array_equal(dg.strata(values), expected)
    np.testing.assert_array_equal(dg.strata(values.chunk(particle=777)), expected)


@pytest.mark.parametrize(
    "percentiles", [(95.0, 5.0), (-1.0, 50.0), (5.0, 101.0), (np.nan, 95.0), (1, 2, 3), 5.0, ("5", "95")]
)
def test_percentiles_rise_between_0_and_100(percentiles):
    with pytest.raises(DataError, match="percentiles"):
        dg.strata(xr.DataArray(np.arange(100.0), dims="particle"), percentiles=percentiles)


def test_bootstrapped_errors_are_those_of_a_sample():
    counts = counted()
    # of two resamples: the difference over √2
    units = np.random.default_rng(5).integers(6, size=(2, 4, 5))
    blocks = counts.coarsen(time=2).sum().stack(unit=("replica", "time")).transpose("temperature", "unit", "stratum")
    events, samples = blocks.events.values, blocks.samples.values
    P = [
        np.stack([events[T, chosen[T]].sum(axis=0) / samples[T, chosen[T]].sum(axis=0) for T in range(4)])
        for chosen in units
    ]
    of_all, all_samples = (each.sum(axis=1) for each in (events, samples))
    counting = np.sqrt(of_all * (all_samples - of_all) / all_samples.astype(float) ** 3)
    found = dg.bootstrap(counts, 2, 5, 2).probability_err.transpose("temperature", "stratum")
    np.testing.assert_allclose(found, np.maximum(np.abs(P[0] - P[1]) / np.sqrt(2), counting), rtol=1e-9)
