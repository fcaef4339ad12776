"""Standard errors of functions of sums, by leaving out each unit in turn."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Used = slice | NDArray[np.bool_]


def jackknife_error(
    function: Callable[[NDArray[np.float64]], NDArray[np.float64]], *groups: NDArray[np.floating | np.integer]
) -> NDArray[np.float64]:
    """Standard error of a function of the sums over all units of all groups.

    Each unit is left out in turn, and the others of its group stand for it: units vary about the mean of their group
    alone, as blocks of time do at one temperature. See B. Efron and C. Stein, "The Jackknife Estimate of Variance", The
    Annals of Statistics 9, 586 (1981).

    Parameters
    ----------
    function : of sums (unit, …), for every unit by itself
    groups : independent units (unit, …) that are summed

    Returns
    -------
    Error of the shape of the function's value; NaN where a group has a single unit.
    """
    given = [np.asarray(units, np.float64) for units in groups if len(units)]
    total = sum(units.sum(axis=0) for units in given)
    variance: NDArray[np.float64] | float = 0.0
    for units in given:
        n, group = len(units), units.sum(axis=0)
        if n == 1:
            return np.full_like(function(units[0]), np.nan)
        values = function(total - group + (group - units) * (n / (n - 1)))
        variance = variance + (n - 1) * values.var(axis=0)
    return np.sqrt(variance)


def leaving_out(function: Callable[[Used], float], unit: NDArray[np.integer]) -> tuple[float, float]:
    """Value of a function of all samples, and its standard error by leaving out those of each unit in turn; NaN of one unit.

    Where `jackknife_error` has no sums to work with: of ranks, which depend on all samples.

    Parameters
    ----------
    function : of which samples are used: a slice, or booleans (sample,)
    unit : independent unit (sample,) that each sample belongs to
    """
    values = np.array([function(unit != k) for k in np.unique(unit)])
    error = np.sqrt((values.size - 1) * values.var()) if values.size > 1 else np.nan
    return function(slice(None)), float(error)
