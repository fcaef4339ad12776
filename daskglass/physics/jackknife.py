"""Standard errors of functions of sums, by leaving out each unit in turn."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray


def jackknife_error(
    function: Callable[[NDArray[np.float64]], NDArray[np.float64]], *groups: NDArray[np.floating | np.integer]
) -> NDArray[np.float64]:
    """Standard error of a function of the sums over all units of all groups.

    Each unit is left out in turn; units of a group vary about the mean of their group alone, as blocks of time do at
    one temperature. See B. Efron and C. Stein, "The Jackknife Estimate of Variance", The Annals of Statistics 9, 586
    (1981).

    Parameters
    ----------
    function : of sums (unit, …), for every unit by itself
    groups : independent units (unit, …) that are summed

    Returns
    -------
    Error of the shape of the function's value; NaN where a group has a single unit.
    """
    total = sum(np.asarray(units, np.float64).sum(axis=0) for units in groups)
    variance: NDArray[np.float64] | float = 0.0
    for units in groups:
        n = len(units)
        if n == 0:
            continue
        values = function(total - np.asarray(units, np.float64))
        variance = variance + (n - 1) * values.var(axis=0) if n > 1 else np.full(values.shape[1:], np.nan)
    return np.sqrt(variance)
