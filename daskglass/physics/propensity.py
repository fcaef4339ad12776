"""Propensity: how far each particle of a configuration moves, on average over trajectories that start from it."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from daskglass.errors import DataError
from daskglass.physics import arrays
from daskglass.physics.particles import Who, box_over_frames, everyone, species_codes
from daskglass.variables import named

SURELY = 3.0  # standard deviations of a count


def propensity(
    final: xr.DataArray,
    initial: xr.DataArray,
    species: xr.DataArray,
    half: bool = False,
    box: xr.DataArray | None = None,
) -> xr.DataArray:
    """Propensity of every particle: its mean displacement over the trajectories of an isoconfigurational ensemble.

    p_i = ⟨ |r_i(t) − r_i(0)| ⟩ over trajectories that start from one configuration with different velocities [1]_. The
    drift of the centre of mass is removed from each trajectory.

    Parameters
    ----------
    final : xarray.DataArray
        Unwrapped positions r(t) over (trajectory, …, particle, xyz) in σ. NaN where a trajectory is missing: those that
        exist are averaged.
    initial : xarray.DataArray
        Positions r(0) over (…, particle, xyz) in σ, from which all trajectories were unwrapped. NaN where a configuration
        is missing.
    species : xarray.DataArray
        Species codes over (…, particle), with their names in `attrs["names"]`. -1 where there is no particle, whose
        position is NaN.
    half : bool, optional
        Return the propensity of two halves of the trajectories, from which `score` estimates the noise ceiling: of the
        first, third, … that exist, and of the second, fourth, …. They are alike in number; the last of an odd number is
        left out.
    box : xarray.DataArray, optional
        Edge lengths over (…, xyz) in σ. With them, positions are refused that are wrapped or start elsewhere than
        `initial`: particles that seem to move by about a box edge are more than those by about half of one.

    Returns
    -------
    xarray.DataArray
        Propensity over (…, particle), or (…, half, particle), float64, in σ. NaN where no trajectory exists; halves, with
        a warning, where only one does. Coordinate `trajectories` over (…) holds how many exist.

    Raises
    ------
    DataError
        If dimensions, lengths or labels of the arrays do not match, a code has no name, a part of a configuration or
        trajectory is not finite, or positions are wrapped.

    References
    ----------
    .. [1] A. Widmer-Cooper, P. Harrowell and H. Fynewever, "How Reproducible Are Dynamic Heterogeneities in a Supercooled
       Liquid?", Physical Review Letters 93, 135701 (2004).

    Examples
    --------
    Two particles leave each other by 1 σ in one trajectory, by 2 σ in another one that drifts as well:

    >>> x = np.zeros((2, 2, 3))
    >>> x[..., 0] = [[-1, 2], [3, 8]]
    >>> final = xr.DataArray(x, dims=("trajectory", "particle", "xyz"))
    >>> initial = xr.DataArray([[0.0, 0.0, 0.0], [1.0, 0.0, 0.0]], dims=("particle", "xyz"))
    >>> species = xr.DataArray(np.int8([0, 0]), dims="particle", attrs={"names": ["A"]})
    >>> print(dg.propensity(final, initial, species).values)
    [1.5 1.5]
    >>> print(dg.propensity(final, initial, species, half=True).values)
    [[1. 1.]
     [2. 2.]]
    """
    if not isinstance(half, bool | np.bool_):
        raise DataError(f"half must be True or False; got {half!r}")
    # no displacement is near an edge that is not known
    edges = xr.DataArray(np.full(3, np.inf), dims="xyz") if box is None else box_over_frames(box)
    inside = ["half", "particle"] if half else ["particle"]
    sizes: dict[str, Any] = {"half": 2} if half else {}

    def compute(
        final: NDArray[np.floating],
        initial: NDArray[np.floating],
        codes: NDArray[np.int8],
        edges: NDArray[np.float64],
    ) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        lead = final.shape[:-3]
        p = np.full((*lead, *(2,) * half, final.shape[-2]), np.nan)
        existing = np.zeros(lead, np.int64)
        for row in np.ndindex(lead):
            who = everyone(np.concatenate([initial[row][None], final[row]]), codes[row], row)
            moved = _displacements(final[row][:, who], initial[row][who], who, row)
            _check_unwrapped(moved, edges[row], row)
            moved -= moved.mean(axis=-2, keepdims=True)
            distances = np.sqrt((moved**2).sum(axis=-1))
            existing[row] = len(distances)
            p[row][..., who] = halves_of(distances) if half else mean_of(distances)
        return p, existing

    p, existing = arrays.apply(
        compute,
        {
            "final": arrays.array(final, "final", ["trajectory", "particle", "xyz"]),
            "initial": arrays.array(initial, "initial", ["particle", "xyz"]),
            "species": species_codes(species),
            "box": edges,
        },
        core=[["trajectory", "particle", "xyz"], ["particle", "xyz"], ["particle"], ["xyz"]],
        out=[inside, []],
        dtypes=[np.float64, np.int64],
        **sizes,
    )
    existing.attrs = {"long_name": "number of trajectories", "units": "1"}
    return named(p, "propensity_half" if half else "propensity").assign_coords(trajectories=existing.variable)


def _displacements(
    final: NDArray[np.floating], initial: NDArray[np.floating], who: Who, row: tuple[int, ...]
) -> NDArray[np.float64]:
    """Displacements (trajectory, particle, 3) of the trajectories that exist; none of a configuration that does not.

    Raises
    ------
    DataError
        If a part of the configuration, or of a trajectory, is not finite; naming the trajectory and the particle.
    """
    there = np.isfinite(final).all(axis=(-2, -1)) & np.isfinite(initial).all() & (initial.size > 0)
    for name, x in (("initial", initial), *((f"trajectory {m} of final", final[m]) for m in np.flatnonzero(~there))):
        broken = ~np.isfinite(x).all(axis=-1)
        if broken.any() and not np.isnan(x).all():
            k = int(np.argmax(broken))
            particle = k if isinstance(who, slice) else int(who[k])
            raise DataError(f"{_where(row)}{name}, particle {particle}: position is not finite")
    return np.subtract(final[there], initial, dtype=np.float64)


def _check_unwrapped(moved: NDArray[np.float64], box: NDArray[np.float64], row: tuple[int, ...]) -> None:
    """Refuse displacements (trajectory, particle, 3) of about a box edge, where fewer are of about half of one.

    The farther, the fewer particles move: what is wrapped, or starts from another image, appears beyond a gap.
    """
    if len(moved) and not (box > 0).all():
        raise DataError(f"{_where(row)}box edges must be positive; got {box}")
    edges = np.abs(moved) / box
    near_one = (edges > 0.75) & (edges < 1.25)
    one, half = near_one.sum(), ((edges > 0.25) & (edges < 0.75)).sum()
    if one - half > SURELY * np.sqrt(one + half):
        trajectory, particle, axis = np.argwhere(near_one)[0]
        raise DataError(
            f"{_where(row)}{one} displacements are about as long as the box, {half} about half as long: final positions are "
            f"wrapped, or start elsewhere than initial ones (trajectory {trajectory}, particle {particle} moves by "
            f"{moved[trajectory, particle, axis]:.2f} σ along {'xyz'[axis]}, in a box of {box[axis]:.2f} σ); unwrap them from "
            "where their configuration is"
        )


def mean_of(distances: NDArray[np.float64]) -> NDArray[np.float64] | float:
    """Mean (…) of distances (trajectory, …); NaN of none."""
    return distances.mean(axis=0) if len(distances) else np.nan


def halves_of(distances: NDArray[np.float64]) -> NDArray[np.float64] | float:
    """Mean (half, …) of every other trajectory, as many in either half; NaN of fewer than two."""
    each = len(distances) // 2
    if each:
        return np.stack([distances[k : 2 * each : 2].mean(axis=0) for k in range(2)])
    if len(distances):
        warnings.warn("one trajectory has no halves, so there is no noise ceiling", RuntimeWarning, stacklevel=2)
    return np.nan


def _where(row: tuple[int, ...]) -> str:
    return f"configuration {tuple(map(int, row))}, " if row else ""
