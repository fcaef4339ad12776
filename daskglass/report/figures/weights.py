"""Weights of the linear predictors of propensity, with their errors: what structure they look at."""

from __future__ import annotations

import re

import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from daskglass import plot
from daskglass.report.boards import at_the_peak
from daskglass.report.results import Board, Results, tex
from daskglass.report.style import NEIGHBORS, colour, instead, letter, letters_of_panels, marker, new_figure

TITLE = "Weights of the linear predictor"
HEIGHT = 2.3  # inches of a row
FUNCTION = re.compile(r"G_(?P<neighbor>.+)\((?P<mu>[\d.]+)\)")
SINGLE = {"E": "$E_i$", "distance": "distance to thermal position"}


def draw(results: Results) -> Figure:
    """Draw the figure."""
    figure = new_figure(HEIGHT * len(results.boards))
    letters = letters_of_panels()
    models = [_weights(board) for board in results.boards]
    shown = [_neighbors(model) for model in models]
    grid = figure.subplots(len(shown), 1 + max(1, *map(len, shown)), squeeze=False)
    for row, board, weights, neighbors in zip(grid, results.boards, models, shown, strict=True):
        if weights is None:
            for ax in row[1:]:
                ax.set_axis_off()
            letter(row[0], next(letters), of=board.name)
            instead(row[0], "fewer than three configurations have a propensity: no predictor")
            continue
        of = rf"$T$ = {float(weights['temperature']):.3g}, $t$ = {float(weights['lag']):g} $\tau$"
        for ax, neighbor in zip(row, neighbors, strict=False):
            _functions(ax, weights, neighbor, first=neighbor == neighbors[0])
            letter(ax, next(letters), of=of if neighbor == neighbors[0] else "")
        for ax in row[len(neighbors) : -1]:
            ax.set_axis_off()
        _single(row[-1], weights)
        letter(row[-1], next(letters))
    return figure


def caption(results: Results) -> str:
    """Write the caption."""
    explained = [
        f"{board.name}: {100 * float(weights['explained']):.0f} %"
        for board in results.boards
        if (weights := _weights(board)) is not None
    ]
    share = (
        f" Share of the variance that it explains in configurations left out: {', '.join(explained)}."
        if explained
        else ""
    )
    return (
        "Change of the predicted propensity with a feature by one standard deviation, all others fixed. Structure functions "
        "G(μ) of the particle itself (0), and averaged over generations of neighbours; right: potential energy, and the distance "
        "between inherent and thermal position. Bands and bars: standard errors, from leaving out each fold of configurations "
        f"in turn.{share}"
    )


def _weights(board: Board) -> xr.Dataset | None:
    """Model of the coldest temperature, at the lag where indicators do best; None where there is none."""
    T = float(board.scores["temperature"].values[-1])
    lag = at_the_peak(board, T)
    table = board.predictor
    if table is None or T not in table.get("temperature", ()) or lag not in table.get("lag", ()):
        return None
    found = table.sel(temperature=T, lag=lag)
    return found if bool(found["weights"].notnull().all()) else None


def _neighbors(weights: xr.Dataset | None) -> list[str]:
    matches = [] if weights is None else [FUNCTION.match(name) for name in _names(weights)]
    return list(dict.fromkeys(found["neighbor"] for found in matches if found))[:NEIGHBORS]


def _names(weights: xr.Dataset) -> list[str]:
    return [str(name) for name in weights["feature"].values]


def _parts(name: str) -> tuple[str, int]:
    """Feature and generation of a name such as `G_A(0.4), 2`."""
    feature, _, generation = name.partition(", ")
    return feature, int(generation or 0)


def _functions(ax: Axes, weights: xr.Dataset, neighbor: str, first: bool) -> None:
    """Draw the weights of G_K(μ), a line for each generation."""
    found: dict[int, dict[int, float]] = {}  # place and radius, by generation
    for place, name in enumerate(_names(weights)):
        feature, generation = _parts(name)
        match = FUNCTION.fullmatch(feature)
        if match and match["neighbor"] == neighbor:
            found.setdefault(generation, {})[place] = float(match["mu"])
    for generation, places in sorted(found.items()):
        functions = weights.isel(feature=list(places)).assign_coords(mu=("feature", list(places.values())))
        plot.weights(functions, "mu", ax=ax, color=colour(generation), linewidth=0.9, label=str(generation))
    ax.set_xlabel(r"$\mu$ ($\sigma$)")
    ax.set_ylabel(rf"weight of $G_\mathrm{{{tex(neighbor)}}}(\mu)$ ($\sigma$)")
    if first:
        ax.legend(title="generation", ncols=3, facecolor="white", framealpha=0.8, frameon=True, edgecolor="none")


def _single(ax: Axes, weights: xr.Dataset) -> None:
    """Draw the weights of all other features against the generation."""
    found: dict[str, dict[int, int]] = {}  # place and generation, by feature
    for place, name in enumerate(_names(weights)):
        feature, generation = _parts(name)
        if not FUNCTION.fullmatch(feature):
            found.setdefault(feature, {})[place] = generation
    for index, (feature, places) in enumerate(found.items()):
        generations = weights.isel(feature=list(places)).assign_coords(feature=list(places.values()))
        plot.weights(
            generations, ax=ax, marker=marker(index), color=colour(index), linestyle="-", linewidth=0.9,
            label=SINGLE.get(feature, feature),
        )  # fmt: skip
    ax.set_xlabel("generations averaged over")
    ax.set_ylabel(r"weight ($\sigma$)")
    ax.legend(loc="best")
