"""What a study comes to: of each system its settings, and the layouts of its runs."""

from __future__ import annotations

import json
import platform
from collections.abc import Mapping, Sequence
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from pydantic import BaseModel

from daskglass.errors import StudyError, TrajectoryError, setting
from daskglass.physics.bins import bin_middles
from daskglass.physics.defaults import GENERATIONS
from daskglass.physics.labels import find
from daskglass.registry import figures_of
from daskglass.sources import Recording, Source
from daskglass.sources.surveys import Over
from daskglass.sources.systems import sources_of
from daskglass.stages import registry, structural
from daskglass.stages.declare import (
    ENSEMBLES,
    PARTICLES,
    POSITIONS,
    PRODUCTION,
    STRUCTURAL,
    Blocks,
    Plan,
    Reduce,
    Rows,
)
from daskglass.store.ledger import Ledger
from daskglass.store.template import Layout, division, frames_per_block, frames_per_chunk
from daskglass.study.checks import check_reach
from daskglass.study.settings import Study, fingerprint
from daskglass.variables import FRAMES, VARIABLES, Variable, flags, over

HALVES = 2  # of the trajectories of an ensemble
SECTIONS = ("hops", "structure", "softness", "strata", "radial", "dynamics", "barriers", "predictor")


def plan_study(study: Study, ledger: Ledger | None = None, over: Over = map) -> list[Plan]:
    """Plan every system of a study; see `sources_of` for the parameters, and what is raised besides.

    Raises
    ------
    StudyError, TrajectoryError
        If what is recorded is not enough to be analysed as the study asks for.
    """
    plans = [_plan(study, source, analysed=True) for source in sources_of(study, ledger, over)]
    for plan in plans:
        _check_analysis(study, plan)
    return plans


def plan_files(study: Study, ledger: Ledger, over: Over = map) -> list[Plan]:
    """Plan to bring files into a store, and nothing else; they join what it holds, of which they need not be all."""
    return [_plan(study, source, analysed=False) for source in sources_of(study, ledger, over, adding=True)]


def _plan(study: Study, source: Source, analysed: bool) -> Plan:
    settings = _settings(study, source, analysed)
    runs = source.runs
    frames = sum(of.frames * len(source.temperatures(run)) * len(source.replicas(run)) for run, of in runs.items())
    layouts = {run: _layout(study, source, settings, run, of, frames, analysed) for run, of in runs.items()}
    return Plan(Path(study.store), source, settings, layouts, _earlier(study))


def _settings(study: Study, source: Source, analysed: bool) -> dict[str, Any]:
    """All settings by their keys, and what they come to for a system."""
    listed = next((system for system in study.systems if system.system == source.system), None)
    settings: dict[str, Any] = {"precision": study.precision}
    for section in (*SECTIONS, "inherent"):
        settings |= _flat(section, getattr(study, section))
    mixture = None if listed is None else listed.mixture
    return settings | {
        STRUCTURAL: structural.names(mixture, _shortest_edge(source)),
        POSITIONS: "position" if study.inherent == "none" else "inherent",
        "species": source.species,
        "mixture": mixture,
        "softness.train_on.temperature": source.training_temperature if analysed else None,
    }


def _shortest_edge(source: Source) -> float:
    of_study = () if source.box is None else source.box.tolist()
    return float(min((*of_study, *source.shortest_edges().values()), default=np.inf))


def _flat(name: str, value: Any) -> dict[str, Any]:
    if not isinstance(value, BaseModel):
        return {name: value}
    return {
        key: leaf
        for field in type(value).model_fields
        for key, leaf in _flat(f"{name}.{field}", getattr(value, field)).items()
    }


def _earlier(study: Study) -> dict[str, frozenset[str]]:
    """Hashes of sections, as stages of daskglass 0.1.0 noted them, of which some left keys out."""
    forms: dict[str, list[Any]] = {
        "hops": [study.hops.model_dump(exclude={"lead"})],
        "softness": [study.softness, study.softness.model_dump(include={"samples_per_class", "seed"})],
        "radial": [(study.radial.r_max, study.radial.bin_width)],
    }
    for section in (*SECTIONS, "inherent"):
        forms.setdefault(section, [getattr(study, section)])
    return {section: frozenset(map(fingerprint, values)) for section, values in forms.items()}


def figures_of_study(plans: Sequence[Plan]) -> list[str]:
    """Names of the figures of some systems, in order."""
    produced = [set(plan.settings[STRUCTURAL]) for plan in plans if plan.runs(PRODUCTION)]
    others = bool(produced) and len(set.intersection(*produced)) > len(structural.OF_PAPER)
    return figures_of(bool(produced), others, any(plan.runs(ENSEMBLES) for plan in plans))


# --- layouts -------------------------------------------------------------------------------------------------------


def _layout(
    study: Study,
    source: Source,
    settings: Mapping[str, Any],
    run: str,
    recorded: Recording,
    frames: int,
    analysed: bool,
) -> Layout:
    variables = list(recorded.variables)
    if source.box is None:
        variables.append(over((*FRAMES, "xyz"), VARIABLES["box"]))
    if analysed:
        variables += _written(Plan(Path(study.store), source, settings, {}, {}), run)
    along = "time" if recorded.configurations is None else "configuration"
    variables = [replace(variable, dims=_along(along, variable.dims)) for variable in variables]
    coordinates = _coordinates(source, settings, run, recorded)
    used = {dim for variable in variables for dim in variable.dims}
    coordinates = {name: values for name, values in coordinates.items() if name not in ("lag", "r") or name in used}
    if recorded.configurations is None:
        chunk = frames_per_chunk(source.particles)
        all_frames = sum(map(study.frames_of, study.systems)) or frames
        block = frames_per_block(source.particles, all_frames // chunk * len(variables))
        chunk, block = division(Path(study.store), f"{source.system}/{run}") or (chunk, block)
    else:
        # few, and each takes a minimiser as long as a block of frames takes other steps
        chunk = block = 1
    sizes = {name: values.size for name, values in coordinates.items() if values.dims == (name,)}
    sizes |= {"particle": source.particles, along: recorded.frames, "half": HALVES, "generation": GENERATIONS}
    return Layout(source.system, run, coordinates, variables, sizes, chunk, block, along)


def _along(along: str, dims: tuple[str, ...]) -> tuple[str, ...]:
    """Dimensions of a variable in a run whose frames lie along another one than time."""
    return tuple(along if dim == "time" else dim for dim in dims)


def _written(plan: Plan, run: str) -> list[Variable]:
    """Variables of a run that its stages write."""
    steps = [step for stage in registry.STAGES for step in stage.steps if not isinstance(step, Reduce)]
    names = {
        name: None
        for step in steps
        if isinstance(step.over, Blocks | Rows) and run in plan.runs(step.over.of) and step.when(plan)
        for name in step.writes
    }
    return [VARIABLES[name] for name in names]


def _coordinates(source: Source, settings: Mapping[str, Any], run: str, recorded: Recording) -> dict[str, xr.DataArray]:
    coordinates = {
        "temperature": _coordinate("temperature", np.array(source.temperatures(run), np.float64)),
        "replica": _coordinate("replica", np.array(source.replicas(run))),
        "species": _coordinate("species", source.codes),
        "neighbor": xr.DataArray(
            list(source.species), dims="neighbor", attrs={"long_name": "species of the neighbour"}
        ),
        "xyz": xr.DataArray(list("xyz"), dims="xyz", attrs={"long_name": "Cartesian component"}),
        "r": _coordinate("r", bin_middles(settings["radial.r_max"], settings["radial.bin_width"])),
    }
    own = {"box": source.box, "time": recorded.times, "configuration": recorded.configurations, "lag": recorded.lags,
           "trajectory": recorded.kept}  # fmt: skip
    for name, values in own.items():
        if values is not None:
            coordinates[name] = _coordinate(name, values)
    coordinates["species"].attrs |= {"names": list(source.species)}
    coordinates["species"].attrs |= flags(range(len(source.species)), source.species)
    return coordinates


def _coordinate(name: str, values: np.ndarray) -> xr.DataArray:
    variable = VARIABLES[name]
    return xr.DataArray(values.astype(variable.dtype), dims=variable.dims, attrs=variable.attrs)


def attributes(plan: Plan, study: Study | None) -> dict[str, Any]:
    """Attributes of every group of a system: what it is, what it was made with, and by which study, if one is given."""
    source, mixture = plan.source, plan.settings["mixture"]
    packages = ["daskglass", "numpy", "xarray", "zarr", "dask", "gsd"]
    found: dict[str, Any] = {
        "Conventions": "CF-1.11",
        "system": plan.system,
        "versions": json.dumps({"python": platform.python_version()} | {name: version(name) for name in packages}),
    }
    if study is not None:
        found |= {"study": study.model_dump_json(), "study_file": study.text}
    if mixture is not None:
        found |= {"delta": mixture.delta, "mixture": mixture.model_dump_json()}
    if source.box is not None:
        found["density"] = source.particles / float(np.prod(source.box))
    return found | {"timestep": source.timestep}


# --- checks --------------------------------------------------------------------------------------------------------


def _check_analysis(study: Study, plan: Plan) -> None:
    """Refuse boxes too small, or frames too few, for what is computed from them."""
    name, source, settings = plan.system, plan.source, plan.settings
    if study.inherent != "none" and settings["mixture"] is None:
        raise StudyError(
            f"{name}: is no built-in system: minimising needs its `mixture:` under systems; or set inherent: none"
        )
    _check_edges(study, plan)
    if plan.runs(ENSEMBLES) and settings["mixture"] is None:
        raise StudyError(f"{name}: is no built-in system: local energies need its `mixture:` under systems")
    if plan.runs(ENSEMBLES) and not plan.runs(PRODUCTION):
        return
    trained = settings["softness.train_on.run"]
    if "production" not in source.runs:
        raise TrajectoryError(f"{name}: there are no files of the production run, only {', '.join(source.runs)}")
    if trained not in source.runs:
        raise StudyError(
            f"{name}: the files are of no training run to train on; set softness: {{train_on: {{run: production}}}}, "
            "or say by {run} in the path which files are of it"
        )
    T, listed = settings["softness.train_on.temperature"], source.temperatures(trained)
    if find(listed, T) is None:
        raise StudyError(
            f"{name}: softness.train_on.temperature: there is no {trained} run at {T:g}; there is one at {list(listed)}"
        )
    window = settings["hops.window"]
    for run in plan.runs(PARTICLES):
        time = plan.layouts[run].coordinates["time"].values
        if time[-1] < window:
            raise StudyError(
                f"{name}: the {run} run is {time[-1]:g} τ long ({time.size} frame{'s' * (time.size != 1)}), less than the "
                f"{setting('hops.window')} of {window:g} τ",
                remedy=f"longer runs, or a shorter {setting('hops.window')}",
            )
        plan.frames_of(run, "hops.window", 0.5)
    plan.frames_of(trained, "hops.lead")


def _check_edges(study: Study, plan: Plan) -> None:
    for path, edge in plan.source.shortest_edges().items():
        try:
            runs = (bool(plan.runs(of)) for of in (PRODUCTION, ENSEMBLES))
            check_reach(study, plan.system, edge, None, None, *runs)
        except StudyError as error:
            raise TrajectoryError(f"{path}: {error}") from None
