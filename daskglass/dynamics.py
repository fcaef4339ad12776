"""Motion: hop indicator and labels, scattering function, relaxation time, displacement and diffusivity."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from functools import partial

import dask.array as da
import numpy as np
import xarray as xr
from numpy.typing import ArrayLike, NDArray

from daskglass.errors import DataError
from daskglass.kernels import displacement, hop
from daskglass.particles import box_over_frames, drift, frame_interval, frame_times, is_species
from daskglass.variables import VARIABLES, named

Q_PEAK = 7.14


def without_affine_motion(
    position: xr.DataArray, box: xr.DataArray, reference: xr.DataArray | None = None
) -> xr.DataArray:
    """Positions as they would be in a box that keeps its size, x(t) L₀/L(t) along each edge.

    A barostat moves all particles with the box. An unwrapped position x = w + nL takes this up n times over: a particle
    at fixed fractions of the edges seems to move by x δL/L, the farther from the origin the more. Divided by L(t), only
    motion relative to the box is left. The origin does not matter to dynamics: another one shifts all particles alike,
    as drift, which they remove.

    Dynamics at constant pressure (`hop_indicator`, `scattering_function`, `mean_squared_displacement`) are those of
    these positions; structure, of those at each time. Images cost digits: in single precision a particle at rest |x| from
    the origin is so up to 2⁻²³ |x| (half of it stored, half from here), which is 2e-5 σ at 150 σ, 4e-10 σ² squared.

    Parameters
    ----------
    position : (…, time, particle, xyz) unwrapped, in σ
    box : edges (…, time, xyz) in σ; of a box without time, `position` is returned as it is
    reference : edges L₀ (…, xyz) in σ; those of the first frame by default

    Returns
    -------
    (…, time, particle, xyz) in σ, of the type of `position`

    Raises
    ------
    DataError
        If a frame with positions, or the reference, has edges that are not positive and finite; frames are counted within
        the block at hand.
    """
    edges = box_over_frames(box)
    if "time" not in edges.dims and reference is None:
        return position
    kept = edges.isel(time=0, drop=True) if reference is None else box_over_frames(reference)

    def compute(x: NDArray[np.floating], L: NDArray[np.floating], L_0: NDArray[np.floating]) -> NDArray[np.floating]:
        with np.errstate(divide="ignore", invalid="ignore"):
            scale = np.float64(L_0) / L
        wrong = np.isfinite(x).any(axis=-2) & ~((L > 0) & (scale > 0) & np.isfinite(scale))
        if wrong.any():
            where = tuple(map(int, np.argwhere(wrong)[0]))
            L, L_0 = (np.broadcast_to(values, wrong.shape)[where[:-1]] for values in (L, L_0))
            raise DataError(f"frame {where[:-1]}: box edges must be positive and finite; got {L}, reference {L_0}")
        factor = scale[..., None, :]
        # buffered: in double precision, and no copy of it
        scaled = np.empty(np.broadcast_shapes(x.shape, factor.shape), x.dtype)
        return np.multiply(x, factor, out=scaled, casting="same_kind")

    return xr.apply_ufunc(
        compute,
        position,
        edges,
        kept,
        input_core_dims=[["particle", "xyz"], ["xyz"], ["xyz"]],
        output_core_dims=[["particle", "xyz"]],
        dask="parallelized",
        dask_gufunc_kwargs={"allow_rechunk": True},
        output_dtypes=[position.dtype],
        keep_attrs="override",
    )


def hop_indicator(position: xr.DataArray, window: float = 10.0) -> xr.DataArray:
    """Hop indicator p_hop of every particle at every time.

    p_hop(i,t) = √( ⟨|x_i − ⟨x_i⟩_B|²⟩_A ⟨|x_i − ⟨x_i⟩_A|²⟩_B ) with windows A = [t − t_R/2, t] and
    B = [t, t + t_R/2], both with frame t (paper, Eq. 1). The drift of the centre of mass is removed first.

    Parameters
    ----------
    position : (…, time, particle, xyz) unwrapped, in σ; frames equally spaced in `time` (τ); where the box varies,
        those of `without_affine_motion`
    window : t_R in τ; half of it must be a whole number of frames

    Returns
    -------
    (…, time, particle) float32 in σ², NaN where a window does not fit into the series.

    Raises
    ------
    DataError
        If frames are not equally spaced, are fewer than a window, or the window is no whole number of frames.
    """
    half = half_window(position, window)
    ordered = position.transpose(..., "time", "particle", "xyz")

    def compute(positions: NDArray[np.float32]) -> NDArray[np.float32]:
        positions = np.ascontiguousarray(positions)
        values = np.empty(positions.shape[:-1], np.float32)
        moved = drift(positions)
        for run in np.ndindex(positions.shape[:-3]):
            hop.hop_indicator(positions[run], moved[run], half, values[run])
        return values

    if isinstance(ordered.data, da.Array):
        axis = ordered.get_axis_num("time")
        whole = ordered.chunk({"particle": -1, "xyz": -1})
        values = da.map_overlap(
            compute,
            whole.data,
            depth={axis: half},
            boundary="none",
            drop_axis=ordered.ndim - 1,
            dtype=np.float32,
            meta=np.empty((0,) * (ordered.ndim - 1), np.float32),
        )
    else:
        values = compute(ordered.values)
    result = ordered.isel(xyz=0, drop=True).copy(data=values)
    return named(result, "hop", window=window)


def half_window(position: xr.DataArray, window: float) -> int:
    """Number of frames in t_R/2; see `hop_indicator`."""
    interval = frame_interval(position)
    half = round(window / 2 / interval)
    if half < 1 or abs(half * interval - window / 2) > 1e-3 * interval:
        raise DataError(f"half the window of {window} τ must be a whole number of frames {interval:g} τ apart")
    if position.sizes["time"] < 2 * half + 1:
        raise DataError(
            f"{position.sizes['time']} frames are fewer than the {2 * half + 1} a window of {window} τ spans"
        )
    return half


def rearrangement_labels(
    hop_values: xr.DataArray,
    species: xr.DataArray,
    soft: float = 0.2,
    hard: float = 0.05,
    soft_separation: float = 10.0,
    hard_separation: float = 80.0,
) -> xr.DataArray:
    """Label moments of rearrangement and of rest of the particles of the first species.

    Soft (1): local maxima of p_hop(t) above `soft`, at least `soft_separation` apart, the highest kept. Hard (0): local
    minima below `hard`, at least `hard_separation` apart, the deepest kept. Plateaus count once, at their middle
    (`scipy.signal.find_peaks` on p_hop and on −p_hop).

    Parameters
    ----------
    hop_values : (…, time, particle) p_hop in σ²
    species : (particle,) codes
    soft, hard : thresholds in σ²
    soft_separation, hard_separation : in τ

    Returns
    -------
    (…, time, particle) int8: 1 soft, 0 hard, -1 neither.
    """
    interval = frame_interval(hop_values)
    # "at least" so many frames, whatever the last digit of the times says
    least_soft, least_hard = (separation / interval - 1e-3 for separation in (soft_separation, hard_separation))

    def compute(values: NDArray[np.float32], chosen: NDArray[np.bool_]) -> NDArray[np.int8]:
        labels = np.empty(values.shape, np.int8)
        for run in np.ndindex(values.shape[:-2]):
            hop.rearrangement_labels(values[run], soft, hard, least_soft, least_hard, chosen, labels[run])
        return labels

    labels = xr.apply_ufunc(
        compute,
        hop_values,
        is_species(species),
        input_core_dims=[["time", "particle"], ["particle"]],
        output_core_dims=[["time", "particle"]],
        dask="parallelized",
        dask_gufunc_kwargs={"allow_rechunk": True},
        output_dtypes=[np.int8],
        keep_attrs=False,
    )
    return named(labels, "label")


def scattering_function(
    position: xr.DataArray, species: xr.DataArray, q: float = Q_PEAK, lags: ArrayLike | None = None
) -> xr.DataArray:
    """Self-intermediate scattering function of the first species, F(Q,t) = ⟨ sin(QΔr)/(QΔr) ⟩.

    The average runs over particles and over all pairs of frames that far apart (isotropic form of the equation in
    Sec. II.A of the paper); the drift of the centre of mass is removed.

    Parameters
    ----------
    position : (…, time, particle, xyz) unwrapped, in σ; where the box varies, those of `without_affine_motion`
    species : (particle,) codes
    q : wave number Q in 1/σ
    lags : times in τ; those elapsed since the first frame by default

    Returns
    -------
    (…, lag) float64
    """
    kernel = partial(displacement.self_scattering, q=q)
    return named(_over_pairs(kernel, position, species, lags), "scattering", q=q)


def mean_squared_displacement(
    position: xr.DataArray, species: xr.DataArray, lags: ArrayLike | None = None
) -> xr.DataArray:
    """Mean squared displacement ⟨|Δr|²⟩ of the first species in σ², (…, lag); see `scattering_function`."""
    return named(_over_pairs(displacement.mean_squared_displacement, position, species, lags), "msd")


def _over_pairs(
    kernel: Callable[..., NDArray[np.floating]],
    position: xr.DataArray,
    species: xr.DataArray,
    lags: ArrayLike | None,
) -> xr.DataArray:
    times = frame_times(position)
    wanted = times - times[0] if lags is None else np.asarray(lags, dtype=np.float64)
    first, second, which = frame_pairs(times, wanted)
    chosen = np.flatnonzero(np.asarray(is_species(species)))

    def compute(positions: NDArray[np.float32]) -> NDArray[np.float64]:
        positions = np.ascontiguousarray(positions)
        moved = drift(positions)
        result = np.empty((*positions.shape[:-3], wanted.size))
        for run in np.ndindex(positions.shape[:-3]):
            values = kernel(positions[run], moved[run], chosen, first, second)
            result[run] = np.bincount(which, values, wanted.size) / np.bincount(which, minlength=wanted.size)
        return result

    averaged = xr.apply_ufunc(
        compute,
        position,
        input_core_dims=[["time", "particle", "xyz"]],
        output_core_dims=[["lag"]],
        dask="parallelized",
        dask_gufunc_kwargs={"output_sizes": {"lag": wanted.size}, "allow_rechunk": True},
        output_dtypes=[np.float64],
        keep_attrs=False,
    )
    return averaged.assign_coords(lag=("lag", wanted, VARIABLES["lag"].attrs))


def frame_pairs(
    times: NDArray[np.float64], lags: NDArray[np.float64]
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Find all pairs of frames whose distance in time is one of the lags.

    Returns
    -------
    first, second, which : (pair,) indices of the two frames, and of the lag

    Raises
    ------
    DataError
        If no pair of frames lies a lag apart.
    """
    if not (np.diff(times) > 0).all():
        raise DataError("times of frames must rise strictly")
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
    scattering : (…, lag)

    Returns
    -------
    (…) in τ; NaN, with a warning, where F does not cross 1/e between two positive lags.
    """
    lags = np.asarray(scattering["lag"].values, dtype=np.float64)

    def compute(F: NDArray[np.float64]) -> float:
        known = np.isfinite(F) & (lags > 0)
        t, values = lags[known], F[known]
        below = np.flatnonzero(values <= np.exp(-1))
        if below.size == 0 or below[0] == 0:
            reason = "stays above 1/e up to the longest lag" if below.size == 0 else "is below 1/e at the first lag"
            warnings.warn(f"no relaxation time: F(Q,t) {reason}", RuntimeWarning, stacklevel=2)
            return np.nan
        k = below[0]
        fraction = (values[k - 1] - np.exp(-1)) / (values[k - 1] - values[k])
        return float(np.exp(np.log(t[k - 1]) + fraction * np.log(t[k] / t[k - 1])))

    return named(_reduce_lags(compute, scattering), "relaxation_time")


def diffusivity(msd: xr.DataArray) -> xr.DataArray:
    """Diffusion coefficient D: slope/6 of the mean squared displacement in its diffusive part.

    The diffusive part is where d ln MSD / d ln t > 0.95 and MSD > 1 σ². The logarithmic slope at t is that of a line
    through ln MSD between t/1.5 and 1.5 t. The line MSD = 6Dt + c is fitted with weights 1/t², since relative,
    not absolute, errors are alike.

    Parameters
    ----------
    msd : (…, lag) in σ²

    Returns
    -------
    (…) in σ²/τ; NaN where the run never becomes diffusive.
    """
    lags = np.asarray(msd["lag"].values, dtype=np.float64)

    def compute(values: NDArray[np.float64]) -> float:
        known = np.isfinite(values) & (lags > 0) & (values > 0)
        t, x = lags[known], values[known]
        diffusive = (_logarithmic_slope(t, x) > 0.95) & (x > 1.0)
        if diffusive.sum() < 2:
            return np.nan
        return float(np.polyfit(t[diffusive], x[diffusive], 1, w=1 / t[diffusive])[0] / 6)

    return named(_reduce_lags(compute, msd), "diffusivity")


def reduced_diffusivity(
    D: xr.DataArray, density: xr.DataArray | float, temperature: xr.DataArray | float
) -> xr.DataArray:
    """D* = ρ^{1/3} √(m/k_BT) D (paper, Sec. III.A), dimensionless."""
    return named(density ** (1 / 3) * D / temperature**0.5, "reduced_diffusivity")


def _logarithmic_slope(t: NDArray[np.float64], x: NDArray[np.float64], span: float = 1.5) -> NDArray[np.float64]:
    log_t, log_x = np.log(t), np.log(x)
    slopes = np.full(t.size, np.nan)
    for k in range(t.size):
        near = np.abs(log_t - log_t[k]) <= np.log(span)
        if near.sum() > 1:
            slopes[k] = np.polyfit(log_t[near], log_x[near], 1)[0]
    return slopes


def _reduce_lags(compute: Callable[[NDArray[np.float64]], float], array: xr.DataArray) -> xr.DataArray:
    return xr.apply_ufunc(
        compute,
        array,
        input_core_dims=[["lag"]],
        vectorize=True,
        dask="parallelized",
        dask_gufunc_kwargs={"allow_rechunk": True},
        output_dtypes=[np.float64],
        keep_attrs=False,
    )
