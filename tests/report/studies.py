"""Tables of made-up studies that draw their numbers from one law."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import xarray as xr

from daskglass.physics.systems import kob_andersen
from daskglass.store.tables import Tables

TEMPERATURES = (1.0, 0.9, 0.8, 0.7, 0.6)
STRATA, FRAMES = 5, 101
BLOCKS = 3  # of time
OVER_REPLICAS = ("potential_energy", "pressure", "s2", "s2_thermal", "relaxation_time", "diffusivity")
RESAMPLED = {
    "rearranging_fraction": ("temperature",),
    "recall": ("temperature",),
    "pearson_pooled": (),
    "onset_temperature": ("variable",),
    "activation_energy": ("variable", "stratum"),
    "scaled_entropy": ("variable", "stratum"),
}


def drawn(
    seed: int,
    temperatures: Sequence[float] = TEMPERATURES,
    replicas: int = 2,
    study: Mapping[str, Any] | None = None,
    **attrs: Any,
) -> Tables:
    """Tables whose values scatter around the same numbers, with errors estimated from as much as real ones are."""
    rng = np.random.default_rng(seed)
    T = np.array(temperatures)
    coords = {
        "temperature": T, "replica": np.arange(replicas), "time": np.arange(float(FRAMES)),
        "variable": ["softness", "local_entropy"], "neighbor": ["A", "B"],
    }  # fmt: skip
    table = xr.Dataset(coords=coords).assign(density=1.2)
    for k, name in enumerate(OVER_REPLICAS):
        each = rng.normal((k + 1) * T[:, None], 0.05 * (k + 1), (T.size, replicas))
        error = each.std(axis=1, ddof=1) / np.sqrt(replicas) if replicas > 1 else np.full(T.size, np.nan)
        table[name], table[f"{name}_err"] = ("temperature", each.mean(axis=1)), ("temperature", error)
    sizes = {"temperature": T.size, "variable": 2, "stratum": STRATA}
    for name, dims in RESAMPLED.items():
        shape = tuple(sizes[dim] for dim in dims)
        freedom = (replicas * BLOCKS - 1) * (1 if "temperature" in dims else T.size)
        if "variable" in dims and T.size > 2:
            # of lines through all temperatures
            freedom = T.size - 2
        table[name] = dims, rng.normal(1.0, 0.03, shape)
        table[f"{name}_err"] = dims, 0.03 * np.sqrt(rng.chisquare(freedom, shape) / freedom)
    table["blocks"] = "temperature", np.full(T.size, replicas * BLOCKS)
    table["supercooled"] = "variable", np.full(2, T.size)
    study = {"study": "drawn", "store": "drawn.zarr", "source": {"simulate": {"engine": "lammps"}}, **(study or {})}
    given = {
        "study": json.dumps(study), "versions": json.dumps({"daskglass": "0.1.0"}), "timestep": 0.004, "particles": 2000,
        "mixture": kob_andersen(0.0).model_dump_json(),
    }  # fmt: skip
    given |= attrs
    return Tables({name: value for name, value in given.items() if value is not None}, table, xr.Dataset())


def changed(tables: Tables, **variables: xr.DataArray) -> Tables:
    """The same tables with other values of some variables."""
    return Tables(tables.attrs, tables.ensemble.assign(variables), tables.model)
