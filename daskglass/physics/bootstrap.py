"""Standard errors of probabilities, barriers, onset and collapse, by resampling blocks of time."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from daskglass.errors import DataError
from daskglass.physics import arrays
from daskglass.physics.barriers import (
    FIT,
    Lines,
    Weights,
    arrhenius_lines,
    by_temperature,
    logarithm,
    meeting_temperature,
    scaled_barriers,
    supercooled_count,
)
from daskglass.physics.strata import existing_counts
from daskglass.variables import described

AT_ONCE = 2**23  # bytes of the resamples that are computed together: memory hardly grows with their number
RATIOS = {
    "scaled_entropy": "covariance of Σ and, last, ln P_R(T_A), over ln P_R(T_A)",
    "scaled_energy": "covariance of ΔE/T_A and, last, ln P_R(T_A), over ln P_R(T_A)",
}
SPREADS: dict[str, tuple[str, ...]] = {
    **FIT,
    "onset_temperature": (),
    **dict.fromkeys(RATIOS, ("stratum",)),
}


def bootstrap(
    counts: xr.Dataset,
    resamples: int,
    seed: int,
    block: int,
    weights: Weights = "scatter",
    supercooled: int | None = None,
) -> xr.Dataset:
    """Standard errors of P_R, ΔE, Σ, T_A and the collapse, by resampling replicas and blocks of time.

    Blocks of successive frames are drawn with replacement [1]_, at each temperature for itself. What the points of a
    line scatter beyond their own errors is resampled too: the share of it in the distance of each temperature from the
    line, the same for all strata, times a random number of zero mean and unit variance [2]_. The scatter is that of the
    range that all counts choose, and none beyond it, nor where two temperatures leave nothing to tell it from.

    y_Σ and y_E are ratios of a barrier and the scale ln P_R(T_A). As that may be 0 within its error, where resamples of a
    ratio have no standard deviation, their errors are to first order: of (d barrier − y d scale)/scale.

    Parameters
    ----------
    counts : xarray.Dataset
        Variables `samples` and `events` over (temperature, replica, time, stratum), at the temperatures of the fit; or
        over `candidate` as well, as many as temperatures, candidate k - 1 in the strata of the k coldest temperatures.
        Each resample then seeks its own supercooled range.
    resamples : int
        Number of bootstrap samples.
    seed : int
        Seed of the resampling.
    block : int
        Frames in a block of time; frames closer than a hop window are not independent.
    weights : {"scatter", "counts", "equal"}, optional
        Weights of the fits, as of `arrhenius`.
    supercooled : int, optional
        Number of supercooled temperatures, instead of the one that each resample finds.

    Returns
    -------
    xarray.Dataset
        Variables `probability_err` (…, [candidate,] temperature, stratum), `spread_err` (…, [candidate,] temperature) of
        ln P_R of the last stratum less that of the first, `activation_energy_err`,
        `activation_entropy_err`, `scaled_energy_err` and `scaled_entropy_err` (…, stratum), and `onset_temperature_err`
        (…): standard deviations of the resamples that have a value, in the units of what they are errors of; and
        `scaled_energy_terms_cov` and `scaled_entropy_terms_cov` (…, term, term_2): covariances of what y_E and y_Σ are
        ratios of, over ln P_R(T_A) of all counts: the barriers ΔE/T_A or Σ of the strata and, last, ln P_R(T_A) of the
        resamples, which all strata share.

    Raises
    ------
    DataError
        If a variable or dimension is missing, temperatures are not positive numbers, each once, there are not as many
        candidates, or a number is not whole.

    References
    ----------
    .. [1] H. R. Künsch, "The Jackknife and the Bootstrap for General Stationary Observations", The Annals of Statistics
       17, 1217 (1989).
    .. [2] C. F. J. Wu, "Jackknife, Bootstrap and Other Resampling Methods in Regression Analysis", The Annals of
       Statistics 14, 1261 (1986).

    Examples
    --------
    >>> T = xr.DataArray([0.5, 0.6], dims="temperature", coords={"temperature": [0.5, 0.6]})
    >>> energy = xr.DataArray([3.0, 2.0], dims="stratum")
    >>> events = (1000 * np.exp(energy - energy / T)).round().astype(int)
    >>> events = events.expand_dims(replica=2, time=4) + xr.DataArray([-5, 5], dims="replica")
    >>> counts = xr.Dataset({"samples": xr.full_like(events, 1000), "events": events})
    >>> errors = dg.bootstrap(counts, resamples=10, seed=0, block=2)
    >>> dict(errors.probability_err.sizes)
    {'temperature': 2, 'stratum': 2}
    >>> 0 < errors.onset_temperature_err.item() < 0.2
    True
    """
    resamples, seed, block = (
        arrays.whole(value, name, least)
        for value, name, least in ((resamples, "resamples", 2), (seed, "seed", 0), (block, "block", 1))
    )
    axes: tuple[str, ...] = ("temperature", "replica", "time", "stratum")
    counts = existing_counts(arrays.table(counts, "counts", {"samples": axes, "events": axes}))
    candidates = ["candidate"] if "candidate" in counts.dims else []
    axes = (*candidates, *axes)
    counts = by_temperature(counts, "counts")
    if "time" in counts.indexes:
        # blocks are of successive frames
        counts = arrays.in_order(counts, "time", "counts")
    counts = arrays.as_labelled(counts, "replica")
    T = counts["temperature"].values.astype(np.float64)
    if candidates and counts.sizes["candidate"] != T.size:
        raise DataError(
            f"counts must have {T.size} candidates, as many as temperatures; got {counts.sizes['candidate']}"
        )
    coldest = T.size if supercooled is None else arrays.whole(supercooled, "supercooled", 1, T.size)
    # how many of the coldest temperatures each candidate is fitted to
    ranges = np.arange(1, T.size + 1) if candidates else np.array([coldest])
    chosen = None if candidates and supercooled is None else ranges.tolist().index(coldest)

    def compute(samples: NDArray[Any], events: NDArray[Any]) -> tuple[NDArray[np.float64], ...]:
        units = tuple(_units(each, block, bool(candidates)) for each in (samples, events))
        P_err, spread_err = (
            _deviation(functools.reduce(_merged, moments))
            for moments in zip(
                *([_moments(each) for each in _outcomes(*drawn)] for drawn in _drawn(units, resamples, seed)),
                strict=True,
            )
        )
        totals = [each.sum(axis=-2).swapaxes(-1, -2) for each in units]
        _, error = logarithm(_probability(*totals), totals[1], P_err)

        def fit(
            samples: NDArray[np.float64], events: NDArray[np.float64], noise: NDArray[np.float64] | float = 0.0
        ) -> Lines:
            return _fit(T, samples, events, error, ranges, weights, noise)

        lines = fit(*totals)
        place = _chosen(T, meeting_temperature(lines.energy, lines.entropy)[0], chosen)
        rest = np.take_along_axis(lines.rest, place[..., None, None, None], axis=-3)
        normal = np.random.default_rng([seed, 1])
        found = []
        for samples, events in _drawn(units, resamples, seed):
            z = normal.standard_normal((len(samples), *[1] * (rest.ndim - 1), T.size))
            found.append(_results(T, fit(samples, events, z * rest), chosen))
        energy, entropy, onset, *ratios = map(np.concatenate, zip(*found, strict=True))
        *_, of_entropy, of_energy = _results(T, lines, chosen)
        scaled_err, terms_cov = zip(*map(_ratio, ratios, (of_entropy, of_energy)), strict=True)
        P_err = P_err.swapaxes(-1, -2)
        return (
            P_err if candidates else P_err[..., 0, :, :],
            spread_err if candidates else spread_err[..., 0, :],
            *(_deviation(_moments(each)) for each in (energy, entropy, onset)),
            *scaled_err,
            *terms_cov,
        )

    errors = arrays.apply(
        compute,
        {f"counts.{name}": counts[name] for name in ("samples", "events")},
        core=[axes, axes],
        out=[
            (*candidates, "temperature", "stratum"),
            (*candidates, "temperature"),
            *SPREADS.values(),
            *[("term", "term_2")] * len(RATIOS),
        ],
        dtypes=[np.float64] * (2 + len(SPREADS) + len(RATIOS)),
        term=counts.sizes["stratum"] + 1,
        term_2=counts.sizes["stratum"] + 1,
    )
    names = (
        "probability_err",
        "spread_err",
        *(f"{name}_err" for name in SPREADS),
        *(f"{name}_terms_cov" for name in RATIOS),
    )
    table = xr.Dataset(dict(zip(names, errors, strict=True)))
    for name, long_name in RATIOS.items():
        table[f"{name}_terms_cov"].attrs["long_name"] = long_name
    return described(table)


def _units(counts: NDArray[Any], block: int, candidates: bool) -> NDArray[np.float64]:
    """Sums (…, candidate, temperature, unit, stratum) over the blocks of counts (…, temperature, replica, time, stratum)."""
    sums = np.add.reduceat(counts.astype(np.float64), np.arange(0, counts.shape[-2], block), axis=-2)
    *lead, replicas, blocks, strata = sums.shape
    sums = sums.reshape(*lead, replicas * blocks, strata)
    return sums if candidates else sums[..., None, :, :, :]


def _drawn(
    units: Sequence[NDArray[np.float64]], resamples: int, seed: int
) -> Iterator[tuple[NDArray[np.float64], ...]]:
    """Sums (resample, …, candidate, stratum, temperature) of units drawn again, a batch of resamples at a time; see `AT_ONCE`.

    Exact, as counts are whole.
    """
    temperatures, n, strata = units[0].shape[-3:]
    # of each four tables of draws are held, a dozen of what is fitted, eight of pairs of strata
    each = 8 * (4 * temperatures * n + 12 * units[0][..., 0, :].size + 4 * strata * units[0][..., 0, 0, :].size)
    batch = max(1, AT_ONCE // each)
    rng = np.random.default_rng(seed)
    for first in range(0, resamples, batch):
        drawn = rng.integers(n, size=(min(batch, resamples - first), temperatures, n))
        drawn += n * np.arange(drawn.size // n).reshape(*drawn.shape[:-1], 1)
        times = np.bincount(drawn.ravel(), minlength=drawn.size).reshape(drawn.shape)
        times = times.swapaxes(0, 1).astype(np.float64)
        yield tuple(np.ascontiguousarray(np.moveaxis(times @ each, -2, 0).swapaxes(-1, -2)) for each in units)


def _probability(samples: NDArray[np.float64], events: NDArray[np.float64]) -> NDArray[np.float64]:
    with np.errstate(invalid="ignore"):
        return events / samples


def _outcomes(samples: NDArray[np.float64], events: NDArray[np.float64]) -> tuple[NDArray[np.float64], ...]:
    """P of all strata, and ln P of the last one less that of the first, NaN where either has no event."""
    P = _probability(samples, events)
    outer = np.log(np.where(P[..., [0, -1], :] > 0, P[..., [0, -1], :], np.nan))
    return P, outer[..., 1, :] - outer[..., 0, :]


def _fit(
    T: NDArray[np.float64],
    samples: NDArray[np.float64],
    events: NDArray[np.float64],
    error: NDArray[np.float64],
    ranges: NDArray[np.int64],
    weights: Weights,
    noise: NDArray[np.float64] | float,
) -> Lines:
    """Fit lines to counts (…, candidate, stratum, temperature), each candidate to the coldest temperatures of its range."""
    y, _ = logarithm(_probability(samples, events), events)
    cold = np.arange(T.size) < ranges[:, None, None]
    return arrhenius_lines(T, np.where(cold, y + noise, np.nan), error, events, weights)


def _results(T: NDArray[np.float64], lines: Lines, candidate: int | None) -> tuple[NDArray[np.float64], ...]:
    """ΔE, Σ, T_A and the terms of y_Σ and y_E of lines (…, candidate, stratum): of a candidate, or the one T_A chooses.

    Terms (…, term) are those of a ratio: the barriers Σ or ΔE/T_A of the strata and, last, ln P_R(T_A).
    """
    onsets, *_ = meeting_temperature(lines.energy, lines.entropy)
    place = _chosen(T, onsets, candidate)
    onset = np.take_along_axis(onsets, place[..., None], axis=-1)[..., 0]
    energy, entropy = (
        np.take_along_axis(each, place[..., None, None], axis=-2)[..., 0, :] for each in (lines.energy, lines.entropy)
    )
    *_, P = scaled_barriers(energy, entropy, onset)
    # so improbable that it is 0 is as good as missing
    scale = np.log(np.where(P > 0, P, np.nan))[..., None]
    terms = (
        np.concatenate([np.where(np.isnan(scale), np.nan, barrier), scale], axis=-1)
        for barrier in (entropy, energy / onset[..., None])
    )
    return energy, entropy, onset, *terms


def _ratio(terms: NDArray[np.float64], of_all: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Standard errors of the ratios to first order, and the covariance of their terms (resample, …, term), over the scale."""
    with np.errstate(divide="ignore", invalid="ignore"):
        terms, y = terms / of_all[..., -1:], of_all[..., :-1] / of_all[..., -1:]
    terms[~np.isfinite(terms)] = np.nan
    return _deviation(_moments(terms[..., :-1] - y * terms[..., -1:])), _covariance(terms)


def _chosen(T: NDArray[np.float64], onsets: NDArray[np.float64], candidate: int | None) -> NDArray[np.int64]:
    """Place (…) of a candidate, or of the one that the onsets (…, candidate) choose."""
    if candidate is not None:
        return np.full(onsets.shape[:-1], candidate)

    def count(row: NDArray[np.float64]) -> int:
        return supercooled_count(T, lambda k: float(row[k - 1]))

    found = [count(row) for row in onsets.reshape(-1, T.size)]
    return np.array(found, np.int64).reshape(onsets.shape[:-1]) - 1


class _Moments(NamedTuple):
    """Number and mean of the values that exist, and the sum of the squares of their deviations from it."""

    n: NDArray[np.int64]
    mean: NDArray[np.float64]
    squares: NDArray[np.float64]


def _moments(values: NDArray[np.float64]) -> _Moments:
    """Moments along the first axis."""
    there = ~np.isnan(values)
    n = there.sum(axis=0)
    mean = np.where(there, values, 0.0).sum(axis=0) / np.maximum(n, 1)
    return _Moments(n, mean, (np.where(there, values - mean, 0.0) ** 2).sum(axis=0))


def _merged(one: _Moments, other: _Moments) -> _Moments:
    """Moments of the values of both."""
    n = one.n + other.n
    share = other.n / np.maximum(n, 1)
    apart = other.mean - one.mean
    return _Moments(n, one.mean + share * apart, one.squares + other.squares + share * one.n * apart**2)


def _deviation(moments: _Moments) -> NDArray[np.float64]:
    """Standard deviation of a sample; NaN with fewer than two values."""
    return np.sqrt(moments.squares / np.where(moments.n > 1, moments.n - 1, np.nan))


def _covariance(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Covariance (…, i, i) of values (resample, …, i), of those where both exist."""
    there = ~np.isnan(values)
    apart = np.where(there, values - _moments(values).mean, 0.0)
    both = np.einsum("r...i,r...j->...ij", there.astype(np.float64), there)
    return np.einsum("r...i,r...j->...ij", apart, apart) / np.where(both > 1, both - 1, np.nan)
