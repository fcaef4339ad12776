"""Pair excess entropy: of a liquid from g(r), and of one particle from its structure functions."""

from __future__ import annotations

from typing import Literal

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from daskglass.errors import DataError
from daskglass.kernels.entropy import local_entropy
from daskglass.physics import arrays
from daskglass.variables import named

EMPTY = 3e-5  # g(r) below this counts as the empty core where the core is left out


def excess_entropy(
    g: xr.DataArray, density: float | xr.DataArray, core: Literal["limit", "omit"] = "limit"
) -> xr.DataArray:
    """Pair excess entropy s⁽²⁾ of the particles around which g(r) was taken.

    s⁽²⁾ = −2π Σ_K ρ_K ∫ [ g_K ln g_K − g_K + 1 ] r² dr (Eq. 4 of [1]_; [2]_), up to the last r of `g`.

    Parameters
    ----------
    g : xarray.DataArray
        Radial distribution functions over (…, neighbor, r), as `radial_distribution` returns them; r in σ, equally
        spaced, in any order.
    density : float or xarray.DataArray
        Number density ρ over (…) in σ⁻³, split by the `fraction` of each species that `g` carries; or ρ_K over
        (…, neighbor).
    core : {"limit", "omit"}, optional
        What the empty core, g = 0, adds. "limit" uses the limit of the integrand, +1. "omit" leaves the core out as the
        published curves do, by −(2π/3) Σ_K ρ_K r_0K³. The core counts as empty where g < 3e-5: were it where no pair
        was counted at all, s⁽²⁾ would depend on how many frames were averaged, through single rare pairs.

    Returns
    -------
    xarray.DataArray
        Entropies over (…), float64, in k_B per particle. NaN where a value of g is missing.

    Raises
    ------
    DataError
        If `core` is neither, r is not equally spaced, labels of g and density differ, one of them is negative, or the
        densities of the species are not known.

    References
    ----------
    .. [1] I. R. Graham, P. E. Arratia and R. A. Riggleman, "Exploring the Relationship Between Softness and Excess
       Entropy in Glass-forming Systems", arXiv:2302.00866 (2023).
    .. [2] A. Baranyai and D. J. Evans, "Direct entropy calculation from computer simulation of liquids", Physical
       Review A 40, 3817 (1989).

    Examples
    --------
    Around a core of 1 σ in a fluid without further structure, −(2π/3) ρ is the core's:

    >>> r = np.arange(0.01, 3, 0.02)
    >>> g = xr.DataArray(
    ...     np.where(r < 1, 0.0, 1.0)[None],
    ...     dims=("neighbor", "r"),
    ...     coords={"neighbor": ["A"], "r": r, "fraction": ("neighbor", [1.0])},
    ... )
    >>> print(dg.excess_entropy(g, density=1.2).round(3).item())
    -2.513
    >>> print(abs(dg.excess_entropy(g, density=1.2, core="omit")).item())
    0.0
    """
    if core not in ("limit", "omit"):
        raise DataError(f'core must be "limit" or "omit"; got {core!r}')
    g = arrays.in_order(arrays.array(g, "g", ["neighbor", "r"]), "r", "g")
    r = g["r"].values.astype(np.float64)
    step = arrays.step(r, "r of g")
    given = arrays.together({"g": g, "density": arrays.array_or_number(density, "density")})
    rho = given["density"]
    if "neighbor" not in rho.dims:
        if "fraction" not in g.coords:
            raise DataError("g carries no coordinate `fraction`: give the density of each species over `neighbor`")
        rho = rho * arrays.array(g["fraction"], "fraction of g", ["neighbor"])

    def compute(g: NDArray[np.floating], rho: NDArray[np.floating]) -> NDArray[np.float64]:
        if (g < 0).any() or (rho < 0).any():
            raise DataError("g and density must not be negative")
        integrand = g * np.log(np.where(g > 0, g, 1.0)) - g + 1.0
        if core == "omit":
            integrand[g < EMPTY] = 0.0
        integral = (integrand * r**2).sum(axis=-1) * step
        # around no particle of a species there is no g, and nothing to add
        return np.asarray(-2.0 * np.pi * np.where(rho == 0, 0.0, rho * integral).sum(axis=-1), np.float64)

    s2 = arrays.apply(
        compute, {"g": g, "rho": rho}, core=[["neighbor", "r"], ["neighbor"]], out=[[]], dtypes=[np.float64]
    )
    return named(s2, "s2", core=core)


def local_excess_entropy(G: xr.DataArray, cutoff: float = 2.0, smoothing: float = 1.0) -> xr.DataArray:
    """Local pair excess entropy s⁽²⁾_i of every particle.

    s⁽²⁾_i = −2π Σ_K ρ*_K Σ_r [ ĝ ln ĝ − ĝ + 1 ] r² L(r − η) Δr, with ĝ_K(r) = G_K(r) / (√(2π) Δμ 4π ρ*_K r²),
    ρ*_K = Σ_r G_K(r) Δr / (√(2π) Δμ (4/3)π r_max³) and L(x) = 1/(1 + e^{x/w}) (Eqs. 5 and 6 of [1]_, the norm
    √(2π) Δμ of the Gaussian restored; [2]_). A species that is absent contributes 0.

    Parameters
    ----------
    G : xarray.DataArray
        Structure functions over (…, neighbor, mu), as `structure_functions` returns them, with `attrs["width"]`; mu in
        σ, equally spaced, in any order.
    cutoff : float, optional
        Distance η in σ at which L falls to 1/2.
    smoothing : float, optional
        Width w of that fall in σ.

    Returns
    -------
    xarray.DataArray
        Entropies over (…), float32, in k_B. NaN where G is.

    Raises
    ------
    DataError
        If `G` does not say its width, is negative, has fewer than two radii, or radii that are not equally spaced.

    References
    ----------
    .. [1] I. R. Graham, P. E. Arratia and R. A. Riggleman, "Exploring the Relationship Between Softness and Excess
       Entropy in Glass-forming Systems", arXiv:2302.00866 (2023).
    .. [2] P. M. Piaggi and M. Parrinello, "Entropy based fingerprint for local crystalline order", The Journal of
       Chemical Physics 147, 114112 (2017).

    Examples
    --------
    A particle in an even surrounding, and one with a sharp first shell:

    >>> mu = np.arange(0.4, 3.05, 0.1)
    >>> even, sharp = mu**2, np.where(abs(mu - 1.1) < 0.05, 12.0, 0.0)
    >>> G = xr.DataArray(
    ...     np.float32([[even], [sharp]]),
    ...     dims=("particle", "neighbor", "mu"),
    ...     coords={"neighbor": ["A"], "mu": mu},
    ...     attrs={"width": 0.1},
    ... )
    >>> print(dg.local_excess_entropy(G).values.round(2))
    [-0.01 -6.71]
    """
    G = arrays.array(G, "G", ["neighbor", "mu"])
    cutoff, smoothing = arrays.number(cutoff, "cutoff", False), arrays.number(smoothing, "smoothing")
    if "width" not in G.attrs:
        raise DataError('structure functions must carry attrs["width"], the Δμ they were computed with')
    if G.sizes["mu"] < 2:
        raise DataError("the local entropy integrates over mu: at least two radii are needed")
    G = arrays.in_order(G, "mu", "G")
    mu = G["mu"].values.astype(np.float64)
    if not mu[0] > 0:
        raise DataError(f"mu of G must be positive; got {mu[0]:g}")
    step = arrays.step(mu, "mu of G")
    weight = 1.0 / (1.0 + np.exp(np.minimum((mu - cutoff) / smoothing, 700.0)))
    width = arrays.number(G.attrs["width"], "width of G")

    def compute(values: NDArray[np.floating]) -> NDArray[np.float32]:
        if np.fmin.reduce(values, axis=None, initial=0) < 0:
            raise DataError("G must not be negative")
        s2 = np.empty(values.shape[:-2], np.float32)
        local_entropy(values.reshape(-1, *values.shape[-2:]), mu, step, width, weight, s2.reshape(-1))
        return s2

    s2 = arrays.apply(compute, {"G": G}, core=[["neighbor", "mu"]], out=[[]], dtypes=[np.float32])
    return named(s2, "local_entropy")
