"""Propensity: of particles in harmonic wells in closed form, and what is no isoconfigurational ensemble."""

import numpy as np
import pytest
import xarray as xr
from scipy.special import erf

import daskglass as dg
from daskglass.errors import DataError

N, TRAJECTORIES = 500, 40
AXES = ("trajectory", "particle", "xyz")
EDGE = 10.0
BOX = xr.DataArray([EDGE] * 3, dims="xyz")


def species_of(codes):
    return xr.DataArray(np.int8(codes), dims="particle", attrs={"names": ["A", "B"]})


SPECIES = species_of(np.repeat([0, 1], [400, 100]))


def ensemble(seed=0, n=N, trajectories=TRAJECTORIES, spread=0.3):
    """Trajectories (trajectory, particle, xyz) from a configuration (particle, xyz) in a box."""
    rng = np.random.default_rng(seed)
    initial = rng.random((n, 3)) * EDGE
    return initial + rng.normal(0, spread, (trajectories, n, 3)), initial


def labelled(final, initial):
    return xr.DataArray(final, dims=AXES), xr.DataArray(initial, dims=("particle", "xyz"))


def by_hand(final, initial):
    p = np.zeros(len(initial))
    for x in final:
        moved = x - initial
        for i in range(len(initial)):
            p[i] += np.linalg.norm(moved[i] - moved.mean(axis=0)) / len(final)
    return p


def mean_length(mean, sigma):
    """Mean |d| of Gaussian vectors d in three dimensions, from the length of their mean and their standard deviation."""
    x = mean / (np.sqrt(2) * sigma)
    return sigma * np.sqrt(2 / np.pi) * np.exp(-(x**2)) + (mean + sigma**2 / mean) * erf(x)


@pytest.mark.parametrize("lag", [0.01, 0.1, 1.0, 10.0, 1000.0])
def test_particles_in_harmonic_wells_move_as_far_as_an_ornstein_uhlenbeck_process(lag):
    rng = np.random.default_rng(1)
    stiffness, temperature = rng.uniform(5, 50, N), 0.5
    wells = rng.random((N, 3)) * EDGE
    initial = rng.normal(0, np.sqrt(temperature / stiffness), (3, N)).T
    fall = np.exp(-stiffness * lag)
    sigma = np.sqrt(temperature / stiffness * (1 - fall**2))
    final = initial * fall[:, None] + rng.normal(0, sigma, (TRAJECTORIES, 3, N)).swapaxes(1, 2)
    # less the displacement of all: the mean and the variance of what is left
    mean = initial * (fall - 1)[:, None]
    mean = np.linalg.norm(mean - mean.mean(axis=0), axis=1)
    sigma = np.sqrt(sigma**2 * (1 - 2 / N) + (sigma**2).sum() / N**2)
    expected = mean_length(mean, sigma)
    error = np.sqrt((mean**2 + 3 * sigma**2 - expected**2) / TRAJECTORIES)
    apart = (dg.propensity(*labelled(wells + final, wells + initial), SPECIES, box=BOX).values - expected) / error
    assert abs(apart.mean()) < 4 / np.sqrt(N)
    assert apart.var() == pytest.approx(1, abs=4 * np.sqrt(2 / N))


def test_propensity_is_the_mean_displacement_without_drift():
    final, initial = ensemble(n=20, trajectories=5)
    p = dg.propensity(*labelled(final, initial), species_of(np.repeat([0, 1], 10)))
    np.testing.assert_allclose(p, by_hand(final, initial), rtol=1e-12)
    assert p.dtype == np.float64
    assert p.trajectories.item() == 5


def test_drift_of_a_trajectory_and_the_order_of_trajectories_do_not_matter():
    final, initial = ensemble()
    p = dg.propensity(*labelled(final, initial), SPECIES)
    drifting = final + np.random.default_rng(2).normal(0, 3, (TRAJECTORIES, 1, 3))
    np.testing.assert_allclose(dg.propensity(*labelled(drifting[::-1], initial), SPECIES), p, rtol=1e-12)


def test_halves_are_those_of_every_other_trajectory():
    final, initial = ensemble()
    halves = dg.propensity(*labelled(final, initial), SPECIES, half=True)
    for k in range(2):
        p = dg.propensity(*labelled(final[k::2], initial), SPECIES)
        np.testing.assert_allclose(halves.isel(half=k), p, rtol=1e-12)
    whole = dg.propensity(*labelled(final, initial), SPECIES)
    np.testing.assert_allclose(halves.mean("half"), whole, rtol=1e-12)
    odd = dg.propensity(*labelled(final[:-1], initial), SPECIES, half=True)
    np.testing.assert_allclose(odd, dg.propensity(*labelled(final[:-2], initial), SPECIES, half=True), rtol=1e-12)


def test_one_trajectory_has_a_propensity_but_no_halves_which_is_said():
    final, initial = ensemble(trajectories=1)
    assert dg.propensity(*labelled(final, initial), SPECIES).notnull().all()
    with pytest.warns(RuntimeWarning, match="one trajectory has no halves"):
        halves = dg.propensity(*labelled(final, initial), SPECIES, half=True)
    assert halves.isnull().all()


@pytest.mark.parametrize("half", [False, True])
def test_trajectories_that_are_missing_are_left_out_and_counted(half):
    final, initial = ensemble()
    gone = final.copy()
    gone[[0, 7, 8]] = np.nan
    p = dg.propensity(*labelled(gone, initial), SPECIES, half=half)
    kept = dg.propensity(*labelled(np.delete(final, [0, 7, 8], axis=0), initial), SPECIES, half=half)
    np.testing.assert_array_equal(p, kept)
    assert p.trajectories == TRAJECTORIES - 3
    nothing = dg.propensity(*labelled(final * np.nan, initial), SPECIES, half=half)
    assert nothing.isnull().all()
    assert nothing.trajectories == 0
    assert dg.propensity(*labelled(final, initial * np.nan), SPECIES, half=half, box=BOX).isnull().all()


def test_particles_that_a_smaller_system_lacks_have_none():
    final, initial = ensemble()
    codes = np.where(np.arange(N) % 50 == 7, -1, SPECIES)
    final[:, codes < 0], initial[codes < 0] = np.nan, np.nan
    p = dg.propensity(*labelled(final, initial), species_of(codes))
    np.testing.assert_allclose(p[codes >= 0], by_hand(final[:, codes >= 0], initial[codes >= 0]), rtol=1e-12)
    assert p[codes < 0].isnull().all()


def test_lags_and_configurations_are_kept_lazily():
    ensembles = [labelled(*ensemble(seed)) for seed in range(3)]
    final, initial = (xr.concat(each, "configuration") for each in zip(*ensembles, strict=True))
    final = xr.concat([final, initial + 2 * (final - initial)], "lag").assign_coords(lag=[1.0, 4.0])
    lazy = dg.propensity(final.chunk(configuration=1, trajectory=7), initial.chunk(particle=100), SPECIES)
    assert lazy.chunks is not None
    p = dg.propensity(final, initial, SPECIES)
    assert set(p.dims) == {"lag", "configuration", "particle"}
    np.testing.assert_array_equal(lazy.transpose(*p.dims), p)
    np.testing.assert_allclose(p.sel(lag=4.0), 2 * p.sel(lag=1.0), rtol=1e-12)
    alone = dg.propensity(final.isel(configuration=1).sel(lag=1.0), initial.isel(configuration=1), SPECIES)
    np.testing.assert_array_equal(p.isel(configuration=1).sel(lag=1.0), alone)


# --- bad input -----------------------------------------------------------------------------------------------------


def test_trajectories_that_are_wrapped_are_refused_where_the_box_is_known():
    final, initial = ensemble()
    dg.propensity(*labelled(final, initial), SPECIES, box=BOX)
    with pytest.raises(DataError, match=r"about as long as the box, 0 about half as long: final positions are wrapped"):
        dg.propensity(*labelled(final % EDGE, initial), SPECIES, box=BOX)


@pytest.mark.parametrize("shift", [np.where(np.arange(N) < N // 2, EDGE, 0.0), np.where(np.arange(N) == 7, -EDGE, 0.0)])
def test_trajectories_that_start_from_other_images_are_refused(shift):
    final, initial = ensemble()
    with pytest.raises(DataError, match="or start elsewhere than initial ones"):
        dg.propensity(*labelled(final + shift[:, None] * [1, 0, 0], initial), SPECIES, box=BOX)


@pytest.mark.parametrize("spread", [1.0, 3.0, 10.0, 100.0])
def test_particles_that_move_far_are_no_wrapped_ones(spread):
    for seed in range(20):
        assert dg.propensity(*labelled(*ensemble(seed, spread=spread)), SPECIES, box=BOX).notnull().all()


def test_a_part_of_a_trajectory_or_configuration_is_named():
    final, initial = ensemble()
    final[3, 11, 1] = np.nan
    with pytest.raises(DataError, match="trajectory 3 of final, particle 11: position is not finite"):
        dg.propensity(*labelled(final, initial), SPECIES)
    initial[5] = np.nan
    with pytest.raises(DataError, match="initial, particle 5: position is not finite"):
        dg.propensity(*labelled(final, initial), SPECIES)


def test_positions_without_trajectories_or_of_other_particles_are_refused():
    final, initial = labelled(*ensemble())
    with pytest.raises(DataError, match="final lacks the dimension trajectory"):
        dg.propensity(final.isel(trajectory=0), initial, SPECIES)
    with pytest.raises(DataError, match="particle differs: final has 500, initial has 499"):
        dg.propensity(final, initial.isel(particle=slice(499)), SPECIES)
    with pytest.raises(DataError, match="half must be True or False; got 2"):
        dg.propensity(final, initial, SPECIES, half=2)
    with pytest.raises(DataError, match="box edges must be positive"):
        dg.propensity(final, initial, SPECIES, box=-BOX)
    with pytest.raises(DataError, match="particle 0: species code -1 has no name, but a position"):
        dg.propensity(final, initial, species_of(np.where(np.arange(N) == 0, -1, SPECIES)))
