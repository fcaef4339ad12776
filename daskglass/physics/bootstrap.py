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
    inverse_meeting_temperature,
    logarithm,
    meeting_temperature,
    scaled_barriers,
    supercooled_count,
    weighted_lines,
)
from daskglass.physics.blocks import block_count, block_sums
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
    block: int | xr.DataArray,
    weights: Weights = "scatter",
    supercooled: int | None = None,
) -> xr.Dataset:
    """Standard errors of P_R, ΔE, Σ, T_A and the collapse, by resampling replicas and blocks of time.

    Blocks of successive frames are drawn with replacement [1]_, at each temperature for itself: one fewer than there are,
    so that few of them do not vary too little [2]_. Few may still be alike by chance, so P_R varies no less than counting
    alone makes it, √(P_R (1 − P_R)/samples): where blocks vary less, the rest is added as noise of each point. What the
    points of a line scatter beyond their own errors is resampled too: the share of it in the distance of each temperature
    from the line, the same for all strata, times a random number of zero mean and unit variance [3]_. The lines are those
    of the range that all counts choose; hotter temperatures, which a resample may add to it, scatter by the s that these
    lines have. Two temperatures leave no scatter to tell. The weights of a line are those of all counts: a resample varies
    about these, not about the law, and would find a scatter that is not there.

    Lines give 1/T_A, and y_Σ and y_E are barriers over the scale ln P_R(T_A). As 1/T_A and the scale may be 0 within their
    errors, where resamples of what is divided by them have no standard deviation, the errors of T_A, y_Σ and y_E are to
    first order in those of 1/T_A, ΔE and Σ.

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
    block : int or xarray.DataArray
        Frames in a block of time at least, the same or over (temperature): a replica is cut into as many equal blocks as
        hold so many, or is one of its own. Frames closer than a hop window are not independent, nor those closer than τ_α.
    weights : {"scatter", "counts", "equal"}, optional
        Weights of the fits, as of `arrhenius`.
    supercooled : int, optional
        Number of supercooled temperatures, instead of the one that each resample finds.

    Returns
    -------
    xarray.Dataset
        Variables `probability_err` (…, [candidate,] temperature, stratum), `spread_err` (…, [candidate,] temperature) of
        ln P_R of the last stratum less that of the first, to first order, `activation_energy_err`,
        `activation_entropy_err`, `scaled_energy_err` and `scaled_entropy_err` (…, stratum), and `onset_temperature_err`
        (…): standard deviations of the resamples that have a value, in the units of what they are errors of; and
        `scaled_energy_terms_cov` and `scaled_entropy_terms_cov` (…, term, term_2): covariances of what y_E and y_Σ are
        ratios of, over ln P_R(T_A): the barriers ΔE/T_A or Σ of the strata and, last, ln P_R(T_A), which all strata share;
        and `inverse_onset_temperature` (…, resample), 1/T_A of each resample, also where it is negative. Counts over the
        same temperatures, replicas and frames have the same draws: so differences between the onsets of two structural
        variables in the same runs have errors of their own. NaN of a temperature that has one block alone, and of lines
        through it.

    Raises
    ------
    DataError
        If a variable or dimension is missing, temperatures are not positive numbers, each once, there are not as many
        candidates, a number is not whole, or blocks are not those of the temperatures.

    References
    ----------
    .. [1] H. R. Künsch, "The Jackknife and the Bootstrap for General Stationary Observations", The Annals of Statistics
       17, 1217 (1989).
    .. [2] J. N. K. Rao and C. F. J. Wu, "Resampling Inference with Complex Survey Data", Journal of the American
       Statistical Association 83, 231 (1988).
    .. [3] C. F. J. Wu, "Jackknife, Bootstrap and Other Resampling Methods in Regression Analysis", The Annals of
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
    resamples, seed = arrays.whole(resamples, "resamples", 2), arrays.whole(seed, "seed", 0)
    axes: tuple[str, ...] = ("temperature", "replica", "time", "stratum")
    counts = existing_counts(arrays.table(counts, "counts", {"samples": axes, "events": axes}))
    candidates = ["candidate"] if "candidate" in counts.dims else []
    axes = (*candidates, *axes)
    # without labels they are in the order of the counts
    frames = _block_frames(block, counts)[np.argsort(counts["temperature"].values)]
    counts = by_temperature(counts, "counts")
    if "time" in counts.indexes:
        # blocks are of successive frames
        counts = arrays.in_order(counts, "time", "counts")
    counts = arrays.as_labelled(counts, "replica")
    blocks = block_count(counts.sizes["time"], frames)
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
        units = tuple(_units(each, blocks, bool(candidates)) for each in (samples, events))
        number = samples.shape[-3] * blocks
        totals = [each.sum(axis=-2).swapaxes(-1, -2) for each in units]
        P = _probability(*totals)
        of_blocks = [
            _deviation(functools.reduce(_merged, moments))
            for moments in zip(
                *(
                    [_moments(each) for each in _outcomes(P, *drawn)]
                    for drawn in _drawn(units, number, resamples, seed)
                ),
                strict=True,
            )
        ]
        counting = _counting_errors(P, totals[0])
        P_err, spread_err = (np.maximum(*both) for both in zip(of_blocks, counting, strict=True))
        y, error = logarithm(P, totals[1], P_err)
        cold = np.arange(T.size) < ranges[:, None, None]
        lines = arrhenius_lines(T, np.where(cold, y, np.nan), error, totals[1], weights)
        place = _range(T, lines.energy, lines.entropy, chosen)
        energy, entropy = (_at(each, place) for each in (lines.energy, lines.entropy))
        of_all = _with_inverse_onset(energy, entropy)
        with np.errstate(divide="ignore", invalid="ignore"):
            lacking = np.nan_to_num(np.sqrt(P_err**2 - of_blocks[0] ** 2) / P)
        scatter = _scatter(lines, place, ranges)
        resampled = _resampled(T, units, number, lines.weight, scatter, lacking, chosen, resamples, seed)
        energy_moved, entropy_moved, inverse_moved = (
            each - value for each, value in zip(resampled, of_all, strict=True)
        )
        onset, *_ = meeting_temperature(energy, entropy)
        y_moved, terms_moved = zip(
            *_ratios_moved(energy, entropy, onset, energy_moved, entropy_moved, inverse_moved), strict=True
        )
        P_err = P_err.swapaxes(-1, -2)
        return (
            P_err if candidates else P_err[..., 0, :, :],
            spread_err if candidates else spread_err[..., 0, :],
            *(_deviation(_moments(each)) for each in (energy_moved, entropy_moved, onset**2 * inverse_moved, *y_moved)),
            *map(_covariance, terms_moved),
            np.moveaxis(resampled[-1], 0, -1),
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
            ("resample",),
        ],
        dtypes=[np.float64] * (3 + len(SPREADS) + len(RATIOS)),
        term=counts.sizes["stratum"] + 1,
        term_2=counts.sizes["stratum"] + 1,
        resample=resamples,
    )
    names = (
        "probability_err",
        "spread_err",
        *(f"{name}_err" for name in SPREADS),
        *(f"{name}_terms_cov" for name in RATIOS),
        "inverse_onset_temperature",
    )
    table = xr.Dataset(dict(zip(names, errors, strict=True)))
    for name, long_name in RATIOS.items():
        table[f"{name}_terms_cov"].attrs["long_name"] = long_name
    table["inverse_onset_temperature"].attrs = {"long_name": "1/T_A of the resamples", "units": "k_B/epsilon"}
    return described(table)


def _block_frames(block: int | xr.DataArray, counts: xr.Dataset) -> NDArray[np.int64]:
    """Frames (temperature,) that a block holds at least."""
    if not isinstance(block, xr.DataArray):
        return np.full(counts.sizes["temperature"], arrays.whole(block, "block", 1))
    block = arrays.array(block, "block", ["temperature"], "code")
    if more := [str(dim) for dim in block.dims if dim != "temperature"]:
        raise DataError(f"block must be over (temperature); it varies along {' and '.join(more)} as well")
    frames = arrays.together({"counts": counts["temperature"], "block": block})["block"].values
    if not (frames > 0).all():
        raise DataError(f"block must be 1 frame or more at each temperature; got {frames.tolist()}")
    return frames


def _units(counts: NDArray[Any], blocks: NDArray[np.int64], candidates: bool) -> NDArray[np.float64]:
    """Sums (…, candidate, temperature, unit, stratum) over blocks of counts (…, temperature, replica, time, stratum).

    Those of all replicas of a temperature first; 0 beyond them, where another temperature has more.
    """
    counts = counts.astype(np.float64)
    *lead, temperatures, replicas, _, strata = counts.shape
    units = np.zeros((*lead, temperatures, replicas * blocks.max(), strata))
    for T, n in enumerate(blocks):
        sums = block_sums(counts[..., T, :, :, :], n, axis=-2)
        units[..., T, : replicas * n, :] = sums.reshape(*lead, replicas * n, strata)
    return units if candidates else units[..., None, :, :, :]


def _drawn(
    units: Sequence[NDArray[np.float64]], number: NDArray[np.int64], resamples: int, seed: int
) -> Iterator[tuple[NDArray[np.float64], ...]]:
    """Sums (resample, …, candidate, stratum, temperature) of units drawn again, one fewer than their number (temperature,).

    A batch of resamples at a time; see `AT_ONCE`. Exact, as counts are whole.
    """
    temperatures, n, strata = units[0].shape[-3:]
    # of each four tables of draws are held, a dozen of what is fitted, eight of pairs of strata
    each = 8 * (4 * temperatures * n + 12 * units[0][..., 0, :].size + 4 * strata * units[0][..., 0, 0, :].size)
    batch = max(1, AT_ONCE // each)
    rng = np.random.default_rng(seed)
    for first in range(0, resamples, batch):
        drawn = rng.integers(number[:, None], size=(min(batch, resamples - first), temperatures, n - 1))
        tables = len(drawn) * temperatures
        drawn += n * np.arange(tables).reshape(-1, temperatures, 1)
        counted = np.broadcast_to(np.arange(n - 1) < number[:, None] - 1, drawn.shape)
        times = np.bincount(drawn.ravel(), counted.ravel(), minlength=n * tables).reshape(-1, temperatures, n)
        times = times.swapaxes(0, 1)
        yield tuple(np.ascontiguousarray(np.moveaxis(times @ each, -2, 0).swapaxes(-1, -2)) for each in units)


def _probability(samples: NDArray[np.float64], events: NDArray[np.float64]) -> NDArray[np.float64]:
    with np.errstate(invalid="ignore"):
        return events / samples


def _outcomes(
    P: NDArray[np.float64], samples: NDArray[np.float64], events: NDArray[np.float64]
) -> tuple[NDArray[np.float64], ...]:
    """P of resamples, and ln P of their last stratum less that of the first, less those of all counts, to first order.

    An outer stratum may have no event in some resamples, which then have no logarithm: the others would vary too little.
    """
    drawn = _probability(samples, events)
    with np.errstate(divide="ignore", invalid="ignore"):
        first, last = (drawn[..., k, :] / P[..., k, :] for k in (0, -1))
        return drawn, last - first


def _counting_errors(P: NDArray[np.float64], samples: NDArray[np.float64]) -> tuple[NDArray[np.float64], ...]:
    """What counting alone makes of the errors of P, and of ln P of the last stratum less that of the first."""
    with np.errstate(divide="ignore", invalid="ignore"):
        variance = P * (1 - P) / samples
        relative = variance / P**2
        apart = relative[..., 0, :] + relative[..., -1, :] if P.shape[-2] > 1 else 0 * relative[..., 0, :]
        return np.sqrt(variance), np.sqrt(apart)


def _resampled(
    T: NDArray[np.float64],
    units: Sequence[NDArray[np.float64]],
    number: NDArray[np.int64],
    weight: NDArray[np.float64],
    scatter: NDArray[np.float64],
    lacking: NDArray[np.float64],
    chosen: int | None,
    resamples: int,
    seed: int,
) -> list[NDArray[np.float64]]:
    """ΔE and Σ (resample, …, stratum), and 1/T_A (resample, …), of units drawn again, with the given weights of the lines.

    ln P varies by `scatter` (…, stratum, temperature) beyond what units hold, and by `lacking`
    (…, candidate, stratum, temperature), the noise that they have too little of. NaN of lines through temperatures of one
    unit.
    """
    scatter = scatter[..., None, :, :]
    shared, own = (np.random.default_rng([seed, stream]) for stream in (1, 2))
    ones = [1] * (scatter.ndim - 2)
    single = (number < 2) & (weight > 0)
    found = []
    for drawn in _drawn(units, number, resamples, seed):
        z = shared.standard_normal((len(drawn[0]), *ones, 1, T.size))
        noise = own.standard_normal((len(drawn[0]), *ones, *scatter.shape[-2:]))
        y, _ = logarithm(_probability(*drawn), drawn[1])
        known = ~np.isnan(y)
        y = np.where(known, y + noise * lacking, 0.0) + z * scatter
        y = np.where(single, np.nan, y)
        slope, intercept, *_ = weighted_lines(1 / T, y, np.where(known | single, weight, 0.0))
        place = _range(T, -slope, intercept, chosen)
        found.append(_with_inverse_onset(_at(-slope, place), _at(intercept, place)))
    return [np.concatenate(each) for each in zip(*found, strict=True)]


def _scatter(lines: Lines, place: NDArray[np.int64], ranges: NDArray[np.int64]) -> NDArray[np.float64]:
    """What ln P (…, stratum, temperature) scatters beyond its own error, about the lines of the candidate at a place (…).

    Temperatures beyond its range do not lie on these lines: theirs is the common scatter s.
    """
    within = np.take_along_axis(lines.rest, place[..., None, None, None], axis=-3)[..., 0, :, :]
    beyond = np.arange(within.shape[-1]) >= ranges[place][..., None, None]
    return np.where(beyond, np.nan_to_num(_at(lines.scatter, place))[..., None], within)


def _range(
    T: NDArray[np.float64], energy: NDArray[np.float64], entropy: NDArray[np.float64], candidate: int | None
) -> NDArray[np.int64]:
    """Place (…) of a candidate, or of the one that the onsets of lines (…, candidate, stratum) choose."""
    if candidate is not None:
        return np.full(energy.shape[:-2], candidate)

    def count(row: NDArray[np.float64]) -> int:
        return supercooled_count(T, lambda k: float(row[k - 1]))

    onsets, *_ = meeting_temperature(energy, entropy)
    found = [count(row) for row in onsets.reshape(-1, T.size)]
    return np.array(found, np.int64).reshape(onsets.shape[:-1]) - 1


def _at(values: NDArray[np.float64], place: NDArray[np.int64]) -> NDArray[np.float64]:
    """Values (…, stratum) of those (…, candidate, stratum) at a place (…)."""
    return np.take_along_axis(values, place[..., None, None], axis=-2)[..., 0, :]


def _with_inverse_onset(energy: NDArray[np.float64], entropy: NDArray[np.float64]) -> tuple[NDArray[np.float64], ...]:
    """ΔE and Σ (…, stratum), and 1/T_A (…), also where it is none or negative."""
    inverse, *_ = inverse_meeting_temperature(energy, entropy)
    return energy, entropy, inverse


def _ratios_moved(
    energy: NDArray[np.float64],
    entropy: NDArray[np.float64],
    onset: NDArray[np.float64],
    energy_moved: NDArray[np.float64],
    entropy_moved: NDArray[np.float64],
    inverse_onset_moved: NDArray[np.float64],
) -> Iterator[tuple[NDArray[np.float64], NDArray[np.float64]]]:
    """To first order, what y_Σ and y_E move by (resample, …, stratum), and each one's terms (resample, …, term).

    Terms are those of a ratio, over the scale ln P_R(T_A): the barriers Σ or ΔE/T_A of the strata and, last, the scale.
    """
    *_, mean = scaled_barriers(energy, entropy, onset)
    reduced = energy / onset[..., None]
    reduced_moved = energy_moved / onset[..., None] + energy * inverse_onset_moved[..., None]
    P = np.exp(entropy - reduced)
    fitted = ~np.isnan(P)
    with np.errstate(divide="ignore", invalid="ignore"):
        scale = np.log(mean)[..., None]
        # so improbable that P is 0 is as good as missing, and there is no ratio to ln 1
        scale = np.where(np.isfinite(scale) & (scale != 0), scale, np.nan)
        share = P / (mean * fitted.sum(axis=-1))[..., None]
    scale_moved = np.where(fitted, share * (entropy_moved - reduced_moved), 0.0).sum(axis=-1, keepdims=True)
    for barrier, moved in ((entropy, entropy_moved), (reduced, reduced_moved)):
        moved = np.where(np.isnan(scale_moved), np.nan, moved)
        yield (
            (moved - barrier / scale * scale_moved) / scale,
            np.concatenate([moved, scale_moved], axis=-1) / scale,
        )


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
