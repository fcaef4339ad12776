"""Hops: the hop indicator, and labels of rearranging and resting particles."""

from __future__ import annotations

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from daskglass.errors import DataError
from daskglass.kernels import hop as hop_kernel
from daskglass.physics import arrays
from daskglass.physics.defaults import (
    HARD_SEPARATION,
    REARRANGING,
    RESTING,
    SOFT_SEPARATION,
    WINDOW,
)
from daskglass.physics.particles import (
    Who,
    drift,
    frame_interval,
    series,
    species_codes,
)
from daskglass.variables import named


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
    >>> position = xr.DataArray(
    ...     x, dims=("time", "particle", "xyz"), coords={"time": np.arange(21.0)}
    ... )
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

    if ordered.chunks is not None:
        import dask.array as da

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
    return series(positions, who), who


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
