"""What the page says of isoconfigurational ensembles: the scoreboard as tables."""

from __future__ import annotations

import numpy as np
import xarray as xr

from daskglass.report.numbers import Table, count, with_error
from daskglass.report.results import Board, Results
from daskglass.stages.structural import PREDICTIONS, STRUCTURAL_VARIABLES, parts

POSITIONS = {"": "", "_thermal": ", thermal", "_cage": ", cage centres"}


def label(name: str) -> str:
    """Name of an indicator in words: local energy, thermal, average of 2 generations."""
    variable, suffix, generation = parts(name)
    words = {variable.name: variable.label for variable in STRUCTURAL_VARIABLES} | PREDICTIONS
    averaged = f", averaged over {count(generation, 'generation')}" if generation else ""
    return f"{words.get(variable, variable.replace('_', ' '))}{POSITIONS[suffix]}{averaged}"


def about(board: Board) -> str:
    """Which ensembles these are."""
    run = board.run
    T = board.scores["temperature"].values
    known = run["trajectories"].values
    known = known[known > 0]
    each = f", {_extent(known)} trajectories each" if known.size else ""
    return (
        f"{run.sizes['particle']:,} particles, {count(board.configurations, 'configuration')}{each}; T = {_extent(T)}, lags of "
        f"{_extent(board.scores['lag'].values)} τ; scores are over {board.first} particles, structure is of "
        f"{'inherent structures' if board.inherent else 'thermal configurations'} unless stated otherwise"
    )


def at_the_peak(board: Board, T: float) -> float:
    """Lag at which the best indicator of a temperature does best."""
    best = abs(board.scores["pearson"].sel(temperature=T)).max("indicator")
    return float(best["lag"].values[int(np.argmax(np.nan_to_num(best.values)))])


def families(board: Board) -> list[tuple[str, dict[str, list[str]]]]:
    """Structural variables of a board: of each, by kind of positions, its indicators from none to all generations."""
    names = [str(name) for name in board.scores["indicator"].values]
    found = []
    for variable in STRUCTURAL_VARIABLES:
        members = {
            suffix: [name for name in names if parts(name)[:2] == (variable.name, suffix)] for suffix in POSITIONS
        }
        found.append((variable.name, {suffix: of_kind for suffix, of_kind in members.items() if of_kind}))
    return [(name, members) for name, members in found if members]


def _extent(values: np.ndarray) -> str:
    low, high = values.min(), values.max()
    return f"{low:g}" if low == high else f"{low:g} to {high:g}"


def data_of_boards(results: Results) -> str:
    """Amount of data of every board."""
    return "Data: " + "; ".join(f"{board.name}: {about(board)}" for board in results.boards) + "."


def board_tables(board: Board) -> list[Table]:
    """Scores of all indicators at every temperature and lag, the best first."""
    return [
        _scores(board, board.scores.sel(temperature=T, lag=lag))
        for T in board.scores["temperature"].values
        for lag in board.scores["lag"].values
        if board.scores["configurations"].sel(temperature=T, lag=lag).any()
    ]


def _scores(board: Board, scores: xr.Dataset) -> Table:
    """Scores at one temperature and lag, and how far each indicator lies below the best one."""
    order = np.argsort(-np.nan_to_num(np.abs(scores["pearson"].values), nan=-1.0))
    best = str(scores["indicator"].values[order[0]])
    rows = []
    for name in scores["indicator"].values[order]:
        one = scores.sel(indicator=name)
        columns = [
            with_error(float(one[each]), float(one[f"{each}_err"]))
            for each in ("pearson", "pearson_pooled", "spearman")
        ]
        if "area" in one:
            columns.append(with_error(float(one["area"]), float(one["area_err"])))
        rows.append((label(str(name)), *columns, _apart(scores, best, str(name))))
    ceiling = "no two trajectories: the noise ceiling is not known"
    if "ceiling" in scores and np.isfinite(scores["ceiling"]).any():
        first = scores.isel(indicator=0)
        ceiling = f"noise ceiling {with_error(float(first['ceiling']), float(first['ceiling_err']))}"
    caption = f"Correlation with propensity at T = {float(scores['temperature']):.4g}, lag {float(scores['lag']):g} τ; {ceiling}"
    area = ("area for p_hop",) * ("area" in scores)
    return Table(caption, ("indicator", "Pearson", "pooled", "Spearman", *area, "below the best"), rows)


def _apart(scores: xr.Dataset, best: str, name: str) -> str:
    """By how much an indicator does worse than the best, on the same configurations; both as they correlate, up or down."""
    if name == best:
        return "–"
    signs = [np.sign(float(scores["pearson"].sel(indicator=each))) for each in (best, name)]
    each = scores["pearson_each"].stack(unit=("replica", "configuration"), create_index=False)
    apart = signs[0] * each.sel(indicator=best) - signs[1] * each.sel(indicator=name)
    known = apart.values[np.isfinite(apart.values)]
    error = known.std(ddof=1) / np.sqrt(known.size) if known.size > 1 else np.nan
    return with_error(float(known.mean()) if known.size else np.nan, error)
