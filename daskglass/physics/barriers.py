"""Arrhenius barriers of rearrangement by stratum, the onset temperature and the collapse.

Each equation is a function of plain arrays over any leading dimensions, with a function of xarray objects over it; the
bootstrap has its resamples as one dimension more.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from daskglass.errors import DataError
from daskglass.physics import arrays
from daskglass.physics.strata import in_double
from daskglass.variables import VARIABLES, named

INITIAL_TEMPERATURES = 10  # the coldest ones, from which the supercooled range is sought
FIT = {name: ("stratum",) for name in ("activation_energy", "activation_entropy")}


class Lines(NamedTuple):
    """Lines ln P = Σ − ΔE/T, the standard errors of both, and how many temperatures each was fitted to."""

    energy: NDArray[np.float64]
    entropy: NDArray[np.float64]
    energy_err: NDArray[np.float64]
    entropy_err: NDArray[np.float64]
    used: NDArray[np.int64]


def arrhenius_lines(
    T: NDArray[np.float64], probability: NDArray[np.floating], events: NDArray[np.number[Any]]
) -> Lines:
    """Fit a line to the ln P that exist of each stratum; P and its events over (…, temperature). See `arrhenius`."""
    if ((probability < 0) | (probability > 1)).any():
        raise DataError("P.probability must lie between 0 and 1, NaN where it is missing")
    known = (events > 0) & (probability > 0)
    # the variance of ln P is 1/events
    weight = np.where(known, events, 0.0)
    slope, intercept, slope_err, intercept_err = weighted_lines(
        1.0 / T, np.log(np.where(known, probability, 1.0)), weight
    )
    return Lines(-slope, intercept, slope_err, intercept_err, known.sum(axis=-1))


def weighted_lines(
    x: NDArray[np.float64], y: NDArray[np.float64], weight: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Slope and intercept of y(x) by least squares along the last axis, weighted by 1/σ², and the standard errors of both.

    NaN with fewer than two points of any weight.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        n = np.where((weight > 0).sum(axis=-1) > 1, weight.sum(axis=-1), np.nan)
        mean_x, mean_y = (weight * x).sum(axis=-1) / n, (weight * y).sum(axis=-1) / n
        from_mean = weight * (x - mean_x[..., None])
        spread = (from_mean * (x - mean_x[..., None])).sum(axis=-1)
        slope = (from_mean * (y - mean_y[..., None])).sum(axis=-1) / spread
        return slope, mean_y - slope * mean_x, np.sqrt(1 / spread), np.sqrt(1 / n + mean_x**2 / spread)


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
    P = _probabilities(P)
    T = P["temperature"].values.astype(np.float64)
    names = (*FIT, *(f"{name}_err" for name in FIT))
    *fitted, used = arrays.apply(
        lambda probability, events: arrhenius_lines(T, probability, events),
        {f"P.{name}": P[name] for name in ("probability", "events")},
        core=[["temperature"], ["temperature"]],
        out=[[]] * 5,
        dtypes=[*[np.float64] * 4, np.int64],
    )
    dataset = xr.Dataset({name: _named_like(value, name) for name, value in zip(names, fitted, strict=True)})
    return dataset.assign(temperatures_used=used)


def _probabilities(P: xr.Dataset) -> xr.Dataset:
    """P_R in double precision, with rising temperatures."""
    axes = ("temperature",)
    return in_double(by_temperature(arrays.table(P, "P", {"probability": axes, "events": axes}), "P"))


def by_temperature(table: xr.Dataset, name: str) -> xr.Dataset:
    """Table in the order of rising temperatures.

    Raises
    ------
    DataError
        If they are not positive numbers, or one is there twice.
    """
    table = arrays.in_order(table, "temperature", name)
    if not table["temperature"].values[0] > 0:
        raise DataError(f"temperatures must be positive; got {table['temperature'].values[0]:g}")
    return table


def meeting_temperature(
    energy: NDArray[np.floating], entropy: NDArray[np.floating]
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.int64]]:
    """T_A of lines over (…, stratum), the spread of the intersections kept, and their number. See `onset_temperature`."""
    energy, entropy = energy.astype(np.float64), entropy.astype(np.float64)
    # a line and itself too, which like parallel ones meet nowhere: so that there is always an entry
    i, j = np.triu_indices(energy.shape[-1])
    with np.errstate(divide="ignore", invalid="ignore"):
        T = (energy[..., i] - energy[..., j]) / (entropy[..., i] - entropy[..., j])
        T = np.sort(np.where(np.isfinite(T), T, np.nan), axis=-1)
        low, middle, high = (_percentile(T, percent)[..., None] for percent in (10, 50, 90))
        kept = np.abs(T - middle) <= high - low
        n = kept.sum(axis=-1)
        mean = np.where(kept, T, 0.0).sum(axis=-1) / n
        spread = np.sqrt((np.where(kept, T - mean[..., None], 0.0) ** 2).sum(axis=-1) / n)
    return mean, spread, n


def _percentile(rising: NDArray[np.float64], percent: float) -> NDArray[np.float64]:
    """Percentile along the last axis, as `numpy.nanpercentile`, of values that rise to NaN at the end."""
    last = np.maximum(np.isfinite(rising).sum(axis=-1, keepdims=True) - 1, 0)
    place = percent / 100 * last
    below = place.astype(np.int64)
    low, high = (np.take_along_axis(rising, k, axis=-1) for k in (below, np.minimum(below + 1, last)))
    return (low + (place - below) * (high - low))[..., 0]


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
    fit = arrays.table(fit, "fit", FIT)
    onset, spread, intersections = arrays.apply(
        meeting_temperature,
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
    P = _probabilities(P)
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


def scaled_barriers(
    energy: NDArray[np.floating], entropy: NDArray[np.floating], onset: NDArray[np.floating]
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """y_Σ, y_E over (…, stratum) and P_R(T_A) of lines that meet at T_A over (…). See `collapse`."""
    # noise may let strata meet below zero, where nothing is
    T = np.where(onset > 0, onset, np.nan)[..., None]
    P = np.exp(entropy - energy / T)
    fitted = ~np.isnan(P)
    with np.errstate(divide="ignore", invalid="ignore"):
        mean = np.where(fitted, P, 0.0).sum(axis=-1) / fitted.sum(axis=-1)
        scale = np.log(mean)[..., None]
        return entropy / scale, energy / (T * scale), mean


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
    entropy, energy, P_onset = arrays.apply(
        scaled_barriers,
        {**{name: fit[name] for name in FIT}, "onset": onset},
        core=[["stratum"], ["stratum"], []],
        out=[["stratum"], ["stratum"], []],
        dtypes=[np.float64] * 3,
    )
    return xr.Dataset({"scaled_entropy": entropy, "scaled_energy": energy, "onset_probability": P_onset})


def _named_like(array: xr.DataArray, name: str) -> xr.DataArray:
    """Give a variable, or the error `…_err` of one, the attributes of that variable."""
    attrs = dict(VARIABLES[name.removesuffix("_err")].attrs)
    if name.endswith("_err"):
        attrs["long_name"] = f"standard error of the {attrs['long_name']}"
    return array.rename(name).assign_attrs(attrs)
