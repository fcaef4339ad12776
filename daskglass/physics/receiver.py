"""Receiver operating curves: how well a structural variable tells particles that rearrange from those that do not."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from daskglass.physics import arrays
from daskglass.physics.defaults import REARRANGING
from daskglass.physics.jackknife import Used, leaving_out

SAMPLED = np.linspace(0.0, 1.0, 101)  # false-positive rates at which a curve is given
INDEPENDENT = ("replica", "time")  # dimensions over which rearrangements are counted
CURVE = (
    ("true_positive_rate", "share of what rearranges"),
    ("area", "area under the receiver operating curve"),
    ("area_err", "standard error of the area under the receiver operating curve"),
    ("rearranging", "number of particle-frames that rearrange"),
    ("samples", "number of particle-frames"),
)


def receiver_operating_curve(
    S: xr.DataArray, hop: xr.DataArray, threshold: float = REARRANGING, block: int = 1
) -> xr.Dataset:
    """Receiver operating curve of a structural variable that foresees rearrangement, R = (p_hop > threshold).

    Of the particles above a value of S, the curve holds the share of all that rearrange (true positives) against the
    share of all that do not (false positives), for every value [1]_. Its area is the probability that a particle that
    rearranges has the larger S of two, one of either kind; equal ones count half: 1/2 for a variable that says nothing,
    less for one that falls where particles rearrange.

    Parameters
    ----------
    S : xarray.DataArray
        Structural variable over (…, [replica, time,] particle). NaN where missing, or where a particle does not count.
    hop : xarray.DataArray
        Values of p_hop over the same dimensions in σ². NaN where missing.
    threshold : float, optional
        Value of p_hop in σ² above which a particle rearranges.
    block : int, optional
        Frames in a block of time. Frames closer than a hop window are not independent.

    Returns
    -------
    xarray.Dataset
        Variables `true_positive_rate` over (…, false_positive_rate), `area` and its standard error `area_err` over what
        remains of the dimensions without replica, time and particle; NaN where no particle rearranges, or all do; and
        the counts `rearranging` and `samples`. The error comes from leaving out each block of time of each replica in
        turn; NaN of a single one.

    Raises
    ------
    DataError
        If dimensions, lengths or labels of the arrays do not match, or a number is not valid.

    References
    ----------
    .. [1] T. Fawcett, "An introduction to ROC analysis", Pattern Recognition Letters 27, 861 (2006).

    Examples
    --------
    >>> S = xr.DataArray([[1.0, 0.5, -0.2, -1.0]], dims=("time", "particle"))
    >>> hop = xr.DataArray([[0.7, 0.1, 0.4, 0.0]], dims=("time", "particle"))
    >>> curve = dg.receiver_operating_curve(S, hop)
    >>> curve.area.item(), curve.rearranging.item(), curve.samples.item()
    (0.75, 2, 4)
    >>> print(curve.true_positive_rate.sel(false_positive_rate=[0.0, 0.5, 1.0]).values)
    [0.5 1.  1. ]
    """
    threshold, block = arrays.number(threshold, "threshold", False), arrays.whole(block, "block")
    given = arrays.together({name: arrays.array(each, name, ["particle"]) for name, each in (("S", S), ("hop", hop))})
    given = dict(zip(given, xr.broadcast(*given.values()), strict=True))
    axes = [dim for dim in INDEPENDENT if dim in given["S"].dims]
    given = {name: arrays.as_labelled(each, "time") for name, each in given.items()} if "time" in axes else given

    def compute(S: NDArray[np.floating], hop: NDArray[np.floating]) -> Any:
        lead, shape = S.shape[: -len(axes) - 1], S.shape[-len(axes) - 1 :]
        unit = _blocks(shape[:-1], block if "time" in axes else 1).repeat(shape[-1])
        curve, numbers, counts = np.empty((*lead, SAMPLED.size)), np.empty((2, *lead)), np.empty((2, *lead), np.int64)
        for row in np.ndindex(lead):
            values, p = S[row].ravel(), hop[row].ravel()
            there = ~(np.isnan(values) | np.isnan(p))
            moves = p[there] > threshold
            places = np.unique(values[there], return_inverse=True)[1]
            curve[row] = _curve(places, moves)
            area = partial(_area_of, places, moves)
            numbers[:, *row] = leaving_out(area, unit[there])
            counts[:, *row] = moves.sum(), moves.size
        return curve, *numbers, *counts

    results = arrays.apply(
        compute,
        given,
        core=[[*axes, "particle"]] * 2,
        out=[["false_positive_rate"], [], [], [], []],
        dtypes=[np.float64, np.float64, np.float64, np.int64, np.int64],
        false_positive_rate=SAMPLED.size,
    )
    for (_, text), each in zip(CURVE, results, strict=True):
        each.attrs = {"long_name": text, "units": "1"}
    names = (name for name, _ in CURVE)
    rates = ("false_positive_rate", SAMPLED, {"long_name": "share of what does not rearrange", "units": "1"})
    return xr.Dataset(dict(zip(names, results, strict=True))).assign_coords(false_positive_rate=rates)


def _blocks(shape: tuple[int, ...], block: int) -> NDArray[np.intp]:
    """Block of time of every frame ([replica,] time), each replica with blocks of its own."""
    frames = np.arange(int(np.prod(shape))).reshape(shape or (1,))
    length = frames.shape[-1]
    return (frames // length * length + frames % length // block).ravel()


def _tallies(places: NDArray[np.intp], moves: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Numbers of those that rearrange, and of those that do not, at each value, the highest first: (2, value)."""
    size = int(places.max(initial=-1)) + 1
    return np.stack([np.bincount(places[use], minlength=size)[::-1] for use in (moves, ~moves)])


def _area_of(places: NDArray[np.intp], moves: NDArray[np.bool_], use: Used) -> float:
    """Area under the curve of those used, by trapezia: equal values count half; NaN where all are of one kind."""
    moving, resting = _tallies(places[use], moves[use])
    both = moving.sum() * resting.sum()
    above = np.cumsum(moving) - moving / 2
    return float((above * resting).sum() / both) if both else np.nan


def _curve(places: NDArray[np.intp], moves: NDArray[np.bool_]) -> NDArray[np.float64]:
    """True-positive rates at false-positive rates `SAMPLED`, on the straight lines between the values."""
    tallies = _tallies(places, moves)
    total = tallies.sum(axis=1)
    if not total.all():
        return np.full(SAMPLED.size, np.nan)
    true, false = np.pad(np.cumsum(tallies, axis=1), ((0, 0), (1, 0))) / total[:, None]
    return np.asarray(np.interp(SAMPLED, false, true))
