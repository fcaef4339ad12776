"""Convert: frames of files come into the store, a block at a time."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from daskglass import physics
from daskglass.errors import DataError, TrajectoryError
from daskglass.sources import Ensemble, Origin
from daskglass.stages.declare import (
    ALL,
    ENSEMBLES,
    POSITION,
    RECORDED,
    Blocks,
    Item,
    Plan,
    Stage,
    Step,
    per_particle_frame,
    writing,
)
from daskglass.store.blocks import Block, open_arrays, quantize, read_block, write_block
from daskglass.trajectories.isoconfigurational import CAGE, Contents, read, scan
from daskglass.trajectories.unwrapping import read_frames

SAME_PLACE = 1e-5  # σ: positions of one configuration in several files, of single precision
TRAJECTORIES, OF_A_TRAJECTORY = (
    100,
    96,
)  # of a configuration, most often fewer; bytes: positions as read, displacements, distances
UNWRAPPING = 60  # of one frame: position, image, their sum in double precision, and what becomes of species codes


@dataclass(frozen=True)
class Frames:
    """Every block whose frames are to be brought into the store."""

    def items(self, plan: Plan) -> Iterator[Item]:
        """List the blocks, with the file of each."""
        before: Block | None = None
        for block in plan.blocks(ALL):
            if not plan.source.has_frames(block.run, block.temperature, block.replica):
                continue
            feed = plan.source.feed(block)
            uniform = plan.source.runs[block.run].times is not None
            yield Item(
                block,
                (plan.path, block, feed.origin, plan.source.timestep, uniform),
                {**feed.inputs, "frames": f"{block.start} to {block.stop}"},
                (before,) if feed.continues and before is not None else (),
                feed.problem,
                feed.grew,
            )
            before = block

    def count(self, plan: Plan) -> Mapping[str, int]:
        """Count the blocks."""
        return {
            run: layout.blocks_of_a_row
            * sum(
                plan.source.has_frames(run, T, replica)
                for T in plan.source.temperatures(run)
                for replica in plan.source.replicas(run)
            )
            for run in plan.runs(ALL)
            for layout in [plan.layouts[run]]
        }


@dataclass(frozen=True)
class Configurations:
    """Every configuration of an isoconfigurational ensemble that comes from files."""

    def items(self, plan: Plan) -> Iterator[Item]:
        """List the configurations, with the files of each."""
        for block in plan.blocks(ENSEMBLES):
            feed = plan.source.feed(block)
            yield Item(block, (plan.path, block, feed.origin), feed.inputs, (), feed.problem)

    def count(self, plan: Plan) -> Mapping[str, int]:
        """Count the configurations."""
        return Blocks(ENSEMBLES).count(plan)


def convert(
    path: Path,
    block: Block,
    origin: Origin,
    timestep: float,
    uniform: bool,
    *,
    species: Sequence[str],
    precision: float | None,
) -> dict[str, Any]:
    """Copy frames of a file into the store; where frames are not `uniform`, their times too."""
    source, reader, survey = origin.path, origin.reader, origin.survey
    _check_unchanged(origin)
    run = open_arrays(path, block.group)
    codes = np.asarray(run["species"])
    if survey is None:
        steps = reader.scan(source).steps
        first_step = int(steps[0])
        if steps.size != run["position"].shape[2]:
            raise TrajectoryError(f"holds {steps.size} frames; the run has {run['position'].shape[2]}", file=source)
    else:
        first_step = survey.first_step
    before = None
    if survey is not None and not survey.images and block.start:
        last = replace(block, start=block.start - 1, stop=block.start)
        before = read_block(path, last, ["position"])["position"].values[0]
    offsets = () if survey is None else survey.offsets
    frames = read_frames(source, reader, block.start, block.stop, codes, species, offsets, before, origin.images)
    _check_unchanged(origin)
    time = (frames.step - first_step) * timestep
    expected = np.asarray(run["time"])[block.start : block.stop] if uniform else time
    wrong = np.flatnonzero(~np.isclose(time, expected, rtol=1e-6, atol=timestep / 2))
    if wrong.size:
        k = wrong[0]
        raise TrajectoryError(
            f"time is {time[k]:g} τ, {expected[k]:g} τ is expected", file=source, frame=block.start + k
        )
    values = {"position": quantize(frames.position, precision)}
    box = run["box"]
    if box.ndim > 1:
        values["box"] = frames.box
    elif (other := (frames.box != np.asarray(box)).any(axis=1)).any():
        k = int(np.argmax(other))
        raise TrajectoryError(
            f"box {frames.box[k]} differs from the run's, {np.asarray(box)}", file=source, frame=block.start + k
        )
    for name, data in frames.quantities.items():
        if name in run:
            values[name] = data / codes.size if name == "potential_energy" else data
    if not uniform:
        values["time"] = time
    write_block(path, block, values)
    return {"frames": block.stop - block.start}


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


def _check_unchanged(origin: Origin) -> None:
    if origin.survey is not None and not origin.survey.is_of(origin.path):
        raise TrajectoryError("changed while it was being read", file=origin.path, remedy="run again once it is whole")


def _memory(plan: Plan, run: str) -> int:
    layout, N = plan.layouts[run], plan.source.particles
    f = layout.block_frames
    return f * N * POSITION + writing(layout, f, POSITION) + N * UNWRAPPING


STAGE = Stage(
    "convert",
    (
        Step(
            convert,
            over=Frames(),
            reads=(RECORDED,),
            writes=("position", "box", "time", "potential_energy", "pressure"),
            recorded=True,
            settings={"species": "species", "precision": "precision"},
            memory=_memory,
            seconds=per_particle_frame(2e-7, ALL),
        ),
        Step(
            gather,
            over=Configurations(),
            name="ensemble",
            writes=("position", "propensity", "propensity_half", "trajectories", "cage"),
            recorded=True,
            settings={"precision": "precision"},
            memory=lambda plan, run: plan.source.particles * TRAJECTORIES * OF_A_TRAJECTORY,
            seconds=per_particle_frame(2e-5, ENSEMBLES),
            when=lambda plan: not plan.source.simulations,
        ),
    ),
)
