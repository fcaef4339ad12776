"""What two studies must have in common for their numbers to mean the same, and what else differs between them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from pydantic import BaseModel, ValidationError

from daskglass.errors import StoreError, StudyError, setting
from daskglass.physics.labels import same
from daskglass.store.tables import Tables
from daskglass.study.settings import (
    BarrierSettings,
    DynamicsSettings,
    HopSettings,
    Inherent,
    RadialSettings,
    SoftnessSettings,
    StrataSettings,
    StructureSettings,
)

SECTIONS: dict[str, type[BaseModel]] = {
    "hops": HopSettings, "structure": StructureSettings, "softness": SoftnessSettings, "strata": StrataSettings,
    "radial": RadialSettings, "dynamics": DynamicsSettings, "barriers": BarrierSettings,
}  # fmt: skip
# with another value of one of these, the same name is another quantity
MEANING = (
    "mixture", "species", "density", "positions", "inherent.minimizer", "hops", "structure", "dynamics",
    "radial.r_max", "radial.bin_width", "radial.core",
)  # fmt: skip
# and these are conditions of some quantities only
MODEL = ("softness.train_on", "softness.C")
STRATA = ("strata", "barriers.hottest", "barriers.weights")
GROUPS = ("strata.percentiles", "barriers.hottest", "radial.softness_bins")
NAMES = ("study", "store", "systems")  # in a study: of the whole, not of one system
DENSITY = 1e-3  # relative difference that rounding of a box, or its fluctuation, may make
POSITIONS = {True: "inherent structures", False: "thermal"}


def differing(first: Tables, second: Tables) -> dict[str, tuple[Any, Any]]:
    """Return the settings of two studies of a system that differ, by key, with both values; None where one has none."""
    one, other = settings(first), settings(second)
    if one["source"] != other["source"]:
        one, other = ({key: it[key] for key in it if not key.startswith("source.")} for it in (one, other))
    if "unknown" in (one["potential"], other["potential"]):
        one, other = (
            {key: it[key] for key in it if not key.startswith("mixture.")} | _matter(tables)
            for it, tables in ((one, first), (other, second))
        )
    keys = dict.fromkeys([*one, *other])
    return {key: pair for key in keys if not _equal(key, *(pair := (one.get(key), other.get(key))))}


def concerned(differs: Mapping[str, Any], keys: tuple[str, ...]) -> list[str]:
    """Return those of the settings that differ that lie at or below some keys."""
    return [key for key in differs if any(key == above or key.startswith(f"{above}.") for above in keys)]


def check_meaning(system: str, differs: Mapping[str, tuple[Any, Any]]) -> None:
    """Refuse two studies whose numbers of the same name are different quantities.

    Raises
    ------
    StudyError
        Naming the settings, with both values.
    """
    if others := concerned(differs, MEANING):
        values = "; ".join(f"{setting(key)}: {in_words(differs[key])}" for key in others)
        raise StudyError(f"{system}: the studies do not compute the same quantities: {values}")


def in_words(values: tuple[Any, Any]) -> str:
    """Both values of a setting, as `3 here, 5 in the reference`."""
    here, there = ("none" if value is None else f"{value:g}" if _real(value) else str(value) for value in values)
    return f"{here} here, {there} in the reference"


def settings(tables: Tables) -> dict[str, Any]:
    """Settings that made the tables, by key; defaults where an older version had no such key."""
    study: dict[str, Any] = json.loads(tables.attrs.get("study", "{}"))
    found: dict[str, Any] = {name: _section(name, study.get(name, {}), tables) for name in SECTIONS}
    inherent = study.get("inherent", Inherent().model_dump(mode="json"))
    found |= {"positions": POSITIONS[inherent != "none"]} | ({} if inherent == "none" else {"inherent": inherent})
    found |= {name: value for name, value in study.items() if name not in (*found, *NAMES, "inherent")}
    if known := "mixture" in tables.attrs:
        found["mixture"] = {"cutoff_shift": "energy"} | json.loads(tables.attrs["mixture"])
    found |= {
        "potential": "known" if known else "unknown",
        "particles": tables.attrs.get("particles"),
        "replicas": tables.ensemble.sizes["replica"],
        "frames": tables.ensemble.sizes["time"],
        "time step": tables.attrs.get("timestep"),
        "versions": json.loads(tables.attrs.get("versions", "{}")),
    }
    flat = dict(_flat("", found))
    flat["softness.train_on.temperature"] = _trained_at(flat, tables)
    flat["source"] = "files" if "source.trajectories.path" in flat else "simulated"
    return flat


def _section(name: str, given: Any, tables: Tables) -> dict[str, Any]:
    """Settings of a section of the study, with defaults."""
    try:
        return SECTIONS[name].model_validate(given).model_dump(mode="json")
    except ValidationError as error:
        system = tables.attrs.get("system", "a system")
        raise StoreError(f"{system}: the settings `{name}` of its study are damaged: {given}") from error


def _trained_at(settings: Mapping[str, Any], tables: Tables) -> float:
    """Temperature of the examples: as the study says, or the second-coldest."""
    wanted = settings.get("softness.train_on.temperature")
    if wanted is None and settings["softness.train_on.run"] == "training":
        wanted = settings.get("source.simulate.training.temperature")
    T = tables.ensemble["temperature"].values
    return float(T[max(T.size - 2, 0)]) if wanted is None else wanted


def _matter(tables: Tables) -> dict[str, Any]:
    names = [str(name) for name in tables.ensemble["neighbor"].values]
    return {"species": names, "density": float(tables.ensemble["density"].mean())}


def _flat(name: str, value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, Mapping):
        for key, each in value.items():
            yield from _flat(f"{name}.{key}" if name else str(key), each)
    else:
        yield name, value


def _equal(key: str, first: Any, second: Any) -> bool:
    if key == "density":
        return abs(first - second) <= DENSITY * abs(second)
    if _real(first) and _real(second):
        return bool(same(first, second))
    if isinstance(first, list | tuple) and isinstance(second, list | tuple):
        return len(first) == len(second) and all(_equal("", *pair) for pair in zip(first, second, strict=True))
    return bool(first == second)


def _real(value: Any) -> bool:
    return isinstance(value, float | int | np.number) and not isinstance(value, bool)
