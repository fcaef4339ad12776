"""Blocks of time whose counts are taken as independent: long enough for hops and structure, and never a whole run."""

import numpy as np
import pytest
import xarray as xr

from daskglass.physics.blocks import block_count, block_sums
from daskglass.stages.ensemble import block_frames, independent_blocks

WINDOW = 10.0


def over_temperature(*tau):
    return xr.DataArray(list(tau), dims="temperature", coords={"temperature": 0.5 + np.arange(len(tau))})


@pytest.mark.parametrize(
    ("tau", "frames", "interval", "expected"),
    [
        (0.5, 101, 1.0, 21),
        (0.6, 101, 1.0, 22),
        (7.0, 101, 1.0, 34),
        (7.0, 101, 2.0, 17),
        (80.0, 101, 1.0, 50),
        (np.nan, 101, 1.0, 50),
        (0.5, 3, 1.0, 1),
        (0.5, 1, 1.0, 1),
    ],
)
def test_blocks_hold_twice_a_window_and_the_relaxation_time_or_half_a_run(tau, frames, interval, expected):
    found = block_frames(WINDOW, over_temperature(tau), interval * np.arange(frames))
    assert found.dtype == np.int64
    assert found.values.tolist() == [expected]


@pytest.mark.parametrize(
    ("tau", "frames", "interval", "expected"),
    [(0.5, 101, 1.0, 4), (9.8, 101, 1.0, 2), (40.0, 101, 1.0, 1), (40.0, 101, 2.0, 2), (np.nan, 101, 1.0, 1)],
)  # fmt: skip
def test_no_more_blocks_are_independent_than_are_that_long(tau, frames, interval, expected):
    time, tau = interval * np.arange(frames), over_temperature(tau)
    found = independent_blocks(WINDOW, tau, time)
    assert found.dtype == np.int64
    assert found.values.tolist() == [expected]
    assert found.item() <= block_count(frames, block_frames(WINDOW, tau, time).values)


def test_each_temperature_has_its_own():
    found = block_frames(WINDOW, over_temperature(80.0, 0.5), np.arange(101.0))
    assert found.sel(temperature=[1.5, 0.5]).values.tolist() == [21, 50]


@pytest.mark.parametrize(("frames", "block", "expected"), [(101, 21, 4), (101, 50, 2), (101, 51, 1), (3, 7, 1)])
def test_a_run_is_cut_into_equal_blocks(frames, block, expected):
    count = int(block_count(frames, np.array(block)))
    assert count == expected
    sizes = block_sums(np.ones((2, frames)), count, axis=1)
    assert sizes.shape == (2, expected)
    assert np.ptp(sizes) <= 1
    assert (sizes >= min(block, frames)).all()


def test_what_windows_count_varies_over_such_blocks_as_it_does_over_runs():
    """A window sees every hop as often as it is long: over blocks of one window the error is a fifth too small."""
    frames, h = 101, int(WINDOW)
    hops = np.random.default_rng(0).normal(size=(4000, frames + h))
    counted = np.lib.stride_tricks.sliding_window_view(hops, h, axis=1).sum(axis=-1)[:, :frames]
    true = counted.mean(axis=1).std()

    def error(block):
        count = int(block_count(frames, np.asarray(block)))
        means = block_sums(counted, count, axis=1) / block_sums(np.ones(frames), count, axis=0)
        return np.sqrt((means.var(axis=1, ddof=1) / count).mean())

    chosen = block_frames(WINDOW, over_temperature(0.0), np.arange(float(frames))).item()
    assert error(chosen) / true > 0.9
    assert error(h) / true < 0.85
