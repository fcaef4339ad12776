"""Motion: scattering function, relaxation time, mean squared displacement and diffusivity."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike, NDArray

from daskglass.errors import DataError
from daskglass.kernels import displacement
from daskglass.physics import arrays
from daskglass.physics.defaults import (
    Q_PEAK,
)
from daskglass.physics.particles import (
    drift,
    everyone,
    frame_times,
    series,
    species_codes,
)
from daskglass.physics.relaxation import crossing_time, is_diffusive
from daskglass.variables import VARIABLES, named


def scattering_function(
    position: xr.DataArray, species: xr.DataArray, lags: ArrayLike | None = None, q: float = Q_PEAK
) -> xr.DataArray:
    """Self-intermediate scattering function of the first species, F(Q,t) = ⟨ sin(QΔr)/(QΔr) ⟩.

    The average runs over particles and over all pairs of frames a lag t apart (isotropic form of the equation in
    Sec. II.A of [1]_; [2]_). The drift of the centre of mass is removed.

    Parameters
    ----------
    position : xarray.DataArray
        Unwrapped positions over (…, time, particle, xyz) in σ, `time` in τ. Where the box varies, those of
        `without_affine_motion`. NaN where a frame is missing: the pairs of frames that exist are averaged.
    species : xarray.DataArray
        Species codes over (…, particle), with their names in `attrs["names"]`. -1 where there is no particle, whose
        position is NaN.
    lags : array_like, optional
        Times between two frames in τ, each once, in any order; those elapsed since the first frame by default.
    q : float, optional
        Wave number Q in 1/σ.

    Returns
    -------
    xarray.DataArray
        Values of F over (…, lag), float64, dimensionless. NaN where no pair of frames exists.

    Raises
    ------
    DataError
        If dimensions, lengths or labels of the arrays do not match, a code has no name, a part of a frame is not
        finite, times do not rise, or no two of them are a lag apart.

    References
    ----------
    .. [1] I. R. Graham, P. E. Arratia and R. A. Riggleman, "Exploring the Relationship Between Softness and Excess
       Entropy in Glass-forming Systems", arXiv:2302.00866 (2023).
    .. [2] W. Kob and H. C. Andersen, "Testing mode-coupling theory for a supercooled binary Lennard-Jones mixture. II.
       Intermediate scattering function and dynamic susceptibility", Physical Review E 52, 4134 (1995).

    Examples
    --------
    Two particles leave each other, each at a speed of 0.1 σ/τ:

    >>> x = np.zeros((5, 2, 3), np.float32)
    >>> x[..., 0] = np.outer(np.arange(5), [0.1, -0.1])
    >>> position = xr.DataArray(
    ...     x, dims=("time", "particle", "xyz"), coords={"time": np.arange(5.0)}
    ... )
    >>> species = xr.DataArray(np.int8([0, 0]), dims="particle", attrs={"names": ["A"]})
    >>> F = dg.scattering_function(position, species, lags=[0.0, 1.0, 2.0], q=7.14)
    >>> print(F.values.round(4))
    [1.     0.9172 0.6932]
    """
    kernel = partial(displacement.self_scattering, q=arrays.number(q, "q"))
    return named(_over_pairs(kernel, position, species, lags), "scattering", q=q)


def mean_squared_displacement(
    position: xr.DataArray, species: xr.DataArray, lags: ArrayLike | None = None
) -> xr.DataArray:
    """Mean squared displacement ⟨|Δr|²⟩ of the first species.

    The average runs over particles and over all pairs of frames a lag apart, as in `scattering_function`. The drift of
    the centre of mass is removed.

    Parameters
    ----------
    position : xarray.DataArray
        Unwrapped positions over (…, time, particle, xyz) in σ, `time` in τ. Where the box varies, those of
        `without_affine_motion`. NaN where a frame is missing: the pairs of frames that exist are averaged.
    species : xarray.DataArray
        Species codes over (…, particle), with their names in `attrs["names"]`. -1 where there is no particle, whose
        position is NaN.
    lags : array_like, optional
        Times between two frames in τ, each once, in any order; those elapsed since the first frame by default.

    Returns
    -------
    xarray.DataArray
        Displacements over (…, lag), float64, in σ². NaN where no pair of frames exists.

    Raises
    ------
    DataError
        If dimensions, lengths or labels of the arrays do not match, a code has no name, a part of a frame is not
        finite, times do not rise, or no two of them are a lag apart.

    Examples
    --------
    Two particles leave each other, each at a speed of 0.1 σ/τ:

    >>> x = np.zeros((5, 2, 3), np.float32)
    >>> x[..., 0] = np.outer(np.arange(5), [0.1, -0.1])
    >>> position = xr.DataArray(
    ...     x, dims=("time", "particle", "xyz"), coords={"time": np.arange(5.0)}
    ... )
    >>> species = xr.DataArray(np.int8([0, 0]), dims="particle", attrs={"names": ["A"]})
    >>> msd = dg.mean_squared_displacement(position, species)
    >>> print(msd.values.round(4))
    [0.   0.01 0.04 0.09 0.16]
    """
    return named(_over_pairs(displacement.mean_squared_displacement, position, species, lags), "msd")


def _over_pairs(
    kernel: Callable[..., NDArray[np.floating]],
    position: xr.DataArray,
    species: xr.DataArray,
    lags: ArrayLike | None,
) -> xr.DataArray:
    position = arrays.array(position, "position", ["time", "particle", "xyz"])
    times = frame_times(position)
    wanted = times - times[:1] if lags is None else arrays.distinct(lags, "lags")
    first, second, which = frame_pairs(times, wanted)

    def compute(positions: NDArray[np.floating], codes: NDArray[np.int8]) -> NDArray[np.float64]:
        result = np.empty((*positions.shape[:-3], wanted.size))
        for run in np.ndindex(positions.shape[:-3]):
            values = pair_values(kernel, positions[run], codes[run], first, second, run)
            result[run] = mean_by_lag(values, which, wanted.size)
        return result

    averaged = arrays.apply(
        compute,
        {"position": position, "species": species_codes(species)},
        core=[["time", "particle", "xyz"], ["particle"]],
        out=[["lag"]],
        dtypes=[np.float64],
        lag=wanted.size,
    )
    return averaged.assign_coords(lag=("lag", wanted, VARIABLES["lag"].attrs))


def pair_values(
    kernel: Callable[..., NDArray[np.floating]],
    positions: NDArray[np.floating],
    codes: NDArray[np.int8],
    first: NDArray[np.int64],
    second: NDArray[np.int64],
    run: tuple[int, ...] = (),
) -> NDArray[np.floating]:
    """Averages (pair,) over the first species, from one frame of a series (time, particle, 3) to another; NaN if missing."""
    who = everyone(positions, codes, run)
    x = series(positions, who)
    return kernel(x, drift(x, who, run), np.flatnonzero(codes[who] == 0), first, second)


def mean_by_lag(values: NDArray[np.floating], which: NDArray[np.int64], lags: int) -> NDArray[np.float64]:
    """Average (lag,) over the pairs of frames of each lag that are there."""
    there = np.isfinite(values)
    with np.errstate(invalid="ignore"):
        sums = np.bincount(which[there], values[there], lags)
        return np.asarray(sums / np.bincount(which[there], minlength=lags))


def frame_pairs(
    times: NDArray[np.float64], lags: NDArray[np.float64]
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Find all pairs of frames whose distance in time is one of the lags.

    Parameters
    ----------
    times : numpy.ndarray
        Times (time,) of the frames, rising.
    lags : numpy.ndarray
        Lags (lag,), in any order.

    Returns
    -------
    first, second : numpy.ndarray
        Indices (pair,) of the two frames.
    which : numpy.ndarray
        Indices (pair,) of the lag.

    Raises
    ------
    DataError
        If no pair of frames lies a lag apart.
    """
    if times.size == 0:
        raise DataError("there is no frame, so no pair of frames")
    tolerance = 1e-3 * (np.diff(times).min() if times.size > 1 else 1.0)
    pairs = []
    for k, lag in enumerate(lags):
        second = np.searchsorted(times, times + lag - tolerance)
        first = np.flatnonzero(second < times.size)
        second = second[first]
        match = np.abs(times[second] - times[first] - lag) <= tolerance
        if not match.any():
            raise DataError(f"no two frames are {lag:g} τ apart")
        pairs.append((first[match], second[match], np.full(match.sum(), k)))
    first, second, which = (np.concatenate(part) for part in zip(*pairs, strict=True))
    return first, second, which


def relaxation_time(scattering: xr.DataArray) -> xr.DataArray:
    """Relaxation time τ_α: first crossing of 1/e by F(Q,t), interpolated linearly in (log t, F).

    Parameters
    ----------
    scattering : xarray.DataArray
        Values of F over (…, lag), as `scattering_function` returns them; lags in any order. NaN where a value is
        missing.

    Returns
    -------
    xarray.DataArray
        Times over (…) in τ. NaN, with a warning, where F does not cross 1/e between two positive lags.

    Raises
    ------
    DataError
        If lags are not numbers, or one is there twice.

    Examples
    --------
    >>> lag = np.array([1.0, 2.0, 4.0, 8.0])
    >>> F = xr.DataArray(np.exp(-lag / 3), dims="lag", coords={"lag": lag})
    >>> print(dg.relaxation_time(F).round(2).item())
    3.0
    """

    def compute(lags: NDArray[np.float64], F: NDArray[np.float64]) -> float:
        known = np.isfinite(F) & (lags > 0)
        t, values = lags[known], F[known]
        below = np.flatnonzero(values <= np.exp(-1))
        if below.size == 0 or below[0] == 0:
            reason = "stays above 1/e up to the longest lag" if below.size == 0 else "is below 1/e at the first lag"
            if t.size == 0:
                reason = "is not known at any positive lag"
            warnings.warn(f"no relaxation time: F(Q,t) {reason}", RuntimeWarning, stacklevel=2)
            return np.nan
        k = below[0]
        return crossing_time((t[k - 1], values[k - 1]), (t[k], values[k]))

    return named(_reduce_lags(compute, scattering, "scattering"), "relaxation_time")


def diffusivity(msd: xr.DataArray) -> xr.DataArray:
    """Diffusion coefficient D: slope/6 of the mean squared displacement in its diffusive part.

    The diffusive part is where d ln MSD / d ln t > 0.95 and MSD > 1 σ². The logarithmic slope at t is that of a line
    through ln MSD between t/1.5 and 1.5 t. The line MSD = 6Dt + c is fitted with weights 1/t², since relative, not
    absolute, errors are alike.

    Parameters
    ----------
    msd : xarray.DataArray
        Mean squared displacement over (…, lag) in σ²; lags in any order. NaN where a value is missing.

    Returns
    -------
    xarray.DataArray
        Coefficients over (…) in σ²/τ. NaN where the run never becomes diffusive.

    Raises
    ------
    DataError
        If lags are not numbers, one is there twice, or a displacement is negative.

    Examples
    --------
    >>> lag = np.array([10.0, 20.0, 40.0, 50.0, 60.0, 70.0])
    >>> msd = xr.DataArray(6 * 0.02 * lag + 0.1, dims="lag", coords={"lag": lag})
    >>> print(dg.diffusivity(msd).round(4).item())
    0.02
    """

    def compute(lags: NDArray[np.float64], values: NDArray[np.float64]) -> float:
        if (values < 0).any():
            raise DataError(f"msd must not be negative; got {values[values < 0][0]:g}")
        known = np.isfinite(values) & (lags > 0) & (values > 0)
        t, x = lags[known], values[known]
        diffusive = is_diffusive(t, x)
        if diffusive.sum() < 2:
            return np.nan
        return float(np.polyfit(t[diffusive], x[diffusive], 1, w=1 / t[diffusive])[0] / 6)

    return named(_reduce_lags(compute, msd, "msd"), "diffusivity")


def reduced_diffusivity(
    D: xr.DataArray, density: xr.DataArray | float, temperature: xr.DataArray | float
) -> xr.DataArray:
    """Reduced diffusion coefficient D* = ρ^{1/3} √(m/k_BT) D.

    The length is ρ^{−1/3}, the time that of a free particle over it (Sec. III.A of [1]_; [2]_).

    Parameters
    ----------
    D : xarray.DataArray or float
        Diffusion coefficients over (…) in σ²/τ.
    density : xarray.DataArray or float
        Number density ρ over (…) in σ⁻³.
    temperature : xarray.DataArray or float
        Temperature over (…) in ε/k_B.

    Returns
    -------
    xarray.DataArray
        Values of D* over (…), float64, dimensionless.

    Raises
    ------
    DataError
        If labels of the arrays differ, or a density or temperature is not positive.

    References
    ----------
    .. [1] I. R. Graham, P. E. Arratia and R. A. Riggleman, "Exploring the Relationship Between Softness and Excess
       Entropy in Glass-forming Systems", arXiv:2302.00866 (2023).
    .. [2] Y. Rosenfeld, "Relation between the transport coefficients and the internal entropy of simple systems",
       Physical Review A 15, 2545 (1977).

    Examples
    --------
    >>> D = xr.DataArray([0.02, 0.001], dims="temperature", coords={"temperature": [1.0, 0.5]})
    >>> print(dg.reduced_diffusivity(D, 1.2, D.temperature).values.round(5))
    [0.02125 0.0015 ]
    """

    def compute(D: NDArray[np.floating], rho: NDArray[np.floating], T: NDArray[np.floating]) -> NDArray[np.float64]:
        for name, values in (("density", rho), ("temperature", T)):
            if (wrong := values <= 0).any():
                raise DataError(f"{name} must be positive; got {values[wrong][0]}")
        return np.asarray(rho ** (1 / 3) * D / T**0.5, np.float64)

    given: dict[str, Any] = {"D": D, "density": density, "temperature": temperature}
    checked = {name: arrays.array_or_number(value, name) for name, value in given.items()}
    reduced = arrays.apply(compute, checked, core=[[], [], []], out=[[]], dtypes=[np.float64])
    return named(reduced, "reduced_diffusivity")


def _reduce_lags(
    compute: Callable[[NDArray[np.float64], NDArray[np.float64]], float], given: xr.DataArray, name: str
) -> xr.DataArray:
    """Reduce each series of values over lags to one number, by a function of the rising lags and the values."""
    series = arrays.in_order(arrays.array(given, name, ["lag"]), "lag", name)
    lags = series["lag"].values.astype(np.float64)

    def reduce(values: NDArray[np.floating]) -> NDArray[np.float64]:
        result = np.empty(values.shape[:-1])
        for row in np.ndindex(result.shape):
            result[row] = compute(lags, values[row].astype(np.float64))
        return result

    return arrays.apply(reduce, {name: series}, core=[["lag"]], out=[[]], dtypes=[np.float64])
