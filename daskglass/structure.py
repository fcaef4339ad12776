"""Structure around particles: radial structure functions and radial distribution functions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike, NDArray

from daskglass.errors import DataError
from daskglass.kernels import structure as kernel
from daskglass.kernels.radial import pair_histogram
from daskglass.kernels.structure import SUPPORT
from daskglass.particles import box_over_frames, check_codes, check_frames, is_species, species_names
from daskglass.variables import VARIABLES, named

MU = tuple(round(0.4 + 0.1 * k, 10) for k in range(27))
WIDTH = 0.1


def structure_functions(
    position: xr.DataArray,
    species: xr.DataArray,
    box: xr.DataArray,
    mu: ArrayLike = MU,
    width: float = WIDTH,
    centers: str | xr.DataArray | None = None,
) -> xr.DataArray:
    """Radial structure functions of every centre in every frame.

    G_K(μ) = Σ_{j∈K, j≠i} exp[ −(r_ij − μ)² / (2 Δμ²) ] (paper, Eq. 3, whose minus sign is missing in print),
    with minimum images; a neighbour is left out where its term is below 4e-6 of its peak, |r − μ| > 5 Δμ.

    Parameters
    ----------
    position : (…, particle, xyz) in σ
    species : (particle,) codes, with `attrs["names"]`
    box : (xyz,) or (…, xyz) edge lengths in σ
    mu : radii μ in σ, equally spaced; 0.4, 0.5, …, 3.0 by default
    width : Δμ in σ
    centers : name of a species, or boolean (…, particle); the first species by default

    Returns
    -------
    (…, particle, neighbor, mu) float32, NaN where a particle is no centre; `attrs["width"]` holds Δμ.

    Raises
    ------
    DataError
        If a position is not finite, the box is shorter than 2 (μ_max + 5 Δμ), or μ is not equally spaced.
    """
    grid = _uniform(mu)
    if not width > 0:
        raise DataError(f"width must be positive; got {width}")
    names = species_names(species)
    check_codes(species)
    expansion = kernel.gaussian_expansion(grid[1] - grid[0] if grid.size > 1 else width, width)

    def compute(
        positions: NDArray[np.float32], codes: NDArray[np.int8], chosen: NDArray[np.bool_], boxes: NDArray[np.float64]
    ) -> NDArray[np.float32]:
        check_frames(positions, boxes, grid[-1] + SUPPORT * width)
        lead = positions.shape[:-2]
        G = np.empty((*positions.shape[:-1], len(names), grid.size), np.float32)
        chosen = np.broadcast_to(chosen, positions.shape[:-1])
        boxes = np.broadcast_to(boxes, (*lead, 3))
        for frame in np.ndindex(lead):
            kernel.structure_functions(
                positions[frame], codes, chosen[frame], boxes[frame], grid, width, *expansion, G[frame]
            )
        return G

    G = xr.apply_ufunc(
        compute,
        position,
        species,
        _centers(centers, species),
        box_over_frames(box),
        input_core_dims=[["particle", "xyz"], ["particle"], ["particle"], ["xyz"]],
        output_core_dims=[["particle", "neighbor", "mu"]],
        **_parallel(np.float32, neighbor=len(names), mu=grid.size),
    )
    return named(G.assign_coords(neighbor=names, mu=("mu", grid, VARIABLES["mu"].attrs)), "G", width=width)


def radial_distribution(
    position: xr.DataArray,
    species: xr.DataArray,
    box: xr.DataArray,
    r_max: float = 5.0,
    bin_width: float = 0.02,
    centers: str | xr.DataArray | None = None,
) -> xr.DataArray:
    """Radial distribution functions around the centres, averaged over the dimension `time` if there is one.

    g_K(r) = V n_K(r) / (N_K v(r)): n_K(r) neighbours of species K per centre in the shell of exact volume v(r).
    The density is N_K/V with the centre counted, so an ideal gas of N particles has g_AA = 1 − 1/N_A.

    Parameters
    ----------
    position : (…, [time,] particle, xyz) in σ
    species : (particle,) codes, with `attrs["names"]`
    box : (xyz,) or (…, xyz) edge lengths in σ
    r_max : upper limit in σ, at most half the shortest edge
    bin_width : in σ
    centers : name of a species, or boolean (…, [time,] particle); the first species by default

    Returns
    -------
    (…, neighbor, r) float64; `r` are the middles of the bins; coordinate `fraction` holds N_K/N.

    Raises
    ------
    DataError
        If a position is not finite or `r_max` exceeds half the box.
    """
    group = xr.where(_centers(centers, species), 0, -1).astype(np.int16)
    pairs = pair_counts(position, species, box, group, 1, r_max, bin_width)
    return normalize_pairs(pairs, species).isel(group=0, drop=True)


def pair_counts(
    position: xr.DataArray,
    species: xr.DataArray,
    box: xr.DataArray,
    group: xr.DataArray,
    groups: int,
    r_max: float,
    bin_width: float,
) -> xr.Dataset:
    """Count the pairs at each distance, by group of the centre, summed over `time`: sums of blocks just add.

    Parameters
    ----------
    group : (…, particle) integer group of each centre below `groups`, negative where a particle is none

    Returns
    -------
    Dataset of `pairs` (…, group, neighbor, r), each pair weighted with its frame's volume V, and `centers` (…, group).
    """
    r = bin_middles(r_max, bin_width)
    bins = r.size
    names = species_names(species)
    check_codes(species)

    def compute(
        positions: NDArray[np.float32], codes: NDArray[np.int8], which: NDArray[np.int16], boxes: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        check_frames(positions, boxes, r_max)
        lead = positions.shape[:-2]
        which = np.broadcast_to(which, positions.shape[:-1])
        boxes = np.broadcast_to(boxes, (*lead, 3))
        pairs = np.empty((*lead, groups, len(names), bins))
        centers = np.empty((*lead, groups), np.int64)
        for frame in np.ndindex(lead):
            counts = np.zeros((groups, len(names), bins), np.int64)
            pair_histogram(positions[frame], codes, which[frame], boxes[frame], r_max, counts)
            pairs[frame] = counts * np.prod(boxes[frame], dtype=np.float64)
            centers[frame] = np.bincount(which[frame][which[frame] >= 0], minlength=groups)
        return pairs, centers

    pairs, centers = xr.apply_ufunc(
        compute,
        position,
        species,
        group,
        box_over_frames(box),
        input_core_dims=[["particle", "xyz"], ["particle"], ["particle"], ["xyz"]],
        output_core_dims=[["group", "neighbor", "r"], ["group"]],
        **(
            _parallel(np.float64, group=groups, neighbor=len(names), r=bins) | {"output_dtypes": [np.float64, np.int64]}
        ),
    )
    counted = xr.Dataset({"pairs": pairs, "centers": centers}).assign_coords(
        neighbor=names, r=("r", r, VARIABLES["r"].attrs)
    )
    return counted.sum("time") if "time" in counted.dims else counted


def bin_middles(r_max: float, bin_width: float) -> NDArray[np.float64]:
    """Middles of the bins between 0 and `r_max`.

    Raises
    ------
    DataError
        If `r_max` is no whole number of bin widths.
    """
    bins = round(r_max / bin_width) if bin_width > 0 else 0
    if bins < 1 or abs(bins * bin_width - r_max) > 1e-9 * r_max:
        raise DataError(f"r_max must be a whole number of bin widths; got r_max={r_max}, bin_width={bin_width}")
    return (np.arange(bins) + 0.5) * r_max / bins


def normalize_pairs(counted: xr.Dataset, species: xr.DataArray) -> xr.DataArray:
    """Radial distribution functions (…, group, neighbor, r) from summed `pair_counts`; NaN where no centre was."""
    r = counted["r"]
    step = float(2 * r[0])
    shell = 4.0 / 3.0 * np.pi * ((r + step / 2) ** 3 - (r - step / 2) ** 3)
    numbers = np.bincount(np.asarray(species), minlength=counted.sizes["neighbor"])
    g = counted["pairs"] / (counted["centers"] * shell * xr.DataArray(numbers, dims="neighbor"))
    g = g.transpose(..., "group", "neighbor", "r").assign_coords(fraction=("neighbor", numbers / numbers.sum()))
    return named(g, "g")


def _uniform(mu: ArrayLike) -> NDArray[np.float64]:
    grid = np.asarray(mu, dtype=np.float64)
    if grid.ndim != 1 or grid.size == 0 or not (grid > 0).all():
        raise DataError(f"mu must be a list of positive radii; got {mu!r}")
    steps = np.diff(grid)
    if grid.size > 1 and not (steps[0] > 0 and np.allclose(steps, steps[0], rtol=1e-6)):
        raise DataError(f"mu must rise in equal steps; got {grid.tolist()}")
    return grid


def _centers(centers: str | xr.DataArray | None, species: xr.DataArray) -> xr.DataArray:
    if isinstance(centers, xr.DataArray):
        if centers.dtype != np.bool_ or "particle" not in centers.dims:
            raise DataError("centers must be the name of a species or a boolean array over particle")
        return centers
    return is_species(species, centers)


def _parallel(dtype: Any, **sizes: int) -> dict[str, Any]:
    """Arguments that make `apply_ufunc` lazy on Dask arrays, one task per block of frames."""
    return {
        "dask": "parallelized",
        "output_dtypes": [dtype],
        "dask_gufunc_kwargs": {"output_sizes": sizes},
        "keep_attrs": False,
    }


def mu_grid(first: float, last: float, step: float) -> Sequence[float]:
    """Radii from first to last, both included, free of accumulated rounding."""
    return [round(first + step * k, 10) for k in range(round((last - first) / step) + 1)]
