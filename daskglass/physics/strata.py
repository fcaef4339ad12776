"""Strata of a structural variable, and the probability of rearrangement in each."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from daskglass.errors import DataError
from daskglass.physics import arrays
from daskglass.physics.defaults import PERCENTILES, REARRANGING, STRATA
from daskglass.variables import named

RESOLUTION = 1.0 / 1024.0  # of the histograms from which percentiles are read
MOST_STRATA = int(np.iinfo(np.int16).max)
FARTHEST = 2.0**40  # values beyond have no bin of that width


def value_histogram(values: NDArray[np.floating]) -> NDArray[np.int64]:
    """Count the values that are there in bins of width `RESOLUTION`; rows of (bin, count), ascending. Blocks merge exactly.

    Raises
    ------
    DataError
        If a value lies too far from zero to have a bin.
    """
    finite = values[~np.isnan(values)]
    if finite.size and not np.abs(finite).max() < FARTHEST:
        raise DataError(f"values beyond {FARTHEST:g} have no strata; got {finite[np.abs(finite).argmax()]:g}")
    return np.stack(np.unique(np.floor(finite / RESOLUTION).astype(np.int64), return_counts=True), axis=1)


def merge_histograms(histograms: Iterable[NDArray[np.int64]]) -> NDArray[np.int64]:
    """Add the histograms of `value_histogram`."""
    rows = np.concatenate(list(histograms))
    bins, where = np.unique(rows[:, 0], return_inverse=True)
    counts = np.zeros(bins.size, np.int64)
    np.add.at(counts, where, rows[:, 1])
    return np.stack([bins, counts], axis=1)


def stratum_edges(histogram: NDArray[np.int64], bins: int, percentiles: tuple[float, float]) -> NDArray[np.float64]:
    """Edges (bins + 1,) of equal strata between two percentiles of a histogram, linear within its bins.

    Raises
    ------
    DataError
        If there is nothing between the percentiles.
    """
    if histogram.size == 0:
        raise DataError("no finite value to divide into strata")
    upper = np.cumsum(histogram[:, 1])
    ranks = np.asarray(percentiles) / 100 * upper[-1]
    k = np.minimum(np.searchsorted(upper, ranks), upper.size - 1)
    inside = 1 - (upper[k] - ranks) / histogram[k, 1]
    low, high = (histogram[k, 0] + inside) * RESOLUTION
    if not k[1] > k[0]:
        raise DataError(
            f"the percentiles {percentiles} coincide near {low:g}, to {RESOLUTION:g}: no strata between them"
        )
    return np.linspace(low, high, bins + 1)


def strata(values: xr.DataArray, bins: int = STRATA, percentiles: tuple[float, float] = PERCENTILES) -> xr.DataArray:
    """Divide a structural variable into equal strata between two percentiles of all its values pooled.

    Percentiles are read from a histogram of bin width 1/1024, so that blocks merge exactly, in any order. Computes Dask
    arrays.

    Parameters
    ----------
    values : xarray.DataArray
        Structural variable over any dimensions. NaN is left out.
    bins : int, optional
        Number of strata.
    percentiles : tuple of float, optional
        Lower and upper percentile.

    Returns
    -------
    xarray.DataArray
        Edges over (edge,), rising, float64, in the units of `values`.

    Raises
    ------
    DataError
        If percentiles are not two that rise between 0 and 100, or there is nothing between them.

    Examples
    --------
    >>> softness = xr.DataArray(np.linspace(-1, 1, 2001), dims="particle", name="softness")
    >>> print(dg.strata(softness, bins=4, percentiles=(10, 90)).values.round(2))
    [-0.8 -0.4  0.   0.4  0.8]
    """
    bins = arrays.whole(bins, "bins", most=MOST_STRATA)
    limits = arrays.distinct(percentiles, "percentiles")
    if limits.size != 2 or not 0 <= limits[0] < limits[1] <= 100:
        raise DataError(f"percentiles must be two that rise between 0 and 100; got {percentiles}")
    data = arrays.array(values, "values").data
    if values.chunks is not None:
        import dask

        parts = dask.compute(*(dask.delayed(value_histogram)(block) for block in data.to_delayed().ravel()))
    else:
        parts = (value_histogram(np.asarray(data)),)
    edges = stratum_edges(merge_histograms(parts), bins, (float(limits[0]), float(limits[1])))
    return xr.DataArray(
        edges,
        dims="edge",
        attrs={
            "variable": str(values.name),
            "long_name": "edge of a stratum",
            "units": values.attrs.get("units", "1"),
        },
    )


def stratum_counts(
    hop: xr.DataArray, values: xr.DataArray, edges: xr.DataArray, threshold: float = REARRANGING
) -> xr.Dataset:
    """Count particles, and rearranging ones, of each stratum in every frame.

    A stratum holds its lower edge; the last one its upper edge too. Particles without p_hop or value are left out.

    Parameters
    ----------
    hop : xarray.DataArray
        Values of p_hop over (…, particle) in σ².
    values : xarray.DataArray
        Structural variable over (…, particle), with the same labels.
    edges : xarray.DataArray
        Edges of the strata over (edge,), rising.
    threshold : float, optional
        Value of p_hop in σ² above which a particle rearranges.

    Returns
    -------
    xarray.Dataset
        Variables `samples` and `events` over (…, stratum), int64; coordinate `stratum` holds the middle of each.

    Raises
    ------
    DataError
        If dimensions, lengths or labels of the arrays do not match, or edges do not rise.
    """
    boundaries = np.asarray(edges)
    if boundaries.dtype.kind not in "iuf" or boundaries.ndim != 1 or not 2 <= boundaries.size <= MOST_STRATA + 1:
        raise DataError(f"strata are given by at least two rising edges, at most {MOST_STRATA + 1}; got {boundaries}")
    boundaries = boundaries.astype(np.float64)
    if not ((np.diff(boundaries) > 0).all() and np.isfinite(boundaries).all()):
        raise DataError(f"strata are given by at least two rising edges; got {boundaries}")
    threshold = arrays.number(threshold, "threshold", False)
    given = {"hop": arrays.array(hop, "hop", ["particle"]), "values": arrays.array(values, "values", ["particle"])}
    bins = boundaries.size - 1

    def compute(p: NDArray[np.floating], x: NDArray[np.floating]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        which = assign_strata(x, boundaries)
        which[np.isnan(p)] = -1
        lead = p.shape[:-1]
        frame = np.broadcast_to(np.arange(np.prod(lead, dtype=int)).reshape(*lead, 1), p.shape)
        flat = frame * bins + which
        size = int(np.prod(lead, dtype=int)) * bins
        samples = np.bincount(flat[which >= 0], minlength=size)
        events = np.bincount(flat[(which >= 0) & (p > threshold)], minlength=size)
        return samples.reshape(*lead, bins), events.reshape(*lead, bins)

    samples, events = arrays.apply(
        compute,
        given,
        core=[["particle"], ["particle"]],
        out=[["stratum"], ["stratum"]],
        dtypes=[np.int64, np.int64],
        stratum=bins,
    )
    middle = (boundaries[1:] + boundaries[:-1]) / 2
    counted = xr.Dataset({"samples": named(samples, "samples"), "events": named(events, "events")})
    return counted.assign_coords(stratum=("stratum", middle, {"long_name": "middle of the stratum", "units": "1"}))


def assign_strata(values: NDArray[np.floating], edges: NDArray[np.float64]) -> NDArray[np.int16]:
    """Stratum of each value, -1 outside the edges or where it is NaN."""
    which = np.searchsorted(edges, values, side="right").astype(np.int16) - np.int16(1)
    which[values == edges[-1]] = edges.size - 2
    which[~((values >= edges[0]) & (values <= edges[-1]))] = -1
    return which


def rearrangement_probability(
    hop: xr.DataArray, values: xr.DataArray, edges: xr.DataArray, threshold: float = REARRANGING
) -> xr.Dataset:
    """P_R: fraction of the particles of each stratum with p_hop above the threshold.

    As in [1]_, counts are summed over replica and time. A stratum holds its lower edge; the last one its upper edge
    too. Particles without p_hop or value are left out.

    Parameters
    ----------
    hop : xarray.DataArray
        Values of p_hop over ([temperature,] …, time, particle) in σ².
    values : xarray.DataArray
        Structural variable over the same dimensions, with the same labels.
    edges : xarray.DataArray
        Edges of the strata over (edge,), rising, as `strata` returns them.
    threshold : float, optional
        Value of p_hop in σ² above which a particle rearranges.

    Returns
    -------
    xarray.Dataset
        Variables `probability`, `events` and `samples` over (…, stratum). NaN where nothing was counted. Coordinate
        `stratum` holds the middle of each.

    Raises
    ------
    DataError
        If dimensions, lengths or labels of the arrays do not match, or edges do not rise.

    References
    ----------
    .. [1] I. R. Graham, P. E. Arratia and R. A. Riggleman, "Exploring the Relationship Between Softness and Excess
       Entropy in Glass-forming Systems", arXiv:2302.00866 (2023).

    Examples
    --------
    >>> hop = xr.DataArray([[0.0, 0.3, 0.5, 0.1]], dims=("time", "particle"))
    >>> softness = xr.DataArray([[-0.5, -0.2, 0.4, 0.6]], dims=("time", "particle"))
    >>> edges = xr.DataArray([-1.0, 0.0, 1.0], dims="edge")
    >>> P = dg.rearrangement_probability(hop, softness, edges)
    >>> print(P.probability.values, P.stratum.values)
    [0.5 0.5] [-0.5  0.5]
    """
    return probability_of(stratum_counts(hop, values, edges, threshold))


def in_double(table: xr.Dataset) -> xr.Dataset:
    """Table in double precision: single precision loses counts beyond 16 million."""
    return table.map(lambda values: values.astype(np.float64) if values.dtype.kind == "f" else values, keep_attrs=True)


def existing_counts(counts: xr.Dataset) -> xr.Dataset:
    """Counts, none where they are missing: NaN, or -1 as `query` fills whole numbers."""
    counts = in_double(arrays.table(counts, "counts", {"samples": (), "events": ()}))
    there = (counts["samples"] >= 0) & (counts["events"] >= 0)
    return counts[["samples", "events"]].where(there, 0)


def probability_of(counts: xr.Dataset) -> xr.Dataset:
    """P_R from `stratum_counts`, summed over replica and time where they exist; NaN where nothing was counted."""
    total = existing_counts(counts).sum([dim for dim in ("replica", "time") if dim in counts.dims])
    probability = named(total["events"] / total["samples"], "probability")
    return total.assign(probability=probability)
