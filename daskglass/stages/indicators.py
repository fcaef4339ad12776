"""Indicators: structural variables of frames, and of configurations of ensembles with their averages over neighbours."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from daskglass import physics
from daskglass.physics.defaults import GENERATIONS
from daskglass.physics.systems import Mixture
from daskglass.stages.declare import (
    CELLS,
    ENSEMBLES,
    POSITION,
    POSITIONS,
    PRODUCTION,
    STRUCTURAL,
    VALUE,
    Blocks,
    Plan,
    Stage,
    Step,
    always,
    minimized,
    per_particle_frame,
    reading,
    writing,
)
from daskglass.stages.softness import frames_together
from daskglass.stages.structural import (
    AVERAGED,
    LOCAL_ENTROPY,
    STRUCTURAL_VARIABLES,
    StructuralVariable,
    Structure,
    computed,
    named,
    written,
)
from daskglass.stages.structure import frame_bytes
from daskglass.store.blocks import Block, read_block, write_block
from daskglass.variables import ALONG

DOUBLE = 8  # bytes


def indicate(
    path: Path,
    block: Block,
    *,
    names: Sequence[str],
    positions: str,
    generations: int,
    suffix: str,
    mixture: Mixture | None,
    mu: Sequence[float] | None,
    width: float,
) -> dict[str, Any]:
    """Compute structural variables of a block in one kind of its positions, and their averages over neighbours."""
    run = read_block(path, block, [positions])
    along = next(dim for dim in ALONG if dim in run[positions].dims)
    radii = () if mu is None else tuple(physics.structure.mu_grid(*mu))
    values: dict[str, list[NDArray[np.floating]]] = {}
    together = frames_together(max(len(radii) * len(run["species"].attrs["names"]), 1) * run.sizes["particle"])
    for k in range(0, run.sizes[along], together):
        frames = run.isel({along: slice(k, k + together)})
        structure = Structure(frames[positions], frames["species"], frames["box"], mixture, radii, width)
        for name, found in of_structure(structure, names, generations).items():
            values.setdefault(f"{name}{suffix}", []).append(found)
    write_block(path, block, {name: np.concatenate(each) for name, each in values.items()})
    return {"frames": block.stop - block.start}


def of_structure(structure: Structure, names: Sequence[str], generations: int) -> dict[str, NDArray[np.floating]]:
    """Structural variables (…, particle), NaN but of the first species; and their averages (…, generation, particle)."""
    variables = [variable for variable in named(names) if variable.of]
    x = xr.concat(
        [variable.of(structure).reset_coords(drop=True).astype(np.float64) for variable in variables if variable.of],
        "variable", coords="minimal", compat="override", combine_attrs="drop",
    )  # fmt: skip
    x = x.transpose(..., "particle", "variable")
    first = structure.species == 0
    found = {name: x.isel(variable=k).where(first).values for k, name in enumerate(names)}
    averages = []
    for _ in range(generations):
        x = physics.neighborhood.neighborhood_average(x, structure.position, structure.box)
        averages.append(x.where(first))
    if not averages:
        return found
    averaged = xr.concat(averages, "generation", coords="minimal", compat="override").transpose(
        ..., "generation", "particle", "variable"
    )
    return found | {f"{name}{AVERAGED}": averaged.isel(variable=k).values for k, name in enumerate(names)}


def _memory(variables: int, generations: int, needs: Sequence[str]) -> Callable[[Plan, str], int]:
    def memory(plan: Plan, run: str) -> int:
        layout, N = plan.layouts[run], plan.source.particles
        f, kept = layout.block_frames, variables * (1 + generations) * VALUE
        functions = frame_bytes(plan) if "mu" in needs else 0
        together = min(f, frames_together(max(functions // VALUE, N)))
        # in double precision, before and after it is masked
        work = f * N * (POSITION + kept) + together * (2 * N * DOUBLE * (1 + generations) * variables + 2 * functions)
        return max(f * N * POSITION + reading(layout, f, POSITION), work + N * CELLS + writing(layout, f, VALUE))

    return memory


NEEDS = {"mixture": "mixture", "mu": "structure.mu", "width": "structure.width"}
NOTHING = {"mixture": None, "mu": None, "width": 0.0}


def _of_configurations(suffix: str, positions: str, when: Callable[[Plan], bool] = always) -> Step:
    chosen = positions == POSITIONS
    return Step(
        indicate,
        over=Blocks(ENSEMBLES),
        name=f"ensembles{suffix}",
        reads=(positions,),
        writes=written(suffix),
        settings=NEEDS | ({"positions": POSITIONS} if chosen else {}),
        constants={"names": computed(), "generations": GENERATIONS, "suffix": suffix}
        | ({} if chosen else {"positions": positions}),
        memory=_memory(len(computed()), GENERATIONS, tuple(NEEDS)),
        seconds=per_particle_frame(4e-5, ENSEMBLES),
        when=when,
    )


def _of_frames(variable: StructuralVariable) -> Step:
    return Step(
        indicate,
        over=Blocks(PRODUCTION),
        name=variable.name,
        reads=(POSITIONS,),
        writes=(variable.name,),
        settings={"positions": POSITIONS} | {name: key for name, key in NEEDS.items() if name in variable.needs},
        constants={"names": (variable.name,), "generations": 0, "suffix": ""}
        | {name: none for name, none in NOTHING.items() if name not in variable.needs},
        memory=_memory(1, 0, variable.needs),
        seconds=per_particle_frame(5e-6, PRODUCTION),
        when=lambda plan: variable.name in plan.settings[STRUCTURAL],
    )


def has_cages(plan: Plan) -> bool:
    """Whether the source brings centres of cages."""
    return any(variable.name == "cage" for of in plan.source.runs.values() for variable in of.variables)


# that of softness writes local entropy, which follows from the same structure functions
ELSEWHERE = (LOCAL_ENTROPY.name,)
STAGE = Stage(
    "indicators",
    (
        *(_of_frames(each) for each in STRUCTURAL_VARIABLES if each.of and each.name not in ELSEWHERE),
        _of_configurations("", POSITIONS),
        _of_configurations("_thermal", "position", minimized),
        _of_configurations("_cage", "cage", has_cages),
    ),
)
