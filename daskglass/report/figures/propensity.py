"""Propensity, and what foresees it best, on a slab of one configuration."""

from __future__ import annotations

import numpy as np
import xarray as xr
from matplotlib.figure import Figure
from numpy.typing import NDArray
from scipy.stats import rankdata

from daskglass import plot
from daskglass.report.boards import at_the_peak, label
from daskglass.report.results import Board, Results
from daskglass.report.style import SMALL, letter, letters_of_panels, new_figure
from daskglass.stages.structural import AVERAGED, PREDICTED, parts

TITLE = "Propensity on a slab"
THICK = 1.5  # σ
MAP = "viridis"
HEIGHT = 2.45  # inches of a row


def draw(results: Results) -> Figure:
    """Draw the figure."""
    figure = new_figure(HEIGHT * len(results.boards))
    grid = figure.subplots(len(results.boards), 3, squeeze=False)
    letters = letters_of_panels()
    for row, board in zip(grid, results.boards, strict=True):
        T, lag, shown = _chosen(board)
        frame = board.run.sel(temperature=T, lag=lag).isel(replica=0, configuration=0)
        for ax, (name, text) in zip(row, shown, strict=True):
            ranked = frame.assign(rank=("particle", _ranks(frame, _values(frame, name))))
            plot.slab(ranked, "rank", board.mixture, thickness=THICK, ax=ax, cmap=MAP, vmin=0, vmax=1, colorbar=False)
            ax.set(xticks=[], yticks=[], xlabel="", ylabel="")
            ax.minorticks_off()
            letter(ax, next(letters), of=text)
        bar = figure.colorbar(row[0].collections[0], ax=list(row), fraction=0.03, pad=0.01)
        bar.set_label("rank", fontsize=SMALL)
        bar.set_ticks([0, 1], labels=["least", "most"])
    return figure


def caption(results: Results) -> str:
    """Write the caption."""
    parts = []
    for board in results.boards:
        T, lag, shown = _chosen(board)
        number = int(board.run["configuration"].values[0])
        scores = board.scores.sel(temperature=T, lag=lag)
        rho = ", ".join(
            f"ρ = {float(_each(scores, name)):.2f} for the {label(name)}" for name, _ in shown if name != "propensity"
        )
        parts.append(f"{board.name}, T = {T:.3g}, lag {lag:g} τ, configuration {number} ({rho})")
    return (
        f"{results.boards[0].first} particles in a slab of {THICK} σ, coloured by the rank of their propensity, and of what is "
        f"to foresee it, in the same configuration: {'; '.join(parts)}. Colours of what correlates negatively are turned "
        "around."
    )


def _chosen(board: Board) -> tuple[float, float, list[tuple[str, str]]]:
    """Coldest temperature, lag, and the variables shown: propensity, the best single indicator, the predictor or next best."""
    T = float(board.scores["temperature"].values[-1])
    lag = at_the_peak(board, T)
    rho = abs(board.scores["pearson"].sel(temperature=T, lag=lag))
    ranked = [str(name) for name in board.scores["indicator"].values[np.argsort(-np.nan_to_num(rho.values))]]
    single = [name for name in ranked if name != PREDICTED]
    other = PREDICTED if PREDICTED in ranked else single[1]
    return T, lag, [("propensity", "propensity"), (other, _short(other)), (single[0], _short(single[0]))]


def _short(name: str) -> str:
    """Name of an indicator that has room above a panel."""
    return label(name).replace("averaged over ", "").replace("potential ", "").replace("pair excess ", "")


def _values(frame: xr.Dataset, name: str) -> NDArray[np.float64]:
    """Values of an indicator (particle,)."""
    variable, suffix, generation = parts(name)
    if not generation:
        return np.asarray(frame[f"{variable}{suffix}"].values, np.float64)
    return np.asarray(frame[f"{variable}{AVERAGED}{suffix}"].isel(generation=generation - 1).values, np.float64)


def _each(scores: xr.Dataset, name: str) -> xr.DataArray:
    return scores["pearson_each"].sel(indicator=name).isel(replica=0, configuration=0)


def _ranks(frame: xr.Dataset, values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Ranks from 0 to 1 of the particles of the first species, from the top where they correlate negatively; else NaN."""
    known = np.isfinite(values) & (frame["species"].values == 0)
    rank = np.full(values.size, np.nan)
    rank[known] = (rankdata(values[known]) - 1) / max(known.sum() - 1, 1)
    p = np.asarray(frame["propensity"].values, np.float64)
    return 1 - rank if np.corrcoef(p[known], values[known])[0, 1] < 0 else rank
