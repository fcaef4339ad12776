"""Results of a finished store, ready to be drawn: its systems in order, checked to be complete."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from daskglass.errors import StoreError
from daskglass.physics.systems import DENSITY, Mixture, kob_andersen, temperatures
from daskglass.registry import figures_of
from daskglass.stages.structural import OF_PAPER, StructuralVariable, named
from daskglass.store.blocks import check_is_store, open_group, readable

GROUPS = ("production", "model", "ensemble")
DISTINCT = 3.0  # standard errors that Σ of the outer strata must differ by, to tell where their lines meet
BOARD, PREDICTOR = ("isoconfigurational", "scoreboard"), "predictor"
# one variable of each step of the analysis represents all variables of the step
STEPS = {
    "g": "radial distribution functions",
    "joint": "correlation of softness and local entropy",
    "activation_energy": "barriers",
    "s2_grouped_pooled": "softness-grouped entropy",
}


@dataclass(frozen=True)
class SystemResults:
    """One system of a study.

    Attributes
    ----------
    name : of its group
    mixture : particles and potential; None if only trajectories are known
    production : frames, lazy
    ensemble, model : averages and softness model, in memory; temperatures from high to low
    index : place in the study, which sets colour and marker
    label : name in figures; Δ if the systems differ in nothing else
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
        """Name of the first species, the one studied."""
        return self.neighbors[0]

    @property
    def neighbors(self) -> list[str]:
        """Names of the species, the studied one first."""
        return [str(name) for name in self.ensemble["neighbor"].values]

    @property
    def delta(self) -> float:
        """Shift Δ of the potential; NaN if unknown."""
        return np.nan if self.mixture is None else self.mixture.delta

    def sigma(self, first: str, second: str) -> float:
        """Size σ_ij of a pair of species; 1 if the potential is unknown."""
        return 1.0 if self.mixture is None else self.mixture.pair(first, second).sigma

    def thermal(self, name: str) -> xr.DataArray:
        """Variable of that name in the thermal configurations."""
        return self.ensemble[self.thermal_name(name)]

    def thermal_name(self, name: str) -> str:
        """Name that a variable has in the thermal configurations."""
        return _thermal(name) if self.inherent else name

    @property
    def structural(self) -> list[StructuralVariable]:
        """Structural variables whose barriers were computed."""
        return named(self.ensemble["variable"].values.tolist())

    def cold(self, variable: str) -> int:
        """Number of supercooled temperatures, the coldest ones, in the fits of a structural variable."""
        return int(self.ensemble["supercooled"].sel(variable=variable))

    @property
    def hottest(self) -> float | None:
        """Hottest temperature of the fits, if the study states it."""
        study = json.loads(self.production.attrs.get("study", "{}"))
        hottest = study.get("barriers", {}).get("hottest")
        return None if hottest is None else float(hottest)

    def fits(self, variable: str) -> xr.Dataset:
        """Barriers of a structural variable."""
        return self.ensemble.sel(variable=variable)

    def onset(self, variable: str) -> tuple[float, float]:
        """T_A and its standard error; NaN if there is none, or it is not positive."""
        fits = self.fits(variable)
        value = float(fits["onset_temperature"])
        error = float(fits["onset_temperature_err"]) if "onset_temperature_err" in fits else np.nan
        return (value, error) if value > 0 else (np.nan, np.nan)

    def extrapolated(self, variable: str) -> bool:
        """Whether T_A is outside the simulated temperatures."""
        value, _ = self.onset(variable)
        return bool(np.isfinite(value) and not self.temperature.min() <= value <= self.temperature.max())

    def coldest_of_the_paper(self) -> float | None:
        """Coldest temperature in the paper for this mixture; None if the paper lacks it."""
        known = self.delta in DENSITY and self.mixture == kob_andersen(self.delta)
        return temperatures(self.delta)[-1] if known else None


def unknown_onset(fits: xr.Dataset) -> str:
    """Why the onset of the strata of a variable is not known; empty where it is, or errors are not known.

    T_A is a ratio, of differences of ΔE to those of Σ. Where these may be 0 it may be anything, by Fieller's theorem: lines
    that are parallel within their errors meet where noise lets them, and the search for the supercooled temperatures ends
    at a few of the coldest.
    """
    # over the same scale as their covariance
    y = fits["scaled_entropy"].values.astype(np.float64)
    covariance = known(fits, "scaled_entropy_terms_cov", (y.size + 1, y.size + 1))
    fitted = np.flatnonzero(np.isfinite(y))
    if not fitted.size:
        return ""
    first, last = fitted[[0, -1]]
    variance = covariance[first, first] + covariance[last, last] - 2 * covariance[first, last]
    if not variance * DISTINCT**2 > (y[first] - y[last]) ** 2:
        return ""
    return f"Σ of the outer strata differ by {abs(y[first] - y[last]) / np.sqrt(variance):.1f} errors"


@dataclass(frozen=True)
class Board:
    """Isoconfigurational ensembles of one system, and how well indicators foresee propensity there.

    Attributes
    ----------
    name : of its group
    mixture : particles and potential; None if unknown
    run : configurations, lazy
    scores : of every indicator, in memory; temperatures from high to low
    predictor : weights of the linear predictor, in memory; None where there are too few configurations
    relaxation_time : τ_α by temperature; None where the study does not measure it
    index : place among the boards
    """

    name: str
    mixture: Mixture | None
    run: xr.Dataset
    scores: xr.Dataset
    predictor: xr.Dataset | None = None
    relaxation_time: xr.DataArray | None = None
    index: int = 0

    @property
    def first(self) -> str:
        """Name of the first species, the one scored."""
        return str(self.run["species"].attrs["names"][0])

    @property
    def inherent(self) -> bool:
        """Whether structure was computed in inherent structures."""
        return "inherent" in self.run

    @property
    def configurations(self) -> int:
        """Number of configurations of each temperature, of all replicas."""
        return int(self.run.sizes["replica"] * self.run.sizes["configuration"])


@dataclass(frozen=True)
class Results:
    """The systems of a store, its study and versions.

    Attributes
    ----------
    systems : those with a production run
    boards : those with isoconfigurational ensembles
    """

    systems: tuple[SystemResults, ...]
    study: Mapping[str, Any]
    versions: Mapping[str, str]
    boards: tuple[Board, ...] = ()

    @property
    def figures(self) -> list[str]:
        """Names of the figures, in order."""
        return figures_of(bool(self.systems), bool(self.systems and self.others), bool(self.boards))

    @property
    def title(self) -> str:
        """Name of the study."""
        return str(self.study.get("study") or "study")

    @cached_property
    def in_delta(self) -> bool:
        """Whether the systems differ only in Δ (and density), so that Δ can be an axis and a name."""
        return _differ_in_delta([system.mixture for system in self.systems])

    @property
    def structural(self) -> list[StructuralVariable]:
        """Structural variables whose barriers were computed, of the first system."""
        return self.systems[0].structural

    @property
    def others(self) -> list[StructuralVariable]:
        """Structural variables beside those of the paper that all systems have."""
        shared = set.intersection(*({each.name for each in system.structural} for system in self.systems))
        return [each for each in self.structural if each.name in shared and each not in OF_PAPER]

    @property
    def inherent(self) -> bool:
        """Whether structure of all systems was computed in inherent structures."""
        return all(system.inherent for system in self.systems)

    @property
    def units(self) -> tuple[str, str, str]:
        """Symbols of the units of length, energy and time, for mathematical text.

        They are those of the first species, or plain if its size and depth are not 1 in every system.
        """
        first = {system.first for system in self.systems}
        known = [(system.mixture, system.first) for system in self.systems]
        pairs = [None if mixture is None else mixture.pair(name, name) for mixture, name in known]
        ones = {None if pair is None else (pair.sigma, pair.epsilon) for pair in pairs}
        if len(first) == 1 and ones == {(1.0, 1.0)}:
            name = tex(first.pop())
            return rf"\sigma_\mathrm{{{name * 2}}}", rf"\varepsilon_\mathrm{{{name * 2}}}", rf"\tau_\mathrm{{{name}}}"
        return r"\sigma", r"\varepsilon", r"\tau"


def open_results(store: Path) -> Results:
    """Open what the figures of a store show; a process reads it once until a group of it changes.

    Raises
    ------
    StoreError
        If there is no store, or a system of it is unfinished.
    """
    check_is_store(store)
    with readable(store):
        open_group(store, "/")
    systems = sorted(entry.parent.name for entry in store.glob("*/zarr.json"))
    groups = [f"{system}/{group}" for system in systems for group in (*GROUPS, *BOARD, PREDICTOR)]
    there = [group for group in groups if (store / group / "zarr.json").is_file()]
    return _opened(store, tuple(systems), tuple((group, (store / group).stat().st_mtime_ns) for group in there))


@lru_cache(maxsize=1)
def _opened(store: Path, systems: tuple[str, ...], groups: tuple[tuple[str, int], ...]) -> Results:
    with readable(store):
        found = {group: open_group(store, group) for group, _ in groups}
    return read_results(xr.DataTree.from_dict({**dict.fromkeys(systems, xr.Dataset()), **found}))


def read_results(tree: xr.DataTree) -> Results:
    """Read the results that the figures need.

    Raises
    ------
    StoreError
        If a system is unfinished.
    """
    if not tree.children:
        raise StoreError("the store has no systems; run its study with `daskglass run STUDY.yaml`")
    nodes = sorted(tree.children.items())
    boards = [_board(name, node) for name, node in nodes if BOARD[0] in node.children]
    systems = [
        _system(name, node) for name, node in nodes if "production" in node.children or BOARD[0] not in node.children
    ]
    attrs = (systems[0].production if systems else boards[0].run).attrs
    study = json.loads(attrs.get("study", "{}"))
    # in the order of the study file
    order = [given["system"] for given in study.get("systems", [])]

    def place(each: SystemResults | Board) -> tuple[int, str]:
        return order.index(each.name) if each.name in order else len(order), each.name

    systems.sort(key=place)
    boards.sort(key=place)
    named = len(systems) > 1 and _differ_in_delta([system.mixture for system in systems])
    systems = [
        SystemResults(
            s.name, s.mixture, s.production, s.ensemble, s.model, index,
            rf"$\Delta$ = {s.delta:g}" if named else plain(s.name),
        )
        for index, s in enumerate(systems)
    ]  # fmt: skip
    return Results(
        tuple(systems),
        study,
        json.loads(attrs.get("versions", "{}")),
        tuple(replace(board, index=index) for index, board in enumerate(boards)),
    )


def _board(name: str, node: xr.DataTree) -> Board:
    if BOARD[1] not in node.children:
        raise StoreError(
            f"{name} lacks {BOARD[1]}; finish the study with `daskglass run STUDY.yaml`, which also draws it"
        )
    run, scores = (node[group].dataset for group in BOARD)
    known = run.attrs.get("mixture")
    mixture = None if known is None else Mixture.model_validate_json(known)
    predictor = node[PREDICTOR].to_dataset().load() if PREDICTOR in node.children else None
    tau = node["ensemble"].dataset.get("relaxation_time") if "ensemble" in node.children else None
    scores = scores.sortby("temperature", ascending=False).load()
    return Board(name, mixture, run, scores, predictor, None if tau is None else tau.load())


def _system(name: str, node: xr.DataTree) -> SystemResults:
    remedy = "finish the study with `daskglass run STUDY.yaml`, which also draws it"
    lacks = [group for group in GROUPS if group not in node.children]
    if lacks:
        raise StoreError(f"{name} lacks {' and '.join(lacks)}; {remedy}")
    production, ensemble = node["production"].dataset, node["ensemble"].to_dataset()
    missing = [f"{what} ({step})" for step, what in STEPS.items() if step not in ensemble]
    if missing:
        raise StoreError(f"{name} lacks {' and '.join(missing)}; {remedy}")
    # counts of all candidates of the supercooled range are the largest part, and not needed here
    ensemble = ensemble.drop_vars([v for v in ensemble.variables if str(v).startswith("candidate_")])
    ensemble = ensemble.sortby("temperature", ascending=False).load()
    known = production.attrs.get("mixture")
    mixture = None if known is None else Mixture.model_validate_json(known)
    return SystemResults(name, mixture, production, ensemble, node["model"].to_dataset().load())


def known(table: xr.Dataset, name: str, shape: tuple[int, ...]) -> NDArray[np.float64]:
    """Values of a variable; NaN if the table has none of that name."""
    return table[name].values.astype(np.float64) if name in table else np.full(shape, np.nan)


def _thermal(name: str) -> str:
    """Name of the thermal variable: `_thermal` comes before `_pooled` and `_err`."""
    for ending in ("_pooled_err", "_pooled", "_err"):
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
    """Name inside mathematical text."""
    return name.replace("\\", "").replace("$", "").replace("_", r"\_")


def plain(name: str) -> str:
    """Name in text that may contain mathematics."""
    return name.replace("$", r"\$")
