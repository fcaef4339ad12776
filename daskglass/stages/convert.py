"""Convert: frames of files come into the store, a block at a time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from daskglass.errors import TrajectoryError
from daskglass.sources import Origin
from daskglass.stages import gather
from daskglass.stages.declare import (
    ALL,
    POSITION,
    RECORDED,
    Item,
    Plan,
    Stage,
    Step,
    per_particle_frame,
    writing,
)
from daskglass.store.blocks import Block, open_arrays, quantize, read_block, write_block
from daskglass.trajectories.unwrapping import read_frames

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
    origin.check_unchanged()
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
    origin.check_unchanged()
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
        *gather.STEPS,
    ),
)
