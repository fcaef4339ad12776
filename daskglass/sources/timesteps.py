"""Time steps of a study that leaves them to us: measured once for each system, and kept with its trajectories."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from daskglass.engines.timestep import largest_timestep
from daskglass.errors import EngineError
from daskglass.store.durable import replace_file
from daskglass.study.settings import Study, System, fingerprint

FORESEEN = 0.0025  # τ_A, what a study is planned with until its time step is measured; the largest is up to twice that
SECONDS = 60.0  # of one core, to measure one
Map = Callable[[Callable[..., Any], Sequence[Sequence[Any]]], Iterable[tuple[int, Any]]]


def folder_of(study: Study, system: str) -> Path:
    """Folder of the trajectories of a system."""
    return Path(study.store).with_name(f"{Path(study.store).stem}.trajectories") / system


def timestep_of(study: Study, system: System) -> float:
    """Time step of a system that is simulated, τ_A: given, measured, or foreseen."""
    simulate = study.source.simulate
    assert simulate is not None
    if simulate.timestep != "auto":
        return simulate.timestep
    if (measured := _measured(study, system)) is not None:
        return measured
    return max([dt for dt in simulate.timesteps if dt <= FORESEEN], default=min(simulate.timesteps))


def unmeasured(study: Study) -> list[System]:
    """Systems whose time step is to be measured before anything else."""
    if study.source.simulate is None or study.source.simulate.timestep != "auto":
        return []
    return [system for system in study.systems if _measured(study, system) is None]


def measure(study: Study, over: Callable[[float], Map]) -> None:
    """Measure the time steps that are not known yet, and keep them.

    Parameters
    ----------
    over : given the seconds that it takes, starts who works, and maps a function over lists of its arguments

    Raises
    ------
    EngineError
        If no time step will do.
    """
    systems = unmeasured(study)
    if not systems:
        return
    asked = [_asked(study, system) for system in systems]
    columns = list(zip(*asked, strict=True))
    for number, trial in over(SECONDS * len(systems))(largest_timestep, columns):
        file = _file(study, systems[number])
        file.parent.mkdir(parents=True, exist_ok=True)
        replace_file(file, json.dumps({"asked": fingerprint(*asked[number]), **trial._asdict()}))


def _measured(study: Study, system: System) -> float | None:
    file = _file(study, system)
    if not file.exists():
        return None
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
        return float(found["timestep"]) if found["asked"] == fingerprint(*_asked(study, system)) else None
    except (ValueError, KeyError, TypeError) as error:
        raise EngineError(f"damaged: {error}", file=file, remedy="delete it, to have it measured again") from error


def _asked(study: Study, system: System) -> tuple[Any, ...]:
    simulate = study.source.simulate
    assert simulate is not None
    return simulate.engine, system.mixture, max(system.temperatures), simulate.seed, simulate.timesteps


def _file(study: Study, system: System) -> Path:
    return folder_of(study, system.system) / "timestep.json"
