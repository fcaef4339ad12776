"""Inherent structures: the minimum of the potential energy below every frame."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from daskglass.errors import DataError
from daskglass.kernels.descent import descend
from daskglass.kernels.fire import fire
from daskglass.kernels.neighbors import SKIN
from daskglass.physics import arrays
from daskglass.physics.defaults import FORCE_TOLERANCE
from daskglass.physics.energies import codes_of, energies, potential_of, reduced_size
from daskglass.physics.particles import box_over_frames, frames, held, species_codes, species_names
from daskglass.physics.systems import Mixture
from daskglass.variables import VARIABLES, named

LONGEST_STEP = 0.06  # of FIRE, in units of `shortest_time`; longer ones are unstable
DESCENT_ERROR = 2e-3  # σ_AA, of a coordinate in one step
DESCENT_END = 0.01  # ε/σ: root mean square force at which a descent lies in its basin, and FIRE goes on
MOST_EVALUATIONS = 100_000
MINIMIZERS = ("fire", "descent")


class Minimum(NamedTuple):
    """One frame at its minimum.

    Attributes
    ----------
    positions : (particle, 3) σ_AA, unwrapped and continuous with the frame minimised
    energy : potential energy per particle, ε_AA
    force_rms : √(Σ|F|²/N), ε_AA/σ_AA
    evaluations : of the forces
    """

    positions: NDArray[np.float64]
    energy: float
    force_rms: float
    evaluations: int


def inherent_structures(
    position: xr.DataArray,
    species: xr.DataArray,
    box: xr.DataArray,
    mixture: Mixture,
    tolerance: float = FORCE_TOLERANCE,
    minimizer: str = "fire",
) -> xr.DataArray:
    """Inherent structure of every frame: the minimum of the potential energy to which it relaxes [1]_.

    Frames are minimised from rest, each on its own, by the fast inertial relaxation engine [2]_ as the published ones, or
    by steepest descent. By definition a frame belongs to the minimum in which its steepest descent ends; damped motion may
    pass over a ridge to another, the more often the hotter the liquid.

    Parameters
    ----------
    position : xarray.DataArray
        Positions over (…, particle, xyz) in σ, unwrapped or not. NaN where a frame is missing.
    species : xarray.DataArray
        Species codes over (…, particle), with their names in `attrs["names"]`, which the mixture has. -1 where there is
        no particle, whose position is NaN.
    box : xarray.DataArray
        Edge lengths over (…, xyz) in σ.
    mixture : Mixture
        Mixture whose potential is meant.
    tolerance : float, optional
        Root mean square force per particle in ε/σ down to which frames are minimised.
    minimizer : {"fire", "descent"}, optional
        The fast inertial relaxation engine; or steepest descent, integrated with control of its error [3]_ to where its
        curvature is positive and forces are below 0.01 ε/σ, from where FIRE goes on. It takes two to four times as long.

    Returns
    -------
    xarray.DataArray
        Positions over (…, particle, xyz) in σ, float32, continuous with those given. NaN where a frame is missing or did
        not converge. Coordinates over (…): `inherent_force`, the root mean square force reached, in ε/σ, and
        `inherent_energy`, the potential energy per particle, in ε.

    Raises
    ------
    StudyError
        If the mixture is none, or lacks a species.
    DataError
        If dimensions, lengths or labels of the arrays do not match, a code has no name, a part of a frame is not
        finite, the box is shorter than twice the longest cut-off and a skin of 0.2 σ, two particles are closer than Δ, or
        the tolerance is not positive, or there is no such minimizer.

    References
    ----------
    .. [1] F. H. Stillinger and T. A. Weber, "Hidden structure in liquids", Physical Review A 25, 978 (1982).
    .. [2] E. Bitzek, P. Koskinen, F. Gähler, M. Moseler and P. Gumbsch, "Structural Relaxation Made Simple", Physical
       Review Letters 97, 170201 (2006).
    .. [3] B. P. Sommeijer, L. F. Shampine and J. G. Verwer, "RKC: An explicit solver for parabolic PDEs", Journal of
       Computational and Applied Mathematics 88, 315 (1997).

    Examples
    --------
    Two particles of A end in the minimum of their potential, at 2^{1/6} σ:

    >>> mixture, temperatures = dg.built_in("ka_0.0")
    >>> position = xr.DataArray([[1.0, 1.0, 1.0], [2.3, 1.0, 1.0]], dims=("particle", "xyz"))
    >>> species = xr.DataArray([0, 0], dims="particle", attrs={"names": ["A", "B"]})
    >>> box = xr.DataArray([10.0, 10.0, 10.0], dims="xyz")
    >>> minima = dg.inherent_structures(position, species, box, mixture)
    >>> print(minima.diff("particle").values.round(4))
    [[1.1225 0.     0.    ]]
    >>> bool(minima.inherent_force < 1e-5)
    True
    """
    tolerance = arrays.number(tolerance, "tolerance")
    if minimizer not in MINIMIZERS:
        raise DataError(f"minimizer must be {' or '.join(MINIMIZERS)}; got {minimizer!r}")
    codes, box = species_codes(species), box_over_frames(box)
    position = arrays.array(position, "position", ["particle", "xyz"])
    of_mixture = codes_of(species_names(species), mixture)

    def compute(
        positions: NDArray[np.floating], codes: NDArray[np.int8], boxes: NDArray[np.float64]
    ) -> tuple[NDArray[np.floating], ...]:
        minima = np.full(positions.shape, np.nan, np.float32)
        force_rms, energy = (np.full(positions.shape[:-2], np.nan) for _ in range(2))
        for frame, who in frames(positions, codes, boxes, reach(mixture)):
            x, kinds = held(positions[frame], who), of_mixture[codes[frame][who]]
            found = minimum(x, kinds, boxes[frame], mixture, tolerance, minimizer, f"frame {frame}, " if frame else "")
            force_rms[frame], energy[frame] = found.force_rms, found.energy
            if found.force_rms <= tolerance:
                minima[frame][who] = found.positions
        return minima, force_rms, energy

    minima, force_rms, energy = arrays.apply(
        compute,
        {"position": position, "species": codes, "box": box},
        core=[["particle", "xyz"], ["particle"], ["xyz"]],
        out=[["particle", "xyz"], [], []],
        dtypes=[np.float32, np.float64, np.float64],
    )
    reached = {"inherent_force": force_rms, "inherent_energy": energy}
    return named(minima, "inherent").assign_coords(
        {name: array.assign_attrs(VARIABLES[name].attrs) for name, array in reached.items()}
    )


def minimum(
    positions: NDArray[np.floating],
    codes: NDArray[np.int64],
    box: NDArray[np.float64],
    mixture: Mixture,
    tolerance: float,
    minimizer: str = "fire",
    where: str = "",
) -> Minimum:
    """Bring one frame to its minimum, from rest.

    Parameters
    ----------
    positions : numpy.ndarray
        Positions (particle, 3) in σ_AA, finite.
    codes : numpy.ndarray
        Species codes (particle,) of the mixture.
    box : numpy.ndarray
        Edge lengths (3,) in σ_AA.
    mixture : Mixture
        Species and interactions.
    tolerance : float
        Of the root mean square force per particle in ε_AA/σ_AA.
    minimizer : {"fire", "descent"}, optional
        See `inherent_structures`.
    where : str, optional
        Which frame this is, for errors.

    Returns
    -------
    Minimum
        With a force above the tolerance, or NaN, where it did not converge.

    Raises
    ------
    DataError
        If the box is too small, or two particles are closer than Δ.
    """
    if box.min() < 2 * reach(mixture) * (1 - 1e-6):
        raise DataError(
            f"{where}box edge {box.min():.4f} σ is too short to minimise: it must be twice the longest cut-off and the skin "
            f"of neighbour lists, {2 * reach(mixture):.4f} σ"
        )
    potential = potential_of(mixture)
    energies(positions, codes, box, potential, where)
    x = np.array(positions, np.float64)
    spent = 0
    if minimizer == "descent":
        reached, spent = descend(x, codes, box, potential, DESCENT_ERROR, DESCENT_END, MOST_EVALUATIONS)
        if not reached <= DESCENT_END:
            return Minimum(x, np.nan, np.nan, spent)
    longest = LONGEST_STEP * shortest_time(mixture)
    force_rms, evaluations = fire(x, codes, box, potential, tolerance, longest, MOST_EVALUATIONS)
    evaluations += spent
    if not np.isfinite(force_rms):
        return Minimum(x, np.nan, np.nan, evaluations)
    return Minimum(x, float(energies(x, codes, box, potential, where).mean()), force_rms, evaluations)


def reach(mixture: Mixture) -> float:
    """Largest distance that neighbour lists of a minimisation hold, σ_AA."""
    return mixture.longest_cutoff + SKIN


def shortest_time(mixture: Mixture) -> float:
    """Time min σ'/√ε over the pairs, τ_A, to which the period of the stiffest pair is proportional."""
    return float(min(reduced_size(mixture, pair) / np.sqrt(pair.epsilon) for pair in mixture.pairs.values()))
