"""Arrhenius barriers of rearrangement by stratum, the onset temperature and the collapse."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from daskglass.errors import DataError
from daskglass.physics import arrays
from daskglass.physics.strata import existing_counts, in_double, probability_of
from daskglass.variables import VARIABLES, named

INITIAL_TEMPERATURES = 10  # the coldest ones, from which the supercooled range is sought
FIT = {name: ("stratum",) for name in ("activation_energy", "activation_entropy")}
SPREADS: dict[str, tuple[str, ...]] = {
    "probability": ("temperature", "stratum"),
    **FIT,
    "onset_temperature": (),
    "scaled_energy": ("stratum",),
    "scaled_entropy": ("stratum",),
}


def arrhenius(P: xr.Dataset) -> xr.Dataset:
    """Fit ln P_R = Σ − ΔE/T over `temperature`, weighted by the number of events.

    The law is Eq. 6 of [1]_, first found in [2]_. A temperature at which a stratum has no event has no logarithm and
    leaves that stratum's fit.

    Parameters
    ----------
    P : xarray.Dataset
        Variables `probability` and `events` over (temperature, …), as `rearrangement_probability` returns them;
        temperatures in ε/k_B, in any order.

    Returns
    -------
    xarray.Dataset
        Variables over (…): `activation_energy` ΔE in ε, `activation_entropy` Σ in k_B, their standard errors
        `activation_energy_err` and `activation_entropy_err` from the counts alone, and `temperatures_used`. NaN with
        fewer than two temperatures.

    Raises
    ------
    DataError
        If temperatures are not positive numbers, one is there twice, or a probability is none.

    References
    ----------
    .. [1] I. R. Graham, P. E. Arratia and R. A. Riggleman, "Exploring the Relationship Between Softness and Excess
       Entropy in Glass-forming Systems", arXiv:2302.00866 (2023).
    .. [2] S. S. Schoenholz, E. D. Cubuk, D. M. Sussman, E. Kaxiras and A. J. Liu, "A structural approach to relaxation
       in glassy liquids", Nature Physics 12, 469 (2016).

    Examples
    --------
    >>> T = xr.DataArray([0.5, 0.6, 0.8], dims="temperature", coords={"temperature": [0.5, 0.6, 0.8]})
    >>> P = xr.Dataset({"probability": np.exp(1.0 - 3.0 / T), "events": xr.full_like(T, 100.0)})
    >>> fit = dg.arrhenius(P)
    >>> round(fit.activation_energy.item(), 3), round(fit.activation_entropy.item(), 3)
    (3.0, 1.0)
    """
    P = _by_temperature(P)
    x = 1.0 / P["temperature"].values.astype(np.float64)

    def compute(probability: NDArray[np.floating], events: NDArray[np.floating]) -> tuple[NDArray[Any], ...]:
        if ((probability < 0) | (probability > 1)).any():
            raise DataError("P.probability must lie between 0 and 1, NaN where it is missing")
        known = (events > 0) & (probability > 0)
        weight = np.where(known, events, 0.0)
        y = np.log(np.where(known, probability, 1.0))
        used = known.sum(axis=-1)
        with np.errstate(divide="ignore", invalid="ignore"):
            n = np.where(used > 1, weight.sum(axis=-1), np.nan)
            mean_x, mean_y = (weight * x).sum(axis=-1) / n, (weight * y).sum(axis=-1) / n
            from_mean = weight * (x - mean_x[..., None])
            spread = (from_mean * (x - mean_x[..., None])).sum(axis=-1)
            slope = (from_mean * (y - mean_y[..., None])).sum(axis=-1) / spread
            # the variance of ln P is 1/events
            return (
                -slope, mean_y - slope * mean_x, np.sqrt(1 / spread), np.sqrt(1 / n + mean_x**2 / spread), used
            )  # fmt: skip

    names = (*FIT, *(f"{name}_err" for name in FIT))
    *fitted, used = arrays.apply(
        compute,
        {f"P.{name}": P[name] for name in ("probability", "events")},
        core=[["temperature"], ["temperature"]],
        out=[[]] * 5,
        dtypes=[*[np.float64] * 4, np.int64],
    )
    dataset = xr.Dataset({name: _named_like(value, name) for name, value in zip(names, fitted, strict=True)})
    return dataset.assign(temperatures_used=used)


def _by_temperature(P: xr.Dataset) -> xr.Dataset:
    """P_R with rising temperatures, all positive."""
    axes = ("temperature",)
    P = in_double(arrays.in_order(arrays.table(P, "P", {"probability": axes, "events": axes}), "temperature", "P"))
    if not P["temperature"].values[0] > 0:
        raise DataError(f"temperatures must be positive; got {P['temperature'].values[0]:g}")
    return P


def onset_temperature(fit: xr.Dataset) -> xr.DataArray:
    """Onset temperature T_A, where the strata meet.

    All pairs of strata intersect at T_ij = (ΔE_i − ΔE_j)/(Σ_i − Σ_j) [1]_. Those within one inter-percentile range
    (10th to 90th) of the median are kept; T_A is their mean.

    Parameters
    ----------
    fit : xarray.Dataset
        Variables `activation_energy` and `activation_entropy` over (…, stratum), as `arrhenius` returns them.

    Returns
    -------
    xarray.DataArray
        Temperatures over (…) in ε/k_B, with coordinates `spread` (standard deviation of the T_ij kept) and
        `intersections` (their number). NaN with fewer than two fitted strata.

    Raises
    ------
    DataError
        If a variable or the dimension `stratum` is missing.

    References
    ----------
    .. [1] I. R. Graham, P. E. Arratia and R. A. Riggleman, "Exploring the Relationship Between Softness and Excess
       Entropy in Glass-forming Systems", arXiv:2302.00866 (2023).

    Examples
    --------
    >>> fit = xr.Dataset(
    ...     {"activation_energy": ("stratum", [3.0, 2.0, 1.0]), "activation_entropy": ("stratum", [3.0, 1.0, -1.0])}
    ... )
    >>> T_A = dg.onset_temperature(fit)
    >>> T_A.item(), T_A.intersections.item()
    (0.5, 3)
    """

    def meet(E: NDArray[np.floating], entropy: NDArray[np.floating]) -> tuple[float, float, int]:
        with np.errstate(divide="ignore", invalid="ignore"):
            T = np.array(
                [(E[i] - E[j]) / (entropy[i] - entropy[j]) for i, j in itertools.combinations(range(E.size), 2)]
            )
        T = T[np.isfinite(T)]
        if T.size == 0:
            return np.nan, np.nan, 0
        low, high = np.percentile(T, [10, 90])
        T = T[np.abs(T - np.median(T)) <= high - low] if T.size > 1 else T
        return T.mean(), T.std(), T.size

    def compute(E: NDArray[np.floating], entropy: NDArray[np.floating]) -> tuple[NDArray[Any], ...]:
        found = np.empty(E.shape[:-1]), np.empty(E.shape[:-1]), np.empty(E.shape[:-1], np.int64)
        for row in np.ndindex(E.shape[:-1]):
            for result, value in zip(found, meet(E[row], entropy[row]), strict=True):
                result[row] = value
        return found

    fit = arrays.table(fit, "fit", FIT)
    onset, spread, intersections = arrays.apply(
        compute,
        {name: fit[name] for name in FIT},
        core=[["stratum"], ["stratum"]],
        out=[[], [], []],
        dtypes=[np.float64, np.float64, np.int64],
    )
    return named(onset.assign_coords(spread=spread, intersections=intersections), "onset_temperature")


def supercooled(P: xr.Dataset) -> xr.Dataset:
    """Select the temperatures below the onset temperature that they themselves give.

    The search starts from the ten coldest temperatures.

    Parameters
    ----------
    P : xarray.Dataset
        Variables `probability` and `events` over (temperature, stratum), as `rearrangement_probability` returns them.

    Returns
    -------
    xarray.Dataset
        Part of `P` at the supercooled temperatures, rising.

    Raises
    ------
    DataError
        If temperatures are not positive numbers, one is there twice, a probability is none, or there are other
        dimensions: each system has a range of its own.

    Examples
    --------
    Two strata that meet at T = 0.8:

    >>> T = xr.DataArray([1.0, 0.9, 0.7, 0.6, 0.5], dims="temperature", name="temperature")
    >>> T = T.assign_coords(temperature=T)
    >>> energy = xr.DataArray([3.0, 2.0], dims="stratum")
    >>> P = np.exp(energy / 0.8 - energy / T - 2.0)
    >>> P = xr.Dataset({"probability": P, "events": xr.full_like(P, 100.0)})
    >>> print(dg.supercooled(P).temperature.values)
    [0.5 0.6 0.7]
    """
    P = _by_temperature(P)
    if more := [dim for dim in P["probability"].dims if dim not in ("temperature", "stratum")]:
        raise DataError(f"P must be over (temperature, stratum); select one {' and '.join(map(str, more))} first")
    count = supercooled_count(P["temperature"].values, lambda k: P.isel(temperature=slice(k)))
    return P.isel(temperature=slice(count))


def supercooled_count(temperatures: NDArray[np.float64], coldest: Callable[[int], xr.Dataset]) -> int:
    """Count the supercooled temperatures: the k coldest, where k of them lie below the onset temperature they give.

    Parameters
    ----------
    temperatures : numpy.ndarray
        All of them, rising.
    coldest : callable
        Gives P_R over (temperature, stratum) of the k coldest ones, in strata of their own.

    Returns
    -------
    int
        Number k, at least 2 (or 1 of 1). Where the strata of a range meet nowhere, that range. Where the search cycles
        between ranges, the smallest of them, which every one of them calls supercooled.
    """
    count, seen = min(INITIAL_TEMPERATURES, temperatures.size), list[int]()
    while count not in seen:
        seen.append(count)
        onset = float(onset_temperature(arrhenius(coldest(count))))
        if not np.isfinite(onset):
            return count
        below = max(int((temperatures < onset).sum()), min(2, temperatures.size))
        if below == count:
            return count
        count = below
    return min(seen[seen.index(count) :])


def collapse(fit: xr.Dataset, onset: xr.DataArray | float) -> xr.Dataset:
    """Scaled barriers y_Σ = Σ/ln P_R(T_A) and y_E = ΔE/(T_A ln P_R(T_A)).

    Where the strata meet at T_A, y_E = y_Σ − 1 (Eq. 8 of [1]_).

    Parameters
    ----------
    fit : xarray.Dataset
        Variables `activation_energy` and `activation_entropy` over (…, stratum), as `arrhenius` returns them.
    onset : xarray.DataArray or float
        Onset temperature T_A over (…) in ε/k_B.

    Returns
    -------
    xarray.Dataset
        Variables `scaled_entropy` y_Σ and `scaled_energy` y_E over (…, stratum), and `onset_probability` P_R(T_A) over
        (…), the mean of exp(Σ − ΔE/T_A) over the strata that are fitted; all dimensionless. NaN where T_A is missing or
        not positive.

    Raises
    ------
    DataError
        If a variable or the dimension `stratum` is missing, or labels of fit and onset differ.

    References
    ----------
    .. [1] I. R. Graham, P. E. Arratia and R. A. Riggleman, "Exploring the Relationship Between Softness and Excess
       Entropy in Glass-forming Systems", arXiv:2302.00866 (2023).

    Examples
    --------
    >>> fit = xr.Dataset({"activation_energy": ("stratum", [3.0, 2.0]), "activation_entropy": ("stratum", [3.0, 1.0])})
    >>> scaled = dg.collapse(fit, onset=0.5)
    >>> print(scaled.scaled_entropy.values.round(3), scaled.scaled_energy.values.round(3))
    [-1.    -0.333] [-2.    -1.333]
    """
    fit = arrays.table(fit, "fit", FIT)
    onset = arrays.array_or_number(onset, "onset").reset_coords(drop=True)

    def compute(E: NDArray[Any], entropy: NDArray[Any], T: NDArray[Any]) -> tuple[NDArray[np.float64], ...]:
        # noise may let strata meet below zero, where nothing is
        T = np.where(T > 0, T, np.nan)[..., None]
        P = np.exp(entropy - E / T)
        fitted = ~np.isnan(P)
        with np.errstate(divide="ignore", invalid="ignore"):
            mean = np.where(fitted, P, 0.0).sum(axis=-1) / fitted.sum(axis=-1)
            scale = np.log(mean)[..., None]
            return entropy / scale, E / (T * scale), mean

    entropy, energy, P_onset = arrays.apply(
        compute,
        {**{name: fit[name] for name in FIT}, "onset": onset},
        core=[["stratum"], ["stratum"], []],
        out=[["stratum"], ["stratum"], []],
        dtypes=[np.float64] * 3,
    )
    return xr.Dataset({"scaled_entropy": entropy, "scaled_energy": energy, "onset_probability": P_onset})


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
    counts = arrays.in_order(counts, "temperature", "counts")
    if "time" in counts.indexes:
        # blocks are of successive frames
        counts = arrays.in_order(counts, "time", "counts")
    counts = arrays.as_labelled(counts, "replica")
    T = counts["temperature"].values

    def compute(samples: NDArray[Any], events: NDArray[Any]) -> tuple[NDArray[np.float64], ...]:
        lead = tuple(f"row_{k}" for k in range(samples.ndim - len(axes)))
        table = xr.Dataset(
            {"samples": ((*lead, *axes), samples), "events": ((*lead, *axes), events)}, {"temperature": T}
        )
        spread = _resampled(table, resamples, seed, block)
        return tuple(spread[name].transpose(*lead, *dims).values for name, dims in SPREADS.items())

    spreads = arrays.apply(
        compute,
        {f"counts.{name}": counts[name] for name in ("samples", "events")},
        core=[axes, axes],
        out=list(SPREADS.values()),
        dtypes=[np.float64] * len(SPREADS),
    )
    return xr.Dataset({f"{name}_err": values for name, values in zip(SPREADS, spreads, strict=True)})


def _resampled(counts: xr.Dataset, resamples: int, seed: int, block: int) -> xr.Dataset:
    """Standard deviations of what resamples of counts give; see `bootstrap`."""
    blocks = counts.coarsen(time=block, boundary="pad").sum().stack(unit=("replica", "time"), create_index=False)
    rng = np.random.default_rng(seed)
    units = xr.DataArray(
        rng.integers(blocks.sizes["unit"], size=(resamples, blocks.sizes["temperature"], blocks.sizes["unit"])),
        dims=("resample", "temperature", "unit"),
    )
    drawn = []
    for k in range(resamples):
        P = probability_of(blocks.isel(unit=units.isel(resample=k)).sum("unit"))
        fit = arrhenius(P)
        onset = onset_temperature(fit).reset_coords(drop=True)
        drawn.append(
            xr.merge([P["probability"], fit[list(FIT)], onset, collapse(fit, onset).drop_vars("onset_probability")])
        )
    return xr.concat(drawn, "resample").std("resample", ddof=1)


def _named_like(array: xr.DataArray, name: str) -> xr.DataArray:
    """Give a variable, or the error `…_err` of one, the attributes of that variable."""
    attrs = dict(VARIABLES[name.removesuffix("_err")].attrs)
    if name.endswith("_err"):
        attrs["long_name"] = f"standard error of the {attrs['long_name']}"
    return array.rename(name).assign_attrs(attrs)
