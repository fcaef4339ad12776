"""Entropy: radial distribution functions of every temperature and replica, in both kinds of positions."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import xarray as xr

from daskglass import physics
from daskglass.stages.declare import (
    CELLS,
    POSITION,
    POSITIONS,
    PRODUCTION,
    Blocks,
    Plan,
    Reduce,
    Rows,
    Stage,
    Step,
    minimized,
    reading,
)
from daskglass.stages.pairs import FINITE, add, pairs, seconds_of_pairs
from daskglass.store.blocks import Block, open_group, read_block, write_rows

RADIAL = {"r_max": "radial.r_max", "bin_width": "radial.bin_width"}


def count_pairs(path: Path, block: Block, *, positions: str, r_max: float, bin_width: float) -> xr.Dataset:
    """Pairs around all A particles of a block, ready to be summed."""
    run = read_block(path, block, [positions])
    return pairs(run, positions, xr.where(run["species"] == 0, 0, -1), 1, r_max, bin_width)


def write_radial(path: Path, row: Block, counted: xr.Dataset, *, name: str) -> dict[str, Any]:
    """Write g(r) of one temperature and replica from its summed pairs."""
    species = open_group(path, row.group)["species"]
    g = physics.structure.normalize_pairs(counted, species).isel(group=0)
    write_rows(path, row, {name: g.values})
    return {}


def _memory(plan: Plan, run: str) -> int:
    layout, N = plan.layouts[run], plan.source.particles
    n = layout.block_frames * N
    return max(n * POSITION + reading(layout, layout.block_frames, POSITION), n * (2 * POSITION + FINITE) + N * CELLS)


STAGE = Stage(
    "entropy",
    (
        Reduce(
            "g",
            Step(
                count_pairs,
                over=Blocks(PRODUCTION),
                reads=(POSITIONS,),
                settings={"positions": POSITIONS, **RADIAL},
                memory=_memory,
                seconds=seconds_of_pairs,
            ),
            add,
            into=Rows(PRODUCTION),
        ),
        Step(write_radial, over=Rows(PRODUCTION), name="g/row", takes=("g",), writes=("g",), constants={"name": "g"}),
        Reduce(
            "g_thermal",
            Step(
                count_pairs,
                over=Blocks(PRODUCTION),
                reads=("position",),
                settings=RADIAL,
                constants={"positions": "position"},
                memory=_memory,
                seconds=seconds_of_pairs,
                when=minimized,
            ),
            add,
            into=Rows(PRODUCTION),
        ),
        Step(
            write_radial,
            over=Rows(PRODUCTION),
            name="g_thermal/row",
            takes=("g_thermal",),
            writes=("g_thermal",),
            constants={"name": "g_thermal"},
            when=minimized,
        ),
    ),
)
