"""Pairs of particles by distance, counted on blocks and summed."""

from __future__ import annotations

import xarray as xr

from daskglass import physics
from daskglass.stages.declare import POSITION, PRODUCTION, Plan, minimized, particle_frames

PAIRS = 2.5e-8  # s of one core, of a particle and frame, for each σ³ of the cube of the longest distance
FINITE = 4  # bytes: whether each coordinate is, and each particle


def pairs(
    run: xr.Dataset, positions: str, group: xr.DataArray, groups: int, r_max: float, bin_width: float
) -> xr.Dataset:
    """Pairs around the particles of each group."""
    counted = physics.structure.pair_counts(run[positions], run["species"], run["box"], group, groups, r_max, bin_width)
    return counted.reset_coords(drop=True)


def add(*parts: xr.Dataset) -> xr.Dataset:
    """Sum of datasets of counts."""
    total = parts[0]
    for part in parts[1:]:
        total = total + part
    return total


def seconds_of_pairs(plan: Plan, gpu: bool) -> float:
    """Seconds of one core that counting pairs in one kind of positions takes: they grow with the volume around a particle."""
    return PAIRS * float(plan.settings["radial.r_max"]) ** 3 * particle_frames(plan, PRODUCTION)


def kinds_of(positions: str) -> list[str]:
    """Kinds of positions that pairs are counted in: those of structure, and thermal ones."""
    return list(dict.fromkeys((positions, "position")))


def held(plan: Plan) -> int:
    """Bytes of a particle and frame in all kinds of positions."""
    return POSITION * (2 if minimized(plan) else 1)
