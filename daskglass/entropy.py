"""Pair excess entropy: of a liquid from g(r), and of one particle from its structure functions."""

from __future__ import annotations

from typing import Literal

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from daskglass.errors import DataError
from daskglass.kernels.entropy import local_entropy
from daskglass.variables import named

EMPTY = 1e-3  # g(r) below this counts as the empty core where the core is left out


def excess_entropy(
    g: xr.DataArray, density: float | xr.DataArray, core: Literal["limit", "omit"] = "limit"
) -> xr.DataArray:
    """Pair excess entropy s⁽²⁾ of the particles around which g(r) was taken.

    s⁽²⁾ = −2π Σ_K ρ_K ∫ [ g_K ln g_K − g_K + 1 ] r² dr (paper, Eq. 4), up to the last r of `g`.

    Parameters
    ----------
    g : (…, neighbor, r), as `radial_distribution` returns it
    density : number density ρ in σ⁻³, split by the `fraction` of each species that `g` carries; or ρ_K over `neighbor`
    core : "limit" takes the integrand where g = 0 at its limit, +1. "omit" leaves the empty core out as the published
        curves do, by −(2π/3) Σ_K ρ_K r_0K³. The core counts as empty where g < 1e-3: were it where no pair was
        counted at all, s⁽²⁾ would depend on how many frames were averaged, through single rare pairs.

    Returns
    -------
    (…) in k_B, float64

    Raises
    ------
    DataError
        If `core` is neither, or the densities of the species are not known.
    """
    if core not in ("limit", "omit"):
        raise DataError(f'core must be "limit" or "omit"; got {core!r}')
    if isinstance(density, xr.DataArray) and "neighbor" in density.dims:
        rho = density
    elif "fraction" in g.coords:
        rho = density * g["fraction"]
    else:
        raise DataError("g carries no coordinate `fraction`: give the density of each species over `neighbor`")
    r = g["r"]
    step = (r[-1] - r[0]) / (r.size - 1)
    integrand = xr.where(g > 0, g * np.log(g.where(g > 0, 1.0)), 0.0) - g + 1.0
    if core == "omit":
        integrand = integrand.where((g >= EMPTY) | g.isnull(), 0.0)
    integral = (integrand * r**2).sum("r", skipna=False) * step
    # around no particle of a species there is no g, and nothing to add
    s2 = -2.0 * np.pi * xr.where(rho == 0, 0.0, rho * integral).sum("neighbor", skipna=False)
    return named(s2.drop_vars("fraction", errors="ignore"), "s2", core=core)


def local_excess_entropy(G: xr.DataArray, cutoff: float = 2.0, smoothing: float = 1.0) -> xr.DataArray:
    """Local pair excess entropy s⁽²⁾_i of every particle.

    s⁽²⁾_i = −2π Σ_K ρ*_K Σ_r [ ĝ ln ĝ − ĝ + 1 ] r² L(r − η) Δr, with ĝ_K(r) = G_K(r) / (√(2π) Δμ 4π ρ*_K r²),
    ρ*_K = Σ_r G_K(r) Δr / (√(2π) Δμ (4/3)π r_max³) and L(x) = 1/(1 + e^{x/w}) (paper, Eqs. 5 and 6, the norm
    √(2π) Δμ of the Gaussian restored). A species that is absent contributes 0.

    Parameters
    ----------
    G : (…, particle, neighbor, mu), as `structure_functions` returns it, with `attrs["width"]`
    cutoff : η in σ
    smoothing : w in σ

    Returns
    -------
    (…, particle) float32 in k_B; NaN where G is.

    Raises
    ------
    DataError
        If `G` does not say its width or has fewer than two radii.
    """
    if "width" not in G.attrs:
        raise DataError('structure functions must carry attrs["width"], the Δμ they were computed with')
    if G.sizes["mu"] < 2:
        raise DataError("the local entropy integrates over mu: at least two radii are needed")
    mu = np.asarray(G["mu"].values, dtype=np.float64)
    step = (mu[-1] - mu[0]) / (mu.size - 1)
    weight = 1.0 / (1.0 + np.exp((mu - cutoff) / smoothing))
    width = float(G.attrs["width"])

    def compute(values: NDArray[np.float32]) -> NDArray[np.float32]:
        s2 = np.empty(values.shape[:-2], np.float32)
        flat = np.ascontiguousarray(values).reshape(-1, *values.shape[-2:])
        local_entropy(flat, mu, step, width, weight, s2.reshape(-1))
        return s2

    s2 = xr.apply_ufunc(
        compute,
        G,
        input_core_dims=[["neighbor", "mu"]],
        dask="parallelized",
        output_dtypes=[np.float32],
        keep_attrs=False,
    )
    return named(s2, "local_entropy")
