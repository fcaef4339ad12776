"""Motion: hop indicator and labels, scattering function, relaxation time, displacement and diffusivity."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from functools import partial
from typing import Any

import dask.array as da
import numpy as np
import xarray as xr
from numpy.typing import ArrayLike, NDArray

from daskglass.errors import DataError
from daskglass.kernels import displacement
from daskglass.kernels import hop as hop_kernel
from daskglass.physics import arrays
from daskglass.physics.defaults import (
    HARD_SEPARATION,
    Q_PEAK,
    REARRANGING,
    RESTING,
    SOFT_SEPARATION,
    WINDOW,
)
from daskglass.physics.particles import (
    Who,
    box_over_frames,
    drift,
    everyone,
    frame_interval,
    frame_times,
    species_codes,
)
from daskglass.physics.relaxation import crossing_time
from daskglass.variables import VARIABLES, named


def without_affine_motion(
    position: xr.DataArray, box: xr.DataArray, reference: xr.DataArray | None = None
) -> xr.DataArray:
    """Rescale positions to a box that keeps its size, x(t) L₀/L(t) along each edge.

    A barostat moves all particles with the box. An unwrapped position x = w + nL takes this up n times over: a particle
    at fixed fractions of the edges seems to move by x δL/L, the farther from the origin the more [1]_. Divided by L(t),
    only motion relative to the box is left. The origin does not matter to dynamics: another one shifts all particles
    alike, as drift, which they remove.

    At constant pressure, give these positions to `hop_indicator`, `scattering_function` and
    `mean_squared_displacement`; structure is that of the positions at each time. Images cost digits: in single
    precision a particle at rest |x| from the origin moves by up to 2⁻²³ |x| (half of it stored, half from here), which
    is 2e-5 σ at 150 σ, 4e-10 σ² squared.

    Parameters
    ----------
    position : xarray.DataArray
        Unwrapped positions over (…, time, particle, xyz) in σ.
    box : xarray.DataArray
        Edge lengths over (…, time, xyz) in σ. Without the dimension `time`, `position` is returned as it is.
    reference : xarray.DataArray, optional
        Edge lengths L₀ over (…, xyz) in σ; those of the first frame by default.

    Returns
    -------
    xarray.DataArray
        Positions over (…, time, particle, xyz) in σ, of the type of `position`.

    Raises
    ------
    DataError
        If dimensions, lengths or labels do not match, times do not rise, or a frame with positions, or the reference,
        has edges that are not positive and finite; frames are counted within the block at hand.

    References
    ----------
    .. [1] S. von Bülow, J. T. Bullerjahn and G. Hummer, "Systematic errors in diffusion coefficients from long-time
       molecular dynamics simulations at constant pressure", The Journal of Chemical Physics 153, 021101 (2020).

    Examples
    --------
    A box grows by 1 %; one particle moves with it, another one stays:

    >>> x = np.zeros((2, 2, 3))
    >>> x[:, 0, 0], x[:, 1, 0] = [8.0, 8.08], [8.0, 8.0]
    >>> position = xr.DataArray(x, dims=("time", "particle", "xyz"), coords={"time": [0.0, 1.0]})
    >>> box = xr.DataArray([[10.0, 10.0, 10.0], [10.1, 10.1, 10.1]], dims=("time", "xyz"))
    >>> print(dg.without_affine_motion(position, box).isel(xyz=0).values.round(3))
    [[8.    8.   ]
     [8.    7.921]]
    """
    position = arrays.array(position, "position", ["time", "particle", "xyz"])
    given = arrays.together({"position": position, "box": box_over_frames(box)})
    position, edges = given["position"], given["box"]
    if "time" not in edges.dims and reference is None:
        return position
    if "time" in position.coords and position["time"].ndim == 1:
        frame_times(position)
    kept = edges.isel(time=0, drop=True) if reference is None else box_over_frames(reference, "reference")
    if "time" in kept.dims:
        raise DataError(f"reference must not vary along time; it has {dict(kept.sizes)}")
    kept = kept.drop_vars("time", errors="ignore")

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

    return arrays.apply(
        compute,
        {"position": position, "box": edges, "reference": kept},
        core=[["particle", "xyz"], ["xyz"], ["xyz"]],
        out=[["particle", "xyz"]],
        dtypes=[position.dtype],
        keep_attrs="override",
    )


def hop_indicator(position: xr.DataArray, window: float = WINDOW) -> xr.DataArray:
    """Hop indicator p_hop of every particle at every time.

    p_hop(i,t) = √( ⟨|x_i − ⟨x_i⟩_B|²⟩_A ⟨|x_i − ⟨x_i⟩_A|²⟩_B ) with windows A = [t − t_R/2, t] and B = [t, t + t_R/2],
    both with frame t (Eq. 1 of [1]_; [2]_). The drift of the centre of mass is removed first. A particle that jumps by
    a at t has p_hop(t) = a² (h/(h+1))^{3/2}, where h is the number of frames in t_R/2.

    Parameters
    ----------
    position : xarray.DataArray
        Unwrapped positions over (…, time, particle, xyz) in σ, frames equally spaced in `time` (τ). Where the box
        varies, those of `without_affine_motion`. NaN where a frame is missing, or a particle that a smaller system does
        not have.
    window : float, optional
        Window t_R in τ; half of it is a whole number of frames.

    Returns
    -------
    xarray.DataArray
        Values of p_hop over (…, time, particle), float32, in σ². NaN where a window does not fit into the series or
        holds a missing frame.

    Raises
    ------
    DataError
        If a dimension is missing, a part of a frame is not finite, frames are not equally spaced in rising time, are
        fewer than a window, or half the window is no whole number of frames.

    References
    ----------
    .. [1] I. R. Graham, P. E. Arratia and R. A. Riggleman, "Exploring the Relationship Between Softness and Excess
       Entropy in Glass-forming Systems", arXiv:2302.00866 (2023).
    .. [2] R. Candelier, A. Widmer-Cooper, J. K. Kummerfeld, O. Dauchot, G. Biroli, P. Harrowell and D. R. Reichman,
       "Spatiotemporal Hierarchy of Relaxation Events, Dynamical Heterogeneities, and Structural Reorganization in a
       Supercooled Liquid", Physical Review Letters 105, 135702 (2010).

    Examples
    --------
    Two particles jump by 1 σ, in opposite directions, between the times 9 and 10:

    >>> x = np.zeros((21, 2, 3), np.float32)
    >>> x[10:, :, 0] = [1, -1]
    >>> position = xr.DataArray(x, dims=("time", "particle", "xyz"), coords={"time": np.arange(21.0)})
    >>> hop = dg.hop_indicator(position, window=10.0)
    >>> print(hop.isel(particle=0).sel(time=[4, 5, 7, 9, 10]).values.round(2))
    [ nan 0.07 0.35 0.76 0.76]
    """
    position = arrays.array(position, "position", ["time", "particle", "xyz"])
    half = half_window(position, window)
    ordered = position.transpose(..., "time", "particle", "xyz")

    def compute(positions: NDArray[np.floating]) -> NDArray[np.float32]:
        values = np.full(positions.shape[:-1], np.nan, np.float32)
        for run in np.ndindex(positions.shape[:-3]):
            x, who = _of_whom(positions[run])
            part = values[run][:, who]
            hop_kernel.hop_indicator(x, drift(x, who, run), half, part)
            values[run][:, who] = part
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


def _of_whom(positions: NDArray[np.floating]) -> tuple[NDArray[np.floating], Who]:
    """Positions (time, particle, 3) without the particles that no frame has, where any frame has some."""
    who: Who = slice(None)
    if positions.size and np.isnan(positions[0]).any():
        there = np.flatnonzero(~np.isnan(positions).all(axis=(0, 2)))
        who = there if there.size else who
    return _series(positions, who), who


def _series(positions: NDArray[np.floating], who: Who) -> NDArray[np.floating]:
    """Positions (time, particle, 3) of those who are there, as kernels know them."""
    x = np.ascontiguousarray(positions[:, who])
    # of one kind, whether they are a part or all
    x = x.view()
    x.flags.writeable = False
    return x


def half_window(position: xr.DataArray, window: float) -> int:
    """Number of frames in t_R/2; see `hop_indicator`."""
    interval, window = frame_interval(position), arrays.number(window, "window")
    half = round(window / 2 / interval)
    if half < 1 or abs(half * interval - window / 2) > 1e-3 * interval:
        raise DataError(f"half the window of {window} τ must be a whole number of frames {interval:g} τ apart")
    if position.sizes["time"] < 2 * half + 1:
        raise DataError(
            f"{position.sizes['time']} frames are fewer than the {2 * half + 1} a window of {window} τ spans"
        )
    return half


def rearrangement_labels(
    hop: xr.DataArray,
    species: xr.DataArray,
    soft: float = REARRANGING,
    hard: float = RESTING,
    soft_separation: float = SOFT_SEPARATION,
    hard_separation: float = HARD_SEPARATION,
) -> xr.DataArray:
    """Label moments of rearrangement and of rest of the particles of the first species.

    Soft (1): local maxima of p_hop(t) above `soft`, at least `soft_separation` apart, the highest kept. Hard (0): local
    minima below `hard`, at least `hard_separation` apart, the deepest kept. Plateaus count once, at their middle
    (`scipy.signal.find_peaks` on p_hop and on −p_hop). The rule is that of [1]_ and [2]_.

    Parameters
    ----------
    hop : xarray.DataArray
        Values of p_hop over (…, time, particle) in σ², as `hop_indicator` returns them. NaN at the ends, where no
        window fits, and where frames are missing.
    species : xarray.DataArray
        Species codes over (…, particle), with their names in `attrs["names"]`. -1 where there is no particle.
    soft : float, optional
        Threshold of a rearrangement in σ².
    hard : float, optional
        Threshold of rest in σ².
    soft_separation : float, optional
        Least time between two soft labels of a particle, in τ.
    hard_separation : float, optional
        Least time between two hard labels of a particle, in τ.

    Returns
    -------
    xarray.DataArray
        Labels over (…, time, particle), int8: 1 soft, 0 hard, -1 neither. A value beside a missing one is no extremum,
        as at the ends.

    Raises
    ------
    DataError
        If dimensions, lengths or labels do not match, a code has no name, or frames are not equally spaced in rising
        time.

    References
    ----------
    .. [1] I. R. Graham, P. E. Arratia and R. A. Riggleman, "Exploring the Relationship Between Softness and Excess
       Entropy in Glass-forming Systems", arXiv:2302.00866 (2023).
    .. [2] S. S. Schoenholz, E. D. Cubuk, D. M. Sussman, E. Kaxiras and A. J. Liu, "A structural approach to relaxation
       in glassy liquids", Nature Physics 12, 469 (2016).

    Examples
    --------
    >>> series = [0.1, 0.3, 0.9, 0.3, 0.1, 0.02, 0.1, 0.4, 0.1]
    >>> hop = xr.DataArray(
    ...     np.float32(series)[:, None], dims=("time", "particle"), coords={"time": np.arange(9.0)}
    ... )
    >>> species = xr.DataArray(np.int8([0]), dims="particle", attrs={"names": ["A"]})
    >>> labels = dg.rearrangement_labels(hop, species, soft_separation=3.0)
    >>> print(labels.isel(particle=0).values)
    [-1 -1  1 -1 -1  0 -1  1 -1]
    """
    hop = arrays.array(hop, "hop", ["time", "particle"])
    interval = frame_interval(hop)
    soft, hard = arrays.number(soft, "soft", False), arrays.number(hard, "hard", False)
    # "at least" this many frames, whatever the last digit of the times says
    least_soft = arrays.number(soft_separation, "soft_separation", False) / interval - 1e-3
    least_hard = arrays.number(hard_separation, "hard_separation", False) / interval - 1e-3

    def compute(values: NDArray[np.floating], codes: NDArray[np.int8]) -> NDArray[np.int8]:
        labels = np.empty(values.shape, np.int8)
        for run in np.ndindex(values.shape[:-2]):
            chosen = codes[run] == 0
            hop_kernel.rearrangement_labels(values[run], soft, hard, least_soft, least_hard, chosen, labels[run])
        return labels

    labels = arrays.apply(
        compute,
        {"hop": hop, "species": species_codes(species)},
        core=[["time", "particle"], ["particle"]],
        out=[["time", "particle"]],
        dtypes=[np.int8],
    )
    return named(labels, "label")


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
    >>> position = xr.DataArray(x, dims=("time", "particle", "xyz"), coords={"time": np.arange(5.0)})
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
    >>> position = xr.DataArray(x, dims=("time", "particle", "xyz"), coords={"time": np.arange(5.0)})
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
            who = everyone(positions[run], codes[run], run)
            x = _series(positions[run], who)
            values = kernel(x, drift(x, who, run), np.flatnonzero(codes[run][who] == 0), first, second)
            there = np.isfinite(values)
            with np.errstate(invalid="ignore"):
                sums = np.bincount(which[there], values[there], wanted.size)
                result[run] = sums / np.bincount(which[there], minlength=wanted.size)
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
        diffusive = (_logarithmic_slope(t, x) > 0.95) & (x > 1.0)
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


def _logarithmic_slope(t: NDArray[np.float64], x: NDArray[np.float64], span: float = 1.5) -> NDArray[np.float64]:
    log_t, log_x = np.log(t), np.log(x)
    slopes = np.full(t.size, np.nan)
    for k in range(t.size):
        near = np.abs(log_t - log_t[k]) <= np.log(span)
        if near.sum() > 1:
            slopes[k] = np.polyfit(log_t[near], log_x[near], 1)[0]
    return slopes


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
