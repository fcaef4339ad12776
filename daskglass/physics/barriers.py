"""Arrhenius barriers of rearrangement by stratum, the onset temperature and the collapse.

Each equation is a function of plain arrays over any leading dimensions, with a function of xarray objects over it; the
bootstrap has its resamples as one dimension more.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, NamedTuple, get_args

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from daskglass.errors import DataError
from daskglass.physics import arrays
from daskglass.physics.strata import in_double
from daskglass.variables import VARIABLES, described, named

ERROR = "probability_err"
INITIAL_TEMPERATURES = 10  # the coldest ones, from which the supercooled range is sought
FIT = {name: ("stratum",) for name in ("activation_energy", "activation_entropy")}
ROUNDING = 1e-12  # relative errors below it are of arithmetic alone
ROUNDS = 100  # of Newton's method for the common scatter, which takes ten
Weights = Literal["scatter", "counts", "equal"]


class Lines(NamedTuple):
    """Lines ln P = Σ − ΔE/T and how the points lie about them.

    Attributes
    ----------
    energy, entropy, energy_err, entropy_err : ΔE and Σ with their standard errors
    scatter : s, common to all points, beyond their own errors
    reduced_chi_squared : χ² per degree of freedom of the points with their own errors alone
    used : number of points
    weight : of each point in the fit; 0 where there is none
    rest : ln P less the line, the part that s stands for; 0 where there is no point
    """

    energy: NDArray[np.float64]
    entropy: NDArray[np.float64]
    energy_err: NDArray[np.float64]
    entropy_err: NDArray[np.float64]
    scatter: NDArray[np.float64]
    reduced_chi_squared: NDArray[np.float64]
    used: NDArray[np.int64]
    weight: NDArray[np.float64]
    rest: NDArray[np.float64]


def arrhenius_lines(
    T: NDArray[np.float64],
    y: NDArray[np.float64],
    error: NDArray[np.float64],
    events: NDArray[np.number[Any]],
    weights: Weights = "scatter",
) -> Lines:
    """Fit a line to the y = ln P of each stratum that exist, over (…, temperature). See `arrhenius`."""
    x, known = 1.0 / T, np.isfinite(y)
    y = np.where(known, y, 0.0)
    # infinite where there is no point, which then has no weight
    variance = np.where(known, np.where(known, error, 1.0) ** 2, np.inf)
    scatter, chi_squared = common_scatter(x, y, variance)
    weight = {
        "scatter": 1 / (variance + scatter[..., None]),
        "counts": np.where(known, events, 0.0),
        "equal": known.astype(np.float64),
    }[weights]
    slope, intercept, slope_err, intercept_err = weighted_lines(x, y, weight)
    used = known.sum(axis=-1)
    rest = y - intercept[..., None] - slope[..., None] * x
    if weights == "equal":
        with np.errstate(divide="ignore", invalid="ignore"):
            spread = np.sqrt((weight * rest**2).sum(axis=-1) / np.where(used > 2, used - 2, np.nan))
        slope_err, intercept_err = spread * slope_err, spread * intercept_err
    # of the residuals, which lie nearer to their line than the points to the law
    share = np.sqrt(scatter[..., None] / (scatter[..., None] + variance))
    share *= np.sqrt(used / np.maximum(used - 2, 1))[..., None]
    return Lines(
        -slope, intercept, slope_err, intercept_err, np.where(used > 1, np.sqrt(scatter), np.nan), chi_squared, used,
        weight, np.where(known & (used > 1)[..., None], share * rest, 0.0),
    )  # fmt: skip


def common_scatter(
    x: NDArray[np.float64], y: NDArray[np.float64], variance: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """s² common to all points of a line by Paule and Mandel, along the last axis; and χ² per degree of freedom without it.

    The s² ≥ 0 at which Σ (y − line)²/(σ² + s²) equals its degrees of freedom; 0 where it is below them already.
    """
    freedom = np.isfinite(variance).sum(axis=-1) - 2
    s2, first = np.zeros(freedom.shape), None
    for _ in range(ROUNDS):
        weight = 1 / (variance + s2[..., None])
        slope, intercept, *_ = weighted_lines(x, y, weight)
        squares = (y - intercept[..., None] - slope[..., None] * x) ** 2
        excess = (weight * squares).sum(axis=-1) - freedom
        first = excess if first is None else first
        with np.errstate(divide="ignore", invalid="ignore"):
            # the sum is convex in s² and falls: Newton's steps never pass its root
            step = excess / (weight**2 * squares).sum(axis=-1)
        step = np.where((freedom > 0) & (step > 1e-14 * s2), step, 0.0)
        s2 = s2 + step
        if not (step > 1e-12 * s2).any():
            break
    with np.errstate(divide="ignore", invalid="ignore"):
        return s2, np.where(freedom > 0, 1 + first / freedom, np.nan)


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


def logarithm(
    probability: NDArray[np.floating], events: NDArray[np.number[Any]], error: NDArray[np.floating] | None = None
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Ln P and its standard error; NaN where nothing happened.

    Where no error of P is known, or it is 0 but for rounding, the error is that of a Poissonian count, 1/√events.
    """
    known = (events > 0) & (probability > 0)
    P = np.where(known, probability, np.nan).astype(np.float64)
    counted = 1 / np.sqrt(np.where(known, events, np.nan))
    relative = counted if error is None else error / P
    return np.log(P), np.where(np.isfinite(relative) & (relative > ROUNDING), relative, counted)


def arrhenius(P: xr.Dataset, weights: Weights = "scatter") -> xr.Dataset:
    """Fit ln P_R = Σ − ΔE/T over `temperature`, weighted by what is known of the scatter of ln P_R.

    The law is Eq. 6 of [1]_, first found in [2]_. It is approximate, and counts are large: weighted by them alone, the
    hottest temperature would rule the fit. So weights are 1/(σ² + s²), with σ the standard error of ln P_R, and s the
    scatter common to all temperatures of a stratum [3]_. A temperature at which a stratum has no event has no logarithm
    and leaves that stratum's fit.

    Parameters
    ----------
    P : xarray.Dataset
        Variables `probability` and `events` over (temperature, …), as `rearrangement_probability` returns them;
        temperatures in ε/k_B, in any order. With `probability_err`, as `bootstrap` returns it, σ is
        `probability_err/probability`; otherwise 1/√events.
    weights : {"scatter", "counts", "equal"}, optional
        Weights 1/(σ² + s²), the numbers of events, or the same weight for every temperature.

    Returns
    -------
    xarray.Dataset
        Variables over (…): `activation_energy` ΔE in ε, `activation_entropy` Σ in k_B, their standard errors
        `activation_energy_err` and `activation_entropy_err`, `temperatures_used`, `scatter` s, and
        `reduced_chi_squared`, χ² per degree of freedom with σ alone. NaN with fewer than two temperatures; χ² and, with
        equal weights, errors with fewer than three.

    Raises
    ------
    DataError
        If temperatures are not positive numbers, one is there twice, a probability or its error is none, or the weights
        are none of these.

    References
    ----------
    .. [1] I. R. Graham, P. E. Arratia and R. A. Riggleman, "Exploring the Relationship Between Softness and Excess
       Entropy in Glass-forming Systems", arXiv:2302.00866 (2023).
    .. [2] S. S. Schoenholz, E. D. Cubuk, D. M. Sussman, E. Kaxiras and A. J. Liu, "A structural approach to relaxation
       in glassy liquids", Nature Physics 12, 469 (2016).
    .. [3] R. C. Paule and J. Mandel, "Consensus Values and Weighting Factors", Journal of Research of the National
       Bureau of Standards 87, 377 (1982).

    Examples
    --------
    >>> T = xr.DataArray(
    ...     [0.5, 0.6, 0.8], dims="temperature", coords={"temperature": [0.5, 0.6, 0.8]}
    ... )
    >>> P = xr.Dataset({"probability": np.exp(1.0 - 3.0 / T), "events": xr.full_like(T, 100.0)})
    >>> fit = dg.arrhenius(P)
    >>> round(fit.activation_energy.item(), 3), round(fit.activation_entropy.item(), 3)
    (3.0, 1.0)
    """
    if weights not in get_args(Weights):
        raise DataError(f"weights must be one of {', '.join(get_args(Weights))}; got {weights!r}")
    P = _probabilities(P)
    T = P["temperature"].values.astype(np.float64)
    given = {f"P.{name}": P[name] for name in ("probability", "events", ERROR) if name in P}

    def fitted(
        probability: NDArray[np.float64], events: NDArray[np.number[Any]], error: NDArray[np.float64] | None = None
    ) -> tuple[NDArray[Any], ...]:
        if ((probability < 0) | (probability > 1)).any():
            raise DataError("P.probability must lie between 0 and 1, NaN where it is missing")
        if error is not None and (error < 0).any():
            raise DataError(f"P.{ERROR} must not be negative; NaN where it is missing")
        return arrhenius_lines(T, *logarithm(probability, events, error), events, weights)[:-2]

    names = (*FIT, *(f"{name}_err" for name in FIT), "scatter", "reduced_chi_squared")
    *values, used = arrays.apply(
        fitted,
        given,
        core=[["temperature"]] * len(given),
        out=[[]] * 7,
        dtypes=[*[np.float64] * 6, np.int64],
    )
    return described(xr.Dataset(dict(zip(names, values, strict=True))).assign(temperatures_used=used))


def _probabilities(P: xr.Dataset) -> xr.Dataset:
    """P_R in double precision, with rising temperatures."""
    axes = ("temperature",)
    P = arrays.table(P, "P", {"probability": axes, "events": axes})
    if ERROR in P:
        P = arrays.table(P, "P", {ERROR: axes})
    return in_double(by_temperature(P, "P"))


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
    inverse, spread, n = inverse_meeting_temperature(energy, entropy)
    with np.errstate(divide="ignore", invalid="ignore"):
        # lines that part as they cool, and meet beyond any temperature, have no onset
        T = np.where(inverse > 0, 1 / inverse, np.nan)
    return T, spread * T**2, n


def inverse_meeting_temperature(
    energy: NDArray[np.floating], entropy: NDArray[np.floating]
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.int64]]:
    """Mean of the 1/T_ij kept, of lines over (…, stratum), their spread and their number; of any sign, NaN of parallel lines."""
    energy, entropy = energy.astype(np.float64), entropy.astype(np.float64)
    # a line and itself too, which like parallel ones meet nowhere: so that there is always an entry
    i, j = np.triu_indices(energy.shape[-1])
    with np.errstate(divide="ignore", invalid="ignore"):
        x = (entropy[..., i] - entropy[..., j]) / (energy[..., i] - energy[..., j])
        x = np.sort(np.where(np.isfinite(x), x, np.nan), axis=-1)
        low, middle, high = (_percentile(x, percent)[..., None] for percent in (10, 50, 90))
        kept = np.abs(x - middle) <= high - low
        n = kept.sum(axis=-1)
        mean = np.where(kept, x, 0.0).sum(axis=-1) / n
        spread = np.sqrt((np.where(kept, x - mean[..., None], 0.0) ** 2).sum(axis=-1) / n)
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

    All pairs of strata intersect at 1/T_ij = (Σ_i − Σ_j)/(ΔE_i − ΔE_j) [1]_. Of these inverse temperatures, which nearly
    parallel lines do not send to infinity, those within one inter-percentile range (10th to 90th) of the median are
    kept; 1/T_A is their mean.

    Parameters
    ----------
    fit : xarray.Dataset
        Variables `activation_energy` and `activation_entropy` over (…, stratum), as `arrhenius` returns them.

    Returns
    -------
    xarray.DataArray
        Temperatures over (…) in ε/k_B, with coordinates `spread` (T_A² times the standard deviation of the 1/T_ij kept)
        and `intersections` (their number). NaN with fewer than two fitted strata, and where strata meet at no
        temperature.

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
    ...     {
    ...         "activation_energy": ("stratum", [3.0, 2.0, 1.0]),
    ...         "activation_entropy": ("stratum", [3.0, 1.0, -1.0]),
    ...     }
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
    spread.attrs = {"long_name": "spread of the onset temperature", "units": VARIABLES["onset_temperature"].units}
    intersections.attrs = {"long_name": "number of intersections", "units": "1"}
    return named(onset.assign_coords(spread=spread, intersections=intersections), "onset_temperature")


def supercooled(P: xr.Dataset, weights: Weights = "scatter") -> xr.Dataset:
    """Select the temperatures below the onset temperature that they themselves give.

    The search starts from the ten coldest temperatures.

    Parameters
    ----------
    P : xarray.Dataset
        Variables `probability` and `events` over (temperature, stratum), as `rearrangement_probability` returns them.
    weights : {"scatter", "counts", "equal"}, optional
        Weights of the fits that find T_A, as of `arrhenius`.

    Returns
    -------
    xarray.Dataset
        Part of `P` at the supercooled temperatures, rising.

    Raises
    ------
    DataError
        If temperatures are not positive numbers, one is there twice, a probability is none, the weights are none of
        these, or there are other dimensions: each system has a range of its own.

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
    count = supercooled_count(P["temperature"].values, lambda k: onset_of(P.isel(temperature=slice(k)), weights))
    return P.isel(temperature=slice(count))


def onset_of(P: xr.Dataset, weights: Weights = "scatter") -> float:
    """T_A of P_R over (temperature, stratum)."""
    return float(onset_temperature(arrhenius(P, weights)))


def supercooled_count(temperatures: NDArray[np.float64], onset: Callable[[int], float]) -> int:
    """Count the supercooled temperatures: the k coldest, where k of them lie below the onset temperature they give.

    Parameters
    ----------
    temperatures : numpy.ndarray
        All of them.
    onset : callable
        Gives the onset temperature of the k coldest ones, in strata of their own.

    Returns
    -------
    int
        Number k, at least 2 (or 1 of 1). Where the strata of a range meet nowhere, that range. Where the search cycles
        between ranges, the smallest of them, which every one of them calls supercooled.
    """
    count, seen = min(INITIAL_TEMPERATURES, temperatures.size), list[int]()
    while count not in seen:
        seen.append(count)
        T_A = onset(count)
        if not np.isfinite(T_A):
            return count
        below = max(int((temperatures < T_A).sum()), min(2, temperatures.size))
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
    >>> fit = xr.Dataset(
    ...     {
    ...         "activation_energy": ("stratum", [3.0, 2.0]),
    ...         "activation_entropy": ("stratum", [3.0, 1.0]),
    ...     }
    ... )
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
    return described(xr.Dataset({"scaled_entropy": entropy, "scaled_energy": energy, "onset_probability": P_onset}))
