"""What is shown and chosen of a frame: slab, brush, histograms, and the query that finds the same particles."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from daskglass.explorer.frames import Choice, Frame, Quantity, along, times_of

BINS = 50
JOINT_BINS = 60
MOST_DRAWN = 20_000  # particles of a slab that are drawn: more of them cover one another
SEED = 7  # of the particles that are drawn where not all can be

Limits = tuple[float, float]
Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Slab:
    """Slab of the box normal to z: its middle and thickness in σ, and names of the species that are shown."""

    depth: float
    thickness: float
    species: tuple[str, ...]


@dataclass(frozen=True)
class Brush:
    """Ranges, ends included, that select particles; None selects all.

    Attributes
    ----------
    first, second : of the two variables
    region : of x and y, within the slab
    """

    first: Limits | None = None
    second: Limits | None = None
    region: tuple[Limits, Limits] | None = None


def within(values: NDArray[np.float64], limits: Limits | None) -> Mask:
    """Whether values lie in a range, ends included; NaN lies in none."""
    if limits is None:
        return np.ones(values.shape, np.bool_)
    return (values >= limits[0]) & (values <= limits[1])


def is_shown(frame: Frame, slab: Slab) -> Mask:
    """Whether particles are of a species that is shown."""
    codes = [frame.names.index(name) for name in slab.species if name in frame.names]
    return np.isin(frame.species, codes)


def in_slab(frame: Frame, slab: Slab) -> Mask:
    """Whether particles of the species shown are in the slab, which goes on through the periodic boundary."""
    z, edge = frame.position[:, 2], frame.box[2]
    away = np.abs((z - slab.depth + edge / 2) % edge - edge / 2)
    return is_shown(frame, slab) & (away <= slab.thickness / 2)


def chosen(frame: Frame, slab: Slab, brush: Brush) -> Mask:
    """Whether particles, of the species shown, are in all ranges of the brush."""
    mask = is_shown(frame, slab) & within(frame.first, brush.first) & within(frame.second, brush.second)
    if brush.region is not None:
        x, y = brush.region
        mask &= in_slab(frame, slab) & within(frame.position[:, 0], x) & within(frame.position[:, 1], y)
    return mask


def drawn(frame: Frame, slab: Slab) -> NDArray[np.intp]:
    """Particles of the slab to draw: all, or as many as can be, drawn at random."""
    who = np.flatnonzero(in_slab(frame, slab))
    if who.size <= MOST_DRAWN:
        return who
    return np.sort(np.random.default_rng(SEED).choice(who, MOST_DRAWN, replace=False))


def limits_of(values: NDArray[np.float64]) -> Limits:
    """Least and largest value, apart; 0 and 1 where there is none."""
    there = values[np.isfinite(values)]
    if there.size == 0:
        return 0.0, 1.0
    low, high = float(there.min()), float(there.max())
    return (low, high) if high > low else (low - 0.5, low + 0.5)


def neat(one: float, other: float) -> Limits:
    """Limits that a brush gives, rounded to a thousandth of what is between them, or finer."""
    low, high = min(one, other), max(one, other)
    digits = 3 - math.floor(math.log10(high - low)) if high > low else 12
    return round(low, digits), round(high, digits)


def histogram(values: NDArray[np.float64], limits: Limits) -> NDArray[np.int64]:
    """Counts in `BINS` equal bins between two limits; NaN is left out."""
    return np.histogram(values[np.isfinite(values)], BINS, limits)[0]


def joint_histogram(
    first: NDArray[np.float64], second: NDArray[np.float64], limits: tuple[Limits, Limits]
) -> NDArray[np.int64]:
    """Counts (second, first) in `JOINT_BINS` equal bins each way; particles that lack either are left out."""
    there = np.isfinite(first) & np.isfinite(second)
    counts, _, _ = np.histogram2d(second[there], first[there], JOINT_BINS, (limits[1], limits[0]))
    return counts.astype(np.int64)


# --- the same in code ----------------------------------------------------------------------------------------------


def query_code(store: Path, run: xr.Dataset, choice: Choice, slab: Slab, brush: Brush) -> str:
    """Python code that finds the particles that are chosen, in `chosen`, NaN elsewhere."""
    dim = along(run)
    label = times_of(run, choice)[choice.frame].item()
    used = list(dict.fromkeys([choice.first, choice.second]))
    names = list(dict.fromkeys([choice.positions, *(quantity.name for quantity in used)]))
    lag = "" if "lag" not in run.dims else f" lag={run['lag'].values[choice.lag].item()!r},"
    lines = [
        "import daskglass as dg", "",
        "found = dg.query(",
        f"    {str(store.absolute())!r}, {choice.system!r}, {choice.run!r}, {names!r},",
        f"    temperature={choice.temperature!r}, replica={choice.replica!r}, {dim}={label!r},{lag}",
        f"    species={list(slab.species)!r},",
        ').isel(system=0).transpose(..., "particle")',
    ]  # fmt: skip
    conditions = []
    for quantity, limits, name in ((choice.first, brush.first, "first"), (choice.second, brush.second, "second")):
        if limits is not None:
            lines.append(f"{name} = found[{quantity.name!r}]{_places(quantity)}")
            conditions.append(f"({name} >= {limits[0]!r}) & ({name} <= {limits[1]!r})")
    if brush.region is not None:
        lines += [
            f"x, y, z = (found[{choice.positions!r}] % found.box).reset_coords(drop=True).transpose('xyz', ...)",
            "edge = found.box.sel(xyz='z', drop=True)",
            f"away = abs((z - {slab.depth!r} + edge / 2) % edge - edge / 2)",
        ]
        conditions.append(f"(away <= {slab.thickness / 2!r})")
        for axis, (low, high) in zip("xy", brush.region, strict=True):
            conditions.append(f"({axis} >= {low!r}) & ({axis} <= {high!r})")
    if not conditions:
        return "\n".join([*lines, "chosen = found"])
    return "\n".join([*lines, "chosen = found.where(", "    " + "\n    & ".join(conditions), ")"])


def _places(quantity: Quantity) -> str:
    at = ", ".join(f"{dim}={place}" for dim, place in quantity.at)
    return f".isel({at})" if at else ""
