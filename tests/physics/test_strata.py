"""Strata and probabilities of rearrangement, from data whose law is known."""

import numpy as np
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st

import daskglass as dg
from daskglass.errors import DataError
from daskglass.physics.strata import (
    assign_strata,
    merge_histograms,
    stratum_counts,
    stratum_edges,
    value_histogram,
)


def test_strata_are_equal_parts_of_what_lies_between_the_percentiles():
    values = xr.DataArray(
        np.random.default_rng(0).normal(size=(40, 5000)).astype(np.float32), dims=("time", "particle")
    )
    low, high = np.percentile(values, [5, 95])
    np.testing.assert_allclose(dg.strata(values), np.linspace(low, high, 6), atol=2 / 1024)


@pytest.mark.parametrize("chunks", [1, 3, 7, 40])
def test_strata_do_not_depend_on_chunks_or_on_missing_values(chunks):
    values = xr.DataArray(np.random.default_rng(0).normal(size=(40, 50)), dims=("time", "particle"))
    padded = xr.concat([values, values * np.nan], "time")
    np.testing.assert_array_equal(dg.strata(padded.chunk(time=chunks)).values, dg.strata(values).values)


@given(st.lists(st.lists(st.floats(-50, 50), min_size=0, max_size=30), min_size=1, max_size=5))
def test_histograms_of_blocks_merge_into_that_of_all(blocks):
    parts = [value_histogram(np.array(block)) for block in blocks]
    whole = value_histogram(np.concatenate([np.array(block) for block in blocks]))
    np.testing.assert_array_equal(merge_histograms(parts), whole)


def test_strata_of_no_values_are_refused():
    with pytest.raises(DataError, match="no finite value to divide into strata"):
        dg.strata(xr.DataArray([np.nan, np.nan], dims="particle"))


def test_strata_of_values_that_are_all_alike_are_refused():
    with pytest.raises(DataError, match=r"the percentiles \(5\.0, 95\.0\) coincide"):
        dg.strata(xr.DataArray(np.ones(100), dims="particle"))


def test_percentiles_zero_and_hundred_hold_everything():
    values = np.array([0.5, 1.5, 2.5])
    low, *_, high = stratum_edges(value_histogram(values), 2, (0, 100))
    assert low <= 0.5 < 2.5 < high


# --- counts --------------------------------------------------------------------------------------------------------


def test_a_stratum_holds_its_lower_edge_and_the_last_its_upper_one_too():
    values = np.array([-0.1, 0.0, 0.5, 1.0, 1.5, 2.0, 2.1, np.nan])
    np.testing.assert_array_equal(assign_strata(values, np.array([0.0, 1.0, 2.0])), [-1, 0, 0, 1, 1, 1, -1, -1])


def test_probability_is_the_fraction_of_a_stratum_that_rearranges():
    hop = xr.DataArray([[0.3, 0.1, 0.3, 0.2, np.nan, 0.9]], dims=("time", "particle"))
    values = xr.DataArray([[0.5, 0.6, 1.5, 1.6, 0.7, np.nan]], dims=("time", "particle"))
    P = dg.rearrangement_probability(hop, values, xr.DataArray([0.0, 1.0, 2.0], dims="edge"))
    np.testing.assert_array_equal(P.samples, [2, 2])
    np.testing.assert_array_equal(P.events, [1, 1])
    np.testing.assert_array_equal(P.probability, [0.5, 0.5])


def histories(seed=0):
    rng = np.random.default_rng(seed)
    dims = ("temperature", "replica", "time", "particle")
    coords = {"temperature": [0.6, 0.5], "time": np.arange(21.0)}
    hop = xr.DataArray(rng.exponential(0.15, (2, 2, 21, 30)), dims=dims, coords=coords)
    return hop.where((hop.time >= 5) & (hop.time <= 15)), xr.DataArray(
        rng.normal(size=hop.shape), dims=dims, coords=coords
    )


def test_probability_pools_frames_and_replicas_and_keeps_temperatures_apart():
    hop, values = histories()
    edges = dg.strata(values)
    together = dg.rearrangement_probability(hop, values, edges)
    for k in range(2):
        x, p = values[k].values.ravel(), hop[k].values.ravel()
        for s in range(5):
            here = (x >= float(edges[s])) & (x < float(edges[s + 1])) & np.isfinite(p)
            assert int(together.samples[k, s]) == here.sum()
            assert int(together.events[k, s]) == (p[here] > 0.2).sum()


@pytest.mark.parametrize("chunks", [1, 3, 7, 21])
def test_probability_is_lazy_and_the_same_for_any_chunks(chunks):
    hop, values = histories()
    edges = dg.strata(values)
    lazy = dg.rearrangement_probability(hop.chunk(time=chunks), values.chunk(time=chunks), edges)
    assert lazy.probability.chunks is not None
    xr.testing.assert_equal(lazy.compute(), dg.rearrangement_probability(hop, values, edges))


def test_lazy_hops_and_values_of_other_chunks_go_together(trajectory):
    values = trajectory.position.isel(xyz=0, drop=True)
    edges = dg.strata(values)
    lazy = dg.rearrangement_probability(
        dg.hop_indicator(trajectory.chunk(time=2).position), values.chunk(time=2), edges
    )
    eager = dg.rearrangement_probability(dg.hop_indicator(trajectory.position), values, edges)
    xr.testing.assert_equal(lazy.compute(), eager)


def test_an_empty_stratum_has_no_probability():
    hop, values = histories()
    P = dg.rearrangement_probability(hop, values, xr.DataArray([10.0, 11.0], dims="edge"))
    assert P.probability.isnull().all()


@pytest.mark.parametrize("edges", [[1.0], [0.0, 0.0], [1.0, 0.0], [0.0, np.nan]])
def test_edges_that_do_not_rise_are_refused(edges):
    hop, values = histories()
    with pytest.raises(DataError, match="at least two rising edges"):
        stratum_counts(hop, values, xr.DataArray(edges, dims="edge"))
