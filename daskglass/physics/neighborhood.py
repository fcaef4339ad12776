"""The neighbourhood of every particle: how dense it is, and averages of any quantity over it."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from daskglass.errors import DataError
from daskglass.kernels import neighborhood as kernel
from daskglass.physics import arrays
from daskglass.physics.defaults import DENSITY_CUTOFF, NEIGHBORHOOD
from daskglass.physics.particles import ABSENT, box_over_frames, frames, held, species_codes
from daskglass.variables import named

DECAY = 2.0  # σ, in which a neighbour's share in the density falls to 1/e


def local_density(
    position: xr.DataArray, species: xr.DataArray, box: xr.DataArray, cutoff: float = DENSITY_CUTOFF
) -> xr.DataArray:
    """Local density around every particle in every frame, ρ_i = Σ_{j≠i} e^{−r_ij/2σ}, by minimum images.

    The sum is over the neighbours of all species within a cut-off. Without one it would reach 20 σ, beyond most boxes,
    and depend on their size; what lies far off is nearly the same for all particles. The default, 4.5 σ, fits into a box
    of 1,000 particles at a density of 1.2 σ⁻³. Compare only densities of the same cut-off.

    Parameters
    ----------
    position : xarray.DataArray
        Positions over (…, particle, xyz) in σ. NaN where a frame is missing.
    species : xarray.DataArray
        Species codes over (…, particle), with their names in `attrs["names"]`. -1 where there is no particle, whose
        position is NaN.
    box : xarray.DataArray
        Edge lengths over (…, xyz) in σ.
    cutoff : float, optional
        Distance in σ within which neighbours count.

    Returns
    -------
    xarray.DataArray
        Densities over (…, particle), float64, dimensionless. NaN where a particle or frame is missing.
        `attrs["cutoff"]` holds the cut-off.

    Raises
    ------
    DataError
        If dimensions, lengths or labels of the arrays do not match, a code has no name, a part of a frame is not
        finite, or the box is shorter than twice the cut-off.

    Examples
    --------
    A particle with neighbours at 1 σ and 2 σ:

    >>> position = xr.DataArray([[0, 0, 0], [1, 0, 0], [0, 2, 0]], dims=("particle", "xyz"))
    >>> species = xr.DataArray([0, 0, 1], dims="particle", attrs={"names": ["A", "B"]})
    >>> box = xr.DataArray([10.0, 10.0, 10.0], dims="xyz")
    >>> rho = dg.local_density(position, species, box)
    >>> print(rho.values.round(3))
    [0.974 0.933 0.695]
    >>> print(np.exp([-1 / 2, -2 / 2]).sum().round(3))
    0.974
    """
    cutoff = arrays.number(cutoff, "cutoff")
    codes, box = species_codes(species), box_over_frames(box)
    position = arrays.array(position, "position", ["particle", "xyz"])

    def compute(
        positions: NDArray[np.floating], codes: NDArray[np.int8], boxes: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        rho = np.full(positions.shape[:-1], np.nan)
        for frame, who in frames(positions, codes, boxes, cutoff):
            x = held(positions[frame], who)
            part = np.empty(len(x))
            kernel.local_density(x, boxes[frame], DECAY, cutoff, part)
            rho[frame][who] = part
        return rho

    rho = arrays.apply(
        compute,
        {"position": position, "species": codes, "box": box},
        core=[["particle", "xyz"], ["particle"], ["xyz"]],
        out=[["particle"]],
        dtypes=[np.float64],
    )
    return named(rho, "local_density", cutoff=cutoff)


def neighborhood_average(
    x: xr.DataArray, position: xr.DataArray, box: xr.DataArray, cutoff: float = NEIGHBORHOOD
) -> xr.DataArray:
    """Average of any quantity over the neighbourhood of every particle: one generation; applied n times, n of them.

    x̄_i = [ x_i + Σ_j e^{−r_ij/r_c} x_j ] / [ 1 + Σ_j e^{−r_ij/r_c} ] [1]_ over the neighbours j of all species with
    r_ij < r_c, by minimum images.

    Parameters
    ----------
    x : xarray.DataArray
        Quantity over (…, particle) and any other dimensions, such as `neighbor` and `mu` of structure functions. Every
        particle that has a position must have a value.
    position : xarray.DataArray
        Positions over (…, particle, xyz) in σ. NaN where a frame or particle is missing.
    box : xarray.DataArray
        Edge lengths over (…, xyz) in σ.
    cutoff : float, optional
        Distance r_c in σ within which neighbours count.

    Returns
    -------
    xarray.DataArray
        Averages over (…, particle) and the other dimensions of `x`, of its type and in its units. NaN where a particle
        is missing, or all particles of a frame have no position or no value. `attrs["generation"]` counts how often `x`
        was averaged.

    Raises
    ------
    DataError
        If dimensions, lengths or labels of the arrays do not match, some particles of a frame have a value and others
        that have a position do not, or the other way round, a part of a position is not finite, or the box is shorter
        than twice the cut-off.

    References
    ----------
    .. [1] E. Boattini, F. Smallenburg and L. Filion, "Averaging Local Structure to Predict the Dynamic Propensity in
       Supercooled Liquids", Physical Review Letters 127, 088007 (2021).

    Examples
    --------
    Of three particles in a row, the outer two have one neighbour each:

    >>> position = xr.DataArray([[0, 0, 0], [1.5, 0, 0], [3, 0, 0]], dims=("particle", "xyz"))
    >>> box = xr.DataArray([10.0, 10.0, 10.0], dims="xyz")
    >>> x = xr.DataArray([1.0, 0.0, 0.0], dims="particle")
    >>> once = dg.neighborhood_average(x, position, box)
    >>> print(once.values.round(3))
    [0.671 0.247 0.   ]
    >>> print(dg.neighborhood_average(once, position, box).values.round(3))
    [0.532 0.291 0.081]

    Structure functions and what is made of them are of the first species by default; averages need those of all:

    >>> species = xr.DataArray([0, 0, 1], dims="particle", attrs={"names": ["A", "B"]})
    >>> G = dg.structure_functions(position, species, box, centers=species >= 0)
    >>> dg.neighborhood_average(G, position, box).dims
    ('particle', 'neighbor', 'mu')
    """
    cutoff = arrays.number(cutoff, "cutoff")
    x, box = arrays.array(x, "x", ["particle"]), box_over_frames(box)
    position = arrays.array(position, "position", ["particle", "xyz"])
    leading = {*position.dims, *box.dims} - {"particle", "xyz"}
    of_x: list[Any] = ["particle", *(dim for dim in x.dims if dim != "particle" and dim not in leading)]

    def compute(
        values: NDArray[np.floating], positions: NDArray[np.floating], boxes: NDArray[np.float64]
    ) -> NDArray[np.floating]:
        average = np.full(values.shape, np.nan, values.dtype)
        shape = values.shape[values.ndim - len(of_x) :]
        there = ~np.isnan(positions).all(axis=-1)
        for frame, who in frames(positions, np.where(there, 0, ABSENT).astype(np.int8), boxes, cutoff):
            of_all = values[frame].reshape(shape[0], math.prod(shape[1:]))
            _check_values(of_all, there[frame], frame)
            given = held(of_all, who)
            part = np.empty_like(given)
            kernel.neighborhood_average(held(positions[frame], who), boxes[frame], cutoff, given, part)
            average[frame][who] = part.reshape(-1, *shape[1:])
        return average

    average = arrays.apply(
        compute,
        {"x": x, "position": position, "box": box},
        core=[of_x, ["particle", "xyz"], ["xyz"]],
        out=[of_x],
        dtypes=[x.dtype],
    )
    average = average.rename(x.name)
    average.attrs = {**x.attrs, "generation": int(x.attrs.get("generation", 0)) + 1}
    return average


def _check_values(values: NDArray[np.floating], there: NDArray[np.bool_], frame: tuple[int, ...]) -> None:
    """Refuse values (particle, feature) of some particles only: an average would be of them alone, or of none.

    Raises
    ------
    DataError
        Naming a particle without a value, or one with a value and no position.
    """
    lacking = np.isnan(values)
    if there.all() and not lacking.any():
        return
    where = f"frame {frame}, " if frame else ""
    if not lacking[~there].all():
        stray = np.flatnonzero(~there & ~lacking.all(axis=1))[0]
        raise DataError(f"{where}particle {stray}: x has a value, but position is NaN")
    some = lacking[there].any(axis=0) & ~lacking[there].all(axis=0)
    if some.any():
        particle = np.flatnonzero(there & lacking[:, some].any(axis=1))[0]
        raise DataError(
            f"{where}particle {particle}: x is NaN, but not that of all others, and averages are over all: compute x for "
            "particles of all species (structure functions with centers=species >= 0)"
        )
