"""Softness, and local entropy: both follow from the same structure functions."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from daskglass import physics
from daskglass.stages.declare import (
    CELLS,
    ENSEMBLES,
    PARTICLES,
    POSITION,
    POSITIONS,
    VALUE,
    Blocks,
    Plan,
    Stage,
    Step,
    per_particle_frame,
    reading,
    writing,
)
from daskglass.stages.structure import frame_bytes
from daskglass.store.blocks import Block, read_block, read_table, write_block

FEATURES = 2**22  # structure functions computed at once: calls cost more than they do where frames are small


def soften(path: Path, block: Block, *, positions: str, mu: Sequence[float], width: float) -> dict[str, Any]:
    """Softness and local entropy of a block."""
    model = physics.softness.Softness.from_dataset(read_table(path, f"{block.system}/model"))
    run = read_block(path, block, [positions])
    shape = (run.sizes["time"], run.sizes["particle"])
    values = {name: np.full(shape, np.nan, np.float32) for name in ("softness", "local_entropy")}
    radii = physics.structure.mu_grid(*mu)
    together = frames_together(model.weights.size * run.sizes["particle"])
    for k in range(0, run.sizes["time"], together):
        chosen = slice(k, k + together)
        frames = run.isel(time=chosen)
        G = physics.structure.structure_functions(frames[positions], run["species"], frames["box"], radii, width)
        values["softness"][chosen] = model.transform(G)
        values["local_entropy"][chosen] = physics.entropy.local_excess_entropy(G)
    write_block(path, block, values)
    return {"frames": block.stop - block.start}


def soften_configuration(
    path: Path, block: Block, *, positions: str, mu: Sequence[float], width: float
) -> dict[str, Any]:
    """Softness of a configuration of an isoconfigurational ensemble."""
    model = physics.softness.Softness.from_dataset(read_table(path, f"{block.system}/model"))
    run = read_block(path, block, [positions])
    radii = physics.structure.mu_grid(*mu)
    G = physics.structure.structure_functions(run[positions], run["species"], run["box"], radii, width)
    write_block(path, block, {"softness": model.transform(G).values})
    return {"frames": 1}


def frames_together(features: int) -> int:
    """Frames whose structure functions, `features` a frame, are computed at once."""
    return max(1, FEATURES // features)


def has_softness(plan: Plan) -> bool:
    """Whether softness is defined: by rearrangements in a production or training run."""
    return "production" in plan.source.runs


def _memory(plan: Plan, run: str) -> int:
    layout, N = plan.layouts[run], plan.source.particles
    f = layout.block_frames
    n = f * N
    # structure functions twice, and memory freed between them that does not suit the next
    together = min(f, frames_together(frame_bytes(plan) // VALUE))
    work = n * (POSITION + 2 * VALUE) + 3 * together * frame_bytes(plan) + N * CELLS
    written = n * (POSITION + 2 * VALUE) + writing(layout, f, VALUE)
    return max(n * POSITION + reading(layout, f, POSITION), work, written)


STAGE = Stage(
    "softness",
    (
        Step(
            soften,
            over=Blocks(PARTICLES),
            reads=(POSITIONS,),
            tables=("model",),
            writes=("softness", "local_entropy"),
            settings={"positions": POSITIONS, "mu": "structure.mu", "width": "structure.width"},
            memory=_memory,
            seconds=per_particle_frame(3e-6),
        ),
        Step(
            soften_configuration,
            over=Blocks(ENSEMBLES),
            name="ensembles",
            reads=(POSITIONS,),
            tables=("model",),
            writes=("softness",),
            settings={"positions": POSITIONS, "mu": "structure.mu", "width": "structure.width"},
            memory=_memory,
            seconds=per_particle_frame(3e-6, ENSEMBLES),
            when=has_softness,
        ),
    ),
)
