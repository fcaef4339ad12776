"""Scores: how well an indicator of a configuration foresees where particles move."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from daskglass.errors import DataError
from daskglass.physics import arrays
from daskglass.physics.jackknife import jackknife_error, leaving_out
from daskglass.physics.particles import centers_of, species_codes

MEANS = {
    "pearson": "Pearson correlation of indicator and propensity, mean over configurations",
    "spearman": "Spearman correlation of indicator and propensity, mean over configurations",
    "pearson_pooled": "Pearson correlation of indicator and propensity, all configurations pooled",
    "spearman_pooled": "Spearman correlation of indicator and propensity, all configurations pooled",
}
CEILING = {
    "split_half": "Pearson correlation of two halves of the trajectories, mean over configurations",
    "reliability": "reliability of the propensity",
    "ceiling": "largest Pearson correlation that an indicator can have",
}
EACH = {name: text.partition(",")[0] for name, text in (MEANS | CEILING).items() if "mean over" in text}
COMPARED = ("pearson", "spearman")


def score(
    indicator: xr.DataArray,
    propensity: xr.DataArray,
    species: xr.DataArray,
    half: xr.DataArray | None = None,
    centers: str | xr.DataArray | None = None,
    over: str | Sequence[str] = "configuration",
) -> xr.Dataset:
    """How well an indicator foresees propensity: its correlation with it over particles, and the noise ceiling.

    The Pearson correlation ρ, and that of ranks (Spearman), of each configuration, averaged over configurations, and of
    all configurations pooled. The propensity itself is known from finitely many trajectories. From the Pearson
    correlation r of two halves of them follows its reliability 2r/(1+r) (Spearman and Brown [1]_ [2]_), and no indicator
    exceeds ρ = √(2r/(1+r)).

    Parameters
    ----------
    indicator : xarray.DataArray
        Values over (…, configuration, particle), of one configuration without that dimension. NaN where missing.
    propensity : xarray.DataArray
        Propensity over the same dimensions in σ. NaN where missing.
    species : xarray.DataArray
        Species codes over (…, particle), with their names in `attrs["names"]`. -1 where there is no particle.
    half : xarray.DataArray, optional
        Propensity of two halves of the trajectories over (…, configuration, half, particle), as `propensity` returns it
        with `half=True`.
    centers : str or xarray.DataArray, optional
        Which particles are scored: name of a species, or booleans over (…, particle); the first species by default.
    over : str or sequence of str, optional
        Dimensions whose members are configurations, such as ("replica", "configuration"): independent of each other.

    Returns
    -------
    xarray.Dataset
        Variables `pearson` and `spearman` over (…), means over configurations, `pearson_pooled` and `spearman_pooled`;
        `pearson_each` and `spearman_each` over (…, configuration); and `configurations`, how many have a value. With
        `half` also `split_half`, the mean of r, `reliability` and `ceiling` of it, and `split_half_each`. Each but those
        of single configurations has a standard error (…_err): of a mean, or by leaving out each configuration in turn;
        NaN of one configuration. Where indicator or propensity is the same for all particles there is no correlation: NaN,
        left out of means.

    Raises
    ------
    DataError
        If dimensions, lengths or labels of the arrays do not match, a code has no name, or there are not two halves.

    References
    ----------
    .. [1] C. Spearman, "Correlation calculated from faulty data", British Journal of Psychology 3, 271 (1910).
    .. [2] W. Brown, "Some experimental results in the correlation of mental abilities", British Journal of Psychology 3,
       296 (1910).

    Examples
    --------
    >>> p = xr.DataArray([[0.1, 0.2, 0.4], [0.3, 0.1, 0.2]], dims=("configuration", "particle"))
    >>> indicator = xr.DataArray(
    ...     [[1.0, 2.0, 4.0], [2.0, 3.0, 1.0]], dims=("configuration", "particle")
    ... )
    >>> species = xr.DataArray(np.int8([0, 0, 0]), dims="particle", attrs={"names": ["A"]})
    >>> board = dg.score(indicator, p, species)
    >>> print(board.pearson_each.values.round(3))
    [ 1.  -0.5]
    >>> print(board.pearson.round(3).item(), board.pearson_err.round(3).item())
    0.25 0.75
    """
    axes = (over,) if isinstance(over, str) else tuple(over)
    if not axes or len(set(axes)) < len(axes) or {"half", "particle"} & set(axes):
        raise DataError(f"over must name dimensions of configurations, each once; got {over!r}")
    given = _of_centers({"indicator": indicator, "propensity": propensity}, species, centers)
    if not any(axis in each.dims for each in given.values() for axis in axes):
        given = {name: each.expand_dims(dict.fromkeys(axes, 1)) for name, each in given.items()}
        half = half.expand_dims(dict.fromkeys(axes, 1)) if isinstance(half, xr.DataArray) else half
    for name, each in given.items():
        arrays.array(each, name, [*axes, "particle"])
    core = [[*axes, "particle"]] * 2
    if half is not None:
        given["half"] = arrays.array(half, "half", [*axes, "half", "particle"])
        core = [*core, [*axes, "half", "particle"]]
        if half.sizes["half"] != 2:
            raise DataError(f"half must hold two halves; it has {dict(half.sizes)}")
    names = _names(half is not None)

    def compute(x: NDArray[np.floating], y: NDArray[np.floating], *halves: NDArray[np.floating]) -> Any:
        lead, shape = x.shape[: -len(axes) - 1], x.shape[-len(axes) - 1 : -1]
        found: dict[str, Any] = {
            name: np.empty((*lead, *shape) if name.endswith("_each") else lead, _dtype(name)) for name in names
        }
        for row in np.ndindex(lead):
            units = [values[row].reshape(-1, *values.shape[len(lead) + len(axes) :]) for values in (x, y, *halves)]
            for name, value in _board(*units).items():
                found[name][row] = value.reshape(shape) if name.endswith("_each") else value
        return tuple(found.values())

    board = arrays.apply(
        compute,
        given,
        core=core,
        out=[axes if name.endswith("_each") else () for name in names],
        dtypes=[_dtype(name) for name in names],
    )
    for name, each in zip(names, board, strict=True):
        each.attrs = {"long_name": names[name], "units": "1"}
    return xr.Dataset(dict(zip(names, board, strict=True)))


def score_difference(first: xr.Dataset, second: xr.Dataset) -> xr.Dataset:
    """By how much one indicator foresees propensity better than another one, on the same configurations.

    Indicators do well or badly on the same configurations, so the difference is known better than either score: its
    standard error is that of the differences of single configurations.

    Parameters
    ----------
    first : xarray.Dataset
        Scores of one indicator, as `score` returns them.
    second : xarray.Dataset
        Scores of another one, of the same configurations.

    Returns
    -------
    xarray.Dataset
        Variables `pearson` and `spearman` over (…), differences first − second, mean over the configurations that have
        both, and their standard errors `pearson_err` and `spearman_err`; NaN of a single configuration.

    Raises
    ------
    DataError
        If a variable is missing, or dimensions, lengths or labels of the scores do not match.

    Examples
    --------
    >>> axes = ("configuration", "particle")
    >>> p = xr.DataArray([[0.1, 0.2, 0.4], [0.3, 0.1, 0.2]], dims=axes)
    >>> species = xr.DataArray(np.int8([0, 0, 0]), dims="particle", attrs={"names": ["A"]})
    >>> indicator = xr.DataArray([[1.0, 2.0, 4.0], [2.0, 3.0, 1.0]], dims=axes)
    >>> difference = dg.score_difference(dg.score(p, p, species), dg.score(indicator, p, species))
    >>> print(difference.pearson.round(3).item(), difference.pearson_err.round(3).item())
    0.75 0.75
    """
    needed = dict.fromkeys([each for name in COMPARED for each in (name, f"{name}_each")], ())
    one, other = (arrays.table(board, name, needed) for board, name in ((first, "first"), (second, "second")))
    found: dict[str, xr.DataArray] = {}
    for name in COMPARED:
        each = f"{name}_each"
        axes = [str(dim) for dim in one[each].dims if dim not in one[name].dims]
        pair = arrays.together({"first": one[each], "second": arrays.array(other[each], f"second.{each}", axes)})
        apart = pair["first"] - pair["second"]
        error = apart.std(axes, ddof=1) / np.sqrt(apart.count(axes))
        found |= {name: apart.mean(axes), f"{name}_err": error}
        text = f"difference of {EACH[name]}"
        found[name].attrs = {"long_name": text, "units": "1"}
        found[f"{name}_err"].attrs = {"long_name": f"standard error of the {text}", "units": "1"}
    return xr.Dataset(found)


def _of_centers(
    given: dict[str, xr.DataArray], species: xr.DataArray, centers: str | xr.DataArray | None
) -> dict[str, xr.DataArray]:
    """Arrays, checked and with the same labels, NaN where a particle is no centre."""
    codes = species_codes(species)
    checked = {name: arrays.array(each, name, ["particle"]) for name, each in given.items()}
    same = arrays.together({**checked, "species": codes, "centers": centers_of(centers, codes)})
    return {name: same[name].where(same["centers"]) for name in given}


def _names(halves: bool) -> dict[str, str]:
    """Names and long names of what a board holds."""
    numbers = MEANS | CEILING if halves else MEANS
    errors = {f"{name}_err": f"standard error of the {text}" for name, text in numbers.items()}
    each = {f"{name}_each": EACH[name] for name in EACH if name in numbers}
    return {**numbers, **errors, **each, "configurations": "number of configurations that have a correlation"}


def _dtype(name: str) -> type[np.generic]:
    return np.int64 if name == "configurations" else np.float64


def _board(x: NDArray[np.floating], y: NDArray[np.floating], *halves: NDArray[np.floating]) -> dict[str, Any]:
    """Scores of an indicator (configuration, particle), a propensity, and its halves (configuration, half, particle)."""
    from scipy.stats import rankdata

    there = ~(np.isnan(x) | np.isnan(y))
    pairs = [(a[use].astype(np.float64), b[use].astype(np.float64)) for a, b, use in zip(x, y, there, strict=True)]
    each = {
        "pearson": np.array([_correlation(a, b) for a, b in pairs]),
        "spearman": np.array([_correlation(rankdata(a), rankdata(b)) for a, b in pairs]),
    }
    found = {**_pooled(pairs), "configurations": np.isfinite(each["pearson"]).sum()}
    for half in halves:
        # of the same particles; where there are no halves, there is no ceiling, but a score
        whole = there & ~np.isnan(half).any(axis=1)
        each["split_half"] = np.array([_correlation(*both[:, use]) for both, use in zip(half, whole, strict=True)])
        found |= _ceiling(each["split_half"])
    for name, values in each.items():
        found[f"{name}_each"] = values
        found[name], found[f"{name}_err"] = _mean(values)
    return found


def _correlation(x: NDArray[np.floating], y: NDArray[np.floating]) -> float:
    """Pearson correlation of two lists of numbers; NaN where one holds a single number throughout."""
    if x.size == 0 or np.ptp(x) == 0 or np.ptp(y) == 0:
        return np.nan
    return float(np.corrcoef(x, y)[0, 1])


def _mean(values: NDArray[np.float64]) -> tuple[float, float]:
    """Mean of the values that exist, and its standard error."""
    there = values[np.isfinite(values)]
    if there.size == 0:
        return np.nan, np.nan
    return float(there.mean()), float(there.std(ddof=1) / np.sqrt(there.size)) if there.size > 1 else np.nan


def reliability(r: NDArray[np.float64]) -> NDArray[np.float64]:
    """Reliability 2r/(1 + r) of a mean whose halves correlate by r (Spearman-Brown); NaN where they do not."""
    r = np.where(r > 0, r, np.nan)
    return np.asarray(2 * r / (1 + r))


def ceiling(r: NDArray[np.float64]) -> NDArray[np.float64]:
    """Largest correlation √(2r/(1 + r)) that anything can have with a mean whose halves correlate by r."""
    return np.sqrt(reliability(r))


def _ceiling(r: NDArray[np.float64]) -> dict[str, Any]:
    """Reliability and ceiling of the mean of r over configurations, and their errors."""
    units = np.stack([np.ones(r.size), r], axis=-1)[np.isfinite(r)]
    found: dict[str, Any] = {}
    for name, function in (("reliability", reliability), ("ceiling", ceiling)):

        def of_mean(sums: NDArray[np.float64], function: Any = function) -> NDArray[np.float64]:
            return np.asarray(function(sums[..., 1] / sums[..., 0]))

        found[name] = of_mean(units.sum(axis=0)) if len(units) else np.nan
        found[f"{name}_err"] = jackknife_error(of_mean, units) if len(units) else np.nan
    return found


def _pooled(pairs: Sequence[tuple[NDArray[np.float64], NDArray[np.float64]]]) -> dict[str, Any]:
    """Correlations of all pairs, and their errors from leaving out each configuration in turn."""
    unit = np.repeat(np.arange(len(pairs)), [a.size for a, _ in pairs])
    x, y = (np.concatenate(values) for values in zip(*pairs, strict=True))
    places = [np.unique(values, return_inverse=True)[1] for values in (x, y)]
    functions = {
        "pearson_pooled": lambda use: _correlation(x[use], y[use]),
        "spearman_pooled": lambda use: _correlation(*(_ranks(each[use]) for each in places)),
    }
    found = {}
    for name, function in functions.items():
        found[name], found[f"{name}_err"] = leaving_out(function, unit)
    return found


def _ranks(places: NDArray[np.intp]) -> NDArray[np.float64]:
    """Ranks of values by their places among distinct ones; those that are the same share the mean of theirs."""
    count = np.bincount(places)
    return np.asarray((np.cumsum(count) - (count - 1) / 2)[places])
