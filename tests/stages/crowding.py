"""A per-particle quantity as whoever adds one declares it: its equation, and its stage."""

import numpy as np

from daskglass.stages.declare import (
    PARTICLES,
    POSITION,
    POSITIONS,
    VALUE,
    Blocks,
    Stage,
    Step,
    per_particle_frame,
    reading,
)
from daskglass.stages.structural import StructuralVariable
from daskglass.store.blocks import read_block, write_block
from daskglass.variables import PARTICLES as PARTICLE_DIMS
from daskglass.variables import Variable

SCALE = 2.0  # σ


def crowding(position, box):
    """ρ_i = Σ_j exp(−r_ij / 2) over all other particles, by the minimum image."""
    apart = position[:, None] - position[None, :]
    r = np.linalg.norm(apart - box * np.round(apart / box), axis=-1)
    return np.exp(-r / SCALE).sum(axis=1) - 1


def crowding_of_block(path, block, *, positions):
    run = read_block(path, block, [positions])
    values = [crowding(frame, run["box"].values) for frame in run[positions].values]
    write_block(path, block, {"crowding": np.where(run["species"] == 0, values, np.nan).astype(np.float32)})
    return {"frames": block.stop - block.start}


def memory(plan, run):
    layout, N = plan.layouts[run], plan.source.particles
    n = layout.block_frames * N
    return n * (POSITION + VALUE) + reading(layout, layout.block_frames, POSITION) + 40 * N * N


STAGE = Stage(
    "crowding",
    (
        Step(
            crowding_of_block,
            over=Blocks(PARTICLES),
            reads=(POSITIONS,),
            writes=("crowding",),
            settings={"positions": POSITIONS},
            memory=memory,
            seconds=per_particle_frame(1e-4),
        ),
    ),
)
VARIABLE = Variable("crowding", PARTICLE_DIMS, "float32", "1", "crowding of A")
STRUCTURAL = StructuralVariable("crowding", "crowding")
