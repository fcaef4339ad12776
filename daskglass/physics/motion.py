"""Motion in all runs of one temperature and replica: averaged, and known as well as their parts agree."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from daskglass.kernels import displacement
from daskglass.physics import arrays
from daskglass.physics.dynamics import frame_pairs, mean_by_lag, pair_values
from daskglass.physics.particles import frame_times, species_codes
from daskglass.physics.relaxation import crossing_time, is_diffusive

PARTS = 5  # of the time of a run, that are compared
FEWEST_PARTS, FEWEST_WINDOWS = 1.05, 3.0  # that tell how far they scatter
FINE = 10  # intervals between frames: from there on, what is between two lags lies on a line to 1e-3 of F


class Motion(NamedTuple):
    """Scattering function and mean squared displacement of a run, NaN at lags that it does not have.

    Attributes
    ----------
    curves : (2, lag) F and MSD
    parts : (2, part, lag) the same, of pairs of frames whose first lies in a part of the run
    covered : (part, lag) time that the pairs of a part cover, τ: how much they count beside those of other runs
    """

    curves: NDArray[np.float64]
    parts: NDArray[np.float64]
    covered: NDArray[np.float64]


def motion(position: xr.DataArray, species: xr.DataArray, lags: NDArray[np.float64], q: float) -> Motion:
    """Average over all pairs of frames of a run that are one of the lags apart.

    Parameters
    ----------
    position : (time, particle, xyz) unwrapped, σ; NaN where a frame is missing
    species : (particle,) codes
    lags : (lag,) τ; those that are no time after the first frame are left out
    q : wave number, 1/σ
    """
    positions, codes, times = _checked(position, species)
    elapsed = times - times[0]
    present = np.abs(elapsed[:, None] - lags).min(axis=0) <= 1e-3 * np.diff(times).min()
    found = _unknown(lags.size)
    if not present.any():
        return found
    first, second, which = frame_pairs(times, lags[present])
    part = np.minimum(PARTS * elapsed[first] / (elapsed[-1] or 1.0), PARTS - 1).astype(np.int64)
    count = int(present.sum())
    kernels: tuple[Callable[..., NDArray[np.floating]], ...] = (
        partial(displacement.self_scattering, q=q),
        displacement.mean_squared_displacement,
    )
    for curve, kernel in enumerate(kernels):
        values = pair_values(kernel, positions, codes, first, second)
        found.curves[curve, present] = mean_by_lag(values, which, count)
        by_part = mean_by_lag(values, part * count + which, PARTS * count)
        found.parts[curve, :, present] = by_part.reshape(PARTS, count).T
    there = np.isfinite(values)
    pairs = np.bincount((part * count + which)[there], minlength=PARTS * count).reshape(PARTS, count)
    windows = _covered(times[first[there]], which[there], lags[present])
    found.covered[:, present] = windows * pairs / np.maximum(pairs.sum(axis=0), 1)
    return found


def motion_between(position: xr.DataArray, species: xr.DataArray, lags: NDArray[np.float64], q: float) -> Motion:
    """Motion in a run of uniform frames at lags that need not be its own: on the line between the two nearest.

    Parameters are those of `motion`; lags of less than ten intervals are left out.
    """
    _, _, times = _checked(position, species)
    interval = (times[-1] - times[0]) / max(times.size - 1, 1)
    found = _unknown(lags.size)
    if not interval:
        return found
    number = np.round(lags / interval, 6)
    below, above = np.floor(number).astype(np.int64), np.ceil(number).astype(np.int64)
    known = (below >= FINE) & (above < times.size)
    wanted = np.unique([below[known], above[known]])
    own = motion(position, species, wanted * interval, q)
    low, high = np.searchsorted(wanted, below[known]), np.searchsorted(wanted, above[known])
    weight = number[known] - below[known]
    for mine, theirs in zip(found, own, strict=True):
        mine[..., known] = (1 - weight) * theirs[..., low] + weight * theirs[..., high]
    return found


def averaged(runs: Sequence[Motion]) -> Motion:
    """Average runs, each weighted by the time that it covers; their parts side by side. One run stays as it is."""
    if len(runs) == 1:
        return runs[0]
    weights = np.stack([np.where(np.isfinite(run.curves[0]), run.covered.sum(axis=0), 0.0) for run in runs])
    curves = np.stack([run.curves for run in runs], axis=1)
    with np.errstate(invalid="ignore"):
        # shares first: that of a run alone is exactly one
        share = weights / weights.sum(axis=0)
        mean = np.sum(np.where(weights > 0, share * curves, 0.0), axis=1)
    mean[:, weights.sum(axis=0) == 0] = np.nan
    return Motion(
        mean, np.concatenate([run.parts for run in runs], axis=1), np.concatenate([run.covered for run in runs])
    )


def standard_errors(run: Motion, lags: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the standard errors (2, lag) of F and MSD, from how far parts of the time scatter.

    There are no more independent parts than windows of a lag side by side; NaN where there are less than three.
    """
    covered = run.covered.sum(axis=0)
    with np.errstate(invalid="ignore", divide="ignore"):
        share = run.covered / covered
        parts, windows = 1.0 / np.sum(share**2, axis=0), covered / lags
        # the mean is the nearer to each part, the fewer there are
        few = parts / (parts - 1.0) * np.maximum(1.0, parts / windows)
        squares = np.where(share > 0, (share * (run.parts - run.curves[:, None])) ** 2, 0.0).sum(axis=1)
        known = (windows >= FEWEST_WINDOWS) & (parts > FEWEST_PARTS)
        return np.asarray(np.where(known, np.sqrt(few * squares), np.nan))


def relaxation_time_error(scattering: xr.DataArray, error: xr.DataArray) -> xr.DataArray:
    """Standard error of τ_α (…): that of F where it crosses 1/e, over its slope; both over (…, lag), rising."""

    def compute(t: NDArray[np.float64], F: NDArray[np.float64], error: NDArray[np.float64]) -> float:
        below = np.flatnonzero(np.exp(-1) >= F)
        if not below.size or not below[0]:
            return np.nan
        k = below[0]
        tau = crossing_time((t[k - 1], F[k - 1]), (t[k], F[k]))
        slope = (F[k] - F[k - 1]) / np.log(t[k] / t[k - 1])
        return float(-tau / slope * np.interp(np.log(tau), np.log(t[k - 1 : k + 1]), error[k - 1 : k + 1]))

    return _over_lags(compute, scattering, error)


def diffusivity_error(msd: xr.DataArray, error: xr.DataArray) -> xr.DataArray:
    """Standard error of D (…), from that of MSD; both over (…, lag), rising.

    The error of the fitted slope follows from those of the diffusive part, where motion is Brownian, so that windows of two
    lags t < t' that overlap are correlated by 3/2 √(t/t') (1 − t/3t').
    """

    def compute(t: NDArray[np.float64], x: NDArray[np.float64], error: NDArray[np.float64]) -> float:
        used = is_diffusive(t, x)
        known = used & np.isfinite(error)
        if used.sum() < 2 or not known.any():
            return np.nan
        # relative errors grow as the root of the lag, also where windows are too few to tell
        relative = np.mean(error[known] / x[known] / np.sqrt(t[known]))
        t, sigma = t[used], x[used] * np.where(known, error / x, relative * np.sqrt(t))[used]
        short, long = np.minimum.outer(t, t), np.maximum.outer(t, t)
        correlation = 1.5 * np.sqrt(short / long) * (1 - short / (3 * long))
        slope = (np.linalg.pinv(np.column_stack([t, np.ones_like(t)]) / t[:, None]) / t)[0]
        return float(np.sqrt(slope @ (correlation * np.outer(sigma, sigma)) @ slope) / 6)

    return _over_lags(compute, msd, error)


def _over_lags(compute: Callable[..., float], curve: xr.DataArray, error: xr.DataArray) -> xr.DataArray:
    lags = curve["lag"].values.astype(np.float64)

    def reduce(curves: NDArray[np.float64], errors: NDArray[np.float64]) -> NDArray[np.float64]:
        result = np.empty(curves.shape[:-1])
        for row in np.ndindex(result.shape):
            known = np.isfinite(curves[row]) & (lags > 0) & (curves[row] > 0 if curve.name == "msd" else True)
            result[row] = compute(lags[known], curves[row][known], errors[row][known])
        return result

    return arrays.apply(
        reduce, {"curve": curve, "error": error}, core=[["lag"], ["lag"]], out=[[]], dtypes=[np.float64]
    )


def _unknown(lags: int) -> Motion:
    return Motion(np.full((2, lags), np.nan), np.full((2, PARTS, lags), np.nan), np.zeros((PARTS, lags)))


def _checked(
    position: xr.DataArray, species: xr.DataArray
) -> tuple[NDArray[np.floating], NDArray[np.int8], NDArray[np.float64]]:
    position = arrays.array(position, "position", ["time", "particle", "xyz"])
    return position.transpose("time", "particle", "xyz").values, species_codes(species).values, frame_times(position)


def _covered(start: NDArray[np.float64], which: NDArray[np.int64], lags: NDArray[np.float64]) -> NDArray[np.float64]:
    """Length of the union of the windows [start, start + lag] of each lag."""
    covered = np.zeros(lags.size)
    for k, lag in enumerate(lags):
        mine = np.sort(start[which == k])
        covered[k] = (np.minimum(np.diff(mine), lag).sum() + lag) * (mine.size > 0)
    return covered
