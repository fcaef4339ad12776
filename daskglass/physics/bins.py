"""Bins of distances: apart from all that counts pairs in them, since a plan has them too."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from daskglass.errors import DataError
from daskglass.physics import arrays

MOST_BINS = 1_000_000


def bin_middles(r_max: float, bin_width: float) -> NDArray[np.float64]:
    """Middles of the bins between 0 and `r_max`.

    Raises
    ------
    DataError
        If `r_max` is no whole number of bin widths.
    """
    r_max, bin_width = arrays.number(r_max, "r_max", False), arrays.number(bin_width, "bin_width", False)
    bins = round(min(max(r_max / bin_width, 0), MOST_BINS + 1)) if bin_width > 0 else 0
    if not 1 <= bins <= MOST_BINS or abs(bins * bin_width - r_max) > 1e-9 * r_max:
        raise DataError(f"r_max must be a whole number of bin widths; got r_max={r_max}, bin_width={bin_width}")
    return (np.arange(bins) + 0.5) * r_max / bins
