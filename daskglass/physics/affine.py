"""Motion in a box whose size changes."""

from __future__ import annotations

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from daskglass.errors import DataError
from daskglass.physics import arrays
from daskglass.physics.particles import (
    box_over_frames,
    frame_times,
)


def without_affine_motion(
    position: xr.DataArray, box: xr.DataArray, reference: xr.DataArray | None = None
) -> xr.DataArray:
    """Rescale positions to a box that keeps its size, x(t) L₀/L(t) along each edge.

    A barostat moves all particles with the box. An unwrapped position x = w + nL takes this up n times over: a particle
    at fixed fractions of the edges seems to move by x δL/L, the farther from the origin the more [1]_. Divided by L(t),
    only motion relative to the box is left. The origin does not matter to dynamics: another one shifts all particles
    alike, as drift, which they remove.

    At constant pressure, give these positions to `hop_indicator`, `scattering_function` and
    `mean_squared_displacement`; structure is that of the positions at each time. Images cost digits: in single
    precision a particle at rest |x| from the origin moves by up to 2⁻²³ |x| (half of it stored, half from here), which
    is 2e-5 σ at 150 σ, 4e-10 σ² squared.

    Parameters
    ----------
    position : xarray.DataArray
        Unwrapped positions over (…, time, particle, xyz) in σ.
    box : xarray.DataArray
        Edge lengths over (…, time, xyz) in σ. Without the dimension `time`, `position` is returned as it is.
    reference : xarray.DataArray, optional
        Edge lengths L₀ over (…, xyz) in σ; those of the first frame by default.

    Returns
    -------
    xarray.DataArray
        Positions over (…, time, particle, xyz) in σ, of the type of `position`.

    Raises
    ------
    DataError
        If dimensions, lengths or labels do not match, times do not rise, or a frame with positions, or the reference,
        has edges that are not positive and finite; frames are counted within the block at hand.

    References
    ----------
    .. [1] S. von Bülow, J. T. Bullerjahn and G. Hummer, "Systematic errors in diffusion coefficients from long-time
       molecular dynamics simulations at constant pressure", The Journal of Chemical Physics 153, 021101 (2020).

    Examples
    --------
    A box grows by 1 %; one particle moves with it, another one stays:

    >>> x = np.zeros((2, 2, 3))
    >>> x[:, 0, 0], x[:, 1, 0] = [8.0, 8.08], [8.0, 8.0]
    >>> position = xr.DataArray(x, dims=("time", "particle", "xyz"), coords={"time": [0.0, 1.0]})
    >>> box = xr.DataArray([[10.0, 10.0, 10.0], [10.1, 10.1, 10.1]], dims=("time", "xyz"))
    >>> print(dg.without_affine_motion(position, box).isel(xyz=0).values.round(3))
    [[8.    8.   ]
     [8.    7.921]]
    """
    position = arrays.array(position, "position", ["time", "particle", "xyz"])
    given = arrays.together({"position": position, "box": box_over_frames(box)})
    position, edges = given["position"], given["box"]
    if "time" not in edges.dims and reference is None:
        return position
    if "time" in position.coords and position["time"].ndim == 1:
        frame_times(position)
    kept = edges.isel(time=0, drop=True) if reference is None else box_over_frames(reference, "reference")
    if "time" in kept.dims:
        raise DataError(f"reference must not vary along time; it has {dict(kept.sizes)}")
    kept = kept.drop_vars("time", errors="ignore")

    def compute(x: NDArray[np.floating], L: NDArray[np.floating], L_0: NDArray[np.floating]) -> NDArray[np.floating]:
        with np.errstate(divide="ignore", invalid="ignore"):
            scale = np.float64(L_0) / L
        wrong = np.isfinite(x).any(axis=-2) & ~((L > 0) & (scale > 0) & np.isfinite(scale))
        if wrong.any():
            where = tuple(map(int, np.argwhere(wrong)[0]))
            L, L_0 = (np.broadcast_to(values, wrong.shape)[where[:-1]] for values in (L, L_0))
            raise DataError(f"frame {where[:-1]}: box edges must be positive and finite; got {L}, reference {L_0}")
        factor = scale[..., None, :]
        # buffered: in double precision, and no copy of it
        scaled = np.empty(np.broadcast_shapes(x.shape, factor.shape), x.dtype)
        return np.multiply(x, factor, out=scaled, casting="same_kind")

    return arrays.apply(
        compute,
        {"position": position, "box": edges, "reference": kept},
        core=[["particle", "xyz"], ["xyz"], ["xyz"]],
        out=[["particle", "xyz"]],
        dtypes=[position.dtype],
        keep_attrs="override",
    )
