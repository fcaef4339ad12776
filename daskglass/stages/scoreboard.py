"""Scoreboard: how well every indicator foresees propensity, beside the noise ceiling and all other indicators."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from daskglass import physics
from daskglass.stages.declare import ENSEMBLES, SMALL, Plan, Stage, Step, Temperatures, WholeSystem, minimized
from daskglass.stages.indicators import AVERAGED, has_cages, written
from daskglass.stages.predictor import PREDICTED
from daskglass.store.blocks import read_block, rows_of, write_table
from daskglass.variables import KINDS

RUN = "isoconfigurational"
CONFIGURATIONS = ("replica", "configuration")
COMPARED = "pearson"


def scored(thermal: bool, cages: bool) -> tuple[str, ...]:
    """Variables that are scored: of every kind of positions, and predictions."""
    there = {"": True, "_thermal": thermal, "_cage": cages}
    return (*(name for suffix in KINDS if there[suffix] for name in written(suffix)), PREDICTED)


def score(path: Path, system: str, temperature: float, *, thermal: bool, cages: bool) -> xr.Dataset:
    """Scores of all indicators at one temperature, over (lag, indicator)."""
    rows = rows_of(path, system, RUN, temperature)

    def read(name: str) -> xr.DataArray:
        runs = [read_block(path, row, [name]) for row in rows]
        return xr.concat([run[name] for run in runs], "replica", coords="minimal", compat="override")

    run = read_block(path, rows[0], [])
    p, half = read("propensity"), read("propensity_half")
    halves = None if bool(half.isnull().all()) else half
    boards = []
    for name in scored(thermal, cages):
        board = physics.scores.score(read(name), p, run["species"], halves, over=CONFIGURATIONS)
        boards.append(_over_indicators(name, board))
    return xr.concat(boards, "indicator", coords="minimal", compat="override", combine_attrs="override")


def _over_indicators(name: str, board: xr.Dataset) -> xr.Dataset:
    """A board over the dimension `indicator`: of a variable, or of each of its generations of neighbours."""
    if "generation" not in board.dims:
        return board.expand_dims(indicator=[name])
    plain = name.replace(AVERAGED, "")
    generations = [f"{plain}, {n}" for n in range(1, board.sizes["generation"] + 1)]
    return board.rename(generation="indicator").assign_coords(indicator=generations)


def write_scoreboard(path: Path, system: str, *boards: xr.Dataset) -> dict[str, Any]:
    """Write the scores of a system, and the differences of every two indicators on the same configurations."""
    board = xr.concat(boards, "temperature", coords="minimal", compat="override", combine_attrs="override")
    run = read_block(path, rows_of(path, system, RUN, _temperatures(path, system)[0])[0], [])
    write_table(path, f"{system}/scoreboard", board)
    return {"indicators": board.sizes["indicator"]}
