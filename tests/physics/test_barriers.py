"""Arrhenius barriers, onset and collapse, from data whose law is known."""

import os
from pathlib import Path

import gsd.hoomd
import numpy as np
import pytest
import scipy.optimize
import xarray as xr

import daskglass as dg
from daskglass.errors import DataError, StudyError
from daskglass.physics.barriers import supercooled_count
from daskglass.physics.strata import probability_of
from daskglass.report import figures
from daskglass.report.page import page
from daskglass.report.results import read_results
from daskglass.stages.barriers import fit_barriers
from daskglass.store import blocks as store
from tests.conftest import particles
from tests.physics.counts import AT_ONSET, ENERGY, ENTROPY, ONSET, TEMPERATURES, counted, histories_of_counts, law
from tests.report.synthetic import tree


def sampled(seed, samples=200_000, temperatures=TEMPERATURES):
    events = np.random.default_rng(seed).binomial(samples, law(temperatures))
    return counted(events, samples, temperatures)


# --- barriers ------------------------------------------------------------------------------------------------------


def exact():
    """So many samples that rounding events to whole numbers does not matter."""
    samples = 10**14
    return counted(np.round(law() * samples).astype(np.int64), samples)


def test_barriers_of_exact_probabilities_are_those_they_were_made_of():
    fit = dg.arrhenius(exact())
    np.testing.assert_allclose(fit.activation_energy, ENERGY, rtol=1e-7)
    np.testing.assert_allclose(fit.activation_entropy, ENTROPY, rtol=1e-7)


def test_barriers_of_sampled_probabilities_lie_within_their_errors():
    deviations = []
    for seed in range(40):
        fit = dg.arrhenius(sampled(seed, 20_000))
        deviations.append((fit.activation_energy - ENERGY) / fit.activation_energy_err)
        deviations.append((fit.activation_entropy - ENTROPY) / fit.activation_entropy_err)
    # the error takes a count for Poissonian, which is 1/√(1 − P) too much where P is not small
    assert 0.8 < np.std(deviations) < 1.05
    assert abs(np.mean(deviations)) < 0.25


def test_errors_of_the_fit_are_those_of_weighted_least_squares():
    events, T = np.array([100.0, 400.0, 900.0]), np.array([0.5, 0.6, 0.9])
    P = xr.Dataset(
        {"probability": ("temperature", [0.01, 0.03, 0.1]), "events": ("temperature", events)}, {"temperature": T}
    )
    fit = dg.arrhenius(P, weights="counts")
    X = np.column_stack([np.ones(3), -1 / T])
    covariance = np.linalg.inv(X.T @ (events[:, None] * X))
    found = [float(fit[f"activation_{name}_err"]) for name in ("entropy", "energy")]
    np.testing.assert_allclose(found, np.sqrt(np.diag(covariance)), rtol=1e-9)


BENT = np.array([[1000], [300], [40]]), np.array([0.7, 0.6, 0.5])  # far from a line


def squares(s2, T, y, error):
    """Sum of the squares of the distances from the line, each over its variance, and the line."""
    line = np.polyfit(1 / T, y, 1, w=1 / np.sqrt(error**2 + s2))
    return float(((y - np.polyval(line, 1 / T)) ** 2 / (error**2 + s2)).sum()), line


@pytest.mark.parametrize("weights", ["counts", "equal"])
def test_each_temperature_can_be_weighted_by_its_events_or_like_any_other(weights):
    events, T = BENT
    fit = dg.arrhenius(counted(events, 10_000, T), weights)
    w = np.sqrt(events[:, 0]) if weights == "counts" else None
    slope, intercept = np.polyfit(1 / T, np.log(events[:, 0] / 10_000), 1, w=w)
    assert float(fit.activation_energy[0]) == pytest.approx(-slope)
    assert float(fit.activation_entropy[0]) == pytest.approx(intercept)


def test_the_common_scatter_makes_the_squares_equal_to_their_degrees_of_freedom():
    events, T = BENT
    y, error = np.log(events[:, 0] / 10_000), 1 / np.sqrt(events[:, 0])
    s2 = scipy.optimize.brentq(lambda s2: squares(s2, T, y, error)[0] - 1, 0, 10)
    fit = dg.arrhenius(counted(events, 10_000, T)).isel(stratum=0)
    assert float(fit.scatter) == pytest.approx(np.sqrt(s2), rel=1e-9)
    assert float(fit.reduced_chi_squared) == pytest.approx(squares(0, T, y, error)[0])
    slope, intercept = squares(s2, T, y, error)[1]
    assert float(fit.activation_energy) == pytest.approx(-slope)
    assert float(fit.activation_entropy) == pytest.approx(intercept)


def test_errors_of_the_probability_take_the_place_of_those_of_its_counts():
    events, T = BENT
    error = np.array([0.3, 0.1, 0.2])
    P = counted(events, 10_000, T)
    P["probability_err"] = P.probability * xr.DataArray(error, dims="temperature")
    y = np.log(events[:, 0] / 10_000)
    fit = dg.arrhenius(P).isel(stratum=0)
    assert float(fit.reduced_chi_squared) == pytest.approx(squares(0, T, y, error)[0])
    # one error of 0 and one missing: counts tell what they can
    P["probability_err"][:2, 0] = [0.0, np.nan]
    error[:2] = 1 / np.sqrt(events[:2, 0])
    assert float(dg.arrhenius(P).reduced_chi_squared[0]) == pytest.approx(squares(0, T, y, error)[0])


def test_few_counts_are_weighted_by_their_number_and_many_like_one_another():
    law = counted(np.round(exact().events.values / 10**10).astype(np.int64), 10**4)
    fits = {weights: dg.arrhenius(law, weights) for weights in ("scatter", "counts")}
    xr.testing.assert_allclose(*(fit.drop_vars("temperatures_used") for fit in fits.values()))
    assert (fits["scatter"].scatter == 0).all()
    many = exact()
    many["probability"] = many.probability * np.exp(0.1 * np.cos(40 * many.temperature))
    fits = {
        weights: dg.arrhenius(many, weights)[["activation_energy", "activation_entropy"]]
        for weights in ("scatter", "equal")
    }
    xr.testing.assert_allclose(*fits.values(), rtol=1e-9)


def test_the_scatter_of_many_strata_is_that_with_which_they_were_drawn():
    rng = np.random.default_rng(0)
    P = counted(np.full((13, 400), 10**6), 10**9)
    P["probability"] = P.probability * np.exp(2 - 1 / P.temperature) * np.exp(0.05 * rng.standard_normal((13, 400)))
    fit = dg.arrhenius(P)
    assert float((fit.scatter**2).mean()) == pytest.approx(0.05**2, rel=0.05)
    deviation = (fit.activation_energy - 1) / fit.activation_energy_err
    # Student's t of 11 degrees of freedom
    assert float(deviation.std()) == pytest.approx(np.sqrt(11 / 9), rel=0.1)


def test_what_is_no_table_is_refused():
    for function in (dg.arrhenius, dg.supercooled):
        with pytest.raises(DataError, match=r"P must be an xarray\.Dataset of probability and events; got NoneType"):
            function(None)


def test_other_weights_and_negative_errors_are_refused():
    with pytest.raises(DataError, match="weights must be one of scatter, counts, equal; got 'events'"):
        dg.arrhenius(sampled(0), "events")
    P = sampled(0)
    with pytest.raises(DataError, match=r"P\.probability_err must not be negative"):
        dg.arrhenius(P.assign(probability_err=-P.probability))


def test_a_stratum_without_events_leaves_the_fit_at_that_temperature():
    P = sampled(0)
    silent = P.copy(deep=True)
    silent.events[-1, 0] = 0
    silent = probability_of(silent.drop_vars("probability"))
    expected = dg.arrhenius(P.isel(temperature=slice(-1)))
    fit = dg.arrhenius(silent)
    assert float(fit.activation_energy[0]) == pytest.approx(float(expected.activation_energy[0]))
    np.testing.assert_array_equal(fit.temperatures_used, [12, 13, 13, 13, 13])


@pytest.mark.parametrize("temperatures", [0, 1])
def test_fewer_than_two_temperatures_give_no_barrier_and_no_error(temperatures):
    P = sampled(0)
    silent = P.copy(deep=True)
    silent.events[temperatures:, 2] = 0
    fit = dg.arrhenius(probability_of(silent.drop_vars("probability"))).isel(stratum=2)
    for name in ("activation_energy", "activation_entropy", "activation_energy_err", "activation_entropy_err"):
        assert np.isnan(fit[name]), name


def test_barriers_do_not_depend_on_the_order_of_temperatures():
    P = sampled(0)
    xr.testing.assert_allclose(dg.arrhenius(P[{"temperature": slice(None, None, -1)}]), dg.arrhenius(P), rtol=1e-12)


def test_barriers_of_several_systems_are_those_of_each():
    both = xr.concat([sampled(0), sampled(1)], "system")
    fit = dg.arrhenius(both)
    for k in range(2):
        xr.testing.assert_allclose(fit.isel(system=k), dg.arrhenius(sampled(k)), rtol=1e-12)


# --- onset and collapse --------------------------------------------------------------------------------------------


def test_strata_that_meet_in_one_point_have_their_onset_there():
    assert float(dg.onset_temperature(dg.arrhenius(exact()))) == pytest.approx(ONSET, rel=1e-6)


def test_onset_of_sampled_probabilities_lies_within_its_bootstrapped_error():
    P = sampled(5)
    onset = float(dg.onset_temperature(dg.arrhenius(P)))
    others = [float(dg.onset_temperature(dg.arrhenius(sampled(seed)))) for seed in range(100, 130)]
    assert abs(onset - ONSET) < 3 * np.std(others)


def barriers(energy, entropy):
    return xr.Dataset({"activation_energy": ("stratum", energy), "activation_entropy": ("stratum", entropy)})


def test_an_intersection_far_from_the_others_is_left_out_of_the_onset():
    # three lines meet at 0.5; a fourth, nearly parallel to the third, meets it at 12
    energy, entropy = np.array([3.0, 2.0, 1.0, 0.988]), np.array([6.0, 4.0, 2.0, 1.999])
    T = dg.onset_temperature(barriers(energy, entropy))
    inverse = [(entropy[i] - entropy[j]) / (energy[i] - energy[j]) for i in range(4) for j in range(i)]
    kept = within(inverse)
    assert len(kept) == 5
    assert int(T.intersections) == 5
    assert float(T) == pytest.approx(1 / np.mean(kept))
    assert float(T.spread) == pytest.approx(np.std(kept) / np.mean(kept) ** 2)


def within(inverse):
    """Those within one inter-percentile range of their median."""
    low, high = np.percentile(inverse, [10, 90])
    return np.array([x for x in inverse if abs(x - np.median(inverse)) <= high - low])


@pytest.mark.parametrize("seed", range(8))
def test_onset_is_the_inverse_mean_of_inverse_intersections_near_their_median(seed):
    rng = np.random.default_rng(seed)
    energy, entropy = ENERGY + rng.normal(0, 0.4, 5), ENTROPY + rng.normal(0, 0.4, 5)
    inverse = [(entropy[i] - entropy[j]) / (energy[i] - energy[j]) for i in range(5) for j in range(i)]
    assert float(dg.onset_temperature(barriers(energy, entropy))) == pytest.approx(1 / within(inverse).mean())


def test_strata_that_meet_beyond_any_temperature_have_no_onset():
    assert np.isnan(dg.onset_temperature(barriers([3.0, 2.0, 1.0], [-6.0, -4.0, -2.0])))


def test_a_single_stratum_meets_no_other():
    assert np.isnan(dg.onset_temperature(barriers([3.0], [6.0])))


def test_strata_without_a_fit_do_not_take_part_in_the_onset():
    T = dg.onset_temperature(barriers([3.0, np.nan, 1.0], [6.0, np.nan, 2.0]))
    assert float(T) == pytest.approx(0.5)


def test_every_row_has_the_onset_of_the_strata_that_it_fitted():
    noise = np.random.default_rng(0).normal(0, 0.4, 5)
    subsets = np.arange(1, 32)[:, None] >> np.arange(5) & 1 == 1
    fitted = xr.DataArray(subsets, dims=("system", "stratum"))
    onset = dg.onset_temperature(barriers(ENERGY + noise, ENTROPY).where(fitted))
    for k, subset in enumerate(subsets):
        alone = dg.onset_temperature(barriers((ENERGY + noise)[subset], ENTROPY[subset]))
        xr.testing.assert_allclose(onset.isel(system=k), alone, rtol=1e-13)


def test_parallel_strata_meet_nowhere():
    assert np.isnan(dg.onset_temperature(barriers([3.0, 3.5], [6.0, 6.0])))


def test_onset_and_collapse_of_several_systems_are_those_of_each():
    fit = xr.concat([dg.arrhenius(sampled(0)), dg.arrhenius(sampled(1))], "system")
    onset = dg.onset_temperature(fit)
    scaled = dg.collapse(fit, onset)
    for k in range(2):
        alone = dg.onset_temperature(fit.isel(system=k))
        assert float(onset[k]) == float(alone)
        xr.testing.assert_allclose(
            scaled.isel(system=k).reset_coords(drop=True), dg.collapse(fit.isel(system=k), alone)
        )


def test_scaled_energy_is_scaled_entropy_less_one_where_strata_meet():
    fit = dg.arrhenius(exact())
    scaled = dg.collapse(fit, dg.onset_temperature(fit))
    np.testing.assert_allclose(scaled.scaled_energy, scaled.scaled_entropy - 1, rtol=1e-5)
    assert float(scaled.onset_probability) == pytest.approx(np.exp(AT_ONSET), rel=1e-6)


def test_collapse_divides_by_the_mean_probability_at_onset():
    fit = barriers([3.0, 1.0], [2.0, 1.5])
    scaled = dg.collapse(fit, 0.8)
    P = np.mean([np.exp(2.0 - 3.0 / 0.8), np.exp(1.5 - 1.0 / 0.8)])
    np.testing.assert_allclose(scaled.scaled_entropy, np.array([2.0, 1.5]) / np.log(P))
    np.testing.assert_allclose(scaled.scaled_energy, np.array([3.0, 1.0]) / (0.8 * np.log(P)))


# --- supercooled range ---------------------------------------------------------------------------------------------


def test_supercooled_temperatures_are_those_below_the_onset_they_give():
    hot = np.array([1.20, 1.00, 0.90])
    T = np.concatenate([hot, TEMPERATURES])
    np.testing.assert_array_equal(np.sort(dg.supercooled(sampled(0, 10**7, T)).temperature), np.sort(TEMPERATURES))


def test_supercooled_temperatures_do_not_depend_on_their_order():
    T = np.concatenate([[1.20, 1.00, 0.90], TEMPERATURES])
    P = sampled(0, 10**7, T)
    backwards = dg.supercooled(P.isel(temperature=slice(None, None, -1)))
    np.testing.assert_array_equal(backwards.temperature, dg.supercooled(P).temperature)


def test_the_range_is_that_of_the_weights():
    """Strata that bend, so that the hottest temperature of a range, with most events, gives another onset."""
    T = np.linspace(0.5, 1.4, 10)
    P = np.minimum(np.exp(ENERGY * (0.9**-1.3 - T[:, None] ** -1.3) - 1), 1)
    bent = counted(np.round(1e6 * P).astype(int), 10**6, T)
    found = {weights: dg.supercooled(bent, weights) for weights in ("counts", "equal")}
    for weights, chosen in found.items():
        onset = float(dg.onset_temperature(dg.arrhenius(chosen, weights)))
        assert chosen.sizes["temperature"] == (onset > T).sum()
    assert found["counts"].sizes["temperature"] == found["equal"].sizes["temperature"] + 1


def test_a_search_that_cycles_ends_at_the_smallest_range_of_its_cycle():
    temperatures = np.arange(1, 11) / 10
    # from ten down to three, from there up into a cycle of eight and nine
    following = {10: 3, 3: 8, 8: 9, 9: 8}
    assert supercooled_count(temperatures, lambda k: following[k] / 10 + 0.05) == 8


def test_at_least_two_temperatures_are_supercooled():
    assert supercooled_count(np.arange(1, 11) / 10, lambda k: 0.01) == 2


# --- of a study ----------------------------------------------------------------------------------------------------

ABOVE_AND_BELOW = np.concatenate([[1.2, 1.0], TEMPERATURES])  # as a study has them: from hot to cold
RANGES = {"softness": ONSET, "local_entropy": 0.65}  # where the strata of each variable meet


def ensemble_of_counts(edges=(-1.25, -0.75, -0.25, 0.25, 0.75, 1.25)):
    """What a study holds before its barriers: the counts of each variable, of every candidate of the same strata."""
    T, k = ABOVE_AND_BELOW, ABOVE_AND_BELOW.size
    # at T times their ratio, strata that meet at one temperature are those that meet at the other
    counts = [histories_of_counts(1, temperatures=T * ONSET / onset, samples=10**5) for onset in RANGES.values()]
    table = xr.concat([each.assign_coords(temperature=T) for each in counts], xr.Variable("variable", list(RANGES)))
    table = table.rename(samples="candidate_samples", events="candidate_events").expand_dims(candidate=k)
    boundaries = np.broadcast_to(edges, (len(RANGES), k, len(edges)))
    table["candidate_edges"] = ("variable", "candidate", "edge"), boundaries
    table["relaxation_time"] = "temperature", np.full(k, 0.5)
    time, replica = np.arange(float(table.sizes["time"])), np.arange(table.sizes["replica"])
    return table.assign_coords(time=time, replica=replica)


def fitted(folder, hottest):
    store.write_table(folder / "out.zarr", "ka/ensemble", ensemble_of_counts())
    return fit_barriers(
        folder / "out.zarr", "ka", hottest=hottest, weights="scatter", resamples=10, seed=0, window=10.0
    )


def test_onsets_of_two_variables_have_the_covariance_of_their_resamples(tmp_path):
    found = fitted(tmp_path, None)
    covariance = found.onset_temperature_cov.transpose("variable", "variable_2").values
    np.testing.assert_allclose(np.diag(covariance), found.onset_temperature_err**2)
    np.testing.assert_allclose(covariance, covariance.T, rtol=1e-12)
    one, other = (
        dg.bootstrap(
            ensemble_of_counts()
            .sel(variable=name)[["candidate_samples", "candidate_events"]]
            .rename(candidate_samples="samples", candidate_events="events"),
            10, seed=0, block=21,
        ).inverse_onset_temperature
        for name in RANGES
    )  # fmt: skip
    expected = np.cov(one, other)[0, 1] * np.prod(found.onset_temperature.values**2)
    assert covariance[0, 1] == pytest.approx(expected)


@pytest.mark.parametrize("hottest", [0.6, 0.7, 1.2, None])
def test_temperatures_above_the_supercooled_ones_have_probabilities_that_no_fit_uses(tmp_path, hottest):
    fits = fitted(tmp_path, hottest)
    np.testing.assert_array_equal(fits["temperature"], ABOVE_AND_BELOW)
    for name, onset in RANGES.items():
        fit, cold = fits.sel(variable=name), (hottest or onset) >= ABOVE_AND_BELOW
        counts = ensemble_of_counts().sel(variable=name).isel(candidate=0)
        P = probability_of(
            counts[["candidate_samples", "candidate_events"]].rename(
                candidate_samples="samples", candidate_events="events"
            )
        )
        np.testing.assert_array_equal(fit["probability"], P["probability"])
        assert (fit["probability_err"] > 0).all()
        assert int(fit["supercooled"]) == cold.sum()
        P["probability_err"] = fit["probability_err"]
        expected = dg.arrhenius(P.isel(temperature=cold))
        np.testing.assert_array_equal(fit["activation_energy"], expected["activation_energy"])
        np.testing.assert_array_equal(fit["temperatures_used"], np.full(5, cold.sum()))
        for known in (
            "onset_temperature",
            "activation_energy",
            "activation_entropy",
            "scaled_energy",
            "scaled_entropy",
        ):
            assert np.isfinite(fit[known]).all()
            assert (fit[f"{known}_err"] > 0).all()


def test_an_onset_found_from_the_data_is_that_of_the_law_however_many_temperatures_lie_above_it(tmp_path):
    fits = fitted(tmp_path, None)
    for name, onset in RANGES.items():
        fit = fits.sel(variable=name)
        assert float(fit["onset_temperature"]) == pytest.approx(onset, abs=4 * float(fit["onset_temperature_err"]))


def test_a_hottest_temperature_below_all_of_them_is_refused(tmp_path):
    with pytest.raises(StudyError, match=r"barriers: hottest: no temperature is as low as 0\.3: give one of \[1\.2"):
        fitted(tmp_path, 0.3)


def test_a_study_whose_hottest_temperatures_are_not_supercooled_is_drawn(tmp_path):
    fits = fitted(tmp_path, None)

    def fit(_, ensemble):
        old = [name for name in ensemble.data_vars if name in fits or "stratum" in ensemble[name].dims]
        return xr.merge([ensemble.drop_vars(old), fits], join="exact")

    study = tree(temperatures=ABOVE_AND_BELOW, change=fit)
    for name in ("strata", "correlation", "barriers"):
        figures.drawn(name, read_results(study)).draw_without_rendering()
    assert f"{TEMPERATURES.size} ({TEMPERATURES.max():.4g} to 0.45)" in page(read_results(study), [], {})


# --- published numbers ---------------------------------------------------------------------------------------------

PUBLISHED = {
    "0.90": {"relaxation": 1.67, "diffusivity": 7.97e-3, "entropy": -4.80, "without core": -3.245, "hops": 0.414},
    "0.70": {"relaxation": 4.71, "diffusivity": 3.16e-3, "entropy": -5.43, "without core": -3.761, "hops": 0.101},
}
RELATIVE = {"relaxation": 0.05, "diffusivity": 0.05, "hops": 0.02}
ABSOLUTE = {"entropy": 0.02, "without core": 0.02}


@pytest.fixture(scope="module", params=PUBLISHED)
def real(request):
    """A run of 201 frames of the Kob-Andersen mixture, and its temperature."""
    folder = os.environ.get("DASKGLASS_TRAJECTORIES")
    if folder is None:
        pytest.skip("DASKGLASS_TRAJECTORIES names no folder with ka_0.0_T0.90_r0.gsd and ka_0.0_T0.70_r0.gsd")
    with gsd.hoomd.open(Path(folder) / f"ka_0.0_T{request.param}_r0.gsd", "r") as file:
        box = np.asarray(file[0].configuration.box[:3], np.float64)
        position = np.stack([frame.particles.position + frame.particles.image * box for frame in file])
        time = np.array([frame.configuration.step for frame in file]) * 0.004
        species = file[0].particles.typeid.astype(np.int8)
    return request.param, particles(position.astype(np.float32), species, box, time=time - time[0])


def relaxation(run):
    return dg.relaxation_time(dg.scattering_function(run.position, run.species))


def diffusion(run):
    return dg.diffusivity(dg.mean_squared_displacement(run.position, run.species))


def excess_entropy(run, core):
    g = dg.radial_distribution(run.position, run.species, run.box)
    return dg.excess_entropy(g, run.sizes["particle"] / float(run.box.prod()), core)


def rearranging(run):
    hop = dg.hop_indicator(run.position).where(run.species == 0)
    return (hop > 0.2).sum() / hop.notnull().sum()


# quantity, blocks in time that are long enough to give it
MEASURES = {
    "relaxation": (relaxation, 5),
    "diffusivity": (diffusion, 2),
    "entropy": (lambda run: excess_entropy(run, "limit"), 10),
    "without core": (lambda run: excess_entropy(run, "omit"), 10),
    "hops": (rearranging, 10),
}


@pytest.mark.parametrize("quantity", MEASURES)
def test_real_trajectories_have_the_published_numbers(real, quantity, request):
    """Within the stated tolerance, or two standard errors of blocks of this one run, whichever is larger."""
    temperature, run = real
    if temperature == "0.90" and quantity in ("entropy", "without core"):
        reason = "all 201 frames give -4.823 and -3.265, with errors of 0.004: off by 0.023 and 0.0204, 0.02 is stated"
        request.applymarker(pytest.mark.xfail(reason=reason, strict=True))
    measure, blocks = MEASURES[quantity]
    published = PUBLISHED[temperature][quantity]
    length = run.sizes["time"] // blocks
    parts = [float(measure(run.isel(time=slice(k * length, (k + 1) * length + 1)))) for k in range(blocks)]
    error = np.std(parts, ddof=1) / np.sqrt(blocks)
    stated = RELATIVE.get(quantity, 0) * published + ABSOLUTE.get(quantity, 0)
    found = float(measure(run))
    print(f"T={temperature} {quantity}: {found:.5g} ± {error:.2g}, published {published} ± {stated:.2g}")
    assert abs(found - published) <= max(stated, 2 * error)
