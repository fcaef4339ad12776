"""Bootstrapped errors of barriers, onset and collapse, against a loop over resamples and against the law of the data."""

import tracemalloc
import warnings

import numpy as np
import pytest
import xarray as xr

import daskglass as dg
from benchmarks.barriers import one_by_one
from daskglass.errors import DataError
from daskglass.physics import bootstrap
from daskglass.physics.barriers import supercooled_count
from daskglass.physics.strata import probability_of
from tests.physics.counts import ENERGY, ENTROPY, ONSET, TEMPERATURES, histories_of_counts, law

# --- the law of the data -------------------------------------------------------------------------------------------


def test_bootstrapped_errors_are_those_of_counting_where_frames_are_independent():
    counts = histories_of_counts(0, temperatures=TEMPERATURES[::2])
    errors = dg.bootstrap(counts, 100, seed=1, block=1)
    P = probability_of(counts)
    binomial = np.sqrt(P.probability * (1 - P.probability) / P.samples)
    # a standard deviation of 180 units, from 100 samples: 5 % and 7 %
    assert (abs(errors.probability_err / binomial - 1).values < 0.4).all()
    assert abs(float((errors.probability_err / binomial).mean()) - 1) < 0.05


def test_bootstrapped_blocks_see_that_their_frames_repeat_one_another():
    counts = histories_of_counts(0, block=10, temperatures=TEMPERATURES[::4])
    naive, honest = (dg.bootstrap(counts, 60, seed=1, block=block) for block in (1, 10))
    ratio = float((honest.probability_err / naive.probability_err).mean())
    assert ratio == pytest.approx(np.sqrt(10), rel=0.25)


def test_each_temperature_has_blocks_of_its_own_length():
    slow, fast = (histories_of_counts(0, length).sortby("temperature") for length in (20, 1))
    cold = slow.temperature < 0.6
    block = xr.where(cold, 20, 1)
    counts = slow.where(cold, fast).astype(int)
    # in any order, or in that of the counts
    found = dg.bootstrap(counts, 60, seed=1, block=block[::-1])
    unlabelled = dg.bootstrap(
        counts[dict(temperature=slice(None, None, -1))], 60, seed=1, block=block[::-1].drop_vars("temperature")
    )
    xr.testing.assert_identical(found, unlabelled)
    slow_err, fast_err = (
        dg.bootstrap(each, 60, seed=1, block=length).probability_err for each, length in ((slow, 20), (fast, 1))
    )
    ratios = found.probability_err / slow_err.where(cold, fast_err)
    # of 9 units and of 180, drawn by other numbers
    assert float(ratios.min()) > 0.6
    assert float(ratios.max()) < 1.6
    np.testing.assert_allclose(ratios.mean(), 1.0, atol=0.05)


def test_few_units_vary_no_less_than_many():
    truth, found = [], []
    for seed in range(60):
        counts = histories_of_counts(seed, block=20, replicas=1, frames=40, temperatures=TEMPERATURES[:2])
        found.append(dg.bootstrap(counts, 40, seed, block=20).probability_err ** 2)
        truth.append(probability_of(counts).probability)
    ratio = xr.concat(found, "seed").mean("seed") / xr.concat(truth, "seed").var("seed", ddof=1)
    # of ten variances, known to 18 % each, by 60 of one degree of freedom; of two units drawn twice it is 1/2
    np.testing.assert_allclose(ratio.mean(), 1.0, atol=0.2)


def test_a_single_unit_has_no_errors():
    errors = dg.bootstrap(histories_of_counts(0, replicas=1), 10, seed=0, block=40)
    assert all(np.isnan(each).all() for each in errors.values())


@pytest.mark.parametrize(
    ("block", "message"),
    [
        (xr.DataArray(4), "block lacks the dimension temperature"),
        (xr.DataArray(np.full(13, 2.5), dims="temperature"), "block must hold whole numbers"),
        (xr.DataArray(np.r_[np.full(12, 2), 0], dims="temperature"), "1 frame or more at each temperature"),
        (xr.DataArray(np.full((13, 3), 2), dims=("temperature", "replica")), "varies along replica as well"),
        (xr.DataArray([2, 2], dims="temperature"), "temperature differs: counts has 13, block has 2"),
        (xr.DataArray(np.full(13, 2), {"temperature": np.arange(13.0) + 1}, "temperature"), "labels of temperature differ"),
        (0, "block must be a whole number, 1 or more"),
    ],
)  # fmt: skip
def test_blocks_that_are_none_are_refused(block, message):
    with pytest.raises(DataError, match=message):
        dg.bootstrap(histories_of_counts(0), 4, seed=0, block=block)


def test_bootstrapped_intervals_cover_the_truth():
    inside, total = 0, 0
    for seed in range(10):
        counts = histories_of_counts(seed, frames=40, temperatures=TEMPERATURES[::2])
        fit = dg.arrhenius(probability_of(counts))
        errors = dg.bootstrap(counts, 30, seed, block=2)
        for name, truth in (("activation_energy", ENERGY), ("activation_entropy", ENTROPY)):
            inside += int((abs(fit[name] - truth) < 2 * errors[f"{name}_err"]).sum())
            total += 5
        inside += abs(float(dg.onset_temperature(fit)) - ONSET) < 2 * float(errors.onset_temperature_err)
        total += 1
    # two standard errors hold 95 %; energies and entropies of a stratum go together, so some 60 are independent
    assert inside / total > 0.85


def test_errors_of_scaled_barriers_have_no_tail_where_the_scale_is_two_errors_from_zero():
    """Single resamples of Σ/ln P_R(T_A) come out a hundred times as large where ln P_R(T_A) = −0.1 ± 0.05."""
    T = TEMPERATURES[::2]
    P = 3 * law(T)
    true = (ENTROPY + np.log(3)) / np.log(0.9)
    ratios, z = [], []
    for seed in range(60):
        counts = histories_of_counts(seed, samples=20, frames=40, temperatures=T)
        events = np.random.default_rng([seed, 9]).binomial(counts.samples, P[:, None, None, :])
        counts = counts.assign(events=(counts.events.dims, events))
        # weights that no resample has a part in
        fit = dg.arrhenius(probability_of(counts), weights="counts")
        found = dg.collapse(fit, dg.onset_temperature(fit))
        one, other = (
            dg.bootstrap(counts, 100, of, block=1, weights="counts").scaled_entropy_err for of in (seed, seed + 100)
        )
        ratios.append(one / other)
        z.append((found.scaled_entropy - true) / one)
    assert np.mean(np.abs(z) < 2) > 0.85
    assert 0.6 < np.sqrt(np.mean(np.square(z))) < 1.3
    # of two seeds; by the resamples of y_Σ themselves it is 12
    assert np.min(ratios) > 0.6
    assert np.max(ratios) < 1.6


@pytest.mark.parametrize("weights", ["scatter", "counts"])
def test_the_error_of_the_onset_is_what_it_varies_by(weights):
    """Also where few events let single resamples scatter beyond the errors that weigh them."""
    T = TEMPERATURES[::2]
    onsets, errors = [], []
    for seed in range(40):
        counts = histories_of_counts(seed, samples=60, frames=40, temperatures=T)
        found = dg.bootstrap(counts, 60, seed, block=1, weights=weights)
        P = probability_of(counts).assign(probability_err=found.probability_err)
        onsets.append(float(dg.onset_temperature(dg.arrhenius(P, weights))))
        errors.append(float(found.onset_temperature_err))
    # known to 11 %
    assert 0.75 < np.std(onsets, ddof=1) / np.sqrt(np.mean(np.square(errors))) < 1.3


def test_the_bootstrap_is_seeded():
    counts = histories_of_counts(0, frames=20)
    first, again, other = (dg.bootstrap(counts, 10, seed=seed, block=2) for seed in (1, 1, 2))
    xr.testing.assert_identical(first, again)
    assert float(first.onset_temperature_err) != float(other.onset_temperature_err)


def test_the_bootstrap_takes_a_last_block_that_is_shorter():
    counts = histories_of_counts(0, frames=20)
    assert np.isfinite(dg.bootstrap(counts, 10, seed=1, block=7).activation_energy_err).all()


def test_units_that_are_all_alike_have_the_errors_of_counting():
    samples = xr.full_like(histories_of_counts(0, frames=20).samples, 10**6)
    events = (samples * xr.DataArray(law(), dims=("temperature", "stratum"))).round().astype(np.int64)
    counts = xr.Dataset({"samples": samples, "events": events}).sortby("temperature")
    P, errors = probability_of(counts), dg.bootstrap(counts, 400, seed=1, block=5)
    binomial = np.sqrt(P.probability * (1 - P.probability) / P.samples)
    xr.testing.assert_allclose(errors.probability_err, binomial.transpose(*errors.probability_err.dims), rtol=1e-12)
    lines = dg.arrhenius(P.assign(probability_err=binomial))
    for name in ("activation_energy_err", "activation_entropy_err"):
        # of 400 resamples, known to 3.5 %
        np.testing.assert_allclose(errors[name] / lines[name], 1.0, atol=0.15)
    relative = binomial / P.probability
    outer = np.hypot(relative.isel(stratum=0), relative.isel(stratum=-1))
    np.testing.assert_allclose(errors.spread_err, outer, rtol=1e-12)


def test_events_in_one_block_alone_leave_an_error_of_their_number():
    counts = histories_of_counts(0, replicas=1, frames=20, temperatures=TEMPERATURES[:2])
    counts.events[dict(stratum=0)] = 0
    counts.events[dict(stratum=0, time=0)] = 3
    errors = dg.bootstrap(counts, 200, seed=0, block=10)
    # one of two blocks is drawn: all of the events twice, or none
    assert (errors.spread_err > 1 / np.sqrt(3)).all()
    assert (errors.spread_err < 1.5).all()


def test_few_units_give_errors_that_hold_the_truth():
    """Two halves of one run, or of two: alike by chance, one temperature would rule the line with an error of nothing."""
    for replicas, covered in ((1, 0.85), (2, 0.89)):
        pulls = []
        for seed in range(40):
            counts = histories_of_counts(seed, replicas=replicas, frames=2, temperatures=TEMPERATURES[::2])
            errors = dg.bootstrap(counts, 60, seed, block=1)
            fit = dg.arrhenius(probability_of(counts).assign(probability_err=errors.probability_err))
            pulls.append((fit.activation_energy - ENERGY) / errors.activation_energy_err)
        assert np.mean(np.abs(pulls) < 2) > covered
        assert np.max(np.abs(pulls)) < 6


def test_a_temperature_of_one_unit_leaves_no_error_of_the_lines_through_it():
    counts = in_candidates(histories_of_counts(0, replicas=1, frames=20, temperatures=TEMPERATURES[::3]))
    n = counts.sizes["temperature"]
    # the hottest, which is the first here
    block = xr.DataArray(np.r_[20, np.full(n - 1, 5)], dims="temperature")
    through, beside = (dg.bootstrap(counts, 20, 0, block, supercooled=k) for k in (n, n - 1))
    assert through.probability_err.isel(temperature=-1).isnull().all()
    assert through.probability_err.isel(temperature=slice(-1)).notnull().all()
    for name, values in through.drop_vars(["probability_err", "spread_err"]).items():
        assert values.isnull().all(), name
        assert beside[name].notnull().all(), name


def scattered(seed, scatter, temperatures=TEMPERATURES, together=False):
    """Counts whose ln P_R scatters about its line beyond the counts, of each stratum for itself or of all together."""
    counts = histories_of_counts(seed, frames=20, temperatures=temperatures)
    z = np.random.default_rng([seed, 7]).normal(size=(temperatures.size, 1 if together else 5))
    P = np.minimum(law(temperatures) * np.exp(scatter * z), 1.0)
    events = np.random.default_rng([seed, 8]).binomial(counts.samples, P[:, None, None, :])
    return counts.assign(events=(counts.events.dims, events))


@pytest.mark.parametrize("together", [False, True])
def test_errors_hold_what_the_points_scatter_beyond_their_own_errors(together):
    """T_A as well: where all strata scatter together, the lines move and their meeting point hardly does."""
    T = TEMPERATURES[::2]
    fits, errors, onsets = [], [], []
    for seed in range(60):
        counts = scattered(seed, 0.1, T, together)
        error = dg.bootstrap(counts, 40, seed=seed, block=2)
        fit = dg.arrhenius(probability_of(counts).assign(probability_err=error.probability_err))
        fits.append(fit.activation_energy)
        onsets.append(float(dg.onset_temperature(fit)))
        errors.append(error)
    stated = xr.concat(errors, "seed").median("seed")
    energies = xr.concat(fits, "seed").std("seed", ddof=1)
    assert 0.75 < float((stated.activation_energy_err / energies).mean()) < 1.25
    assert 0.6 < float(stated.onset_temperature_err) / np.std(onsets, ddof=1) < 1.5
    if together:
        assert float(stated.onset_temperature_err) < 0.01


def test_onsets_of_the_same_frames_differ_by_what_their_resamples_differ_by():
    """Frames in which all strata of both rearrange more often move both onsets together."""
    T = TEMPERATURES[::3]
    onsets, stated, alone = [], [], []
    for seed in range(40):
        rng = np.random.default_rng(seed)
        each = [histories_of_counts(seed, frames=20, temperatures=T) for _ in range(2)]
        slow = rng.normal(size=(T.size, 3, 20, 1)) * np.linspace(0.4, -0.4, 5)
        P = np.minimum(law(T)[:, None, None, :] * np.exp(slow), 1)
        each = [of.assign(events=(of.events.dims, rng.binomial(2000, P))) for of in each]
        found = [dg.bootstrap(of, 60, seed=seed, block=1, weights="counts") for of in each]
        fits = [dg.arrhenius(probability_of(of), weights="counts") for of in each]
        onsets.append([float(dg.onset_temperature(fit)) for fit in fits])
        one, other = (of.inverse_onset_temperature for of in found)
        stated.append(np.square(onsets[-1][0] ** 2 * (one - other).std(ddof=1)))
        alone.append(sum(float(of.onset_temperature_err) ** 2 for of in found))
    differences = np.diff(onsets, axis=1).std(ddof=1)
    # never too small; and a third too large, as a pair of strata that counts for one may not count for the other
    assert 0.6 < differences / np.sqrt(np.mean(stated)) < 1.1
    assert differences < 0.2 * np.sqrt(np.mean(alone))


# --- a range for each resample -------------------------------------------------------------------------------------


def in_candidates(counts):
    """Counts of every candidate of the same strata."""
    return counts.expand_dims(candidate=counts.sizes["temperature"])


ABOVE = np.concatenate([TEMPERATURES[::2], [0.9, 0.95, 1.0]])


def test_each_resample_seeks_the_range_that_it_is_fitted_to():
    ratios = []
    for seed in range(10):
        counts = scattered(seed, 0.15, ABOVE)
        found = dg.bootstrap(in_candidates(counts), 40, seed=3, block=4)
        assert dict(found.probability_err.sizes) == {"candidate": 10, "temperature": 10, "stratum": 5}
        # of all strata the same counts
        xr.testing.assert_allclose(found.probability_err[0], found.probability_err[6])
        chosen = dg.supercooled(probability_of(counts).assign(probability_err=found.probability_err[0]))
        fixed = dg.bootstrap(in_candidates(counts), 40, 3, block=4, supercooled=chosen.sizes["temperature"])
        ratios.append(found.activation_energy_err / fixed.activation_energy_err)
    assert 1.05 < np.mean(ratios) < 1.5


def test_a_range_that_all_resamples_find_has_the_errors_of_that_range():
    counts = histories_of_counts(0, frames=20, temperatures=ABOVE, samples=10**6)
    found = dg.bootstrap(in_candidates(counts), 20, seed=1, block=2)
    fixed = dg.bootstrap(in_candidates(counts), 20, seed=1, block=2, supercooled=7)
    xr.testing.assert_identical(found, fixed)


def test_hotter_temperatures_scatter_as_those_of_the_range():
    """Counts without noise of their own, so that a resample is a line through points that the scatter alone moves."""
    T = np.concatenate([TEMPERATURES[::3], [0.84, 0.88, 0.92]])
    z = np.random.default_rng(0).normal(size=(T.size, 5))
    dims = ("temperature", "stratum")
    events = xr.DataArray(1e12 * law(T) * np.exp(0.15 * z), {"temperature": T}, dims).round().astype(np.int64)
    events = events.sortby("temperature").expand_dims(replica=1, time=4)
    counts = xr.Dataset({"samples": xr.full_like(events, 10**12), "events": events})
    found = dg.bootstrap(in_candidates(counts), 60, seed=1, block=1).inverse_onset_temperature

    P = probability_of(counts)
    T, y = P.temperature.values, np.log(P.probability).transpose(*dims).values
    fit = dg.arrhenius(dg.supercooled(P))
    n = int(fit.temperatures_used[0])
    apart = y - (fit.activation_entropy - fit.activation_energy / P.temperature).transpose(*dims).values
    moved = np.where(np.arange(T.size)[:, None] < n, apart * np.sqrt(n / (n - 2)), fit.scatter.values)
    ranges, expected = [], []
    for shared in np.random.default_rng([1, 1]).standard_normal((60, T.size)):
        onsets = [np.nan]
        for k in range(2, T.size + 1):
            slope, intercept = np.polyfit(1 / T[:k], (y + shared[:, None] * moved)[:k], 1)
            barriers = {"activation_energy": ("stratum", -slope), "activation_entropy": ("stratum", intercept)}
            onsets.append(float(dg.onset_temperature(xr.Dataset(barriers))))
        ranges.append(supercooled_count(T, lambda k, onsets=onsets: onsets[k - 1]))
        expected.append(1 / onsets[ranges[-1] - 1])
    assert min(ranges) < n < max(ranges)
    np.testing.assert_allclose(found, expected, rtol=1e-4)


def test_as_many_candidates_as_temperatures_are_needed():
    with pytest.raises(DataError, match="counts must have 13 candidates, as many as temperatures; got 2"):
        dg.bootstrap(histories_of_counts(0).expand_dims(candidate=2), 4, seed=0, block=2)


# --- a loop over resamples -----------------------------------------------------------------------------------------


WHOLE = histories_of_counts(3, frames=23, temperatures=TEMPERATURES[::-2]).assign_coords(
    replica=np.arange(3), time=np.arange(23.0), stratum=np.arange(5)
)
T, R, TIME, STRATUM = (WHOLE[dim] for dim in ("temperature", "replica", "time", "stratum"))
LACKING = (T[2] == T) & (R == 1) | (TIME == 7) & (R == 0) | (T[4] == T) & (TIME > 10)
FIRST = (TIME == 0) & (R == 0)


def silent(strata, but_at):
    """Counts of strata without events, but where said."""
    return WHOLE.assign(events=WHOLE.events.where(~STRATUM.isin(strata) | but_at, 0))


COUNTS = {
    "whole": WHOLE,
    "missing, -1": WHOLE.where(~LACKING, -1),
    "missing, NaN": WHOLE.where(~LACKING),
    "a temperature missing": WHOLE.where(T[2] != T, -1),
    "a stratum without samples": WHOLE.where(STRATUM != 2, 0),
    "a stratum without events": silent([1], but_at=False),
    "events at one temperature alone": silent([1], but_at=T[0] == T),
    "a fit in some resamples alone": silent([1, 4], but_at=(T[0] == T) | (T[1] == T) & FIRST),
    "two strata": WHOLE.isel(stratum=[0, 3]),
    "one stratum": WHOLE.isel(stratum=[2]),
    "one unit": WHOLE.isel(replica=[0], time=[0]),
    "as many as in the paper": histories_of_counts(1, frames=101, temperatures=np.linspace(0.45, 0.83, 20)),
    "real numbers": WHOLE.astype(float) * 0.3,
}


def agree(found, expected, rtol=1e-12):
    """Assert that errors are the same, to the last digits but two or three; or to `rtol`, where they are to first order."""
    assert set(found) == set(expected)
    for name, values in expected.items():
        counted = str(name).startswith(("probability", "spread", "activation", "inverse"))
        # a covariance is a sum of terms of both signs
        small = rtol * float(abs(values).max()) if str(name).endswith("_cov") else 0.0
        np.testing.assert_allclose(
            found[name].transpose(*values.dims), values, 1e-12 if counted else rtol, 1e-15 + small, err_msg=str(name)
        )


SLOPE = 1e-6  # relative error of a slope that is the difference over a short step


@pytest.mark.parametrize("counts", COUNTS.values(), ids=COUNTS)
def test_resamples_together_give_what_they_give_one_by_one(counts):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = dg.bootstrap(counts, 12, seed=4, block=5)
    agree(found, one_by_one(counts, 12, seed=4, block=5), SLOPE)


@pytest.mark.parametrize("block", [1, 7, 23, 40])
def test_blocks_of_any_length_are_drawn_as_one_by_one(block):
    counts = COUNTS["missing, -1"]
    agree(dg.bootstrap(counts, 6, seed=0, block=block), one_by_one(counts, 6, seed=0, block=block), SLOPE)


def test_errors_of_several_systems_are_those_of_each():
    each = [WHOLE, COUNTS["a fit in some resamples alone"]]
    both = xr.concat(each, xr.Variable("system", ["p", "q"]))
    found = dg.bootstrap(both, 8, seed=2, block=4)
    assert all(values.dims[0] == "system" for values in found.values())
    agree(found, one_by_one(both, 8, seed=2, block=4), SLOPE)
    for k, counts in enumerate(each):
        agree(found.isel(system=k), dg.bootstrap(counts, 8, seed=2, block=4))


def test_no_systems_have_no_errors():
    counts = histories_of_counts(0).expand_dims("system").isel(system=slice(0))
    errors = dg.bootstrap(counts, resamples=3, seed=0, block=7)
    assert dict(errors.probability_err.sizes) == {"system": 0, "temperature": TEMPERATURES.size, "stratum": 5}


@pytest.mark.parametrize("at_once", [1, 100_000])
def test_errors_do_not_depend_on_how_many_resamples_are_held_at_once(monkeypatch, at_once):
    counts = COUNTS["a fit in some resamples alone"]
    expected = dg.bootstrap(counts, 25, seed=1, block=2)
    monkeypatch.setattr(bootstrap, "AT_ONCE", at_once)
    agree(dg.bootstrap(counts, 25, seed=1, block=2), expected)


def test_memory_does_not_grow_with_the_number_of_resamples():
    counts = histories_of_counts(0, temperatures=TEMPERATURES[::2])
    tracemalloc.start()
    dg.bootstrap(counts, 1000, seed=0, block=1)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < bootstrap.AT_ONCE + 4 * counts.nbytes
