"""Rearrangement by stratum of a structural variable: probabilities, Arrhenius lines, onset, barriers and their collapse."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.cbook import normalize_kwargs
from matplotlib.lines import Line2D
from numpy.typing import ArrayLike

from daskglass.errors import DataError
from daskglass.physics import arrays
from daskglass.plot.panel import (
    DASHED,
    GREY,
    INVERSE_T,
    S2,
    Series,
    Table,
    alone,
    axes_of,
    axis,
    labelled,
    number,
    points,
    small,
    strata_colours,
    with_error,
)

SYMBOLS = {
    "activation_energy": (r"$\Delta E$", "epsilon"),
    "activation_entropy": (r"$\Sigma$", "k_B"),
    "scaled_energy": (r"$y_E = \Delta E/[k_\mathrm{B}T_\mathrm{A} \ln P_\mathrm{R}(T_\mathrm{A})]$", "1"),
    "scaled_entropy": (r"$y_\Sigma = \Sigma/\ln P_\mathrm{R}(T_\mathrm{A})$", "1"),
}


def rearrangement_probability(P: xr.Dataset, *, ax: Axes | None = None, **kwargs: Any) -> Axes:
    """Draw the logarithm of P_R against 1/T, a colour for each stratum, with error bars.

    Parameters
    ----------
    P : xarray.Dataset
        Variable `probability` over (temperature, stratum), as `rearrangement_probability` returns it, and its errors where
        they are known; or the ensemble of a store at one `variable`. A stratum without events at a temperature has no point.
    ax : matplotlib.axes.Axes, optional
        Axes to draw into; the current ones by default.
    **kwargs : dict
        Keywords of `matplotlib.axes.Axes.errorbar`, such as `markerfacecolor`.

    Returns
    -------
    matplotlib.axes.Axes
        Axes that were drawn into.

    Raises
    ------
    DataError
        If the variable, a dimension or the labels of temperature are missing, there are other dimensions, or `ax` is no axes.

    Examples
    --------
    >>> T = xr.DataArray(
    ...     [0.5, 0.6, 0.8], dims="temperature", coords={"temperature": [0.5, 0.6, 0.8]}
    ... )
    >>> energy = xr.DataArray([3.0, 2.0], dims="stratum", coords={"stratum": [-0.5, 0.5]})
    >>> ax = dg.plot.rearrangement_probability(xr.Dataset({"probability": np.exp(-energy / T)}))
    >>> [bars.get_label() for bars in ax.containers]
    ['−0.50', '0.50']
    """
    P = arrays.in_order(arrays.table(P, "P", {"probability": ("temperature", "stratum")}), "temperature", "P")
    values, error = with_error(P, "probability", ("temperature", "stratum"), "P")
    x, ax = 1 / P["temperature"].values, axes_of(ax)
    colours, names = strata_colours(P.sizes["stratum"]), _names(P)
    for k in range(P.sizes["stratum"]):
        happens = values[:, k] > 0
        if happens.any():
            one = Series(x, np.where(happens, values[:, k], np.nan), None if error is None else error[:, k], names[k])
            points(ax, one, {"color": colours(k)} | normalize_kwargs(kwargs, Line2D))
    ax.set_yscale("log")
    ax.set_xlabel(INVERSE_T)
    ax.set_ylabel(r"$P_\mathrm{R}$")
    return ax


def arrhenius(fit: xr.Dataset, temperature: ArrayLike, *, ax: Axes | None = None, **kwargs: Any) -> Axes:
    """Draw the Arrhenius lines P_R = exp(Σ − ΔE/T) of all strata against 1/T, each in the colour of its stratum.

    Parameters
    ----------
    fit : xarray.Dataset
        Variables `activation_energy` and `activation_entropy` over (stratum,), as `arrhenius` returns them; or the ensemble
        of a store at one `variable`. A stratum without a fit has no line.
    temperature : array_like
        Temperatures in ε/k_B, from the lowest to the highest of which lines are drawn.
    ax : matplotlib.axes.Axes, optional
        Axes to draw into; the current ones by default.
    **kwargs : dict
        Keywords of `matplotlib.axes.Axes.plot`, such as `linestyle`.

    Returns
    -------
    matplotlib.axes.Axes
        Axes that were drawn into.

    Raises
    ------
    DataError
        If a variable or the dimension stratum is missing, there are other dimensions, temperatures are not two or more
        positive numbers, or `ax` is no axes.

    Examples
    --------
    >>> fit = xr.Dataset(
    ...     {
    ...         "activation_energy": ("stratum", [3.0, 2.0]),
    ...         "activation_entropy": ("stratum", [3.0, 1.0]),
    ...     }
    ... )
    >>> ax = dg.plot.arrhenius(fit, [0.4, 0.8])
    >>> len(ax.lines)
    2
    """
    energy, entropy = (alone(fit, name, ("stratum",), "fit") for name in ("activation_energy", "activation_entropy"))
    T = arrays.distinct(np.asarray(temperature), "temperature")
    if T.size < 2 or not T.min() > 0:
        raise DataError(f"temperature must hold two or more positive numbers; got {T.tolist()}")
    x, ax = np.linspace(1 / T.max(), 1 / T.min(), 50), axes_of(ax)
    colours = strata_colours(energy.size)
    for k in np.flatnonzero(np.isfinite(energy) & np.isfinite(entropy)):
        given = {"color": colours(int(k))} | labelled("", kwargs)
        ax.plot(x, np.exp(entropy[k] - energy[k] * x), **given)
    ax.set_yscale("log")
    ax.set_xlabel(INVERSE_T)
    ax.set_ylabel(r"$P_\mathrm{R}$")
    return ax


def onset_temperature(T_A: Table, *, ax: Axes | None = None, **kwargs: Any) -> Axes:
    """Mark the onset temperature at 1/T_A, with its standard error as a band.

    Parameters
    ----------
    T_A : xarray.DataArray or xarray.Dataset
        Onset temperature, as `onset_temperature` returns it; or the ensemble of a store at one `variable`, which holds it
        and its error.
    ax : matplotlib.axes.Axes, optional
        Axes to draw into; the current ones by default.
    **kwargs : dict
        Keywords of `matplotlib.axes.Axes.axvline`, such as `color`.

    Returns
    -------
    matplotlib.axes.Axes
        Axes that were drawn into.

    Raises
    ------
    DataError
        If there is no onset temperature, it is not one positive number, or `ax` is no axes.

    Examples
    --------
    >>> ax = dg.plot.onset_temperature(xr.DataArray(0.8))
    >>> ax.lines[0].get_xdata()[0]
    1.25
    """
    table = T_A if isinstance(T_A, xr.Dataset) else xr.Dataset({"onset_temperature": arrays.array(T_A, "T_A")})
    values, errors = with_error(table, "onset_temperature", (), "T_A")
    T, error = arrays.number(values, "T_A"), np.nan if errors is None else float(errors)
    ax = axes_of(ax)
    given: dict[str, Any] = {"color": GREY, "linestyle": DASHED} | normalize_kwargs(kwargs, Line2D)
    if error < T:
        ax.axvspan(1 / (T + error), 1 / (T - error), color=given["color"], alpha=0.18, linewidth=0)
    ax.axvline(1 / T, **given)
    ax.annotate(
        r"$1/T_\mathrm{A}$", (1 / T, 0.04), (2, 0), xycoords=ax.get_xaxis_transform(), textcoords="offset points",
        color=given["color"], fontsize=small(),
    )  # fmt: skip
    return ax


def barriers(
    fit: xr.Dataset,
    s2: xr.DataArray,
    variable: str = "activation_energy",
    *,
    ax: Axes | None = None,
    **kwargs: Any,
) -> Axes:
    """Draw barriers of the strata of softness against the pair excess entropy around particles of that softness.

    Parameters
    ----------
    fit : xarray.Dataset
        Barriers over (stratum,), as `arrhenius` and `collapse` return them, and their errors where they are known; or the
        ensemble of a store at the `variable` softness.
    s2 : xarray.DataArray
        Entropy over (stratum,) in k_B, such as `ensemble.s2_grouped_pooled.interp(softness_bin=fit.stratum_middle)`.
    variable : {"activation_energy", "activation_entropy", "scaled_energy", "scaled_entropy"}, optional
        Barrier that is drawn.
    ax : matplotlib.axes.Axes, optional
        Axes to draw into; the current ones by default.
    **kwargs : dict
        Keywords of `matplotlib.axes.Axes.errorbar`, such as `color` and `label`.

    Returns
    -------
    matplotlib.axes.Axes
        Axes that were drawn into.

    Raises
    ------
    DataError
        If the variable or the dimension stratum is missing, lengths differ, there are other dimensions, or `ax` is no axes.

    Examples
    --------
    >>> fit = xr.Dataset({"activation_energy": ("stratum", [3.0, 2.0, 1.5])})
    >>> s2 = xr.DataArray([-9.0, -8.0, -7.0], dims="stratum")
    >>> ax = dg.plot.barriers(fit, s2, color="black")
    >>> print(ax.lines[0].get_ydata())
    [3.  2.  1.5]
    """
    y, error = with_error(fit, variable, ("stratum",), "fit")
    x = alone(xr.Dataset({"s2": arrays.array(s2, "s2", ("stratum",))}), "s2", ("stratum",), "s2")
    if x.size != y.size:
        raise DataError(f"stratum differs: fit has {y.size}, s2 has {x.size}")
    ax = axes_of(ax)
    points(ax, Series(x, y, error, ""), kwargs)
    ax.set_xlabel(S2)
    ax.set_ylabel(axis(fit[variable], *SYMBOLS.get(variable, ())))
    return ax


def collapse(scaled: xr.Dataset, *, ax: Axes | None = None, **kwargs: Any) -> Axes:
    """Draw the scaled barriers y_E against y_Σ − 1, which are equal where strata meet at T_A.

    Parameters
    ----------
    scaled : xarray.Dataset
        Variables `scaled_energy` and `scaled_entropy` over (stratum,), as `collapse` returns them; or the ensemble of a store
        at one `variable`.
    ax : matplotlib.axes.Axes, optional
        Axes to draw into; the current ones by default.
    **kwargs : dict
        Keywords of `matplotlib.axes.Axes.plot`, such as `color` and `marker`.

    Returns
    -------
    matplotlib.axes.Axes
        Axes that were drawn into; equality is dashed.

    Raises
    ------
    DataError
        If a variable or the dimension stratum is missing, there are other dimensions, or `ax` is no axes.

    Examples
    --------
    >>> fit = xr.Dataset(
    ...     {
    ...         "activation_energy": ("stratum", [3.0, 2.0]),
    ...         "activation_entropy": ("stratum", [3.0, 1.0]),
    ...     }
    ... )
    >>> dg.plot.collapse(dg.collapse(fit, onset=0.5)).get_ylabel()
    '$y_E$'
    """
    y, x = (alone(scaled, name, ("stratum",), "scaled") for name in ("scaled_energy", "scaled_entropy"))
    x, known = x - 1, np.isfinite(x)
    ax = axes_of(ax)
    if known.any() and not ax.has_data():
        # its point counts for the limits
        ax.axline((x[known][0], x[known][0]), slope=1, color=GREY, linewidth=0.8, zorder=0, linestyle=DASHED)
    ax.plot(x, y, **{"marker": "o", "linestyle": "none"} | labelled("", kwargs))
    ax.set_xlabel(r"$y_\Sigma - 1$")
    ax.set_ylabel("$y_E$")
    return ax


def _names(P: xr.Dataset) -> list[str]:
    """Middle of every stratum, or its place."""
    for name in ("stratum_middle", "stratum"):
        if name in P.variables and P[name].dims == ("stratum",) and P[name].dtype.kind == "f":
            return [number(value) for value in P[name].values]
    return [str(k) for k in range(P.sizes["stratum"])]
