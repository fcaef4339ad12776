"""How well each indicator foresees propensity: by generations of neighbours averaged over, and by lag."""

from __future__ import annotations

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from daskglass import plot
from daskglass.physics.scores import ceiling
from daskglass.plot.panel import GREY
from daskglass.report.beside import Named, Names, legend
from daskglass.report.boards import at_the_peak, families, label
from daskglass.report.results import Board, Results
from daskglass.report.style import SMALL, colour, letter, letters_of_panels, marker, new_figure
from daskglass.stages.structural import PREDICTED

TITLE = "Structural variables and motion"
HEIGHT = 2.6  # inches of a row
ROOM = 3  # rows on a page


def draw(results: Results) -> Figure:
    """Draw the figure."""
    places = _shown(results)
    figure = new_figure(HEIGHT * len(places))
    grid = figure.subplots(len(places), 2, squeeze=False)
    letters = letters_of_panels()
    for row, (board, T) in zip(grid, places, strict=True):
        of = rf"$T$ = {T:.3g}" if len(results.boards) == 1 else f"{board.name}, $T$ = {T:.3g}"
        _generations(row[0], board, T)
        letter(row[0], next(letters), of=of)
        if board.scores.sizes["lag"] > 1:
            _lags(row[1], board, T)
        else:
            _configurations(row[1], board, T)
        letter(row[1], next(letters))
    return figure


def caption(results: Results) -> str:
    """Write the caption."""
    lags = max(board.scores.sizes["lag"] for board in results.boards) > 1
    right = (
        "Right: of each the best number of generations, by lag"
        if lags
        else "Right: of each the best number of generations, configuration by configuration"
    )
    number = sum(board.scores.sizes["temperature"] for board in results.boards)
    colder = f"The {ROOM} coldest of {number} temperatures. " if number > ROOM else ""
    kinds = "inherent structures" if all(board.inherent for board in results.boards) else "thermal positions"
    thermal = "; broken lines: the same of thermal positions" if kinds == "inherent structures" else ""
    return (
        "Pearson correlation ρ of structural variables with propensity, mean over configurations. Left: variables averaged "
        f"over this many generations of neighbours, of {kinds}{thermal}; the linear predictor is judged on configurations "
        f"that it was not fitted to; grey: the noise ceiling. {right}. {colder}Error bars are standard errors "
        "over configurations."
    )


def _shown(results: Results) -> list[tuple[Board, float]]:
    """Boards and temperatures that have room on a page: the coldest of each, then the next."""
    depth = max(board.scores.sizes["temperature"] for board in results.boards)
    places = [
        (place, board, float(board.scores["temperature"].values[-1 - rank]))
        for rank in range(depth)
        for place, board in enumerate(results.boards)
        if rank < board.scores.sizes["temperature"]
    ]
    return [(board, T) for _, board, T in sorted(places[:ROOM], key=lambda each: (each[0], -each[2]))]


def _generations(ax: Axes, board: Board, T: float) -> None:
    """Draw ρ against the generations of neighbours, at the lag where the best indicator does best."""
    scores = board.scores.sel(temperature=T, lag=at_the_peak(board, T))
    named = []
    for index, (name, members) in enumerate(families(board)):
        for suffix, of_kind in members.items():
            generations = scores.sel(indicator=of_kind).rename(indicator="generation")
            generations = generations.assign_coords(generation=np.arange(len(of_kind)))
            plot.score(
                generations, "generation", ax=ax, marker=marker(index), color=colour(index),
                linestyle="--" if suffix == "_thermal" else "-", markerfacecolor=None if not suffix else "white",
            )  # fmt: skip
            if not suffix:
                rho = np.abs(generations["pearson"].values)
                named.append(Named(label(name), np.arange(rho.size, dtype=float), rho, index))
    most = max(len(of_kind) for _, members in families(board) for of_kind in members.values())
    _reference(ax, scores, most)
    ax.set_xlabel("generations averaged over")
    ax.set_xticks(range(most))
    beside = legend(ax, named, lines=True)
    beside.set_frame_on(True)
    beside.get_frame().set(facecolor="white", alpha=0.85, linewidth=0)
    Names(ax, named, beside)


def _reference(ax: Axes, scores: xr.Dataset, most: int) -> None:
    """Draw the linear predictor and the noise ceiling as horizontal lines."""
    names = scores["indicator"].values.tolist()
    if PREDICTED in names:
        predictor = scores.sel(indicator=PREDICTED)
        rho, error = abs(float(predictor["pearson"])), float(predictor["pearson_err"])
        ax.axhspan(rho - error, rho + error, color="black", alpha=0.15, linewidth=0)
        ax.axhline(rho, color="black")
        ax.annotate("linear predictor", (0, rho), (2, 2), textcoords="offset points", fontsize=SMALL)
    if "ceiling" in scores and np.isfinite(scores["ceiling"].values[0]):
        highest = float(scores["ceiling"].values[0])
        plot.noise_ceiling(scores.isel(indicator=0), "generation", ax=ax)
        ax.annotate(
            "noise ceiling", (most - 1, highest), (0, -2), textcoords="offset points", fontsize=SMALL, color=GREY,
            ha="right", va="top",
        )  # fmt: skip


def _lags(ax: Axes, board: Board, T: float) -> None:
    """Draw ρ of the best generation of each variable against lag."""
    scores = board.scores.sel(temperature=T)
    tau = _relaxation_time(board, T)
    if np.isfinite(tau):
        scores = scores.assign_coords(lag=scores["lag"] / tau)
    for index, name in enumerate(_best(board, T)):
        plot.score(scores.sel(indicator=name), ax=ax, marker=marker(index), color=colour(index))
    if PREDICTED in scores["indicator"].values:
        plot.score(scores.sel(indicator=PREDICTED), ax=ax, marker="P", color="black")
    if "ceiling" in scores:
        plot.noise_ceiling(scores.isel(indicator=0), ax=ax)
    if np.isfinite(tau):
        ax.set_xlabel(r"$t/\tau_\alpha$")


def _relaxation_time(board: Board, T: float) -> float:
    """τ_α at a temperature; NaN if it is not known."""
    tau = board.relaxation_time
    return np.nan if tau is None else float(tau.sel(temperature=T, method="nearest"))


def _configurations(ax: Axes, board: Board, T: float) -> None:
    """Draw ρ of the best generation of each variable in every configuration."""
    scores = board.scores.sel(temperature=T, lag=at_the_peak(board, T))
    shown = [*_best(board, T), *([PREDICTED] if PREDICTED in scores["indicator"].values else [])]
    for index, name in enumerate(shown):
        shade, shape = ("black", "P") if name == PREDICTED else (colour(index), marker(index))
        each = _in_turn(scores.sel(indicator=name), "pearson_each")
        plot.score(each, "configuration", "pearson_each", ax=ax, marker=shape, color=shade, linewidth=0.5)
    if "split_half_each" in scores:
        halves = _in_turn(scores.isel(indicator=0), "split_half_each")
        highest = halves.assign(ceiling=("configuration", ceiling(halves["split_half_each"].values)))
        plot.noise_ceiling(highest, "configuration", ax=ax)


def _in_turn(scores: xr.Dataset, name: str) -> xr.Dataset:
    """Scores of the configurations of all replicas, counted from 1."""
    values = scores[name].transpose("replica", "configuration").values.ravel()
    return xr.Dataset({name: ("configuration", values)}, {"configuration": np.arange(1, values.size + 1)})


def _best(board: Board, T: float) -> list[str]:
    """Of each variable the generation that does best, of the positions of structure."""
    scores = abs(board.scores["pearson"].sel(temperature=T, lag=at_the_peak(board, T)))
    return [
        members[""][int(np.argmax(np.nan_to_num(scores.sel(indicator=members[""]).values)))]
        for _, members in families(board)
    ]
