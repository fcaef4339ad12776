"""Scoreboard: how well every indicator foresees propensity, beside the noise ceiling and all other indicators."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import xarray as xr

from daskglass import physics
from daskglass.stages.declare import ENSEMBLES, INDICATED, SMALL, Plan, Stage, Step, Temperatures, WholeSystem
from daskglass.stages.predictor import CONFIGURATIONS, RUN
from daskglass.stages.structural import indicator, scored
from daskglass.store.blocks import open_group, read_block, rows_of, write_table


def score(path: Path, system: str, temperature: float, *, threshold: float) -> xr.Dataset:
    """Scores of all indicators at one temperature, over (lag, indicator)."""
    rows = rows_of(path, system, RUN, temperature)

    def read(name: str) -> xr.DataArray:
        runs = [read_block(path, row, [name]) for row in rows]
        return xr.concat([run[name] for run in runs], "replica", coords="minimal", compat="override")

    there = open_group(path, rows[0].group)
    species, lags = there["species"].load().reset_coords(drop=True), there["lag"]
    p, half = read("propensity"), read("propensity_half")
    halves = None if bool(half.isnull().all()) else half
    hop = read("hop") if "hop" in there else None
    boards = []
    for name in (name for name in scored() if name in there):
        values = read(name)
        board = physics.scores.score(values, p, species, halves, over=CONFIGURATIONS)
        if hop is not None:
            board = board.assign(_area(values.where(species == 0), hop, threshold))
        boards.append(_over_indicators(name, board))
    board = xr.concat(boards, "indicator", coords="minimal", compat="override", combine_attrs="override")
    board = board.assign_coords(lag=lags, replica=[row.replica for row in rows])
    return board.expand_dims(temperature=[temperature])


def _area(values: xr.DataArray, hop: xr.DataArray, threshold: float) -> xr.Dataset:
    """Area under the receiver operating curve of what rearranges in the configurations, and its error over them."""
    values, hop = (each.rename(configuration="time") for each in (values, hop))
    return physics.receiver.receiver_operating_curve(values, hop, threshold)[["area", "area_err"]]


def _over_indicators(name: str, board: xr.Dataset) -> xr.Dataset:
    """A board over the dimension `indicator`: of a variable, or of each of its generations of neighbours."""
    if "generation" not in board.dims:
        return board.expand_dims(indicator=[name])
    names = [indicator(name, generation) for generation in range(1, board.sizes["generation"] + 1)]
    return board.rename(generation="indicator").assign_coords(indicator=names)


def write_scoreboard(path: Path, system: str, *boards: xr.Dataset) -> dict[str, Any]:
    """Write the scores of a system, and the differences of every two indicators on the same configurations."""
    board = xr.concat(boards, "temperature", coords="minimal", compat="override", combine_attrs="override")
    # of lags that are planned no trajectory may have come to the last
    reached = board["configurations"].any([dim for dim in board["configurations"].dims if dim != "lag"])
    board = board.sel(lag=board["lag"][reached.values])
    apart = physics.scores.score_difference(board, board.rename(indicator="other"))
    write_table(path, f"{system}/scoreboard", board.assign(of_differences(apart)))
    return {"indicators": board.sizes["indicator"]}


def of_differences(apart: xr.Dataset) -> dict[str, xr.DataArray]:
    """Differences of scores by the names that a scoreboard has for them: `pearson_difference`, `pearson_difference_err`."""
    return {
        f"{base}_difference{error}": apart[f"{base}{error}"]
        for base in ("pearson", "spearman")
        for error in ("", "_err")
    }


def _memory(plan: Plan, run: str) -> int:
    layout = plan.layouts[RUN]
    values = layout.sizes["replica"] * layout.frames * plan.source.particles * 8
    lags, generations = layout.sizes["lag"], layout.sizes["generation"]
    return SMALL + values * (3 * lags + 6 * max(lags, generations))


def _seconds(plan: Plan, gpu: bool) -> float:
    layout = plan.layouts[RUN]
    units = layout.sizes["replica"] * layout.frames
    there = sum(variable.name in scored() for variable in layout.variables)
    scores = there * (1 + layout.sizes["generation"]) / 2 * layout.sizes["lag"]
    # pooled ranks are taken again without each configuration
    return layout.sizes["temperature"] * scores * 3e-8 * plan.source.particles * units * (1 + units)


STAGE = Stage(
    "scoreboard",
    (
        Step(
            score,
            over=Temperatures(ENSEMBLES),
            name="scores",
            reads=("propensity", "propensity_half", "hop", INDICATED),
            settings={"threshold": "hops.soft"},
            memory=_memory,
            seconds=_seconds,
        ),
        Step(
            write_scoreboard,
            over=WholeSystem(of=ENSEMBLES),
            takes=("scores",),
            table="scoreboard",
        ),
    ),
)
