"""Bond-orientational order around particles."""

from __future__ import annotations

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike, NDArray

from daskglass.errors import DataError
from daskglass.kernels import order as kernel
from daskglass.kernels.structure import SUPPORT
from daskglass.physics import arrays
from daskglass.physics.particles import box_over_frames, frames, held, species_codes
from daskglass.variables import VARIABLES, named

HIGHEST = 100  # degree: far above, powers of the sine leave the range of numbers


def bond_order(
    position: xr.DataArray,
    species: xr.DataArray,
    box: xr.DataArray,
    degree: int,
    distances: ArrayLike,
    width: float,
) -> xr.DataArray:
    """Bond-orientational order of the shell at every distance, around every particle in every frame.

    Q_l(i; d) = √[ 4π/(2l+1) Σ_m |q_lm|² ], q_lm(i; d) = Σ_j g_d(r_ij) Y_lm(r̂_ij) / Σ_j g_d(r_ij), and
    g_d(r) = exp[ −(r − d)² / (2δ²) ] [1]_ [2]_, over the neighbours of all species, by minimum images. A neighbour is left
    out where its g_d is below 4e-6, |r − d| > 5 δ.

    Parameters
    ----------
    position : xarray.DataArray
        Positions over (…, particle, xyz) in σ. NaN where a frame is missing.
    species : xarray.DataArray
        Species codes over (…, particle), with their names in `attrs["names"]`. -1 where there is no particle, whose
        position is NaN.
    box : xarray.DataArray
        Edge lengths over (…, xyz) in σ.
    degree : int
        Degree l of the spherical harmonics, at most 100.
    distances : array_like
        Distances d of the shells in σ, each once.
    width : float
        Width δ of a shell in σ.

    Returns
    -------
    xarray.DataArray
        Values of Q_l over (…, particle, distance) from 0 to 1, float32, dimensionless. NaN where a particle or frame is
        missing, has no neighbour in a shell, or lies where another does. `attrs` hold `degree` and `width`.

    Raises
    ------
    DataError
        If dimensions, lengths or labels of the arrays do not match, a code has no name, a part of a frame is not
        finite, or the box is shorter than 2 (d_max + 5 δ).

    References
    ----------
    .. [1] P. J. Steinhardt, D. R. Nelson and M. Ronchetti, "Bond-orientational order in liquids and glasses", Physical
       Review B 28, 784 (1983).
    .. [2] E. Boattini, F. Smallenburg and L. Filion, "Averaging Local Structure to Predict the Dynamic Propensity in
       Supercooled Liquids", Physical Review Letters 127, 088007 (2021).

    Examples
    --------
    The six nearest neighbours on a simple cubic lattice have Q_4 = √(7/12), the twelve next ones √(7/192):

    >>> sites = np.stack(np.meshgrid(*[np.arange(4)] * 3), axis=-1).reshape(-1, 3)
    >>> position = xr.DataArray(sites, dims=("particle", "xyz"))
    >>> species = xr.DataArray(np.zeros(64, int), dims="particle", attrs={"names": ["A"]})
    >>> box = xr.DataArray([4.0, 4.0, 4.0], dims="xyz")
    >>> Q = dg.bond_order(position, species, box, degree=4, distances=[1.0, 1.4], width=0.05)
    >>> Q.dims
    ('particle', 'distance')
    >>> print(Q.isel(particle=0).values.round(4))
    [0.7638 0.1909]
    """
    degree, width = arrays.whole(degree, "degree", 0, HIGHEST), arrays.number(width, "width")
    shells = arrays.distinct(distances, "distances")
    if (shells <= 0).any():
        raise DataError(f"distances must be positive; got {shells.min():g}")
    codes, box = species_codes(species), box_over_frames(box)
    position = arrays.array(position, "position", ["particle", "xyz"])

    def compute(
        positions: NDArray[np.floating], codes: NDArray[np.int8], boxes: NDArray[np.float64]
    ) -> NDArray[np.float32]:
        Q = np.full((*positions.shape[:-1], shells.size), np.nan, np.float32)
        for frame, who in frames(positions, codes, boxes, float(shells.max()) + SUPPORT * width):
            x = held(positions[frame], who)
            part = np.empty((len(x), shells.size), np.float32)
            kernel.bond_order(x, boxes[frame], degree, shells, width, part)
            Q[frame][who] = part
        return Q

    Q = arrays.apply(
        compute,
        {"position": position, "species": codes, "box": box},
        core=[["particle", "xyz"], ["particle"], ["xyz"]],
        out=[["particle", "distance"]],
        dtypes=[np.float32],
        distance=shells.size,
    )
    Q = Q.assign_coords(distance=("distance", shells, VARIABLES["distance"].attrs))
    return named(Q, "bond_order", degree=degree, width=width)
