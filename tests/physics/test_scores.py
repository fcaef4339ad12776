"""Scores: against scipy, closed forms and theory; errors against the scatter of samples."""

import numpy as np
import pytest
import scipy.stats
import xarray as xr

import daskglass as dg
from daskglass.errors import DataError

CONFIGURATIONS, N = 8, 600
AXES = ("configuration", "particle")
SPECIES = xr.DataArray(np.repeat(np.int8([0, 1]), [500, 100]), dims="particle", attrs={"names": ["A", "B"]})


def noise(seed, size=1.0, configurations=CONFIGURATIONS):
    return size * xr.DataArray(np.random.default_rng(seed).normal(size=(configurations, N)), dims=AXES)


def halves(seed, truth, trajectories, variance):
    """A propensity of unit variance, as two halves of so many trajectories know it."""
    error = np.sqrt(variance / (trajectories / 2))
    return xr.concat([truth + noise([seed, 7, k], error, truth.sizes["configuration"]) for k in range(2)], "half")


# --- correlations --------------------------------------------------------------------------------------------------


def test_scores_are_those_of_scipy():
    p, x = noise(0), noise(1).round(1)
    x = x + 0.5 * p.round(1) + xr.DataArray(np.arange(CONFIGURATIONS), dims="configuration")
    board = dg.score(x, p, SPECIES)
    A = SPECIES.values == 0
    for name, correlation in (("pearson", scipy.stats.pearsonr), ("spearman", scipy.stats.spearmanr)):
        each = np.array([correlation(a[A], b[A])[0] for a, b in zip(x.values, p.values, strict=True)])
        np.testing.assert_allclose(board[f"{name}_each"], each, rtol=1e-12)
        assert board[name].item() == pytest.approx(each.mean())
        assert board[f"{name}_err"].item() == pytest.approx(scipy.stats.sem(each))
        pooled = correlation(x.values[:, A].ravel(), p.values[:, A].ravel())[0]
        assert board[f"{name}_pooled"].item() == pytest.approx(pooled)
        left = [
            correlation(np.delete(x.values, k, axis=0)[:, A].ravel(), np.delete(p.values, k, axis=0)[:, A].ravel())[0]
            for k in range(CONFIGURATIONS)
        ]
        error = np.sqrt((CONFIGURATIONS - 1) * np.var(left))
        assert board[f"{name}_pooled_err"].item() == pytest.approx(error)
    assert board.configurations == CONFIGURATIONS


def test_a_propensity_plus_noise_scores_what_its_size_says():
    p = noise(0)
    for size in (0.0, 0.5, 2.0):
        board = dg.score(p + noise(1, size), p, SPECIES)
        expected = 1 / np.sqrt(1 + size**2)
        assert abs(board.pearson - expected) <= 4 * board.pearson_err + 1e-12
        assert abs(board.pearson_pooled - expected) <= 4 * board.pearson_pooled_err + 1e-12
        # of Gaussian variables
        ranks = 6 / np.pi * np.arcsin(expected / 2)
        assert abs(board.spearman - ranks) <= 4 * board.spearman_err + 1e-12


def test_a_shuffled_propensity_scores_zero_within_its_error():
    p = noise(0)
    shuffled = p.copy(data=np.random.default_rng(1).permuted(p.values, axis=1))
    board = dg.score(p, shuffled, SPECIES)
    for name in ("pearson", "pearson_pooled", "spearman", "spearman_pooled"):
        assert abs(board[name]) < 4 * board[f"{name}_err"]
        assert board[f"{name}_err"] < 3 / np.sqrt(CONFIGURATIONS * 500)


def test_a_line_scores_one_and_a_rising_curve_one_of_ranks():
    p = noise(0)
    line = dg.score(3 * p - 2, p, SPECIES)
    assert line.pearson.item() == pytest.approx(1)
    assert dg.score(-p, p, SPECIES).pearson.item() == pytest.approx(-1)
    curve = dg.score(np.exp(p), p, SPECIES)
    assert curve.spearman.item() == pytest.approx(1)
    assert curve.spearman_pooled.item() == pytest.approx(1)
    assert curve.pearson < 0.9


def test_means_of_configurations_count_when_they_are_pooled():
    p, shift = noise(0), 10 * xr.DataArray(np.arange(CONFIGURATIONS), dims="configuration")
    x = noise(1)
    np.testing.assert_allclose(dg.score(x + shift, p + shift, SPECIES).pearson, dg.score(x, p, SPECIES).pearson)
    assert dg.score(x + shift, p + shift, SPECIES).pearson_pooled > 0.99


def test_errors_are_the_scatter_of_samples():
    boards = []
    for seed in range(60):
        # configurations that are alike within, so that their particles are not independent
        own = xr.DataArray(np.random.default_rng(seed).uniform(0.2, 1, CONFIGURATIONS), dims="configuration")
        p = noise([seed, 0])
        board = dg.score(own * p + noise([seed, 1], 0.5), p, SPECIES, half=halves(seed, p, 10, 2 / own))
        boards.append(board.drop_vars(["pearson_each", "spearman_each", "split_half_each"]))
    boards = xr.concat(boards, "sample")
    for name in ("pearson", "pearson_pooled", "spearman", "spearman_pooled", "split_half", "reliability", "ceiling"):
        assert boards[f"{name}_err"].mean().item() == pytest.approx(boards[name].std().item(), rel=0.25), name


# --- ceiling -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("trajectories", [4, 16, 64, 1024])
def test_the_ceiling_is_what_a_perfect_predictor_scores_however_many_trajectories(trajectories):
    truth, variance = noise(0, configurations=20), 8.0
    half = halves(trajectories, truth, trajectories, variance)
    board = dg.score(truth, half.mean("half"), SPECIES, half=half)
    law = 1 / np.sqrt(1 + variance / trajectories)
    assert abs(board.ceiling - law) < 4 * board.ceiling_err
    assert abs(board.pearson - law) < 4 * board.pearson_err
    assert abs(board.reliability - law**2) < 4 * board.reliability_err
    assert board.ceiling.item() == pytest.approx(np.sqrt(2 * board.split_half / (1 + board.split_half)).item())


def test_the_correlation_of_halves_is_that_of_scipy():
    half = halves(0, noise(0), 10, 3.0)
    board = dg.score(half.mean("half"), half.mean("half"), SPECIES, half=half)
    first, second = half.values[:, :, SPECIES.values == 0]
    each = [scipy.stats.pearsonr(a, b)[0] for a, b in zip(first, second, strict=True)]
    np.testing.assert_allclose(board.split_half_each, each)
    assert board.split_half_err.item() == pytest.approx(scipy.stats.sem(each))


def test_there_is_no_ceiling_where_halves_say_nothing_of_each_other():
    half = xr.concat([noise(0), -noise(0)], "half")
    board = dg.score(noise(1), noise(0), SPECIES, half=half)
    assert board.split_half.item() == pytest.approx(-1)
    assert np.isnan(board.ceiling)
    missing = dg.score(noise(1), noise(0), SPECIES, half=half * np.nan)
    assert np.isnan(missing.ceiling)
    assert missing.configurations == 8
    assert missing.pearson.item() == board.pearson.item()


# --- what is scored ------------------------------------------------------------------------------------------------


def test_particles_of_the_first_species_are_scored_unless_others_are_named():
    p = noise(0)
    x = p.where(SPECIES == 0, -p)
    assert dg.score(x, p, SPECIES).pearson.item() == pytest.approx(1)
    assert dg.score(x, p, SPECIES, centers="B").pearson.item() == pytest.approx(-1)
    some = xr.DataArray(np.arange(N) >= 300, dims="particle")
    each = [scipy.stats.pearsonr(a[300:], b[300:])[0] for a, b in zip(x.values, p.values, strict=True)]
    assert dg.score(x, p, SPECIES, centers=some).pearson.item() == pytest.approx(np.mean(each))


def test_what_is_missing_is_left_out():
    p, x = noise(0), noise(1)
    gone = x.copy()
    gone[2], gone[3, ::2] = np.nan, np.nan
    board = dg.score(gone, p, SPECIES)
    assert np.isnan(board.pearson_each[2])
    assert board.configurations == CONFIGURATIONS - 1
    kept = board.drop_isel(configuration=2)
    again = dg.score(gone.drop_isel(configuration=2), p.drop_isel(configuration=2), SPECIES)
    xr.testing.assert_allclose(kept, again)
    assert board.pearson_each[3].item() == pytest.approx(scipy.stats.pearsonr(x[3, 1:500:2], p[3, 1:500:2])[0])


def test_what_is_the_same_for_all_particles_has_no_correlation():
    board = dg.score(xr.full_like(noise(0), 0.1), noise(1), SPECIES)
    assert np.isnan(board.pearson)
    assert np.isnan(board.spearman_pooled)
    assert board.configurations == 0


@pytest.mark.parametrize("label", [True, False])
def test_a_single_configuration_has_a_score_without_error(label):
    half = halves(0, noise(0), 10, 1.0)
    given = {"indicator": noise(1), "propensity": half.mean("half"), "half": half}
    given = {name: each.isel(configuration=[0] if label else 0) for name, each in given.items()}
    board = dg.score(**given, species=SPECIES)
    assert board.pearson.item() == pytest.approx(board.pearson_pooled.item())
    for name in ("pearson", "pearson_pooled", "spearman", "spearman_pooled", "ceiling", "split_half"):
        assert np.isfinite(board[name])
        assert np.isnan(board[f"{name}_err"])


def test_temperatures_and_lags_have_scores_of_their_own_lazily():
    p = xr.concat([noise(k) for k in range(6)], "lag").assign_coords(lag=np.arange(6.0))
    x = noise(10)
    board = dg.score(x, p, SPECIES, half=xr.concat([p, p + 1], "half"))
    lazy = dg.score(x.chunk(configuration=3), p.chunk(lag=1, particle=99), SPECIES, half=xr.concat([p, p + 1], "half"))
    assert lazy.pearson.chunks is not None
    xr.testing.assert_identical(lazy.compute(), board)
    one = dg.score(x, p.sel(lag=3.0), SPECIES)
    xr.testing.assert_allclose(board[list(one)].sel(lag=3.0), one)


def test_replicas_are_pooled_where_they_are_named():
    p, x = noise(0), noise(1)

    def split(array):
        return array.coarsen(configuration=4).construct(configuration=("replica", "configuration"))

    whole = dg.score(x, p, SPECIES)
    board = dg.score(split(x), split(p), SPECIES, over=("replica", "configuration"))
    assert board.pearson_each.dims == ("replica", "configuration")
    for name in ("pearson", "pearson_err", "spearman_pooled", "pearson_pooled_err"):
        assert board[name].item() == pytest.approx(whole[name].item())
    assert dg.score(split(x), split(p), SPECIES).pearson.dims == ("replica",)


# --- two indicators ------------------------------------------------------------------------------------------------


def test_a_difference_has_the_error_of_differences():
    p = noise(0)
    own = xr.DataArray(np.linspace(0.1, 2, CONFIGURATIONS), dims="configuration")
    boards = [dg.score(own * p + noise(1) + noise(k, 0.1), p, SPECIES) for k in (2, 3)]
    difference = dg.score_difference(*boards)
    for name in ("pearson", "spearman"):
        apart = boards[0][f"{name}_each"] - boards[1][f"{name}_each"]
        assert difference[name].item() == pytest.approx(apart.mean().item())
        assert difference[f"{name}_err"].item() == pytest.approx(scipy.stats.sem(apart))
        assert difference[f"{name}_err"] < boards[0][f"{name}_err"] / 10
    single = dg.score_difference(*(board.isel(configuration=[0]) for board in boards))
    assert np.isnan(single.pearson_err)


def test_differences_are_those_of_configurations_that_have_both():
    p = noise(0).assign_coords(configuration=np.arange(CONFIGURATIONS))
    first, second = (p + noise(k) for k in (1, 2))
    first[2], second[5] = np.nan, np.nan
    boards = [dg.score(x, p, SPECIES) for x in (first, second)]
    kept = [dg.score(x, p, SPECIES).drop_isel(configuration=[2, 5]) for x in (first, second)]
    expected = dg.score_difference(*kept)
    xr.testing.assert_allclose(dg.score_difference(*boards), expected)
    shuffled = boards[1].isel(configuration=np.random.default_rng(0).permutation(CONFIGURATIONS))
    xr.testing.assert_allclose(dg.score_difference(boards[0], shuffled), expected)
    with pytest.raises(DataError, match="labels of configuration differ"):
        dg.score_difference(boards[0], boards[1].assign_coords(configuration=np.arange(CONFIGURATIONS) + 1))


# --- bad input -----------------------------------------------------------------------------------------------------


def test_arrays_that_do_not_fit_are_refused():
    p, x = noise(0), noise(1)
    with pytest.raises(DataError, match="propensity lacks the dimension configuration"):
        dg.score(x, p.isel(configuration=0), SPECIES)
    with pytest.raises(DataError, match="configuration differs: indicator has 8, propensity has 7"):
        dg.score(x, p.isel(configuration=slice(7)), SPECIES)
    with pytest.raises(DataError, match="half must hold two halves"):
        dg.score(x, p, SPECIES, half=xr.concat([p] * 3, "half"))
    with pytest.raises(DataError, match="half lacks the dimension half"):
        dg.score(x, p, SPECIES, half=p)
    with pytest.raises(DataError, match="no species 'C'"):
        dg.score(x, p, SPECIES, centers="C")
    for over in ("particle", (), ("configuration", "configuration")):
        with pytest.raises(DataError, match="over must name dimensions of configurations"):
            dg.score(x, p, SPECIES, over=over)
    with pytest.raises(DataError, match="first lacks pearson_each"):
        dg.score_difference(dg.score(x, p, SPECIES).drop_vars("pearson_each"), dg.score(x, p, SPECIES))
