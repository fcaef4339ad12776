"""Gather: configurations of isoconfigurational ensembles come into the store, with the propensities of their particles."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from daskglass import physics
from daskglass.engines.ensembles import Isoconfigurational, Motion, motion_of
from daskglass.errors import DataError, EngineError, TrajectoryError
from daskglass.sources import Ensemble
from daskglass.stages.declare import ENSEMBLES, MOVED, POSITION, Blocks, Item, Plan, Step, per_particle_frame
from daskglass.store.blocks import Block, open_arrays, quantize, read_block, write_block
from daskglass.trajectories.isoconfigurational import CAGE, Contents, read, scan
from daskglass.trajectories.several_files import get_reader
from daskglass.trajectories.unwrapping import read_frames

SAME_PLACE = 1e-5  # σ: positions of one configuration in several files, of single precision
TRAJECTORIES = 100  # of a configuration in files; most often fewer
OF_A_TRAJECTORY = 96  # bytes of a particle: position as read, displacement and distance


@dataclass(frozen=True)
class Configurations:
    """Every configuration of an isoconfigurational ensemble."""

    def items(self, plan: Plan) -> Iterator[Item]:
        """List the configurations, with the files of each."""
        for block in plan.blocks(ENSEMBLES):
            feed = plan.source.feed(block)
            yield Item(block, (plan.path, block, feed.origin), feed.inputs, (), feed.problem)

    def count(self, plan: Plan) -> Mapping[str, int]:
        """Count the configurations."""
        return Blocks(ENSEMBLES).count(plan)


def gather(path: Path, block: Block, ensemble: Ensemble, *, precision: float | None) -> dict[str, Any]:
    """Bring a configuration into the store, with the propensities of its particles at every lag."""
    run = read_block(path, block, [])
    first = next(iter(ensemble.files.values()))
    position = read(first, "initial_positions")
    values: dict[str, list[Any]] = {"propensity": [], "propensity_half": [], "trajectories": []}
    for file in ensemble.files.values():
        contents = scan(file)
        if not np.array_equal(contents.types, run["species"]):
            raise TrajectoryError("types differ from those of the first file of the system", file=file)
        if not np.allclose(read(file, "initial_positions"), position, rtol=0, atol=SAME_PLACE):
            raise TrajectoryError(
                f"initial_positions are not those of {first}: trajectories of one configuration must start from it",
                file=file,
            )
        for name, value in zip(values, _propensities(file, contents, position, run), strict=True):
            values[name].append(value)
    known = {"position": quantize(position.astype(np.float32), precision)[None]}
    if "cage" in open_arrays(path, block.group):
        if CAGE not in scan(first).shapes:
            raise TrajectoryError(f"has no array {CAGE}, which the first file of the system has", file=first)
        known["cage"] = read(first, CAGE).astype(np.float32)[None]
    write_block(path, block, known | {name: np.stack(each)[None] for name, each in values.items()})
    return {"frames": 1}


def _propensities(
    file: Path, contents: Contents, position: NDArray[np.float64], run: xr.Dataset
) -> tuple[NDArray[np.float64], NDArray[np.float64], int]:
    """Propensity (particle,), that of two halves (half, particle), and the number of trajectories; -1 unknown."""
    if "positions" not in contents.shapes:
        given = read(file, "md_prop")
        if (given < 0).any():
            raise TrajectoryError(f"md_prop of particle {np.argmin(given)} is {given.min():g}, below 0", file=file)
        return given, np.full((2, given.size), np.nan), -1
    initial = xr.DataArray(position, dims=("particle", "xyz"))
    final = xr.DataArray(read(file, "positions"), dims=("trajectory", "particle", "xyz"))
    try:
        p = physics.propensity.propensity(final, initial, run["species"], box=run["box"])
        with warnings.catch_warnings():
            # of one trajectory there are no halves, which the scoreboard says
            warnings.simplefilter("ignore")
            halves = physics.propensity.propensity(final, initial, run["species"], half=True)
    except DataError as error:
        raise TrajectoryError(str(error), file=file) from None
    return p.values, halves.values, contents.trajectories


def average(
    path: Path, block: Block, trajectories: Isoconfigurational, *, species: Sequence[str], precision: float | None
) -> dict[str, Any]:
    """Bring a frame of the production run into the store, with the propensities of its particles at every lag."""
    run = read_block(path, block, [])
    frame, production = trajectories.frame, trajectories.production
    frames = read_frames(
        production, get_reader("gsd", ()), frame, frame + 1, run["species"].values, species, (), None, "trusted"
    )
    motions = [motion_of(trajectories.folder, number) for number in trajectories.numbers]
    distance = np.stack([motion.distance for motion in motions]).astype(np.float64)
    p = distance.mean(axis=0)
    halves = np.full((2, *p.shape), np.nan)
    if len(distance) > 1:
        halves[:] = physics.propensity.halves_of(distance)
    lags = len(trajectories.steps)
    values = {
        "propensity": _at_all(lags, p),
        "propensity_half": _at_all(lags, np.moveaxis(halves, 0, 1)),
        "trajectories": np.where(np.arange(lags) < len(p), len(motions), 0),
        "mean_potential_energy": _at_all(lags, np.mean([motion.energy for motion in motions], axis=0)),
        "mean_pressure": _at_all(lags, np.mean([motion.pressure for motion in motions], axis=0)),
    }
    if trajectories.positions:
        values["final_position"] = np.stack([_at_all(lags, _moved(frames.position[0], motion)) for motion in motions])
        values["final_position"] = quantize(values["final_position"], precision)
    write_block(
        path,
        block,
        {"position": quantize(frames.position, precision)} | {name: each[None] for name, each in values.items()},
    )
    return {"frames": 1}


def _moved(position: NDArray[np.float32], motion: Motion) -> NDArray[np.float32]:
    """Positions (lag, particle, xyz) that particles move to."""
    if motion.displacement is None:
        raise EngineError("a trajectory keeps no positions", remedy="run the study again")
    return (position.astype(np.float64) + motion.displacement).astype(np.float32)


def _at_all(lags: int, values: NDArray[Any]) -> NDArray[Any]:
    """Values (lag, …) at all lags of a run: NaN at those that trajectories of a temperature do not reach."""
    return np.pad(values, [(0, lags - len(values)), *[(0, 0)] * (values.ndim - 1)], constant_values=np.nan)


def _simulates(plan: Plan) -> bool:
    return bool(plan.source.simulations)


def _comes_from_files(plan: Plan) -> bool:
    return not plan.source.simulations


def _memory(plan: Plan, run: str) -> int:
    sizes, N = plan.layouts[run].sizes, plan.source.particles
    lags = sizes["lag"] if _simulates(plan) else 1
    # read, moved, and encoded
    kept = 4 * POSITION * lags * sizes.get("trajectory", 0)
    return N * (TRAJECTORIES * (OF_A_TRAJECTORY + 12 * lags) + kept)


STEPS = (
    Step(
        gather,
        over=Configurations(),
        name="ensemble",
        writes=("position", "propensity", "propensity_half", "trajectories", "cage"),
        recorded=True,
        settings={"precision": "precision"},
        memory=_memory,
        seconds=per_particle_frame(2e-5, ENSEMBLES),
        when=_comes_from_files,
    ),
    Step(
        average,
        over=Configurations(),
        name="trajectories",
        reads=(MOVED,),
        writes=(
            "position",
            "propensity",
            "propensity_half",
            "trajectories",
            "mean_potential_energy",
            "mean_pressure",
            "final_position",
        ),
        recorded=True,
        settings={"species": "species", "precision": "precision"},
        memory=_memory,
        seconds=per_particle_frame(2e-6, ENSEMBLES),
        when=_simulates,
    ),
)
