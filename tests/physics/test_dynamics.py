"""Hops, labels, scattering and diffusion against brute force, closed forms and symmetries."""

import warnings

import numpy as np
import pytest
import xarray as xr
from hypothesis import assume, example, given
from hypothesis import strategies as st
from scipy.signal import find_peaks

import daskglass as dg
from daskglass.errors import DataError
from daskglass.kernels import displacement
from daskglass.kernels.hop import extremal_points
from daskglass.physics.dynamics import _logarithmic_slope
from tests import references
from tests.conftest import particles

A_ONLY = {"names": ["A"]}


def walk(seed, frames=60, count=20, step=0.1, dtype=np.float32):
    """Random walk of particles of one species."""
    x = np.cumsum(np.random.default_rng(seed).normal(0, step, (frames, count, 3)), axis=0)
    return particles(x.astype(dtype), np.zeros(count, np.int8), names=["A"])


def motion(x, time=None):
    """Particles at x(t), and as many mirrored in the origin: their centre of mass is at rest."""
    x = np.asarray(x, np.float64).reshape(len(x), -1, 3)
    both = np.concatenate([x, -x], axis=1)
    return particles(both, np.zeros(both.shape[1], np.int8), names=["A"], time=time)


def over_time(values, time=None):
    """p_hop (time, particle) as a DataArray, and its species."""
    values = np.asarray(values)
    hop = xr.DataArray(
        values, dims=("time", "particle"), coords={"time": np.arange(len(values)) if time is None else time}
    )
    return hop, xr.DataArray(np.zeros(values.shape[1], np.int8), dims="particle", attrs=A_ONLY)


# --- hop indicator -------------------------------------------------------------------------------------------------


def test_hop_indicator_of_a_real_trajectory_is_that_of_brute_force(trajectory):
    hop = dg.hop_indicator(trajectory.position)
    np.testing.assert_allclose(hop.values, references.hop_indicator(trajectory.position.values, 5), rtol=1e-4)


@given(frames=st.integers(3, 40), count=st.integers(1, 70), half=st.integers(1, 8), seed=st.integers(0, 999))
def test_hop_indicator_is_right_for_any_numbers_of_frames_particles_and_window(frames, count, half, seed):
    assume(frames > 2 * half)
    run = walk(seed, frames, count)
    expected = references.hop_indicator(run.position.values, half)
    np.testing.assert_allclose(dg.hop_indicator(run.position, 2.0 * half).values, expected, rtol=1e-4, atol=1e-12)


@pytest.mark.parametrize("half", [1, 5, 200])
def test_a_jump_has_the_hop_of_its_square_but_for_the_frame_both_windows_share(half):
    frames, distance = 4 * half + 1, 0.7
    x = np.zeros((frames, 3))
    x[2 * half :, 0] = distance
    hop = dg.hop_indicator(motion(x).position, 2.0 * half)
    # frame t is one of the half + 1 frames of the window before the jump, too
    expected = distance**2 * (half / (half + 1)) ** 1.5
    np.testing.assert_allclose(hop.values[2 * half], expected, rtol=1e-6)


def test_a_particle_at_rest_has_no_hop():
    hop = dg.hop_indicator(motion(np.ones((30, 3))).position)
    assert (hop.values[5:-5] == 0).all()


def test_hop_exists_exactly_where_its_window_fits():
    known = dg.hop_indicator(walk(0, frames=31).position).notnull().values
    assert known[5:26].all()
    assert not known[:5].any()
    assert not known[26:].any()


def test_window_counts_time_not_frames():
    run = walk(0, frames=41)
    slower = run.assign_coords(time=run.time * 2.0)
    np.testing.assert_array_equal(
        dg.hop_indicator(slower.position, 20.0).values, dg.hop_indicator(run.position, 10.0).values
    )


def test_hop_does_not_change_when_the_whole_system_drifts():
    run = walk(0, dtype=np.float64)
    moving = run.position + 0.3 * run.time
    np.testing.assert_allclose(dg.hop_indicator(moving).values, dg.hop_indicator(run.position).values, rtol=1e-5)


def test_hop_follows_a_permutation_of_the_particles(trajectory):
    order = np.random.default_rng(0).permutation(150)
    hop = dg.hop_indicator(trajectory.position)
    np.testing.assert_allclose(dg.hop_indicator(trajectory.position[:, order]).values, hop.values[:, order], rtol=1e-5)


def test_hop_does_not_change_under_rotation_by_a_right_angle(trajectory):
    turned = trajectory.position[..., [1, 0, 2]] * [-1.0, 1.0, 1.0]
    np.testing.assert_allclose(dg.hop_indicator(turned).values, dg.hop_indicator(trajectory.position).values, rtol=1e-5)


def test_hop_far_from_the_origin_is_right_for_the_positions_as_stored():
    run = walk(0)
    far = (run.position.astype(float) + 1000.0).astype(np.float32)
    expected = references.hop_indicator(far.values, 5)
    np.testing.assert_allclose(dg.hop_indicator(far).values, expected, rtol=1e-4)


@pytest.mark.parametrize("frames", [1, 3, 7, 121])
def test_hop_is_lazy_and_equal_to_the_bit_for_any_chunks(trajectory, frames):
    lazy = dg.hop_indicator(trajectory.chunk(time=frames).position)
    assert lazy.chunks is not None
    np.testing.assert_array_equal(lazy.values, dg.hop_indicator(trajectory.position).values)


def test_hop_of_particles_in_chunks_still_removes_the_drift_of_all(trajectory):
    lazy = dg.hop_indicator(trajectory.position.chunk(time=40, particle=50))
    np.testing.assert_array_equal(lazy.values, dg.hop_indicator(trajectory.position).values)


def test_hop_of_replicas_is_that_of_each(trajectory):
    both = xr.concat([trajectory.position, trajectory.position[::-1].assign_coords(time=trajectory.time)], "replica")
    for position in (both, both.chunk(replica=1, time=30)):
        hop = dg.hop_indicator(position)
        for replica in range(2):
            np.testing.assert_array_equal(hop[replica].values, dg.hop_indicator(both[replica]).values)


def test_a_missing_frame_takes_with_it_the_hops_that_need_it_and_no_more():
    run = walk(0, frames=60)
    gap = run.position.copy(deep=True)
    gap[30] = np.nan
    hop, whole = dg.hop_indicator(gap), dg.hop_indicator(run.position)
    assert hop[25:36].isnull().all()
    np.testing.assert_array_equal(hop[5:25], whole[5:25])
    np.testing.assert_array_equal(hop[36:], whole[36:])


def test_a_single_position_that_is_not_finite_is_refused_by_frame_and_particle(trajectory):
    broken = trajectory.position.copy(deep=True)
    broken[3, 7, 0] = np.inf
    for function in (dg.hop_indicator, lambda x: dg.mean_squared_displacement(x, trajectory.species)):
        with pytest.raises(DataError, match=r"position is not finite at time 3, particle 7, xyz 0"):
            function(broken)


def test_frames_that_are_not_equally_spaced_are_refused(trajectory):
    time = trajectory.time.values.copy()
    time[10:] += 0.5
    with pytest.raises(DataError, match=r"equally spaced in time; frames 9 and 10 are 1\.5 τ apart"):
        dg.hop_indicator(trajectory.position.assign_coords(time=time))


def test_a_window_that_is_no_whole_number_of_frames_is_refused(trajectory):
    with pytest.raises(DataError, match=r"half the window of 9\.0 τ must be a whole number of frames 1 τ apart"):
        dg.hop_indicator(trajectory.position, 9.0)


def test_fewer_frames_than_a_window_are_refused(trajectory):
    with pytest.raises(DataError, match=r"10 frames are fewer than the 11 a window of 10\.0 τ spans"):
        dg.hop_indicator(trajectory.position[:10])


def test_positions_without_time_are_refused(trajectory):
    with pytest.raises(DataError, match="one-dimensional time coordinate"):
        dg.hop_indicator(trajectory.position.drop_vars("time"))


def test_times_that_differ_between_runs_are_refused(trajectory):
    both = xr.concat([trajectory.position.drop_vars("time")] * 2, "replica")
    both = both.assign_coords(time=(("replica", "time"), np.stack([np.arange(121.0), np.arange(121.0) * 2])))
    with pytest.raises(DataError, match="select one temperature and replica first"):
        dg.hop_indicator(both)


# --- labels --------------------------------------------------------------------------------------------------------


def test_labels_of_a_real_trajectory_are_those_of_find_peaks(trajectory):
    hop = dg.hop_indicator(trajectory.position)
    label = dg.rearrangement_labels(hop, trajectory.species, hard=0.05, hard_separation=20.0)
    expected = references.labels(hop.values, trajectory.species.values == 0, 0.2, 0.05, 10, 20)
    np.testing.assert_array_equal(label.values, expected)
    assert {-1, 0, 1} == set(np.unique(expected))


def test_labels_of_long_random_walks_are_those_of_find_peaks():
    rng = np.random.default_rng(0)
    hop, species = over_time(np.abs(np.cumsum(rng.normal(0, 0.05, (1001, 40)), axis=0)).astype(np.float32))
    label = dg.rearrangement_labels(hop, species)
    expected = references.labels(hop.values, np.ones(40, bool), 0.2, 0.05, 10, 80)
    np.testing.assert_array_equal(label.values, expected)


@given(
    heights=st.lists(st.integers(0, 6), min_size=1, max_size=60),
    above=st.integers(-1, 5),
    distance=st.floats(1, 12),
)
def test_extremal_points_of_series_with_ties_and_plateaus_are_those_of_find_peaks(heights, above, distance):
    series = np.array(heights, np.float64)
    ours = extremal_points(series, above, distance)
    theirs, _ = find_peaks(series, height=np.nextafter(above, np.inf), distance=distance)
    alone, _ = find_peaks(series, height=np.nextafter(above, np.inf))
    if np.unique(series[alone]).size == alone.size:
        np.testing.assert_array_equal(ours, theirs)
        return
    # Which of two equally high maxima too close to each other stays, find_peaks leaves to an unstable sort. Whatever it
    # is, all that stay are maxima, far enough apart, and none that is left out stands higher than all those near it.
    assert set(ours) <= set(alone)
    assert (np.diff(ours) >= distance).all()
    for left in set(alone) - set(ours):
        near = ours[np.abs(ours - left) < distance]
        assert near.size
        assert series[near].max() >= series[left]
    assert series[ours].max(initial=-1) == series[theirs].max(initial=-1)


@given(steps=st.lists(st.tuples(st.integers(1, 5), st.floats(0, 1)), min_size=1, max_size=25), distance=st.floats(1, 9))
def test_extremal_points_of_plateaus_of_any_length_are_those_of_find_peaks(steps, distance):
    assume(len({height for _, height in steps}) == len(steps))
    series = np.repeat([height for _, height in steps], [length for length, _ in steps])
    expected, _ = find_peaks(series, height=np.nextafter(0.2, 1), distance=distance)
    np.testing.assert_array_equal(extremal_points(series, 0.2, distance), expected)


def test_thresholds_are_strict():
    series = np.full((21, 4), 0.1)
    series[10] = 0.2, np.nextafter(0.2, 1), 0.05, np.nextafter(0.05, 0)
    hop, species = over_time(series)
    np.testing.assert_array_equal(dg.rearrangement_labels(hop, species).values[10], [-1, 1, -1, 0])


@pytest.mark.parametrize(("gap", "kept"), [(9, 1), (10, 2)])
def test_rearrangements_ten_apart_both_count_and_closer_ones_do_not(gap, kept):
    series = np.full((60, 1), 0.1)
    series[20], series[20 + gap] = 0.5, 0.6
    hop, species = over_time(series)
    label = dg.rearrangement_labels(hop, species)
    assert int((label == 1).sum()) == kept
    assert label.values[20 + gap, 0] == 1


def test_separation_holds_for_times_with_rounding_errors():
    # sums of steps: their mean distance is less than 0.1 in the last digits
    time = np.cumsum(np.full(1001, 0.1))
    assert 10.0 / ((time[-1] - time[0]) / 1000) > 100
    series = np.full((1001, 1), 0.1)
    series[300], series[400] = 0.5, 0.6
    hop, species = over_time(series, time)
    assert int((dg.rearrangement_labels(hop, species) == 1).sum()) == 2


def test_a_plateau_counts_once_at_its_middle():
    series = np.full((31, 1), 0.1)
    series[10:15] = 0.4
    hop, species = over_time(series)
    np.testing.assert_array_equal(np.flatnonzero(dg.rearrangement_labels(hop, species) == 1), [12])


def test_only_the_first_species_is_labelled(trajectory):
    hop = dg.hop_indicator(trajectory.position)
    label = dg.rearrangement_labels(hop, trajectory.species, hard_separation=20.0)
    assert (label.values[:, trajectory.species.values != 0] == -1).all()


@pytest.mark.parametrize("frames", [1, 3, 7])
def test_labels_are_lazy_and_the_same_for_any_chunks(trajectory, frames):
    hop = dg.hop_indicator(trajectory.position)
    lazy = dg.rearrangement_labels(hop.chunk(time=frames), trajectory.species)
    assert lazy.chunks is not None
    np.testing.assert_array_equal(lazy.values, dg.rearrangement_labels(hop, trajectory.species).values)


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
        patch.setattr("daskglass.physics.dynamics._logarithmic_slope", lambda t, x: np.ones(t.size))
        D = dg.diffusivity(msd)
    assert float(D) == pytest.approx(slope / 6, rel=1e-9)
    assert abs(np.polyfit(t_d, x_d, 1)[0] / slope - 1) > 1e-3


def test_the_logarithmic_slope_is_of_the_points_within_a_factor_of_1_5():
    t = 1.2 ** np.arange(20)
    x = np.where(t < 6, t**0.5, t**1.5 / 6)
    found = _logarithmic_slope(t, x)
    for k in range(t.size):
        # 1.2² is within it, 1.2³ is not
        near = slice(max(k - 2, 0), k + 3)
        assert found[k] == pytest.approx(np.polyfit(np.log(t[near]), np.log(x[near]), 1)[0], rel=1e-9)
