"""What the chosen range of a variable says about motion and structure: P_R against T, and g(r)."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import xarray as xr
from numpy.typing import NDArray

import daskglass as dg
from daskglass.explorer.brush import SEED, Limits, Mask, limits_of
from daskglass.explorer.frames import Frame, Quantity
from daskglass.physics.defaults import BIN_WIDTH, R_MAX
from daskglass.physics.particles import is_species

MOST_VALUES = 2**23  # particle-frames that P_R is counted from: 64 MB with p_hop
MOST_CENTERS = 10_000  # particles that g(r) is averaged over


@dataclass(frozen=True)
class Samples:
    """Values of p_hop and of a variable over (temperature, replica, time, particle), at `frames` of `total` times."""

    hop: xr.DataArray
    values: xr.DataArray
    frames: int
    total: int


@dataclass(frozen=True)
class Rates:
    """P_R of a range, and of all values, by temperature; with the events and particle-frames that it was counted from."""

    temperature: NDArray[np.float64]
    probability: NDArray[np.float64]
    events: NDArray[np.int64]
    samples: NDArray[np.int64]
    everywhere: NDArray[np.float64]


def has_rates(run: xr.Dataset, quantity: Quantity) -> bool:
    """Whether P_R can be counted: the run has p_hop over the dimensions of the variable, along times."""
    return "hop" in run.data_vars and "time" in run.dims and set(run["hop"].dims) == set(run[quantity.name].dims)


def sampled_times(total: int, each: int) -> NDArray[np.intp]:
    """Places of times, evenly spaced, of which `each` values are no more than `MOST_VALUES`."""
    count = min(total, max(1, MOST_VALUES // each))
    return ((np.arange(count) + 0.5) * total / count).astype(np.intp)


def read_samples(run: xr.Dataset, quantity: Quantity) -> Samples:
    """Read p_hop and a variable at all temperatures and replicas, at as many times as can be held."""
    hop, total = run["hop"], run.sizes["time"]
    times = sampled_times(total, hop.size // total)
    hop, values = (run[name].isel(time=times).reset_coords(drop=True).load() for name in ("hop", quantity.name))
    return Samples(hop, values, times.size, total)


def rates(samples: Samples, species: xr.DataArray, names: tuple[str, ...], limits: Limits | None) -> Rates:
    """P_R of the particles of some species with a value in a range, ends included."""
    shown = xr.zeros_like(species, bool)
    for name in names:
        shown = shown | is_species(species, name)
    values = samples.values.where(shown)
    everywhere = limits_of(values.values)
    of = [
        dg.rearrangement_probability(samples.hop, values, xr.DataArray(np.array(edges), dims="edge")).isel(stratum=0)
        for edges in (limits or everywhere, everywhere)
    ]
    part, whole = (P.transpose("temperature", ...) for P in of)
    return Rates(
        part["temperature"].values, part["probability"].values, part["events"].values, part["samples"].values,
        whole["probability"].values,
    )  # fmt: skip


def radial(frame: Frame, centers: Mask) -> tuple[xr.DataArray, int] | None:
    """g(r) around particles, and around how many of them; None where there is none."""
    who = np.flatnonzero(centers)
    if who.size == 0:
        return None
    if who.size > MOST_CENTERS:
        who = np.random.default_rng(SEED).choice(who, MOST_CENTERS, replace=False)
    chosen = np.zeros(centers.shape, np.bool_)
    chosen[who] = True
    bins = math.floor(min(R_MAX, frame.box.min() / 2) / BIN_WIDTH + 1e-9)
    position = np.where(frame.species[:, None] >= 0, frame.position, np.nan)
    g = dg.radial_distribution(
        xr.DataArray(position, dims=("particle", "xyz")),
        xr.DataArray(frame.species, dims="particle", attrs={"names": list(frame.names)}),
        xr.DataArray(frame.box, dims="xyz"),
        bins * BIN_WIDTH,
        BIN_WIDTH,
        xr.DataArray(chosen, dims="particle"),
    )
    return g, who.size
