"""Interaction, structure and motion of a liquid."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from daskglass.errors import DataError
from daskglass.physics.energies import pair_energy
from daskglass.physics.systems import Mixture
from daskglass.plot.panel import INVERSE_T, S2, Series, Table, axes_of, axis, curve, points, series, with_error

ABOVE = 0.85  # of the depth of the deepest well, what is drawn above zero


def pair_potential(
    mixture: Mixture, pairs: Sequence[str] | None = None, *, ax: Axes | None = None, **kwargs: Any
) -> Axes:
    """Draw the pair potentials V_ij(r) of a mixture, a line each.

    Parameters
    ----------
    mixture : Mixture
        Mixture whose potentials are drawn.
    pairs : sequence of str, optional
        Pairs of species, as the mixture names them, such as "AB"; all by default.
    ax : matplotlib.axes.Axes, optional
        Axes to draw into; the current ones by default.
    **kwargs : dict
        Keywords of `matplotlib.axes.Axes.plot`, such as `color`.

    Returns
    -------
    matplotlib.axes.Axes
        Axes that were drawn into, with limits that show the wells of all curves in them.

    Raises
    ------
    DataError
        If there is no such mixture or pair, or `ax` is no axes.

    Examples
    --------
    >>> mixture, temperatures = dg.built_in("ka_0.0")
    >>> ax = dg.plot.pair_potential(mixture, ["AA", "AB"])
    >>> [line.get_label() for line in ax.lines if line.get_label() in mixture.pairs]
    ['AA', 'AB']
    """
    if not isinstance(mixture, Mixture):
        raise DataError(f"mixture must be a Mixture, such as dg.built_in returns; got {type(mixture).__name__}")
    names = {a + b: (a, b) for a, b in itertools.combinations_with_replacement(mixture.species, 2)}
    chosen = list(names) if pairs is None else list(pairs)
    if strange := [name for name in chosen if name not in names]:
        raise DataError(f"mixture has no pair {strange[0]!r}; it has {list(names)}")
    ax = axes_of(ax)
    if not ax.has_data():
        ax.axhline(0, color="black", linewidth=0.5)
    for name in chosen:
        sigma = mixture.pair(*names[name]).sigma
        r = np.linspace(max(0.6 * sigma, mixture.delta + 0.05), 2.5 * sigma, 1500)
        V = pair_energy(mixture, *names[name], r)
        curve(ax, Series(r, V, None, name), kwargs)
    curves = [line.get_data() for line in potentials_in(ax)]
    depth = -min(float(np.min(V)) for _, V in curves)
    longest = max(0.8 * float(np.max(r)) for r, _ in curves)
    shortest = min(float(np.min(np.asarray(r)[ABOVE * depth > np.asarray(V)])) for r, V in curves)
    ax.set_xlim(max(shortest - 0.12 * longest, 0.0), longest)
    ax.set_ylim(-1.25 * depth, ABOVE * depth)
    ax.set_xlabel(r"$r$ ($\sigma$)")
    ax.set_ylabel(r"$V_{ij}(r)$ ($\varepsilon$)")
    return ax


def potentials_in(ax: Axes) -> list[Line2D]:
    """Curves in axes, without lines across them."""
    return [line for line in ax.lines if line.get_transform() == ax.transData]


def radial_distribution(g: Table, variable: str = "g", *, ax: Axes | None = None, **kwargs: Any) -> Axes:
    """Draw radial distribution functions g(r), a line for each neighbour and other label, with standard errors as bands.

    Parameters
    ----------
    g : xarray.DataArray or xarray.Dataset
        Values over (…, r), as `radial_distribution` returns them; or a table of a store that holds them, and their errors.
    variable : str, optional
        Name in a table, such as "g_thermal" or "g_grouped_pooled".
    ax : matplotlib.axes.Axes, optional
        Axes to draw into; the current ones by default.
    **kwargs : dict
        Keywords of `matplotlib.axes.Axes.plot`, such as `color`.

    Returns
    -------
    matplotlib.axes.Axes
        Axes that were drawn into.

    Raises
    ------
    DataError
        If the variable, the dimension r or its labels are missing, or `ax` is no axes.

    Examples
    --------
    >>> r = np.arange(0.05, 3.0, 0.1)
    >>> g = xr.DataArray(np.where(r > 1, 1.0, 0.0), dims="r", coords={"r": r})
    >>> dg.plot.radial_distribution(g, color="black").get_ylabel()
    '$g(r)$'
    """
    found = series(g, variable, "r", "g")
    ax = axes_of(ax)
    if not ax.has_data():
        ax.axhline(1, color="black", linewidth=0.4, zorder=0)
    for one in found:
        curve(ax, one, kwargs)
    ax.set_xlabel(axis(g["r"], "$r$", "sigma"))
    ax.set_ylabel("$g(r)$")
    return ax


def scattering_function(F: Table, variable: str = "scattering", *, ax: Axes | None = None, **kwargs: Any) -> Axes:
    """Draw self-intermediate scattering functions F(Q,t) against the logarithm of t, with standard errors as bands.

    Parameters
    ----------
    F : xarray.DataArray or xarray.Dataset
        Values over (…, lag), as `scattering_function` returns them; or a run of a store that holds them, and their errors.
        The lag 0 has no logarithm and is not drawn.
    variable : str, optional
        Name in a table.
    ax : matplotlib.axes.Axes, optional
        Axes to draw into; the current ones by default.
    **kwargs : dict
        Keywords of `matplotlib.axes.Axes.plot`, such as `color`.

    Returns
    -------
    matplotlib.axes.Axes
        Axes that were drawn into.

    Raises
    ------
    DataError
        If the variable, the dimension lag or its labels are missing, or `ax` is no axes.

    Examples
    --------
    >>> lag = np.logspace(-1, 3, 30)
    >>> F = xr.DataArray(np.exp(-lag / 10), dims="lag", coords={"lag": lag})
    >>> dg.plot.scattering_function(F, label="$T$ = 0.6").get_xscale()
    'log'
    """
    found = series(F, variable, "lag", "F")
    ax = axes_of(ax)
    for one in found:
        late = one.x > 0
        curve(ax, Series(one.x[late], one.y[late], None if one.error is None else one.error[late], one.label), kwargs)
    ax.set_xscale("log")
    ax.set_xlabel(axis(F["lag"], "$t$", "tau"))
    ax.set_ylabel("$F(Q,t)$")
    return ax


def diffusivity(D: Table, variable: str = "diffusivity", *, ax: Axes | None = None, **kwargs: Any) -> Axes:
    """Draw the logarithm of diffusion coefficients D against 1/T, with error bars.

    Parameters
    ----------
    D : xarray.DataArray or xarray.Dataset
        Values over (…, temperature), as `diffusivity` returns them; or the ensemble of a store, which holds them and their
        errors. What is NaN, or not above 0, is left out.
    variable : str, optional
        Name in a table.
    ax : matplotlib.axes.Axes, optional
        Axes to draw into; the current ones by default.
    **kwargs : dict
        Keywords of `matplotlib.axes.Axes.errorbar`, such as `color` and `fmt`.

    Returns
    -------
    matplotlib.axes.Axes
        Axes that were drawn into.

    Raises
    ------
    DataError
        If the variable, the dimension temperature or its labels are missing, or `ax` is no axes.

    Examples
    --------
    >>> T = [0.6, 0.8, 1.0]
    >>> D = xr.DataArray([1e-4, 1e-3, 4e-3], dims="temperature", coords={"temperature": T})
    >>> dg.plot.diffusivity(D, fmt="s").get_yscale()
    'log'
    """
    found = series(D, variable, "temperature", "D")
    ax = axes_of(ax)
    for one in found:
        points(ax, Series(1 / one.x, np.where(one.y > 0, one.y, np.nan), one.error, one.label), kwargs)
    ax.set_yscale("log")
    ax.set_xlabel(INVERSE_T)
    ax.set_ylabel(axis(D[variable] if isinstance(D, xr.Dataset) else D, "$D$", "sigma**2/tau"))
    return ax


def reduced_diffusivity(
    table: xr.Dataset, against: str = "mean_softness", *, ax: Axes | None = None, **kwargs: Any
) -> Axes:
    """Draw the logarithm of the reduced diffusion coefficient D* against softness or entropy, a point for each temperature.

    Parameters
    ----------
    table : xarray.Dataset
        Ensemble of a store: `reduced_diffusivity` over (temperature,), what it is drawn against, and the errors of both
        where they are known.
    against : str, optional
        Variable over (temperature,), such as "mean_softness", "s2" or "s2_thermal".
    ax : matplotlib.axes.Axes, optional
        Axes to draw into; the current ones by default.
    **kwargs : dict
        Keywords of `matplotlib.axes.Axes.errorbar`, such as `color` and `fmt`.

    Returns
    -------
    matplotlib.axes.Axes
        Axes that were drawn into.

    Raises
    ------
    DataError
        If a variable or the dimension temperature is missing, there are other dimensions, or `ax` is no axes.

    Examples
    --------
    >>> ensemble = xr.Dataset(
    ...     {
    ...         "reduced_diffusivity": ("temperature", [1e-4, 1e-3, 4e-3]),
    ...         "s2": ("temperature", [-4.0, -3.5, -3.0], {"units": "k_B"}),
    ...     }
    ... )
    >>> dg.plot.reduced_diffusivity(ensemble, against="s2").get_ylabel()
    '$D^*$'
    """
    (D, D_err), (x, x_err) = (
        with_error(table, name, ("temperature",), "table") for name in ("reduced_diffusivity", against)
    )
    ax = axes_of(ax)
    points(ax, Series(x, np.where(D > 0, D, np.nan), D_err, ""), kwargs, x_err)
    ax.set_yscale("log")
    ax.set_xlabel(S2 if against.startswith("s2") else axis(table[against]))
    ax.set_ylabel("$D^*$")
    return ax
