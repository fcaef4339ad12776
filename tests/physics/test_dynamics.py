"""Scattering and diffusion against brute force, closed forms and symmetries."""

import warnings

import numpy as np
import pytest
import xarray as xr
from hypothesis import example, given
from hypothesis import strategies as st

import daskglass as dg
from daskglass.errors import DataError
from daskglass.kernels import displacement
from daskglass.physics.relaxation import logarithmic_slope
from tests import references
from tests.physics.walks import motion, walk

# --- scattering and displacement -----------------------------------------------------------------------------------


def test_scattering_function_of_a_real_trajectory_is_that_of_brute_force(trajectory):
    F = dg.scattering_function(trajectory.position, trajectory.species)
    expected = references.scattering_function(trajectory.position.values, trajectory.species.values == 0, 7.14)
    np.testing.assert_allclose(F.values, expected, rtol=1e-4, atol=1e-7)


def test_displacement_of_a_real_trajectory_is_that_of_brute_force(trajectory):
    msd = dg.mean_squared_displacement(trajectory.position, trajectory.species)
    expected = references.mean_squared_displacement(trajectory.position.values, trajectory.species.values == 0)
    np.testing.assert_allclose(msd.values, expected, rtol=1e-4)


def test_displacement_of_frames_at_any_times_pairs_those_a_lag_apart(trajectory):
    some = [0, 1, 2, 4, 8, 16, 32, 33, 34, 36, 40, 48, 64]
    run = trajectory.isel(time=some)
    x = references.without_drift(run.position.values)[:, run.species.values == 0]
    squared = {
        lag: [((x[b] - x[a]) ** 2).sum(-1).mean() for a in range(13) for b in range(13) if some[b] - some[a] == lag]
        for lag in (1, 2, 4, 32)
    }
    msd = dg.mean_squared_displacement(run.position, run.species, lags=list(squared))
    np.testing.assert_allclose(msd.values, [np.mean(values) for values in squared.values()], rtol=1e-4)


def test_free_flight_has_the_displacement_of_its_velocity():
    velocity = np.random.default_rng(0).normal(size=(50, 3))
    run = motion(np.arange(30)[:, None, None] * velocity)
    msd = dg.mean_squared_displacement(run.position, run.species)
    np.testing.assert_allclose(msd, np.arange(30) ** 2 * (velocity**2).sum(axis=1).mean(), rtol=1e-6)


def test_free_flight_scatters_as_the_sine_of_its_path():
    run = motion(np.arange(30)[:, None] * [0.1, 0.0, 0.0])
    F = dg.scattering_function(run.position, run.species, q=3.0)
    np.testing.assert_allclose(F, np.sinc(0.3 * np.arange(30) / np.pi), atol=1e-9)


@example(9e-4)  # where the sine begins to differ from its argument
@given(x=st.floats(0, 1e4))
def test_the_series_of_the_scattering_function_is_the_sine_over_its_argument(x):
    assert displacement._sinc(x) == pytest.approx(float(np.sinc(x / np.pi)), abs=2e-11)


def test_motion_does_not_change_when_the_whole_system_drifts():
    run = walk(0, dtype=np.float64)
    moving = run.position + 0.3 * run.time
    for function in (dg.scattering_function, dg.mean_squared_displacement):
        np.testing.assert_allclose(function(moving, run.species), function(run.position, run.species), rtol=1e-6)


@pytest.mark.parametrize("function", [dg.scattering_function, dg.mean_squared_displacement])
@pytest.mark.parametrize("frames", [1, 7])
def test_motion_is_lazy_and_the_same_for_any_chunks(trajectory, function, frames):
    lazy = function(trajectory.chunk(time=frames).position, trajectory.species)
    assert lazy.chunks is not None
    np.testing.assert_allclose(lazy.values, function(trajectory.position, trajectory.species).values, rtol=1e-6)


def test_relaxation_and_diffusion_stay_lazy(trajectory):
    position = trajectory.chunk(time=30).position
    assert dg.relaxation_time(dg.scattering_function(position, trajectory.species)).chunks is not None
    assert dg.diffusivity(dg.mean_squared_displacement(position, trajectory.species)).chunks is not None


def test_a_lag_between_no_two_frames_is_refused(trajectory):
    with pytest.raises(DataError, match=r"no two frames are 2\.5 τ apart"):
        dg.scattering_function(trajectory.position, trajectory.species, lags=[1.0, 2.5])


def test_times_that_do_not_rise_are_refused(trajectory):
    with pytest.raises(DataError, match="times of frames must rise strictly"):
        dg.scattering_function(trajectory.position[[0, 2, 1]], trajectory.species)


# --- relaxation time -----------------------------------------------------------------------------------------------


def decay(lags, values):
    return xr.DataArray(values, dims="lag", coords={"lag": lags})


def test_relaxation_time_of_an_exponential_is_its_own():
    lags = np.geomspace(0.01, 100, 400)
    tau = dg.relaxation_time(decay(lags, np.exp(-lags / 3.7)))
    assert float(tau) == pytest.approx(3.7, rel=1e-4)


def test_relaxation_time_is_interpolated_in_the_logarithm_of_time():
    tau = dg.relaxation_time(decay([1.0, 100.0], [np.exp(-1) + 0.1, np.exp(-1) - 0.1]))
    assert float(tau) == pytest.approx(10.0)


def test_relaxation_time_is_the_first_crossing():
    tau = dg.relaxation_time(decay([1.0, 2.0, 4.0, 8.0, 16.0], [0.9, 0.2, 0.5, 0.2, 0.1]))
    assert 1.0 < float(tau) < 2.0


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ([1.0, 0.9, 0.8], "stays above 1/e"),
        ([1.0, 0.2, 0.1], "below 1/e at the first lag"),
        ([1.0, np.nan, np.nan], "is not known at any positive lag"),
    ],
)
def test_without_a_crossing_there_is_a_warning_and_no_relaxation_time(values, reason):
    with pytest.warns(RuntimeWarning, match=reason):
        tau = dg.relaxation_time(decay([0.0, 1.0, 2.0], values))
    assert np.isnan(tau)


def test_relaxation_times_of_several_runs_are_those_of_each():
    lags = np.geomspace(0.01, 1000, 500)
    F = xr.DataArray([np.exp(-lags / tau) for tau in (1.0, 5.0)], dims=("temperature", "lag"), coords={"lag": lags})
    np.testing.assert_allclose(dg.relaxation_time(F), [1.0, 5.0], rtol=1e-3)


# --- diffusion -----------------------------------------------------------------------------------------------------


def test_diffusivity_of_a_random_walk_is_that_of_its_steps():
    run = walk(0, frames=201, count=1000, step=0.2)
    D = dg.diffusivity(dg.mean_squared_displacement(run.position, run.species))
    # ⟨Δx²⟩ = 2 D t. Some 1000 × 200/50 independent displacements of variance (2/3) MSD² each
    assert float(D) == pytest.approx(0.2**2 / 2, rel=4 * np.sqrt(2 / 3 / 4000))


def test_diffusivity_of_straight_lines_ignores_their_offset():
    lags = np.arange(200.0)
    msd = xr.DataArray([0.3 + 0.6 * lags, 0.3 + 0.06 * lags], dims=("replica", "lag"), coords={"lag": lags})
    np.testing.assert_allclose(dg.diffusivity(msd), [0.1, 0.01], rtol=1e-6)


def test_what_never_becomes_diffusive_has_no_diffusivity():
    lags = np.arange(1.0, 200.0)
    assert np.isnan(dg.diffusivity(decay(lags, 3.0 * lags**0.8)))


def test_what_never_moves_a_diameter_has_no_diffusivity():
    lags = np.arange(200.0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert np.isnan(dg.diffusivity(decay(lags, 0.004 * lags)))


def test_diffusivity_has_no_upper_limit_of_the_logarithmic_slope():
    # the definition asks for a slope above 0.95 only; free flight over more than a diameter does not occur in a liquid
    lags = np.arange(1.0, 50.0)
    assert float(dg.diffusivity(decay(lags, lags**2))) > 1 / 6


def test_reduced_diffusivity_is_scaled_by_density_and_temperature():
    D = xr.DataArray([0.01, 0.02], dims="temperature", coords={"temperature": [0.5, 0.9]})
    reduced = dg.reduced_diffusivity(D, 1.2, D.temperature)
    np.testing.assert_allclose(reduced, 1.2 ** (1 / 3) * D.values / np.sqrt([0.5, 0.9]))


def test_the_diffusive_line_is_fitted_with_weights_1_over_t_squared():
    t = np.arange(1.0, 41.0)
    # a curve, of which long times see another part than short ones
    x = (6 * 0.4 * t + 0.1) * (1 + 0.02 * t / 40)
    t_d, x_d = t[x > 1], x[x > 1]
    W = 1 / t_d**2
    mean_t, mean_x = (W * t_d).sum() / W.sum(), (W * x_d).sum() / W.sum()
    slope = (W * (t_d - mean_t) * (x_d - mean_x)).sum() / (W * (t_d - mean_t) ** 2).sum()
    msd = xr.DataArray(x, dims="lag", coords={"lag": t})
    with pytest.MonkeyPatch.context() as patch:
        # all of it is diffusive: what is asked is the line alone
        patch.setattr("daskglass.physics.relaxation.logarithmic_slope", lambda t, x: np.ones(t.size))
        D = dg.diffusivity(msd)
    assert float(D) == pytest.approx(slope / 6, rel=1e-9)
    assert abs(np.polyfit(t_d, x_d, 1)[0] / slope - 1) > 1e-3


def test_the_logarithmic_slope_is_of_the_points_within_a_factor_of_1_5():
    t = 1.2 ** np.arange(20)
    x = np.where(t < 6, t**0.5, t**1.5 / 6)
    found = logarithmic_slope(t, x)
    for k in range(t.size):
        # 1.2² is within it, 1.2³ is not
        near = slice(max(k - 2, 0), k + 3)
        assert found[k] == pytest.approx(np.polyfit(np.log(t[near]), np.log(x[near]), 1)[0], rel=1e-9)
