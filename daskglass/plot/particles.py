"""Particles of one frame, coloured by a variable of theirs."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.collections import EllipseCollection
from numpy.typing import NDArray

from daskglass.physics import arrays
from daskglass.physics.systems import Mixture
from daskglass.plot import spheres
from daskglass.plot.panel import alone, axes_of, axis, colour_bar, shades

WITHOUT = (0.43, 0.43, 0.45)  # colour of particles that have no value
SMALLER = 0.8  # than life, so that they do not hide the others
THICK = 1.5  # σ


def slab(
    frame: xr.Dataset,
    variable: str,
    mixture: Mixture | None = None,
    *,
    positions: str = "position",
    depth: float = 0.0,
    thickness: float = THICK,
    colorbar: bool = True,
    ax: Axes | None = None,
    **kwargs: Any,
) -> Axes:
    """Draw the particles in a slab of a frame, seen along z, as discs coloured by a variable.

    Parameters
    ----------
    frame : xarray.Dataset
        One frame: positions over (particle, xyz) and the variable over (particle,), `species`, and `box` over (xyz,). Particles
        whose value is NaN are not drawn.
    variable : str
        Name of the variable.
    mixture : Mixture, optional
        Mixture whose σ_ii are the diameters of the discs; 1 σ by default.
    positions : str, optional
        Name of the positions, such as "inherent".
    depth : float, optional
        Where the slab begins along z in σ.
    thickness : float, optional
        Its thickness in σ.
    colorbar : bool, optional
        Whether a colour bar is drawn.
    ax : matplotlib.axes.Axes, optional
        Axes to draw into; the current ones by default.
    **kwargs : dict
        Keywords `cmap`, `norm`, `vmin` and `vmax`, and those of `matplotlib.collections.EllipseCollection`.

    Returns
    -------
    matplotlib.axes.Axes
        Axes that were drawn into.

    Raises
    ------
    DataError
        If a variable or a dimension is missing, there are other dimensions, a number is none, or `ax` is no axes.

    Examples
    --------
    >>> frame = xr.Dataset(
    ...     {
    ...         "position": (
    ...             ("particle", "xyz"),
    ...             [[1.0, 1.0, 0.5], [3.0, 2.0, 1.0], [2.0, 3.0, 2.5]],
    ...         ),
    ...         "softness": ("particle", [0.5, -0.5, 0.1]),
    ...     },
    ...     {"species": ("particle", [0, 0, 0]), "box": ("xyz", [4.0, 4.0, 4.0])},
    ... )
    >>> ax = dg.plot.slab(frame, "softness", thickness=1.5)
    >>> print(ax.collections[0].get_array())
    [ 0.5 -0.5]
    """
    values, x, box = _frame(frame, variable, positions)
    depth, thickness = arrays.number(depth, "depth", False), arrays.number(thickness, "thickness")
    x = np.mod(x, box)
    here = np.isfinite(values) & (np.mod(x[:, 2] - depth, box[2]) < thickness)
    colours = shades(values, kwargs)
    size = _diameters(frame, mixture)[here]
    ax = axes_of(ax)
    discs = EllipseCollection(
        size, size, np.zeros(size.size), units="xy", offsets=x[here, :2], offset_transform=ax.transData, cmap=colours.cmap,
        norm=colours.norm, **{"edgecolors": "none"} | kwargs,
    )  # fmt: skip
    discs.set_array(values[here])
    ax.add_collection(discs)
    ax.set_xlim(0, box[0])
    ax.set_ylim(0, box[1])
    ax.set_aspect("equal")
    ax.set_xlabel(r"$x$ ($\sigma$)")
    ax.set_ylabel(r"$y$ ($\sigma$)")
    if colorbar:
        colour_bar(ax, discs, axis(frame[variable]))
    return ax


def snapshot(
    frame: xr.Dataset,
    variable: str = "softness",
    mixture: Mixture | None = None,
    *,
    positions: str = "position",
    colorbar: bool = True,
    ax: Axes | None = None,
    **kwargs: Any,
) -> Axes:
    """Draw all particles of a frame as spheres in their box, coloured by a variable.

    Parameters
    ----------
    frame : xarray.Dataset
        One frame: positions over (particle, xyz) and the variable over (particle,), `species`, and `box` over (xyz,). Particles
        whose value is NaN are grey, at 0.8 of their size.
    variable : str, optional
        Name of the variable.
    mixture : Mixture, optional
        Mixture whose σ_ii are the diameters of the spheres; 1 σ by default.
    positions : str, optional
        Name of the positions, such as "inherent".
    colorbar : bool, optional
        Whether a colour bar is drawn.
    ax : matplotlib.axes.Axes, optional
        Axes to draw into; the current ones by default.
    **kwargs : dict
        Keywords `cmap`, `norm`, `vmin` and `vmax`, and those of `matplotlib.axes.Axes.imshow`.

    Returns
    -------
    matplotlib.axes.Axes
        Axes that were drawn into.

    Raises
    ------
    DataError
        If a variable or a dimension is missing, there are other dimensions, or `ax` is no axes.

    Examples
    --------
    >>> frame = xr.Dataset(
    ...     {
    ...         "position": (
    ...             ("particle", "xyz"),
    ...             [[1.0, 1.0, 0.5], [3.0, 2.0, 1.0], [2.0, 3.0, 2.5]],
    ...         ),
    ...         "softness": ("particle", [0.5, -0.5, np.nan]),
    ...     },
    ...     {"species": ("particle", [0, 0, 1]), "box": ("xyz", [4.0, 4.0, 4.0])},
    ... )
    >>> ax = dg.plot.snapshot(frame)
    >>> len(ax.images)
    1
    """
    values, x, box = _frame(frame, variable, positions)
    known = np.isfinite(values)
    colours = shades(values, kwargs)
    rgb = np.array(colours.to_rgba(np.where(known, values, 0.0)))[:, :3]
    rgb[~known] = WITHOUT
    radius = 0.5 * _diameters(frame, mixture) * np.where(known, 1.0, SMALLER)
    ax = axes_of(ax)
    image = spheres.render(spheres.Spheres(spheres.wrap(x, box), radius, rgb), box)
    ax.imshow(image, **{"interpolation": "antialiased"} | kwargs)
    ax.set_axis_off()
    ax.margins(0)
    if colorbar:
        colour_bar(ax, colours, axis(frame[variable]), extend="both")
    return ax


def _frame(
    frame: xr.Dataset, variable: str, positions: str
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Values (particle,), positions (particle, xyz) and edges of the box (xyz,) of one frame."""
    arrays.table(frame, "frame", {variable: ("particle",), positions: ("particle", "xyz"), "box": ("xyz",)})
    return (
        alone(frame, variable, ("particle",), "frame"),
        alone(frame, positions, ("particle", "xyz"), "frame"),
        alone(frame, "box", ("xyz",), "frame"),
    )


def _diameters(frame: xr.Dataset, mixture: Mixture | None) -> NDArray[np.float64]:
    """Size σ_ii of every particle."""
    if mixture is None:
        return np.ones(frame.sizes["particle"])
    codes = arrays.table(frame, "frame", {"species": ("particle",)})["species"].values
    return np.array([mixture.pair(name, name).sigma for name in mixture.species])[codes]
