"""Motion averaged over runs, and its errors: closed forms, and the scatter of many independent runs."""

import numpy as np
import pytest
import xarray as xr

import daskglass as dg
from daskglass.engines.schedules import Logarithmic, relaxation
from daskglass.physics import motion

Q = 7.14


def walk(times, particles, diffusivity, seed):
    """Free particles: MSD = 6Dt, F = exp(−DQ²t)."""
    rng = np.random.default_rng(seed)
    jumps = rng.standard_normal((len(times), particles, 3))
    jumps *= np.sqrt(2 * diffusivity * np.diff(times, prepend=times[0]))[:, None, None]
    position = xr.DataArray(
        np.cumsum(jumps, axis=0).astype(np.float32), dims=("time", "particle", "xyz"), coords={"time": np.array(times)}
    )
    species = xr.DataArray(np.zeros(particles, np.int8), dims="particle", attrs={"names": ["A"]})
    return position, species


def test_motion_of_a_run_is_that_of_the_public_functions_to_the_bit():
    position, species = walk(np.arange(40.0), 60, 0.02, 1)
    lags = np.arange(40.0)
    found = motion.motion(position, species, lags, Q)
    np.testing.assert_array_equal(found.curves[0], dg.scattering_function(position, species, lags, Q))
    np.testing.assert_array_equal(found.curves[1], dg.mean_squared_displacement(position, species, lags))


def test_parts_are_of_the_pairs_that_begin_in_them_and_make_up_the_whole():
    position, species = walk(np.arange(50.0), 60, 0.02, 2)
    found = motion.motion(position, species, np.array([4.0]), Q)
    for part in range(motion.PARTS):
        # 50 frames last 49 τ; a part begins at the next whole time
        start, stop = (int(np.ceil(49 * k / motion.PARTS)) for k in (part, part + 1))
        piece = position.isel(time=slice(start, min(stop + 4, 50)))
        assert found.parts[1, part, 0] == pytest.approx(
            float(dg.mean_squared_displacement(piece, species, [4.0])[0]), rel=1e-4
        )
    assert found.covered.sum() == pytest.approx(49.0)


def test_lags_that_a_run_lacks_are_missing():
    position, species = walk(np.array([0.0, 1.0, 3.0]), 60, 0.02, 3)
    found = motion.motion(position, species, np.array([1.0, 2.5, 3.0]), Q)
    assert np.isnan(found.curves).tolist() == [[False, True, False]] * 2
    assert found.covered[:, 1].sum() == 0


def test_between_its_lags_a_uniform_run_lies_on_the_line_and_below_ten_intervals_nowhere():
    position, species = walk(np.arange(100.0), 200, 0.002, 4)
    lags = np.array([3.0, 9.9, 10.0, 20.25, 98.5, 99.5])
    found = motion.motion_between(position, species, lags, Q)
    assert np.isnan(found.curves[0]).tolist() == [True, True, False, False, False, True]
    own = dg.scattering_function(position, species, [10.0, 20.0, 21.0], Q).values
    assert found.curves[0, 2] == own[0]
    assert found.curves[0, 3] == pytest.approx(0.75 * own[1] + 0.25 * own[2], rel=1e-12)


def test_runs_count_by_the_time_that_they_cover():
    lags = np.array([2.0, 20.0])
    short, long = (walk(np.arange(n + 1.0), 100, 0.01, n) for n in (10, 30))
    runs = [motion.motion(*run, lags, Q) for run in (short, long)]
    mean = motion.averaged(runs)
    assert mean.curves[1, 0] == pytest.approx((10 * runs[0].curves[1, 0] + 30 * runs[1].curves[1, 0]) / 40)
    # the short one does not have it
    assert mean.curves[1, 1] == runs[1].curves[1, 1]
    assert motion.averaged(runs[:1]) is runs[0]


def test_standard_errors_are_the_scatter_of_independent_runs():
    lags = np.arange(1.0, 30.0)
    taus, Ds, errors = [], [], []
    for seed in range(60):
        position, species = walk(np.arange(120.0), 12, 0.01, seed)
        found = motion.motion(position, species, lags, Q)
        F_err, msd_err = (
            xr.DataArray(error, dims="lag", coords={"lag": lags}) for error in motion.standard_errors(found, lags)
        )
        F, msd = (xr.DataArray(curve, dims="lag", coords={"lag": lags}) for curve in found.curves)
        msd = msd.rename("msd") * 20  # so that particles move by a diameter
        taus.append(dg.relaxation_time(F).item())
        Ds.append(dg.diffusivity(msd).item())
        errors.append(
            [motion.relaxation_time_error(F, F_err).item(), motion.diffusivity_error(msd, 20 * msd_err).item()]
        )
    # one error in five is that of a fifth of its own size: the mean of sixty says it well
    mean = np.sqrt(np.nanmean(np.square(errors), axis=0))
    assert mean[0] == pytest.approx(np.std(taus, ddof=1), rel=0.35)
    assert mean[1] == pytest.approx(np.nanstd(Ds, ddof=1), rel=0.35)


def test_where_one_part_alone_has_a_lag_its_error_is_not_known():
    position, species = walk(np.arange(21.0), 60, 0.02, 5)
    lags = np.array([1.0, 20.0])
    error = motion.standard_errors(motion.motion(position, species, lags, Q), lags)
    assert np.isfinite(error[:, 0]).all()
    assert np.isnan(error[:, 1]).all()


def test_without_a_crossing_or_a_diffusive_part_there_is_no_error():
    lags = np.arange(1.0, 9.0)
    F = xr.DataArray(np.full(8, 0.9), dims="lag", coords={"lag": lags})
    msd = xr.DataArray(0.01 * lags, dims="lag", coords={"lag": lags}, name="msd")
    assert np.isnan(motion.relaxation_time_error(F, 0.01 * F))
    assert np.isnan(motion.diffusivity_error(msd, 0.01 * msd))


@pytest.mark.parametrize("mean_squared", [4.0, 8.0])
def test_errors_of_a_relaxation_run_are_the_scatter_of_such_runs(mean_squared):
    """Of particles that move by 1 σ² in a sixth, or a third, of the longest lag looked at."""
    tau, timestep = 4.0, 0.1
    run = relaxation(Logarithmic(10, 30, 60), tau, timestep)
    end = next(end for end, _ in run.stretches() if end >= 24 * tau / timestep)
    times = np.array(run.kept(end)) * timestep
    lags = np.array([lag for lag in run.lags if lag <= end]) * timestep
    found = []
    for seed in range(40):
        position, species = walk(times, 60, mean_squared / (6 * 12 * tau), seed)
        curves = motion.motion(position, species, lags, Q)
        msd, error = (
            xr.DataArray(values, dims="lag", coords={"lag": lags}, name="msd")
            for values in (curves.curves[1], motion.standard_errors(curves, lags)[1])
        )
        found.append([dg.diffusivity(msd).item(), motion.diffusivity_error(msd, error).item()])
    D, error = np.array(found).T
    assert np.sqrt(np.nanmean(error**2)) == pytest.approx(np.nanstd(D, ddof=1), rel=0.4)
