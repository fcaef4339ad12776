"""Inherent: every frame is minimised to its inherent structure."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from daskglass.engines import get_minimizer
from daskglass.physics.systems import Mixture
from daskglass.registry import ENGINES
from daskglass.stages.declare import (
    POSITION,
    STRUCTURES,
    Blocks,
    Plan,
    Stage,
    Step,
    minimized,
    particle_frames,
    reading,
)
from daskglass.store.blocks import Block, quantize, read_block, write_block

MINIMIZING = POSITION + 24 + 24 + POSITION  # as stored; in double precision before and after; as they are written


def minimize(
    path: Path,
    block: Block,
    *,
    mixture: Mixture,
    engine: str,
    minimizer: str,
    tolerance: float,
    precision: float | None,
) -> dict[str, Any]:
    """Minimise the frames of a block; a frame that did not converge is left NaN and counted."""
    run = read_block(path, block, ["position"])
    if run["position"].isnull().all():
        # a configuration that there is no file of
        nothing = np.full(run["position"].shape[0], np.nan)
        write_block(path, block, {"inherent": run["position"].values, "inherent_force": nothing})
        return {"frames": 0}
    minima = get_minimizer(engine).minimize(
        mixture, run["position"].values, run["species"].values, run["box"].values, tolerance, minimizer
    )
    positions = quantize(minima.positions, precision)
    positions[~minima.converged] = np.nan
    write_block(path, block, {"inherent": positions, "inherent_force": minima.force_rms})
    return {
        "frames": block.stop - block.start,
        "unconverged": [int(block.start + k) for k in np.flatnonzero(~minima.converged)],
        "evaluations": int(minima.evaluations.sum()),
    }


def _memory(plan: Plan, run: str) -> int:
    layout, N = plan.layouts[run], plan.source.particles
    n, memory = layout.block_frames * N, ENGINES[plan.settings["inherent.engine"]].memory
    return max(n * POSITION + reading(layout, layout.block_frames, POSITION), n * MINIMIZING + N * memory)


def _seconds(plan: Plan, gpu: bool) -> float:
    engine = ENGINES[plan.settings["inherent.engine"]]
    return (
        particle_frames(plan, STRUCTURES)
        * engine.minimizers[plan.settings["inherent.minimizer"]]
        / engine.core.evaluations
    )


STAGE = Stage(
    "inherent",
    (
        Step(
            minimize,
            over=Blocks(STRUCTURES),
            reads=("position",),
            writes=("inherent", "inherent_force"),
            settings={
                "mixture": "mixture",
                "engine": "inherent.engine",
                "minimizer": "inherent.minimizer",
                "tolerance": "inherent.force_tolerance",
                "precision": "precision",
            },
            memory=_memory,
            seconds=_seconds,
            when=minimized,
        ),
    ),
)
