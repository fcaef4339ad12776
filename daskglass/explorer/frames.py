"""One frame of a store: what there is to choose, and its particles with two of their variables."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import product

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from daskglass.errors import StoreError
from daskglass.physics.particles import species_names
from daskglass.variables import ALONG, UNITS, VARIABLES

POSITIONS = ("inherent", "position", "cage")  # the first that a run has is shown first
CHOSEN = ("temperature", "replica", *ALONG, "lag", "particle")  # dimensions that have a control of their own


@dataclass(frozen=True)
class Quantity:
    """A number per particle: a variable of the store, at given places along dimensions that have no control."""

    name: str
    at: tuple[tuple[str, int], ...] = ()

    @property
    def label(self) -> str:
        """Name with what it is at: `local_energy_averaged, generation 2`."""
        return ", ".join([self.name, *(f"{dim} {place}" for dim, place in self.at)])


@dataclass(frozen=True)
class Choice:
    """What is looked at; `frame` and `lag` are places along times (or configurations) and lags."""

    system: str
    run: str
    temperature: float
    replica: int
    frame: int
    lag: int
    positions: str
    first: Quantity
    second: Quantity


@dataclass(frozen=True)
class Frame:
    """Particles of one frame.

    Attributes
    ----------
    position : (particle, xyz) in the box, 0 to its edges, σ
    box : (xyz)
    species : (particle) codes; `names` has their names
    first, second : (particle) values of the two variables, NaN where there is none
    """

    position: NDArray[np.float64]
    box: NDArray[np.float64]
    species: NDArray[np.int8]
    names: tuple[str, ...]
    first: NDArray[np.float64]
    second: NDArray[np.float64]


Runs = dict[str, dict[str, xr.Dataset]]


def runs_of(tree: xr.DataTree) -> Runs:
    """Systems, and their runs that have positions and a number per particle.

    Raises
    ------
    StoreError
        If there are none.
    """
    found = {
        name: {run: node.to_dataset() for run, node in sorted(system.children.items()) if _shows(node.to_dataset())}
        for name, system in sorted(tree.children.items())
    }
    found = {name: runs for name, runs in found.items() if runs}
    if not found:
        raise StoreError(
            "no run of the store has particles with positions and a variable",
            remedy="wait for the first frames, or see `daskglass info STORE`",
        )
    # where most users want to begin
    return {name: dict(sorted(runs.items(), key=lambda run: run[0] != "production")) for name, runs in found.items()}


def _shows(run: xr.Dataset) -> bool:
    return bool(positions_of(run) and quantities_of(run) and along(run) and all(run.sizes.values()))


def positions_of(run: xr.Dataset) -> list[str]:
    """Kinds of positions that a run has."""
    return [name for name in POSITIONS if name in run.data_vars]


def along(run: xr.Dataset) -> str:
    """Dimension that the frames of a run lie along; empty where it has none."""
    return next((dim for dim in ALONG if dim in run.dims), "")


def quantities_of(run: xr.Dataset) -> dict[str, Quantity]:
    """Numbers per particle by label, softness first and else as named; one for each place along other dimensions."""
    found: dict[str, Quantity] = {}
    for name in sorted(map(str, run.data_vars), key=lambda name: (name != "softness", name)):
        variable = run[name]
        if "particle" in variable.dims and "xyz" not in variable.dims and variable.dtype.kind in "biuf":
            others = [str(dim) for dim in variable.dims if dim not in CHOSEN]
            for places in product(*(range(variable.sizes[dim]) for dim in others)):
                quantity = Quantity(name, tuple(zip(others, places, strict=True)))
                found[quantity.label] = quantity
    return found


def times_of(run: xr.Dataset, choice: Choice) -> NDArray[np.float64]:
    """Times, or numbers of configurations, of the frames at the temperature and replica that are chosen."""
    dim = along(run)
    labels = run[dim] if dim in run.variables else xr.DataArray(np.arange(run.sizes[dim]), dims=dim)
    return np.asarray(_picked(labels, row(run, choice)).values)


def row(run: xr.Dataset, choice: Choice) -> dict[str, int]:
    """Places of temperature and replica."""
    return {
        "temperature": int(np.abs(run["temperature"].values - choice.temperature).argmin()),
        "replica": int(np.flatnonzero(run["replica"].values == choice.replica)[0]),
    }


def read_frame(run: xr.Dataset, choice: Choice) -> Frame:
    """Read the particles of a frame.

    Raises
    ------
    StoreError
        If it was not computed yet.
    """
    where = {**row(run, choice), along(run): choice.frame, "lag": choice.lag}
    box = np.asarray(_picked(run["box"], where).values, np.float64)
    position = np.asarray(_picked(run[choice.positions], where).transpose("particle", "xyz").values, np.float64)
    there = np.isfinite(position).all(axis=1)
    if not there.any():
        raise StoreError(f"{choice.positions} of this frame is not computed yet", frame=choice.frame)
    species = _picked(run["species"], where)
    return Frame(
        position % box, box, np.where(there, species.values, -1).astype(np.int8), tuple(species_names(run["species"])),
        values_of(run, choice.first, where), values_of(run, choice.second, where),
    )  # fmt: skip


def values_of(run: xr.Dataset, quantity: Quantity, where: Mapping[str, int]) -> NDArray[np.float64]:
    """Read a number per particle."""
    return np.asarray(_picked(run[quantity.name], {**where, **dict(quantity.at)}).values, np.float64)


def _picked(array: xr.DataArray, where: Mapping[str, int]) -> xr.DataArray:
    return array.isel({dim: place for dim, place in where.items() if dim in array.dims})


def axis_label(run: xr.Dataset, quantity: Quantity) -> str:
    """Label of an axis: what it is, and its unit."""
    attrs = run[quantity.name].attrs
    base = VARIABLES.get(quantity.name)
    name = str(attrs.get("long_name") or (base.long_name if base else quantity.name.replace("_", " ")))
    unit = str(attrs.get("units", "1"))
    unit = UNITS.get(unit, unit)
    return ", ".join([name, *(f"{dim} {place}" for dim, place in quantity.at)]) + f"  ({unit})" * bool(unit)
