"""Hops: the hop indicator of every particle and frame, and the labels of the run that softness is trained on."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from daskglass import physics
from daskglass.stages.declare import (
    ENSEMBLES,
    PARTICLES,
    POSITION,
    POSITIONS,
    PRODUCTION,
    SMALL,
    TRAINED,
    VALUE,
    Blocks,
    Plan,
    Rows,
    Stage,
    Step,
    affine,
    per_particle_frame,
    reading,
)
from daskglass.stages.motion import moved
from daskglass.store.blocks import Block, frames_in, open_group, read_block, write_block

KERNELS = 0.5  # s of the first task of a process that uses compiled kernels, from their cache
LABELLING = 8  # bytes: p_hop, labels, and what is compared and written of them


def hops(path: Path, block: Block, *, positions: str, window: float) -> dict[str, Any]:
    """Hop indicator of a block, read with half a window more at both ends."""
    half = frames_in(path, block.group, window / 2)
    run = read_block(path, block, [positions], halo=half)
    before = min(block.start, half)
    frames = slice(before, before + block.stop - block.start)
    if run.sizes["time"] > 2 * half:
        hop = (
            physics.hops.hop_indicator(moved(path, block, run[positions], run["box"]), window).isel(time=frames).values
        )
    else:
        hop = np.full((block.stop - block.start, run.sizes["particle"]), np.nan, np.float32)
    write_block(path, block, {"hop": hop})
    return {"frames": block.stop - block.start}


def label(
    path: Path, row: Block, *, soft: float, hard: float, soft_separation: float, hard_separation: float
) -> dict[str, Any]:
    """Labels of a whole row (one temperature and replica): separations span its blocks."""
    run = read_block(path, row, ["hop"])
    labels = physics.hops.rearrangement_labels(run["hop"], run["species"], soft, hard, soft_separation, hard_separation)
    write_block(path, row, {"label": labels.values})
    return {name: int((labels == code).sum()) for name, code in (("soft", 1), ("hard", 0))}


def hops_of_configurations(path: Path, block: Block) -> dict[str, Any]:
    """Copy the hop indicator of the frames that the configurations of an ensemble are."""
    numbers = open_group(path, block.group)["configuration"].values[block.start : block.stop]
    frames = [replace(block, run=PRODUCTION, start=k, stop=k + 1) for k in numbers.tolist()]
    write_block(
        path, block, {"hop": np.concatenate([read_block(path, frame, ["hop"])["hop"].values for frame in frames])}
    )
    return {"frames": block.stop - block.start}


def _are_frames(plan: Plan) -> bool:
    return any(plan.source.runs[run].of == PRODUCTION for run in plan.runs(ENSEMBLES))


def _their_frames(plan: Plan, block: Block) -> Sequence[Block]:
    numbers = plan.source.runs[block.run].configurations
    if numbers is None:
        raise TypeError(f"{block.run}: its frames are no configurations")
    return [replace(block, run=PRODUCTION, start=k, stop=k + 1) for k in numbers[block.start : block.stop].tolist()]


def _half_window(plan: Plan, run: str) -> int:
    return plan.frames_of(run, "hops.window", 0.5)


def _reach(plan: Plan, block: Block) -> Sequence[Block]:
    half = _half_window(plan, block.run)
    near = replace(block, start=block.start - half, stop=block.stop + half)
    # where the box varies, motion is relative to its first frame
    return (near,) if plan.source.box is not None else (near, replace(block, start=0, stop=1))


def _memory_of_hops(plan: Plan, run: str) -> int:
    layout, N = plan.layouts[run], plan.source.particles
    f, half = layout.block_frames, _half_window(plan, run)
    h, touched = (min(layout.frames, f + 2 * more) for more in (half, math.ceil(half / layout.chunk) * layout.chunk))
    return h * N * POSITION + max(reading(layout, touched, POSITION), h * N * (affine(plan) + VALUE))


def _memory_of_labels(plan: Plan, run: str) -> int:
    layout, N = plan.layouts[run], plan.source.particles
    F = layout.frames
    return F * N * VALUE + max(reading(layout, F, VALUE), F * N * (LABELLING - VALUE))


STAGE = Stage(
    "hops",
    (
        Step(
            hops,
            over=Blocks(PARTICLES),
            reads=(POSITIONS,),
            reach=_reach,
            writes=("hop",),
            settings={"positions": POSITIONS, "window": "hops.window"},
            memory=_memory_of_hops,
            seconds=per_particle_frame(1e-7, once=KERNELS),
        ),
        Step(
            label,
            over=Rows(TRAINED),
            name="labels",
            reads=("hop",),
            writes=("label",),
            settings={
                "soft": "hops.soft",
                "hard": "hops.hard",
                "soft_separation": "hops.soft_separation",
                "hard_separation": "hops.hard_separation",
            },
            memory=_memory_of_labels,
            whole_rows=TRAINED,
        ),
        Step(
            hops_of_configurations,
            over=Blocks(ENSEMBLES),
            name="ensembles",
            reads=("hop",),
            reach=_their_frames,
            writes=("hop",),
            memory=lambda plan, run: SMALL + 2 * plan.layouts[run].block_frames * plan.source.particles * VALUE,
            when=_are_frames,
        ),
    ),
)
