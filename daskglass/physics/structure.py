"""Structure around particles: radial structure functions and radial distribution functions."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike, NDArray

from daskglass.errors import DataError
from daskglass.kernels import structure as kernel
from daskglass.kernels.radial import pair_histogram
from daskglass.kernels.structure import SUPPORT
from daskglass.physics import arrays
from daskglass.physics.bins import bin_middles
from daskglass.physics.defaults import BIN_WIDTH, R_MAX, RADII, WIDTH
from daskglass.physics.particles import box_over_frames, centers_of, frames, held, species_codes, species_names
from daskglass.variables import VARIABLES, named

FINEST = 1000  # widths between two radii at most: each costs memory


def mu_grid(first: float, last: float, step: float) -> Sequence[float]:
    """Radii from first to last, both included, free of accumulated rounding."""
    return [round(first + step * k, 10) for k in range(round((last - first) / step) + 1)]


MU = tuple(mu_grid(*RADII))


def structure_functions(
    position: xr.DataArray,
    species: xr.DataArray,
    box: xr.DataArray,
    mu: ArrayLike = MU,
    width: float = WIDTH,
    centers: str | xr.DataArray | None = None,
) -> xr.DataArray:
    """Radial structure functions of every centre in every frame.

    G_K(μ) = Σ_{j∈K, j≠i} exp[ −(r_ij − μ)² / (2 Δμ²) ] (Eq. 3 of [1]_, whose minus sign is missing in print; [2]_),
    with minimum images. A neighbour is left out where its term is below 4e-6 of its peak, |r − μ| > 5 Δμ.

    Parameters
    ----------
    position : xarray.DataArray
        Positions over (…, particle, xyz) in σ. NaN where a frame is missing.
    species : xarray.DataArray
        Species codes over (…, particle), with their names in `attrs["names"]`. -1 where there is no particle, whose
        position is NaN.
    box : xarray.DataArray
        Edge lengths over (…, xyz) in σ.
    mu : array_like, optional
        Radii μ in σ, equally spaced; 0.4, 0.5, …, 3.0 by default.
    width : float, optional
        Width Δμ of the Gaussian in σ.
    centers : str or xarray.DataArray, optional
        Name of a species, or booleans over (…, particle); the first species by default.

    Returns
    -------
    xarray.DataArray
        G over (…, particle, neighbor, mu), float32, dimensionless. NaN where a particle is no centre or a frame is
        missing. `attrs["width"]` holds Δμ.

    Raises
    ------
    DataError
        If dimensions, lengths or labels of the arrays do not match, a code has no name, a part of a frame is not
        finite, the box is shorter than 2 (μ_max + 5 Δμ), or μ is not equally spaced.

    References
    ----------
    .. [1] I. R. Graham, P. E. Arratia and R. A. Riggleman, "Exploring the Relationship Between Softness and Excess
       Entropy in Glass-forming Systems", arXiv:2302.00866 (2023).
    .. [2] J. Behler and M. Parrinello, "Generalized neural-network representation of high-dimensional potential-energy
       surfaces", Physical Review Letters 98, 146401 (2007).

    Examples
    --------
    A particle with an A particle at 1 σ and a B particle at 1.5 σ:

    >>> sites = np.float32([[1, 1, 1], [2, 1, 1], [1, 2.5, 1]])
    >>> position = xr.DataArray(sites, dims=("particle", "xyz"))
    >>> species = xr.DataArray(np.int8([0, 0, 1]), dims="particle", attrs={"names": ["A", "B"]})
    >>> box = xr.DataArray([8.0, 8.0, 8.0], dims="xyz")
    >>> G = dg.structure_functions(position, species, box, mu=[0.8, 1.0, 1.2, 1.4])
    >>> G.dims
    ('particle', 'neighbor', 'mu')
    >>> print(G.isel(particle=0).values.round(2))
    [[0.14 1.   0.14 0.  ]
     [0.   0.   0.01 0.61]]
    """
    grid = _uniform(mu)
    width = arrays.number(width, "width")
    step = grid[1] - grid[0] if grid.size > 1 else width
    if step > FINEST * width:
        raise DataError(
            f"width {width} is too small for radii {step:g} σ apart: give {FINEST} widths to a step at most"
        )
    expansion = kernel.gaussian_expansion(step, width)
    position, codes, chosen, box = _particles(position, species, centers, box)
    names = species_names(species)

    def compute(
        positions: NDArray[np.floating], codes: NDArray[np.int8], chosen: NDArray[np.bool_], boxes: NDArray[np.float64]
    ) -> NDArray[np.float32]:
        G = np.full((*positions.shape[:-1], len(names), grid.size), np.nan, np.float32)
        for frame, who in frames(positions, codes, boxes, grid[-1] + SUPPORT * width):
            x, kinds, central = (held(values[frame], who) for values in (positions, codes, chosen))
            part = G[frame][who]
            kernel.structure_functions(x, kinds, central, boxes[frame], grid, width, *expansion, part)
            G[frame][who] = part
        return G

    G = arrays.apply(
        compute,
        {"position": position, "species": codes, "centers": chosen, "box": box},
        core=[["particle", "xyz"], ["particle"], ["particle"], ["xyz"]],
        out=[["particle", "neighbor", "mu"]],
        dtypes=[np.float32],
        neighbor=len(names),
        mu=grid.size,
    )
    return named(G.assign_coords(neighbor=names, mu=("mu", grid, VARIABLES["mu"].attrs)), "G", width=width)


def radial_distribution(
    position: xr.DataArray,
    species: xr.DataArray,
    box: xr.DataArray,
    r_max: float = R_MAX,
    bin_width: float = BIN_WIDTH,
    centers: str | xr.DataArray | None = None,
) -> xr.DataArray:
    """Radial distribution functions around the centres, averaged over the dimension `time` if there is one.

    g_K(r) = V n_K(r) / (N_K v(r)): n_K(r) neighbours of species K per centre in the shell of exact volume v(r). The
    density is N_K/V with the centre counted, so an ideal gas of N particles has g_AA = 1 − 1/N_A [1]_.

    Parameters
    ----------
    position : xarray.DataArray
        Positions over (…, [time,] particle, xyz) in σ. NaN where a frame is missing, which the average leaves out.
    species : xarray.DataArray
        Species codes over (…, particle), with their names in `attrs["names"]`. -1 where there is no particle, whose
        position is NaN.
    box : xarray.DataArray
        Edge lengths over (…, [time,] xyz) in σ.
    r_max : float, optional
        Upper limit of r in σ, at most half the shortest edge and a whole number of bin widths.
    bin_width : float, optional
        Width of a bin in σ.
    centers : str or xarray.DataArray, optional
        Name of a species, or booleans over (…, [time,] particle); the first species by default.

    Returns
    -------
    xarray.DataArray
        Values of g over (…, neighbor, r), float64, dimensionless. NaN where no frame exists. Coordinate `r` holds the
        middles of the bins in σ, coordinate `fraction` the number fraction N_K/N of each species.

    Raises
    ------
    DataError
        If dimensions, lengths or labels of the arrays do not match, a code has no name, a part of a frame is not
        finite, or `r_max` exceeds half the box.

    References
    ----------
    .. [1] M. P. Allen and D. J. Tildesley, "Computer Simulation of Liquids", second edition, Oxford University Press
       (2017).

    Examples
    --------
    A simple cubic lattice has 6 neighbours at 1 σ and 12 at 1.41 σ:

    >>> sites = (
    ...     np.stack(np.meshgrid(*[np.arange(4)] * 3), axis=-1).reshape(-1, 3).astype(np.float32)
    ... )
    >>> position = xr.DataArray(sites, dims=("particle", "xyz"))
    >>> species = xr.DataArray(np.zeros(64, np.int8), dims="particle", attrs={"names": ["A"]})
    >>> box = xr.DataArray([4.0, 4.0, 4.0], dims="xyz")
    >>> g = dg.radial_distribution(position, species, box, r_max=1.5, bin_width=0.1).sel(
    ...     neighbor="A"
    ... )
    >>> print(g.r[g > 0].values)
    [1.05 1.45]
    >>> shell = 4 / 3 * np.pi * ((g.r + 0.05) ** 3 - (g.r - 0.05) ** 3)
    >>> print((g * shell)[g > 0].values.round(6))
    [ 6. 12.]
    """
    position, codes, chosen, box = _particles(position, species, centers, box)
    pairs = pair_counts(position, codes, box, xr.where(chosen, 0, -1), 1, r_max, bin_width)
    return normalize_pairs(pairs, codes).isel(group=0, drop=True)


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
    position, species, box, r_max, bin_width
        As for `radial_distribution`.
    group : xarray.DataArray
        Group of each centre over (…, particle), below `groups`; negative where a particle is none.
    groups : int
        Number of groups.

    Returns
    -------
    xarray.Dataset
        Variables `pairs` (…, group, neighbor, r), each pair weighted with its frame's volume V, and `centers` (…,
        group).

    Raises
    ------
    DataError
        Where `radial_distribution` does, if species vary along time, or a group is not below `groups`.
    """
    r = bin_middles(r_max, bin_width)
    bins = r.size
    position, codes, _, box = _particles(position, species, None, box)
    if "time" in codes.dims:
        raise DataError(f"species must not vary along time, over which is averaged; it has {dict(codes.sizes)}")
    names = species_names(species)

    def compute(
        positions: NDArray[np.floating], codes: NDArray[np.int8], which: NDArray[np.int64], boxes: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        if which.size and which.max() >= groups:
            raise DataError(f"group {which.max()} of a centre is not below {groups}")
        lead = positions.shape[:-2]
        pairs = np.zeros((*lead, groups, len(names), bins))
        centers = np.zeros((*lead, groups), np.int64)
        for frame, who in frames(positions, codes, boxes, r_max):
            x, kinds, group = (held(values[frame], who) for values in (positions, codes, which))
            counts = np.zeros((groups, len(names), bins), np.int64)
            pair_histogram(x, kinds, group, boxes[frame], r_max, counts)
            pairs[frame] = counts * np.prod(boxes[frame])
            centers[frame] = np.bincount(group[group >= 0], minlength=groups)
        return pairs, centers

    pairs, centers = arrays.apply(
        compute,
        {
            "position": position,
            "species": codes,
            "group": arrays.array(group, "group", ["particle"], "code"),
            "box": box,
        },
        core=[["particle", "xyz"], ["particle"], ["particle"], ["xyz"]],
        out=[["group", "neighbor", "r"], ["group"]],
        dtypes=[np.float64, np.int64],
        group=groups,
        neighbor=len(names),
        r=bins,
    )
    counted = xr.Dataset({"pairs": pairs, "centers": centers}).assign_coords(
        neighbor=names, r=("r", r, VARIABLES["r"].attrs)
    )
    return counted.sum("time") if "time" in counted.dims else counted


def normalize_pairs(counted: xr.Dataset, species: xr.DataArray) -> xr.DataArray:
    """Radial distribution functions (…, group, neighbor, r) from summed `pair_counts`; NaN where no centre was."""
    r = counted["r"]
    step = float(2 * r[0])
    shell = 4.0 / 3.0 * np.pi * ((r + step / 2) ** 3 - (r - step / 2) ** 3)
    codes = species_codes(species).reset_coords(drop=True)
    kinds = xr.DataArray(np.arange(counted.sizes["neighbor"]), dims="neighbor")
    numbers = (codes == kinds).sum("particle")
    g = counted["pairs"] / (counted["centers"] * shell * numbers)
    g = g.transpose(..., "group", "neighbor", "r").assign_coords(fraction=(numbers / numbers.sum("neighbor")).variable)
    g["fraction"].attrs = {"long_name": "number fraction of a species", "units": "1"}
    return named(g, "g")


def _particles(
    position: xr.DataArray, species: xr.DataArray, centers: str | xr.DataArray | None, box: xr.DataArray
) -> tuple[xr.DataArray, xr.DataArray, xr.DataArray, xr.DataArray]:
    """Positions, species codes, centres and box, each checked, with the same labels."""
    codes = species_codes(species)
    given = arrays.together(
        {
            "position": arrays.array(position, "position", ["particle", "xyz"]),
            "species": codes,
            "centers": centers_of(centers, codes),
            "box": box_over_frames(box),
        }
    )
    return given["position"], given["species"], given["centers"], given["box"]


def _uniform(mu: ArrayLike) -> NDArray[np.float64]:
    grid = np.asarray(mu)
    if grid.ndim != 1 or grid.size == 0 or grid.dtype.kind not in "iuf" or not ((grid > 0) & np.isfinite(grid)).all():
        raise DataError(f"mu must be a list of positive radii; got {mu!r}")
    grid = grid.astype(np.float64)
    if grid.size > 1:
        arrays.step(grid, "mu")
    return grid
