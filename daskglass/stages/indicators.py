"""Indicators: structural variables of the configurations of isoconfigurational ensembles, and averages over neighbours."""

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
    Blocks,
    Plan,
    Stage,
    Step,
    always,
    minimized,
    per_particle_frame,
)
from daskglass.stages.structural import AVERAGED, INDICATORS, Structure, written
from daskglass.stages.structure import frame_bytes
from daskglass.store.blocks import Block, read_block, write_block


def indicate(
    path: Path,
    block: Block,
    *,
    positions: str,
    suffix: str,
    mixture: Mixture,
    mu: Sequence[float],
    width: float,
) -> dict[str, Any]:
    """Compute the structural variables of a configuration in one kind of its positions."""
    run = read_block(path, block, [positions])
    radii = tuple(physics.structure.mu_grid(*mu))
    structure = Structure(run[positions], run["species"], run["box"], mixture, radii, width)
    found = of_structure(structure)
    write_block(path, block, {f"{name}{suffix}": values for name, values in found.items()})
    return {"frames": 1}


def of_structure(structure: Structure) -> dict[str, NDArray[np.floating]]:
    """All indicators (…, particle) of a structure, NaN but of the first species; and their averages (…, generation, particle)."""
    names = [variable.name for variable in INDICATORS if variable.of]
    x = xr.concat(
        [variable.of(structure).reset_coords(drop=True).astype(np.float64) for variable in INDICATORS if variable.of],
        "indicator", coords="minimal", compat="override", combine_attrs="drop",
    )  # fmt: skip
    x = x.transpose(..., "particle", "indicator")
    first = structure.species == 0
    found = {name: x.isel(indicator=k).where(first).values for k, name in enumerate(names)}
    averages = []
    for _ in range(GENERATIONS):
        x = physics.neighborhood.neighborhood_average(x, structure.position, structure.box)
        averages.append(x.where(first))
    averaged = xr.concat(averages, "generation", coords="minimal", compat="override").transpose(
        ..., "generation", "particle", "indicator"
    )
    return found | {f"{name}{AVERAGED}": averaged.isel(indicator=k).values for k, name in enumerate(names)}


def _memory(plan: Plan, run: str) -> int:
    kept = len(written("")) * (1 + GENERATIONS) * 8
    return plan.source.particles * (POSITION + CELLS + kept) + 3 * frame_bytes(plan)


def _step(suffix: str, positions: str, when: Callable[[Plan], bool] = always) -> Step:
    settings = {
        "mixture": "mixture",
        "mu": "structure.mu",
        "width": "structure.width",
    }
    of_structure = positions == POSITIONS
    return Step(
        indicate,
        over=Blocks(ENSEMBLES),
        name=suffix.removeprefix("_"),
        reads=(positions,),
        writes=written(suffix),
        settings=settings | ({"positions": POSITIONS} if of_structure else {}),
        constants={"suffix": suffix} | ({} if of_structure else {"positions": positions}),
        memory=_memory,
        seconds=per_particle_frame(3e-5, ENSEMBLES),
        when=when,
    )


def has_cages(plan: Plan) -> bool:
    """Whether the source brings centres of cages."""
    return any(variable.name == "cage" for of in plan.source.runs.values() for variable in of.variables)


STAGE = Stage(
    "indicators",
    (_step("", POSITIONS), _step("_thermal", "position", minimized), _step("_cage", "cage", has_cages)),
)
