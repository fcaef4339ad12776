"""Softness beside other structural variables."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm

from daskglass.errors import DataError
from daskglass.physics import arrays
from daskglass.plot.panel import S2, axes_of, axis, colour_bar, number, points, series, small

JOINT_MAP = "magma_r"  # few counts are pale, like the paper they stand on
PAPER = {"facecolor": "white", "alpha": 0.75, "linewidth": 0, "boxstyle": "square,pad=0.15"}


def joint_histogram(
    joint: xr.DataArray,
    pearson: xr.DataArray | float | None = None,
    *,
    colorbar: bool = True,
    ax: Axes | None = None,
    **kwargs: Any,
) -> Axes:
    """Draw a joint histogram of two variables, in logarithmic shades, with their Pearson correlation.

    Parameters
    ----------
    joint : xarray.DataArray
        Counts over two dimensions whose labels are the middles of bins, such as `joint` of the ensemble of a store: the first
        dimension is drawn along x. Bins without a count are left empty.
    pearson : xarray.DataArray or float, optional
        Pearson correlation, such as `pearson_pooled` of the ensemble.
    colorbar : bool, optional
        Whether a colour bar is drawn.
    ax : matplotlib.axes.Axes, optional
        Axes to draw into; the current ones by default.
    **kwargs : dict
        Keywords of `matplotlib.axes.Axes.pcolormesh`, such as `cmap` and `norm`.

    Returns
    -------
    matplotlib.axes.Axes
        Axes that were drawn into.

    Raises
    ------
    DataError
        If there are not two dimensions with numbers as labels, the correlation is no number, or `ax` is no axes.

    Examples
    --------
    >>> joint = xr.DataArray(
    ...     [[1, 0], [4, 20]],
    ...     dims=("softness", "density"),
    ...     coords={"softness": [-0.5, 0.5], "density": [8.0, 9.0]},
    ... )
    >>> ax = dg.plot.joint_histogram(joint, pearson=0.7)
    >>> ax.get_xlabel(), ax.get_ylabel(), ax.texts[0].get_text()
    ('softness', 'density', '$r$ = 0.70')
    """
    joint = arrays.array(joint, "joint")
    if joint.ndim != 2:
        raise DataError(f"joint must be over two dimensions; it has {dict(joint.sizes)}")
    x, y = (str(dim) for dim in joint.dims)
    joint = arrays.in_order(arrays.in_order(joint, x, "joint"), y, "joint").compute()
    counts = np.ma.masked_less(joint.transpose(y, x).values, 1)
    r = None if pearson is None else arrays.number(pearson, "pearson", False)
    ax = axes_of(ax)
    most = float(np.nanmax(joint.values))
    given: dict[str, Any] = {"norm": LogNorm(1, max(2.0, most)), "cmap": JOINT_MAP, "rasterized": True} | kwargs
    image = ax.pcolormesh(joint[x].values, joint[y].values, counts, **given)
    ax.set_xlabel(axis(joint[x]))
    ax.set_ylabel(axis(joint[y]))
    if r is not None:
        ax.text(0.04, 0.96, f"$r$ = {number(r)}", transform=ax.transAxes, va="top", bbox=PAPER, fontsize=small())
    if colorbar:
        colour_bar(ax, image, "counts")
    return ax


def by_softness(
    table: xr.Dataset | xr.DataArray, variable: str = "s2_grouped_pooled", *, ax: Axes | None = None, **kwargs: Any
) -> Axes:
    """Draw a variable of the particles in bins of softness against their softness, with error bars.

    Parameters
    ----------
    table : xarray.Dataset or xarray.DataArray
        Ensemble of a store, which holds the variable over (…, softness_bin), and its errors; or the variable itself.
    variable : str, optional
        Name in the table, such as "s2_grouped_pooled", the pair excess entropy around the particles of each bin.
    ax : matplotlib.axes.Axes, optional
        Axes to draw into; the current ones by default.
    **kwargs : dict
        Keywords of `matplotlib.axes.Axes.errorbar`, such as `color` and `linestyle`.

    Returns
    -------
    matplotlib.axes.Axes
        Axes that were drawn into.

    Raises
    ------
    DataError
        If the variable, the dimension softness_bin or its labels are missing, or `ax` is no axes.

    Examples
    --------
    >>> ensemble = xr.Dataset(
    ...     {
    ...         "s2_grouped_pooled": ("softness_bin", [-8.0, -7.0, -6.2]),
    ...         "s2_grouped_pooled_err": ("softness_bin", [0.1] * 3),
    ...     },
    ...     {"softness_bin": [-0.5, 0.0, 0.5]},
    ... )
    >>> dg.plot.by_softness(ensemble, linestyle="-").get_xlabel()
    'softness $S$'
    """
    found = series(table, variable, "softness_bin", "table")
    ax = axes_of(ax)
    for one in found:
        points(ax, one, kwargs)
    ax.set_xlabel("softness $S$")
    ax.set_ylabel(
        S2 if variable.startswith("s2") else axis(table[variable] if isinstance(table, xr.Dataset) else table)
    )
    return ax
