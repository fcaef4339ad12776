"""How far a link of a sweep has come, as its folder keeps it: always that of its last checkpoint, and that handed over.

Fingerprints tell whether a link is still the one that was begun. That of a beginning holds what decides the state that is
handed over, all hotter links included; that of the whole link holds everything.
"""

from __future__ import annotations

import hashlib
import json
import math
import zipfile
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from daskglass.engines.link import Link
from daskglass.errors import EngineError
from daskglass.store.durable import publish

SEGMENT = 10**8  # particle-steps between checkpoints: about a minute on one core
STATE, HANDED = "state.npz", "handover.npz"
FINAL, HANDOVER = "final.checkpoint", "handover.checkpoint"


@dataclass(frozen=True)
class State:
    """How far a link has come.

    Attributes
    ----------
    fingerprint : of the link; of its beginning alone, where it is what was handed over
    phase : equilibration, a run, or done
    step : within the phase
    total : steps within the link
    recorded : frames of the phase
    checkpoint : name of the engine's file
    relaxation_time : τ_α given or last measured
    wall : seconds spent
    handed : whether it has been handed over
    origin, origin_step : where τ_α is measured from
    last : lag and F of the last measurement
    """

    fingerprint: str
    phase: str = "equilibration"
    step: int = 0
    total: int = 0
    recorded: int = 0
    checkpoint: str = ""
    relaxation_time: float = math.nan
    wall: float = 0.0
    handed: bool = False
    origin_step: int = 0
    last: tuple[float, float] = (0.0, 1.0)
    origin: NDArray[np.float64] = field(default_factory=lambda: np.empty((0, 3)))


def reached(link: Link) -> State:
    """How far a link has come, or where it is to start: at its beginning, if it is another than the one in its folder."""
    folder, now = Path(link.folder), fingerprint(link)
    state = _read(folder, STATE)
    if state is not None and state.fingerprint == now and _is_whole(link, state):
        return state
    handed = handed_over(link)
    clear(folder, keep_handed=handed is not None)
    return State(now) if handed is None else replace(handed, fingerprint=now)


def handed_over(link: Link) -> State | None:
    """Return the state that was handed over, if it is this link's."""
    if link.handover is None:
        return None
    folder = Path(link.folder)
    state = _read(folder, HANDED)
    same = state is not None and state.fingerprint == _beginning(link) and (folder / state.checkpoint).exists()
    return state if same else None


def relaxation_time_in(folder: Path) -> float:
    """τ_α as the link in a folder measured it, or was given it, τ_A.

    Raises
    ------
    EngineError
        If it has not been measured.
    """
    state = _read(folder, STATE)
    if state is None or not state.relaxation_time > 0:
        raise EngineError("the relaxation time has not been measured", file=folder, remedy="run the study again")
    return state.relaxation_time


def write(folder: Path, state: State, checkpoint: Path) -> None:
    """Write how far a link has come, with the engine's file it goes on from, which takes the place of earlier ones."""
    publish([(checkpoint, folder / state.checkpoint)], folder)
    _write(folder, STATE, state)
    for old in folder.glob("*.checkpoint"):
        if old.name not in (state.checkpoint, HANDOVER):
            old.unlink()


def write_handed_over(link: Link, state: State, checkpoint: Path) -> None:
    """Write a state for the next colder link to start from, and for this one, should what it records change."""
    folder = Path(link.folder)
    publish([(checkpoint, folder / HANDOVER)], folder)
    _write(folder, HANDED, replace(state, fingerprint=_beginning(link), checkpoint=HANDOVER, handed=True))


def start_of(link: Link) -> Path | None:
    """Checkpoint of the hotter link that a link starts from; None where it starts from a lattice."""
    if link.previous is None:
        return None
    return Path(link.previous) / (FINAL if link.handover is None else HANDOVER)


def clear(folder: Path, keep_handed: bool = False) -> None:
    """Delete the files of a link."""
    # states first: files without a state are nothing, a state without its files would be a lie
    kept = {HANDED, HANDOVER} if keep_handed else set()
    for pattern in ("*.npz", "*.checkpoint", "*.gsd", "*.part", "*.kept"):
        for path in folder.glob(pattern):
            if path.name not in kept:
                path.unlink()


def fingerprint(link: Link) -> str:
    """Return a hash of all that decides what a link simulates."""
    return _hash(_beginning(link), link.recorded)


def _beginning(link: Link) -> str:
    return _hash(link.beginning, SEGMENT, _before(link))


def _before(link: Link) -> str | None:
    if link.previous is None:
        return None
    hotter = _read(Path(link.previous), STATE if link.handover is None else HANDED)
    if hotter is None or (link.handover is None and hotter.phase != "done"):
        what = "complete" if link.handover is None else "handed over"
        raise EngineError(f"{link.system} T={link.temperature}: the hotter link in {link.previous} is not {what}")
    return hotter.fingerprint


def _hash(*values: object) -> str:
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()


def _is_whole(link: Link, state: State) -> bool:
    """Whether every file the state speaks of is there."""
    phases = ["equilibration", *link.runs, "done"]
    files = [f"{run}.gsd" for run in phases[1 : phases.index(state.phase)]] + [HANDED, HANDOVER] * state.handed
    return all((Path(link.folder) / name).exists() for name in [*files, state.checkpoint])


def _write(folder: Path, name: str, state: State) -> None:
    plain = {name: value for name, value in vars(state).items() if name != "origin"}
    part = folder / (name + ".part")
    with part.open("wb") as file:
        np.savez(file, plain=np.array(json.dumps(plain)), origin=state.origin)
    publish([(part, folder / name)], folder)


def _read(folder: Path, name: str) -> State | None:
    if not (folder / name).exists():
        return None
    try:
        with np.load(folder / name, allow_pickle=False) as file:
            plain = json.loads(str(file["plain"]))
            return State(**plain | {"last": tuple(plain["last"])}, origin=file["origin"])
    except (ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile) as error:
        raise EngineError(
            f"damaged: {error}", file=folder / name, remedy=f"delete {folder} to simulate it again"
        ) from error
