"""Checks between the sections of a study file."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import TYPE_CHECKING

from daskglass.errors import StudyError
from daskglass.physics.defaults import DENSITY_CUTOFF, TIMESTEPS
from daskglass.physics.labels import distinct, find, same
from daskglass.physics.systems import built_in
from daskglass.registry import ENGINES, listed
from daskglass.study.values import MOST_FRAMES_IN_ALL, MOST_STEPS, error_at

if TYPE_CHECKING:
    from daskglass.study.settings import Recording, Simulate, Study, System


def check_sections(study: Study) -> None:
    """Check what sections must agree on."""
    names = [system.system for system in study.systems]
    folders: dict[str, str] = {}
    for k, name in enumerate(names):
        if (other := folders.setdefault(name.lower(), name)) != name:
            raise error_at(
                "systems", k, "system",
                message=f"{other} and {name} differ only in case, and would share a folder on some file systems; rename one",
            )  # fmt: skip
    if len(set(names)) != len(names) or not (names or study.source.trajectories):
        raise error_at("systems", message=f"list at least one system, and each once; got {names}")
    for k, system in enumerate(study.systems):
        if study.source.simulate is not None:
            _check_simulated(study, k, system)
        elif system.mixture is None and study.inherent != "none":
            raise error_at(
                "systems", k, "system",
                message=f"{system.system} is not built in: give its mixture to minimise, or set inherent: none",
            )  # fmt: skip
        _check_shift(study, k, system)
        try:
            study.training_temperature(system.system, system.temperatures)
        except StudyError as error:
            raise error_at("softness", "train_on", "temperature", message=str(error)) from None
    simulate, trained = study.source.simulate, study.softness.train_on
    recorded = simulate.training.temperature if simulate and simulate.training else None
    if trained.run == "training" and recorded and trained.temperature and not same(trained.temperature, recorded):
        raise error_at(
            "softness", "train_on", "temperature",
            message=f"softness trains at {trained.temperature}, but the training run is recorded at {recorded}",
        )  # fmt: skip
    if trained.run == "training" and simulate and not simulate.training:
        raise error_at(
            "softness", "train_on",
            message="the study has no training run; set softness: {train_on: {run: production}}",
        )  # fmt: skip
    if simulate is not None:
        _check_ensembles(study, simulate)
        for name in ("production", "training"):
            _check_window(study, simulate, name, getattr(simulate, name))
        _check_relaxation_times(study, simulate)
        if (frames := sum(study.frames_of(system) for system in study.systems)) > MOST_FRAMES_IN_ALL:
            raise error_at(
                "source", "simulate",
                message=f"{frames:,} frames in all systems, temperatures and replicas; the limit is {MOST_FRAMES_IN_ALL:,}",
            )  # fmt: skip


def _check_shift(study: Study, k: int, system: System) -> None:
    used = {"source.simulate": study.source.simulate, "inherent": None if study.inherent == "none" else study.inherent}
    for section, engine in used.items():
        shift = system.mixture.cutoff_shift if system.mixture else "energy"
        if engine is not None and shift not in ENGINES[engine.engine].shifts:
            raise error_at(
                "systems", k, "mixture", "cutoff_shift",
                message=f"{section}.engine {engine.engine} has no cut-off shifted by {shift}; "
                f"{listed(name for name, entry in ENGINES.items() if shift in entry.shifts)} has",
            )  # fmt: skip


def _check_ensembles(study: Study, simulate: Simulate) -> None:
    given = simulate.isoconfigurational
    if given is None:
        return
    place = ("source", "simulate", "isoconfigurational")
    if given.configurations > simulate.production.frames:
        raise error_at(
            *place, "configurations",
            message=f"{given.configurations} are more than the {simulate.production.frames} frames of the production run",
        )  # fmt: skip
    temperatures = [T for system in study.systems for T in system.temperatures]
    for k, T in enumerate(given.temperatures or ()):
        if find(temperatures, T) is None:
            raise error_at(
                *place, "temperatures", k,
                message=f"no system has the temperature {T}; the temperatures are {temperatures_in_short(temperatures)}",
            )  # fmt: skip
    for k, lag in enumerate(given.given_lags):
        steps = lag / min(simulate.timesteps or TIMESTEPS)
        if abs(steps - round(steps)) > 1e-6 or round(steps) < 1:
            raise error_at(
                *place, "lags", k, message=f"{lag:g} τ is not a whole number of time steps of {simulate.timestep} τ"
            )
        if steps > MOST_STEPS:
            raise error_at(*place, "lags", k, message=f"{lag:g} τ is more than {MOST_STEPS:,} time steps")


def _check_relaxation_times(study: Study, simulate: Simulate) -> None:
    keys = list(simulate.relaxation_time)
    temperatures = [T for system in study.systems for T in system.temperatures]
    kept = distinct(keys)
    for key in keys:
        place = ("source", "simulate", "relaxation_time", str(key))
        if key not in kept:
            raise error_at(*place, message=f"{key} is given twice: {find(kept, key)} is the same temperature")
        if find(temperatures, key) is None:
            raise error_at(
                *place,
                message=f"no system has the temperature {key}; the temperatures are {temperatures_in_short(temperatures)}",
            )


def _check_simulated(study: Study, k: int, system: System) -> None:
    if system.mixture is None:
        raise error_at("systems", k, "system", message=_why_unknown(system.system))
    if not system.temperatures:
        raise error_at("systems", k, message="a system with its own mixture needs a list of temperatures")
    if system.species:
        raise error_at("systems", k, "species", message="remove it: a simulated system has the species of its mixture")
    for i, (before, T) in enumerate(itertools.pairwise(system.temperatures), 1):
        if f"{before:g}" == f"{T:g}":
            raise error_at(
                "systems", k, "temperatures", i,
                message=f"{before} and {T} agree to six digits, and their simulations would share a folder; remove one",
            )  # fmt: skip
    ensembles = study.source.simulate.isoconfigurational if study.source.simulate else None
    of_ensembles = ensembles is not None and bool(ensembles.at(system.temperatures))
    check_reach(study, system.system, system.mixture.box_length(system.particles), k, system, ensembles=of_ensembles)


def check_reach(
    study: Study,
    name: str,
    edge: float,
    k: int | None = None,
    system: System | None = None,
    production: bool = True,
    ensembles: bool = False,
) -> None:
    """Check that the box is large enough for the analysis of its runs and, if the system is given, for its potential.

    Raises
    ------
    StudyError
        If a distance exceeds half the edge; within validation a `PydanticCustomError`.
    """
    reaches = [
        (study.structure.mu[1] + 5 * study.structure.width, "the structure functions, last mu + 5 width"),
    ]
    if production:
        reaches.append((study.radial.r_max, "radial.r_max"))
    if ensembles:
        reaches.append((DENSITY_CUTOFF, "the cut-off of local densities"))
    if system is not None and system.mixture is not None:
        reaches.append((system.mixture.longest_cutoff, "the potential's cut-off"))
    for reach, what in reaches:
        if reach > edge / 2 * (1 + 1e-6):
            message = f"{name} has a box of {edge:.3f} σ, too small: half of it must exceed {what} = {reach:.3f} σ"
            if k is None:
                raise StudyError(message)
            raise error_at("systems", k, "particles", message=f"{message}: use more particles")


def _check_window(study: Study, simulate: Simulate, name: str, run: Recording | None) -> None:
    if run is None:
        return
    if not simulate.timesteps:
        choices = ", ".join(f"{dt:g}" for dt in TIMESTEPS)
        message = f"is not a whole number of time steps of any of {choices} τ: give timestep a number"
        raise error_at("source", "simulate", name, "interval", message=f"{run.interval} τ {message}")
    steps = run.interval / min(simulate.timesteps)
    if abs(steps - round(steps)) > 1e-6 or round(steps) < 1:
        message = f"{run.interval} τ is not a whole number of time steps of {simulate.timestep} τ"
        raise error_at("source", "simulate", name, "interval", message=message)
    if steps > MOST_STEPS:
        raise error_at(
            "source", "simulate", name, "interval",
            message=f"{run.interval} τ between frames of the {name} run is more than {MOST_STEPS:,} time steps",
        )  # fmt: skip
    lead = study.hops.lead / run.interval
    if name == study.softness.train_on.run and abs(lead - round(lead)) > 1e-6:
        raise error_at(
            "hops",
            "lead",
            message=f"{study.hops.lead} τ is not a whole number of {name} intervals of {run.interval} τ",
        )
    half = study.hops.window / 2 / run.interval
    if abs(half - round(half)) > 1e-6 or round(half) < 1:
        message = (
            f"half the window of {study.hops.window} τ must be a whole number of {name} intervals of {run.interval} τ"
        )
        raise error_at("hops", "window", message=message)
    if run.frames < 2 * round(half) + 1:
        message = f"{run.frames} frames are fewer than the {2 * round(half) + 1} of one hops.window"
        raise error_at("source", "simulate", name, "frames", message=message)


def temperatures_in_short(temperatures: Sequence[float]) -> str:
    """Temperatures in a message; the middle of many is left out."""
    shown = list(temperatures) if len(temperatures) <= 30 else [*temperatures[:3], "…", *temperatures[-3:]]
    return ", ".join(map(str, shown))


def _why_unknown(name: str) -> str:
    try:
        built_in(name)
    except StudyError as error:
        return str(error)
    raise AssertionError("unreachable")
