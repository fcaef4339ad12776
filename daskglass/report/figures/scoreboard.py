"""How well each indicator foresees propensity: by generations of neighbours averaged over, and by lag."""

from __future__ import annotations

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from daskglass.physics.scores import ceiling
from daskglass.report.beside import Named, Names, legend
from daskglass.report.boards import at_the_peak, families, label
from daskglass.report.results import Board, Results
from daskglass.report.style import GREY, SMALL, colour, error_bars, letter, letters_of_panels, marker, new_figure
from daskglass.stages.structural import PREDICTED

TITLE = "Structural variables and motion"
HEIGHT = 2.6  # inches of a row
ROOM = 3  # rows on a page
RHO = r"$|\rho|$, indicator and propensity"


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
            rho, error = _of(scores.sel(indicator=of_kind))
            x = np.arange(rho.size)
            ax.errorbar(
                x, rho, error_bars(error), marker=marker(index), color=colour(index),
                linestyle="--" if suffix == "_thermal" else "-", markerfacecolor=None if not suffix else "white",
            )  # fmt: skip
            if not suffix:
                named.append(Named(label(name), x.astype(float), rho, index))
    most = max(len(of_kind) for _, members in families(board) for of_kind in members.values())
    _reference(ax, scores, most)
    ax.set_xlabel("generations averaged over")
    ax.set_xticks(range(most))
    ax.set_ylabel(RHO)
    ax.set_ylim(0, 1)
    beside = legend(ax, named, lines=True)
    beside.set_frame_on(True)
    beside.get_frame().set(facecolor="white", alpha=0.85, linewidth=0)
    Names(ax, named, beside)


def _reference(ax: Axes, scores: xr.Dataset, most: int) -> None:
    """Draw the linear predictor and the noise ceiling as horizontal lines."""
    names = scores["indicator"].values.tolist()
    if PREDICTED in names:
        rho, error = _of(scores.sel(indicator=[PREDICTED]))
        ax.axhspan(rho[0] - error[0], rho[0] + error[0], color="black", alpha=0.15, linewidth=0)
        ax.axhline(rho[0], color="black")
        ax.annotate("linear predictor", (0, rho[0]), (2, 2), textcoords="offset points", fontsize=SMALL)
    if "ceiling" in scores and np.isfinite(scores["ceiling"].values[0]):
        highest = float(scores["ceiling"].values[0])
        ax.axhspan(highest, 1, color=GREY, alpha=0.25, linewidth=0)
        ax.annotate(
            "noise ceiling", (most - 1, highest), (0, -2), textcoords="offset points", fontsize=SMALL, color=GREY,
            ha="right", va="top",
        )  # fmt: skip


def _lags(ax: Axes, board: Board, T: float) -> None:
    """Draw ρ of the best generation of each variable against lag."""
    scores = board.scores.sel(temperature=T)
    t, axis = scores["lag"].values, r"lag $t$ ($\tau$)"
    tau = _relaxation_time(board, T)
    if np.isfinite(tau):
        t, axis = t / tau, r"$t/\tau_\alpha$"
    for index, name in enumerate(_best(board, T)):
        rho, error = _of(scores.sel(indicator=name))
        ax.errorbar(t, rho, error_bars(error), marker=marker(index), color=colour(index))
    if PREDICTED in scores["indicator"].values:
        rho, error = _of(scores.sel(indicator=PREDICTED))
        ax.errorbar(t, rho, error_bars(error), marker="P", color="black")
    if "ceiling" in scores:
        highest = scores["ceiling"].isel(indicator=0).values
        ax.fill_between(t, highest, 1, color=GREY, alpha=0.25, linewidth=0)
    ax.set_xscale("log")
    ax.set_xlabel(axis)
    ax.set_ylabel(RHO)
    ax.set_ylim(0, 1)


def _relaxation_time(board: Board, T: float) -> float:
    """τ_α at a temperature; NaN if it is not known."""
    tau = board.relaxation_time
    return np.nan if tau is None else float(tau.sel(temperature=T, method="nearest"))


def _configurations(ax: Axes, board: Board, T: float) -> None:
    """Draw ρ of the best generation of each variable in every configuration."""
    scores = board.scores.sel(temperature=T, lag=at_the_peak(board, T))
    each = abs(scores["pearson_each"].transpose("indicator", "replica", "configuration"))
    shown = [*_best(board, T), *([PREDICTED] if PREDICTED in scores["indicator"].values else [])]
    for index, name in enumerate(shown):
        rho = each.sel(indicator=name).values.ravel()
        shade, shape = ("black", "P") if name == PREDICTED else (colour(index), marker(index))
        ax.plot(np.arange(1, rho.size + 1), rho, shape, color=shade, linestyle="-", linewidth=0.5)
    if "split_half_each" in scores:
        r = scores["split_half_each"].isel(indicator=0).transpose("replica", "configuration").values.ravel()
        ax.fill_between(np.arange(1, r.size + 1), ceiling(r), 1, color=GREY, alpha=0.25, linewidth=0)
    ax.set_xlabel("configuration")
    ax.set_ylabel(RHO)
    ax.set_ylim(0, 1)


def _best(board: Board, T: float) -> list[str]:
    """Of each variable the generation that does best, of the positions of structure."""
    scores = abs(board.scores["pearson"].sel(temperature=T, lag=at_the_peak(board, T)))
    return [
        members[""][int(np.argmax(np.nan_to_num(scores.sel(indicator=members[""]).values)))]
        for _, members in families(board)
    ]


def _of(scores: xr.Dataset) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """|ρ| and its standard error."""
    return np.abs(scores["pearson"].values), scores["pearson_err"].values
