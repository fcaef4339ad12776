"""Hops and labels against brute force, closed forms and symmetries."""

import numpy as np
import pytest
import xarray as xr
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy.signal import find_peaks

import daskglass as dg
from daskglass.errors import DataError
from daskglass.kernels.hop import extremal_points
from tests import references
from tests.physics.walks import A_ONLY, motion, walk


def over_time(values, time=None):
    """p_hop (time, particle) as a DataArray, and its species."""
    values = np.asarray(values)
    hop = xr.DataArray(
        values, dims=("time", "particle"), coords={"time": np.arange(len(values)) if time is None else time}
    )
    return hop, xr.DataArray(np.zeros(values.shape[1], np.int8), dims="particle", attrs=A_ONLY)


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
