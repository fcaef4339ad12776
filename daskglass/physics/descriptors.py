"""What linear predictors of propensity look at: energy, structure and their averages over neighbourhoods."""

from __future__ import annotations

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike

from daskglass.errors import DataError
from daskglass.physics import arrays
from daskglass.physics.defaults import GENERATIONS, MOST_GENERATIONS, WIDTH
from daskglass.physics.energies import local_energy
from daskglass.physics.neighborhood import neighborhood_average
from daskglass.physics.particles import species_codes
from daskglass.physics.structure import MU, structure_functions
from daskglass.physics.systems import Mixture


def structural_features(
    position: xr.DataArray,
    species: xr.DataArray,
    box: xr.DataArray,
    mixture: Mixture,
    thermal: xr.DataArray | None = None,
    generations: int = GENERATIONS,
    mu: ArrayLike = MU,
    width: float = WIDTH,
) -> xr.DataArray:
    """Describe every particle by the features that a linear predictor of propensity is fitted to.

    They are the potential energy E_i, all structure functions G_K(μ) and, where thermal positions are given beside those of
    the inherent structure, the distance between the two; and of each of them the averages over 1, 2, … generations of
    neighbours [1]_ (see `local_energy`, `structure_functions`, `neighborhood_average`).

    Parameters
    ----------
    position : xarray.DataArray
        Positions over (…, particle, xyz) in σ, of inherent structures best. NaN where a frame is missing.
    species : xarray.DataArray
        Species codes over (…, particle), with their names in `attrs["names"]`, which the mixture has. -1 where there is
        no particle, whose position is NaN.
    box : xarray.DataArray
        Edge lengths over (…, xyz) in σ.
    mixture : Mixture
        Mixture whose potential gives the energies.
    thermal : xarray.DataArray, optional
        Thermal positions over (…, particle, xyz) in σ, unwrapped as those of the inherent structure are.
    generations : int, optional
        Number of generations of neighbours.
    mu : array_like, optional
        Radii μ of the structure functions in σ, equally spaced; 0.4, 0.5, …, 3.0 by default.
    width : float, optional
        Their width Δμ in σ.

    Returns
    -------
    xarray.DataArray
        Features over (…, particle, feature), float32, of particles of all species. Coordinate `feature` names them:
        `E`, `G_A(0.4)`, …, `distance`, and `E, 1`, … of the first generation. Energies are in ε_AA, distances in σ.

    Raises
    ------
    StudyError
        If the mixture is none, or lacks a species.
    DataError
        If dimensions, lengths or labels of the arrays do not match, a code has no name, a part of a frame is not
        finite, the box is too short, or `generations` is no whole number from 0 to 20.

    References
    ----------
    .. [1] E. Boattini, F. Smallenburg and L. Filion, "Averaging Local Structure to Predict the Dynamic Propensity in
       Supercooled Liquids", Physical Review Letters 127, 088007 (2021).

    Examples
    --------
    >>> mixture, temperatures = dg.built_in("ka_0.0")
    >>> sites = [[0, 0, 0], [2 ** (1 / 6), 0, 0], [5, 5, 5]]
    >>> position = xr.DataArray(sites, dims=("particle", "xyz"))
    >>> species = xr.DataArray([0, 0, 1], dims="particle", attrs={"names": ["A", "B"]})
    >>> box = xr.DataArray([10.0, 10.0, 10.0], dims="xyz")
    >>> features = dg.structural_features(position, species, box, mixture, generations=1)
    >>> features.sizes["feature"]
    110
    >>> print(features.sel(feature=["E", "E, 1"]).values.round(2))
    [[-0.49 -0.49]
     [-0.49 -0.49]
     [ 0.    0.  ]]
    """
    if (
        isinstance(generations, bool)
        or not isinstance(generations, int | np.integer)
        or not (0 <= generations <= MOST_GENERATIONS)
    ):
        raise DataError(f"generations must be a whole number from 0 to {MOST_GENERATIONS}; got {generations!r}")
    codes = species_codes(species)
    G = structure_functions(position, species, box, mu, width, centers=codes >= 0)
    names = [f"G_{kind}({radius:g})" for kind in G["neighbor"].values for radius in G["mu"].values]
    parts = [
        _named(local_energy(position, species, box, mixture).expand_dims("feature", -1), ["E"]),
        _named(G.drop_vars(["neighbor", "mu"]).stack(feature=("neighbor", "mu"), create_index=False), names),
    ]
    if thermal is not None:
        parts.append(_named(_distance(thermal, position).expand_dims("feature", -1), ["distance"]))
    features = xr.concat(parts, "feature", join="exact", coords="minimal", compat="override")
    of_all = [features.transpose(..., "particle", "feature")]
    for generation in range(1, generations + 1):
        averaged = neighborhood_average(of_all[-1], position, box)
        of_all.append(averaged.assign_coords(feature=[f"{name}, {generation}" for name in features["feature"].values]))
    found = xr.concat(of_all, "feature", join="exact", coords="minimal", compat="override")
    found.attrs = {"long_name": "structural features", "units": "1"}
    return found.rename("features")


def _named(part: xr.DataArray, names: list[str]) -> xr.DataArray:
    part = part.astype(np.float32).assign_coords(feature=names)
    part.attrs = {}
    return part


def _distance(thermal: xr.DataArray, position: xr.DataArray) -> xr.DataArray:
    """Distance of every particle between two sets of positions, without that of the centres of mass."""
    both = arrays.together(
        {
            "thermal": arrays.array(thermal, "thermal", ["particle", "xyz"]),
            "position": arrays.array(position, "position", ["particle", "xyz"]),
        }
    )
    apart = both["thermal"] - both["position"]
    apart = apart - apart.mean("particle")
    return (apart**2).sum("xyz", skipna=False) ** 0.5
