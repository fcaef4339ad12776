"""Standard errors of probabilities, barriers, onset and collapse, by resampling blocks of time."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from daskglass.physics import arrays
from daskglass.physics.barriers import FIT, arrhenius_lines, by_temperature, meeting_temperature, scaled_barriers
from daskglass.physics.strata import existing_counts

AT_ONCE = 2**23  # bytes of the resamples that are computed together: memory does not grow with their number
SPREADS: dict[str, tuple[str, ...]] = {
    "probability": ("temperature", "stratum"),
    **FIT,
    "onset_temperature": (),
    "scaled_entropy": ("stratum",),
    "scaled_energy": ("stratum",),
}


def bootstrap(counts: xr.Dataset, resamples: int, seed: int, block: int) -> xr.Dataset:
    """Standard errors of P_R, ΔE, Σ, T_A and the collapse, by resampling replicas and blocks of time.

    Blocks of successive frames are drawn with replacement [1]_, at each temperature for itself.

    Parameters
    ----------
    counts : xarray.Dataset
        Variables `samples` and `events` over (temperature, replica, time, stratum), at the temperatures of the fit.
    resamples : int
        Number of bootstrap samples.
    seed : int
        Seed of the resampling.
    block : int
        Frames in a block of time; frames closer than a hop window are not independent.

    Returns
    -------
    xarray.Dataset
        Variables `probability_err` (…, temperature, stratum), `activation_energy_err`, `activation_entropy_err`,
        `scaled_energy_err` and `scaled_entropy_err` (…, stratum), and `onset_temperature_err` (…): standard deviations
        of the resamples that have a value, in the units of what they are errors of.

    Raises
    ------
    DataError
        If a variable or dimension is missing, temperatures are not positive numbers, each once, or a number is not
        whole.

    References
    ----------
    .. [1] H. R. Künsch, "The Jackknife and the Bootstrap for General Stationary Observations", The Annals of Statistics
       17, 1217 (1989).

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
    axes = ("temperature", "replica", "time", "stratum")
    counts = existing_counts(arrays.table(counts, "counts", {"samples": axes, "events": axes}))
    counts = by_temperature(counts, "counts")
    if "time" in counts.indexes:
        # blocks are of successive frames
        counts = arrays.in_order(counts, "time", "counts")
    counts = arrays.as_labelled(counts, "replica")
    T = counts["temperature"].values.astype(np.float64)

    def compute(samples: NDArray[Any], events: NDArray[Any]) -> tuple[NDArray[np.float64], ...]:
        units = _units(samples, block), _units(events, block)
        batches = (
            [_moments(values) for values in _results(T, *(_resampled(each, times) for each in units))]
            for times in _times_drawn(units[0], resamples, seed)
        )
        moments = functools.reduce(lambda one, other: [*map(_merged, one, other)], batches)
        return tuple(map(_deviation, moments))

    spreads = arrays.apply(
        compute,
        {f"counts.{name}": counts[name] for name in ("samples", "events")},
        core=[axes, axes],
        out=list(SPREADS.values()),
        dtypes=[np.float64] * len(SPREADS),
    )
    return xr.Dataset({f"{name}_err": values for name, values in zip(SPREADS, spreads, strict=True)})


def _units(counts: NDArray[Any], block: int) -> NDArray[np.float64]:
    """Sums (…, temperature, unit, stratum) over the blocks of counts (…, temperature, replica, time, stratum)."""
    sums = np.add.reduceat(counts.astype(np.float64), np.arange(0, counts.shape[-2], block), axis=-2)
    *lead, replicas, blocks, strata = sums.shape
    return sums.reshape(*lead, replicas * blocks, strata)


def _times_drawn(units: NDArray[np.float64], resamples: int, seed: int) -> Iterator[NDArray[np.float64]]:
    """How often each unit is drawn (temperature, resample, unit), a batch of resamples at a time; see `AT_ONCE`."""
    temperatures, n, strata = units.shape[-3:]
    # of each four tables of draws are held, a dozen of what is fitted, eight of pairs of strata
    each = 8 * (4 * temperatures * n + 12 * units[..., 0, :].size + 4 * strata * units[..., 0, 0, :].size)
    batch = max(1, AT_ONCE // each)
    rng = np.random.default_rng(seed)
    for first in range(0, resamples, batch):
        drawn = rng.integers(n, size=(min(batch, resamples - first), temperatures, n))
        drawn += n * np.arange(drawn.size // n).reshape(*drawn.shape[:-1], 1)
        times = np.bincount(drawn.ravel(), minlength=drawn.size)
        yield times.reshape(drawn.shape).swapaxes(0, 1).astype(np.float64)


def _resampled(units: NDArray[np.float64], times: NDArray[np.float64]) -> NDArray[np.float64]:
    """Sums (resample, …, stratum, temperature) of the units times how often each is drawn; exact, as counts are whole."""
    return np.ascontiguousarray(np.moveaxis(times @ units, -2, 0).swapaxes(-1, -2))


def _results(
    T: NDArray[np.float64], samples: NDArray[np.float64], events: NDArray[np.float64]
) -> tuple[NDArray[np.float64], ...]:
    """What counts (…, stratum, temperature) give, as `SPREADS` has it."""
    with np.errstate(invalid="ignore"):
        P = events / samples
    lines = arrhenius_lines(T, P, events)
    onset, *_ = meeting_temperature(lines.energy, lines.entropy)
    scaled_entropy, scaled_energy, _ = scaled_barriers(lines.energy, lines.entropy, onset)
    return P.swapaxes(-1, -2), lines.energy, lines.entropy, onset, scaled_entropy, scaled_energy


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
