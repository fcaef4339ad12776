"""What a finished store holds, ready to be drawn: its systems in order, checked to be whole."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import xarray as xr

from daskglass.errors import StoreError
from daskglass.physics.systems import DENSITY, Mixture, kob_andersen, temperatures

# one variable of each step of the analysis stands for all that the step writes
STEPS = {
    "g": "radial distribution functions",
    "joint": "correlation of softness and local entropy",
    "activation_energy": "barriers",
    "s2_grouped_pooled": "softness-grouped entropy",
}


@dataclass(frozen=True)
class System:
    """One system of a study.

    Attributes
    ----------
    name : of its group
    mixture : its particles and their potential; None where only its trajectories are known
    production : its frames, lazy
    ensemble, model : its averages and its softness, in memory; temperatures from high to low
    index : its place in the study, which chooses its colour and marker
    label : its name in figures, Δ where systems differ in nothing else
    """

    name: str
    mixture: Mixture | None
    production: xr.Dataset
    ensemble: xr.Dataset
    model: xr.Dataset
    index: int = 0
    label: str = ""

    @property
    def inherent(self) -> bool:
        """Whether structure was computed in inherent structures."""
        return "inherent" in self.production

    @property
    def temperature(self) -> np.ndarray:
        """Temperatures from high to low."""
        return self.ensemble["temperature"].values

    @property
    def replicas(self) -> int:
        """Number of replicas."""
        return int(self.production.sizes["replica"])

    @property
    def first(self) -> str:
        """Name of the species that is studied."""
        return self.neighbors[0]

    @property
    def neighbors(self) -> list[str]:
        """Names of the species, the one that is studied first."""
        return [str(name) for name in self.ensemble["neighbor"].values]

    @property
    def delta(self) -> float:
        """Shift Δ of the potential; NaN where it is not known."""
        return np.nan if self.mixture is None else self.mixture.delta

    def sigma(self, first: str, second: str) -> float:
        """Size σ_ij of a pair of species; 1 where the potential is not known."""
        return 1.0 if self.mixture is None else self.mixture.pair(first, second).sigma

    def thermal(self, name: str) -> xr.DataArray:
        """Variable of that name in the thermal configurations."""
        return self.ensemble[_thermal(name) if self.inherent else name]

    def cold(self, variable: str) -> int:
        """Number of supercooled temperatures of the fits of a structural variable, the coldest ones."""
        return int(self.ensemble["supercooled"].sel(variable=variable))

    def fits(self, variable: str) -> xr.Dataset:
        """Barriers of a structural variable: softness or local_entropy."""
        return self.ensemble.sel(variable=variable)

    def onset(self, variable: str) -> tuple[float, float]:
        """T_A and its standard error; NaN where there is none, or none that could be a temperature."""
        fits = self.fits(variable)
        value = float(fits["onset_temperature"])
        error = float(fits["onset_temperature_err"]) if "onset_temperature_err" in fits else np.nan
        return (value, error) if value > 0 else (np.nan, np.nan)

    def extrapolated(self, variable: str) -> bool:
        """Whether T_A lies outside the simulated temperatures."""
        value, _ = self.onset(variable)
        return bool(np.isfinite(value) and not self.temperature.min() <= value <= self.temperature.max())

    def coldest_of_the_paper(self) -> float | None:
        """Coldest temperature of the paper for this mixture; None for a mixture it does not have."""
        known = self.delta in DENSITY and self.mixture == kob_andersen(self.delta)
        return temperatures(self.delta)[-1] if known else None


@dataclass(frozen=True)
class Contents:
    """The systems of a store and what its attributes say about the study."""

    systems: tuple[System, ...]
    study: Mapping[str, Any]
    versions: Mapping[str, str]

    @property
    def title(self) -> str:
        """Name of the study."""
        return str(self.study.get("study") or "study")

    @cached_property
    def in_delta(self) -> bool:
        """Whether the systems differ in Δ (and density) alone, so that Δ can be an axis and a name."""
        return _differ_in_delta([system.mixture for system in self.systems])

    @property
    def inherent(self) -> bool:
        """Whether structure of all systems was computed in inherent structures."""
        return all(system.inherent for system in self.systems)

    @property
    def units(self) -> tuple[str, str, str]:
        """Symbols of the units of length, energy and time, for mathematical text.

        The first species sets them; where it is not of size and depth 1 in every system they stay plain.
        """
        first = {system.first for system in self.systems}
        known = [(system.mixture, system.first) for system in self.systems]
        pairs = [None if mixture is None else mixture.pair(name, name) for mixture, name in known]
        ones = {None if pair is None else (pair.sigma, pair.epsilon) for pair in pairs}
        if len(first) == 1 and ones == {(1.0, 1.0)}:
            name = tex(first.pop())
            return rf"\sigma_\mathrm{{{name * 2}}}", rf"\varepsilon_\mathrm{{{name * 2}}}", rf"\tau_\mathrm{{{name}}}"
        return r"\sigma", r"\varepsilon", r"\tau"


def read(tree: xr.DataTree) -> Contents:
    """Read what the figures need from a store.

    Raises
    ------
    StoreError
        If a system is unfinished; the message says which one and what it lacks.
    """
    if not tree.children:
        raise StoreError("the store holds no system: run its study, `daskglass run STUDY.yaml`")
    systems = [_system(name, node) for name, node in sorted(tree.children.items())]
    attrs = systems[0].production.attrs
    study = json.loads(attrs.get("study", "{}"))
    # in the order of the study, so that colours follow the file a person wrote
    order = [given["system"] for given in study.get("systems", [])]
    systems.sort(key=lambda system: (order.index(system.name) if system.name in order else len(order), system.name))
    named = len(systems) > 1 and _differ_in_delta([system.mixture for system in systems])
    systems = [
        System(
            s.name, s.mixture, s.production, s.ensemble, s.model, index,
            rf"$\Delta$ = {s.delta:g}" if named else plain(s.name),
        )
        for index, s in enumerate(systems)
    ]  # fmt: skip
    return Contents(
        tuple(systems),
        study,
        json.loads(attrs.get("versions", "{}")),
    )


def _system(name: str, node: xr.DataTree) -> System:
    remedy = "the study is not finished: `daskglass run STUDY.yaml` does what is left, then draws"
    lacks = [group for group in ("production", "model", "ensemble") if group not in node.children]
    if lacks:
        raise StoreError(f"{name} lacks {' and '.join(lacks)}; {remedy}")
    production, ensemble = node["production"].dataset, node["ensemble"].to_dataset()
    missing = [f"{what} ({step})" for step, what in STEPS.items() if step not in ensemble]
    if missing:
        raise StoreError(f"{name} lacks {' and '.join(missing)}; {remedy}")
    # counts of every candidate of the supercooled range are the largest part, and nothing here needs them
    ensemble = ensemble.drop_vars([v for v in ensemble.variables if str(v).startswith("candidate_")])
    ensemble = ensemble.sortby("temperature", ascending=False).load()
    known = production.attrs.get("mixture")
    mixture = None if known is None else Mixture.model_validate_json(known)
    return System(name, mixture, production, ensemble, node["model"].to_dataset().load())


def _thermal(name: str) -> str:
    """Name of the thermal twin: `_thermal` stands before `_pooled` and `_err`."""
    for ending in ("_pooled", "_err"):
        if name.endswith(ending):
            return f"{name.removesuffix(ending)}_thermal{ending}"
    return f"{name}_thermal"


def _differ_in_delta(mixtures: list[Mixture | None]) -> bool:
    known = [m for m in mixtures if m is not None]
    alike = {(m.species, m.fractions, _pairs(m)) for m in known}
    return len(alike) == 1 and len({m.delta for m in known}) == len(mixtures)


def _pairs(mixture: Mixture) -> tuple[tuple[str, float, float], ...]:
    return tuple(sorted((name, pair.epsilon, pair.sigma) for name, pair in mixture.pairs.items()))


def tex(name: str) -> str:
    """Name as it stands inside mathematical text."""
    return name.replace("\\", "").replace("$", "").replace("_", r"\_")


def plain(name: str) -> str:
    """Name as it stands in text that may hold mathematics."""
    return name.replace("$", r"\$")
