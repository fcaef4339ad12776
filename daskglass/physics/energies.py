"""Energies and forces: of pairs of particles, and of every particle of a frame."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike, NDArray

from daskglass.errors import DataError, StudyError
from daskglass.kernels import forces as kernel
from daskglass.physics import arrays
from daskglass.physics.particles import box_over_frames, frames, held, species_codes, species_names
from daskglass.physics.systems import SIXTH_ROOT_OF_TWO, Mixture, Pair
from daskglass.variables import named


def pair_energy(mixture: Mixture, first: str, second: str, r: ArrayLike) -> NDArray[np.float64]:
    """Energy V_ij(r), zero at the cut-off and beyond.

    V_ij(r) = v(r) − v(r_c), v(r) = 4 ε [ (σ'/(r−Δ))^12 − (σ'/(r−Δ))^6 ], with σ' = σ − Δ/2^{1/6}, which keeps the minimum
    of every pair at 2^{1/6} σ_ij, and r_c = 2.5 σ_ij a cut-off of r, not of r − Δ. In a mixture of `cutoff_shift="force"`
    also the force is zero at the cut-off: V_ij(r) = v(r) − v(r_c) − (r − r_c) v'(r_c). The paper [1]_ prints
    σ' = σ (1 − Δ/2^{1/6}), which keeps the minimum of A with A alone.

    Parameters
    ----------
    mixture : Mixture
        Mixture whose potential is meant.
    first : str
        Name of a species.
    second : str
        Name of the other species.
    r : array_like
        Distances in σ_AA, beyond Δ. NaN where missing.

    Returns
    -------
    numpy.ndarray
        Energies in ε_AA, of the shape of `r`, float64.

    Raises
    ------
    StudyError
        If there is no such species, or mixture.
    DataError
        If a distance is no number, or lies where the potential is not defined, r ≤ Δ.

    References
    ----------
    .. [1] I. R. Graham, P. E. Arratia and R. A. Riggleman, "Exploring the Relationship Between Softness and Excess
       Entropy in Glass-forming Systems", arXiv:2302.00866 (2023).

    Examples
    --------
    >>> mixture, temperatures = dg.built_in("ka_0.2")
    >>> print(dg.pair_energy(mixture, "A", "A", [1.0, 2 ** (1 / 6), 2.5]).round(3))
    [ 0.832 -0.992  0.   ]
    """
    r, pair = _distances(mixture, r), mixture.pair(first, second)
    r_c = mixture.cutoff * pair.sigma
    V = _unshifted_energy(mixture, pair, r) - _unshifted_energy(mixture, pair, r_c)
    # NaN is not beyond
    return np.where(r >= r_c, 0.0, V + (r - r_c) * _force_at_cutoff(mixture, pair))


def pair_force(mixture: Mixture, first: str, second: str, r: ArrayLike) -> NDArray[np.float64]:
    """Force −dV_ij/dr, positive when repulsive and zero beyond the cut-off; see `pair_energy`.

    Parameters
    ----------
    mixture : Mixture
        Mixture whose potential is meant.
    first : str
        Name of a species.
    second : str
        Name of the other species.
    r : array_like
        Distances in σ_AA, beyond Δ. NaN where missing.

    Returns
    -------
    numpy.ndarray
        Forces in ε_AA/σ_AA, of the shape of `r`, float64.

    Raises
    ------
    StudyError
        If there is no such species, or mixture.
    DataError
        If a distance is no number, or lies where the potential is not defined, r ≤ Δ.

    Examples
    --------
    >>> mixture, temperatures = dg.built_in("ka_0.0")
    >>> print(dg.pair_force(mixture, "A", "A", [1.0, 1.2, 2.5]).round(3))
    [24.    -2.212  0.   ]
    """
    r, pair = _distances(mixture, r), mixture.pair(first, second)
    force = _unshifted_force(mixture, pair, r) - _force_at_cutoff(mixture, pair)
    return np.where(r >= mixture.cutoff * pair.sigma, 0.0, force)


def local_energy(position: xr.DataArray, species: xr.DataArray, box: xr.DataArray, mixture: Mixture) -> xr.DataArray:
    """Potential energy of every particle in every frame, E_i = ½ Σ_j V(r_ij), by minimum images; see `pair_energy`.

    The energies of a frame add up to its potential energy.

    Parameters
    ----------
    position : xarray.DataArray
        Positions over (…, particle, xyz) in σ. NaN where a frame is missing.
    species : xarray.DataArray
        Species codes over (…, particle), with their names in `attrs["names"]`, which the mixture has. -1 where there is
        no particle, whose position is NaN.
    box : xarray.DataArray
        Edge lengths over (…, xyz) in σ.
    mixture : Mixture
        Mixture whose potential is meant.

    Returns
    -------
    xarray.DataArray
        Energies over (…, particle) in ε_AA, float64. NaN where a particle or frame is missing.

    Raises
    ------
    StudyError
        If the mixture is none, or lacks a species.
    DataError
        If dimensions, lengths or labels of the arrays do not match, a code has no name, a part of a frame is not
        finite, the box is shorter than twice the longest cut-off, or two particles are closer than Δ.

    Examples
    --------
    Two particles of A in the minimum of their potential, and one far from both:

    >>> mixture, temperatures = dg.built_in("ka_0.0")
    >>> sites = [[0, 0, 0], [2 ** (1 / 6), 0, 0], [5, 5, 5]]
    >>> position = xr.DataArray(sites, dims=("particle", "xyz"))
    >>> species = xr.DataArray([0, 0, 0], dims="particle", attrs={"names": ["A", "B"]})
    >>> box = xr.DataArray([10.0, 10.0, 10.0], dims="xyz")
    >>> print(dg.local_energy(position, species, box, mixture).values.round(3))
    [-0.492 -0.492  0.   ]
    """
    codes, box = species_codes(species), box_over_frames(box)
    position = arrays.array(position, "position", ["particle", "xyz"])
    of_mixture = codes_of(species_names(species), mixture)
    potential = potential_of(mixture)

    def compute(
        positions: NDArray[np.floating], codes: NDArray[np.int8], boxes: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        E = np.full(positions.shape[:-1], np.nan)
        for frame, who in frames(positions, codes, boxes, mixture.longest_cutoff):
            x, kinds = held(positions[frame], who), of_mixture[codes[frame][who]]
            E[frame][who] = energies(x, kinds, boxes[frame], potential, f"frame {frame}, " if frame else "")
        return E

    E = arrays.apply(
        compute,
        {"position": position, "species": codes, "box": box},
        core=[["particle", "xyz"], ["particle"], ["xyz"]],
        out=[["particle"]],
        dtypes=[np.float64],
    )
    return named(E, "local_energy")


def energies(
    positions: NDArray[np.floating],
    codes: NDArray[np.int64],
    box: NDArray[np.float64],
    potential: kernel.Potential,
    where: str = "",
) -> NDArray[np.float64]:
    """Potential energy of every particle of one frame in a box of at least two cut-offs.

    Raises
    ------
    DataError
        If two particles are closer than Δ; `where` says in which frame.
    """
    E = np.empty(len(positions))
    # one type of positions: kernels are compiled for each
    kernel.energies(np.array(positions, np.float64), codes, box, potential, E)
    if not np.isfinite(E).all():
        raise DataError(
            f"{where}particle {int(np.argmin(np.isfinite(E)))} overlaps with another: they are within Δ = "
            f"{potential.delta:g} σ, where the potential is not defined"
        )
    return E


def potential_of(mixture: Mixture) -> kernel.Potential:
    """Potential of all pairs of species of a mixture, as kernels know it.

    Raises
    ------
    StudyError
        If there is no such mixture.
    """
    _check_mixture(mixture)
    pairs = [[mixture.pair(first, second) for second in mixture.species] for first in mixture.species]

    def table(number: Callable[[Pair], float]) -> NDArray[np.float64]:
        return np.array([[number(pair) for pair in row] for row in pairs], np.float64)

    return kernel.Potential(
        epsilon=table(lambda pair: pair.epsilon),
        sigma=table(lambda pair: reduced_size(mixture, pair)),
        cutoff=table(lambda pair: mixture.cutoff * pair.sigma),
        energy=table(lambda pair: float(_unshifted_energy(mixture, pair, mixture.cutoff * pair.sigma))),
        force=table(lambda pair: _force_at_cutoff(mixture, pair)),
        delta=float(mixture.delta),
    )


def codes_of(names: Sequence[str], mixture: Mixture) -> NDArray[np.int64]:
    """Codes in the mixture of species of these names.

    Raises
    ------
    StudyError
        If the mixture lacks one.
    """
    _check_mixture(mixture)
    if lacking := [name for name in names if name not in mixture.species]:
        raise StudyError(f"the mixture has no species {lacking[0]!r}: it has {list(mixture.species)}")
    return np.array([mixture.species.index(name) for name in names], np.int64)


def reduced_size(mixture: Mixture, pair: Pair) -> float:
    """σ' = σ − Δ/2^{1/6}, which keeps the minimum of every pair at 2^{1/6} σ."""
    return pair.sigma - mixture.delta / SIXTH_ROOT_OF_TWO


def _unshifted_energy(mixture: Mixture, pair: Pair, r: ArrayLike) -> NDArray[np.float64]:
    s6 = (reduced_size(mixture, pair) / (np.asarray(r) - mixture.delta)) ** 6
    return 4.0 * pair.epsilon * (s6**2 - s6)


def _unshifted_force(mixture: Mixture, pair: Pair, r: ArrayLike) -> NDArray[np.float64]:
    beyond = np.asarray(r) - mixture.delta
    s = reduced_size(mixture, pair) / beyond
    return 24.0 * pair.epsilon * (2.0 * s**12 - s**6) / beyond


def _force_at_cutoff(mixture: Mixture, pair: Pair) -> float:
    """Force by which the potential is shifted."""
    if mixture.cutoff_shift == "energy":
        return 0.0
    return float(_unshifted_force(mixture, pair, mixture.cutoff * pair.sigma))


def _check_mixture(mixture: Mixture) -> None:
    if not isinstance(mixture, Mixture):
        raise StudyError(f'the mixture must be a Mixture, such as built_in("ka_0.0")[0]; got {type(mixture).__name__}')


def _distances(mixture: Mixture, r: ArrayLike) -> NDArray[np.float64]:
    _check_mixture(mixture)
    found = np.asarray(r)
    if found.dtype.kind not in "iuf":
        raise DataError(f"r must be numbers; got {found.dtype}")
    if (found <= mixture.delta).any():
        raise DataError(
            f"r must lie beyond Δ = {mixture.delta:g} σ, where the potential is defined; got {found.min():g}"
        )
    return found.astype(np.float64)
