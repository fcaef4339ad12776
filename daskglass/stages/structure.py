"""Structure: the training examples of a system, and their structure functions."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from daskglass import physics
from daskglass.errors import DataError
from daskglass.stages.declare import (
    CELLS,
    LABEL,
    POSITION,
    POSITIONS,
    SMALL,
    TRAINED,
    VALUE,
    Blocks,
    Plan,
    Stage,
    Step,
    WholeSystem,
    reading,
)
from daskglass.store.blocks import Block, frames_in, read_block, rows_of, write_table

OF_AN_EXAMPLE = 2e-5  # s: few of the particles of many frames
SELECTING = 4  # bytes: labels by row and stacked, which of them are a class, and the places of those


def select(
    path: Path, system: str, *, run: str, temperature: float, lead: float, per_class: int, seed: int
) -> NDArray[np.int64]:
    """Choose the training examples of a system: (replica, frame, particle, label) of each, `lead` τ before its hop."""
    rows = rows_of(path, system, run, temperature)
    labels = np.stack([read_block(path, row, ["label"])["label"].values for row in rows])
    earlier = frames_in(path, f"{system}/{run}", lead)
    labels[:, :earlier] = -1
    chosen = physics.softness.sample_examples(labels, per_class, seed)
    replica, frame, particle = np.unravel_index(chosen, labels.shape)
    replica = np.array([row.replica for row in rows])[replica]
    return np.stack([replica, frame - earlier, particle, labels.ravel()[chosen]], axis=1)


def structure_of_examples(
    path: Path, block: Block, chosen: NDArray[np.int64], *, positions: str, mu: Sequence[float], width: float
) -> xr.Dataset:
    """Structure functions of the chosen examples whose frames lie in a block."""
    here = chosen[(chosen[:, 0] == block.replica) & (chosen[:, 1] >= block.start) & (chosen[:, 1] < block.stop)]
    run = read_block(path, block, [positions])
    frames, where = np.unique(here[:, 1], return_inverse=True)
    run = run.isel(time=frames - block.start)
    centers = xr.zeros_like(run[positions].isel(xyz=0), dtype=bool)
    centers.values[where, here[:, 2]] = True
    radii = physics.structure.mu_grid(*mu)
    G = physics.structure.structure_functions(run[positions], run["species"], run["box"], radii, width, centers)
    picked = G.isel(time=xr.DataArray(where, dims="example"), particle=xr.DataArray(here[:, 2], dims="example"))
    examples = picked.reset_coords(drop=True).to_dataset(name="G")
    columns = {"label": here[:, 3], "replica": np.full(len(here), block.replica), "frame": here[:, 1]}
    columns["particle"] = here[:, 2]
    return examples.assign({name: ("example", values.astype(np.int64)) for name, values in columns.items()})


def gather_examples(path: Path, system: str, *parts: xr.Dataset) -> dict[str, Any]:
    """Write the training examples of a system, with their structure functions."""
    examples = xr.concat(parts, "example", combine_attrs="override")
    lost = int(examples["G"].isnull().any(("neighbor", "mu")).sum())
    if lost:
        raise DataError(f"{system}: {lost} training examples lie in frames whose minimisation did not converge")
    write_table(path, f"{system}/examples", examples)
    return {"examples": examples.sizes["example"]}


def frame_bytes(plan: Plan) -> int:
    """Bytes of the structure functions of all particles of a frame."""
    first, last, step = plan.settings["structure.mu"]
    return plan.source.particles * len(plan.source.species) * (round((last - first) / step) + 1) * VALUE


def examples_bytes(plan: Plan) -> int:
    """Bytes of the structure functions of all examples."""
    return 2 * int(plan.settings["softness.samples_per_class"]) * frame_bytes(plan) // plan.source.particles


def _memory_to_select(plan: Plan, run: str) -> int:
    layout, N = plan.layouts[run], plan.source.particles
    F = layout.frames
    return F * N * len(plan.source.replicas(run)) * SELECTING + reading(layout, F, LABEL)


def _memory_of_structure(plan: Plan, run: str) -> int:
    layout, N = plan.layouts[run], plan.source.particles
    f = layout.block_frames
    chosen = min(f, 2 * plan.settings["softness.samples_per_class"])
    positions = f * N * POSITION + reading(layout, f, POSITION)
    return max(positions, f * N * 2 * POSITION + chosen * frame_bytes(plan) + N * CELLS)


STAGE = Stage(
    "structure",
    (
        Step(
            select,
            over=WholeSystem(),
            name="select",
            reads=("label",),
            settings={
                "run": "softness.train_on.run",
                "temperature": "softness.train_on.temperature",
                "lead": "hops.lead",
                "per_class": "softness.samples_per_class",
                "seed": "softness.seed",
            },
            memory=_memory_to_select,
            whole_rows=TRAINED,
        ),
        Step(
            structure_of_examples,
            over=Blocks(TRAINED),
            name="structure",
            reads=(POSITIONS,),
            takes=("select",),
            settings={"positions": POSITIONS, "mu": "structure.mu", "width": "structure.width"},
            memory=_memory_of_structure,
            seconds=lambda plan, gpu: OF_AN_EXAMPLE * 2 * plan.settings["softness.samples_per_class"],
        ),
        Step(
            gather_examples,
            over=WholeSystem(),
            takes=("structure",),
            table="examples",
            memory=lambda plan, run: SMALL + 4 * examples_bytes(plan),
        ),
    ),
)
