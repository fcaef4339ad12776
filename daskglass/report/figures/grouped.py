"""g(r) around particles of each softness bin, and the pair excess entropy of each; a row per system."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from daskglass.report.caption_parts import structure
from daskglass.report.results import Results, SystemResults, tex
from daskglass.report.style import (
    GREY,
    NEIGHBORS,
    S2,
    letter,
    letters_of_panels,
    new_figure,
    strata_bar,
    strata_colours,
)

TITLE = "Structure and entropy by softness"


def draw(results: Results) -> Figure:
    """Draw the figure."""
    rows = len(results.systems)
    shown = min(NEIGHBORS, max(len(system.neighbors) for system in results.systems))
    figure = new_figure(2.75 if rows == 1 else 2.3 * rows)
    grid = figure.subplots(rows, shown + 1, squeeze=False)
    letters = letters_of_panels()
    for row, system in zip(grid, results.systems, strict=True):
        edges, middles = _bin_edges(system)
        colours, _ = strata_colours(edges)
        g = system.ensemble["g_grouped_pooled"]
        center = tex(system.first)
        for column, ax in enumerate(row[:-1]):
            name = next(letters)
            if column >= len(system.neighbors):
                ax.set_axis_off()
                continue
            neighbor = system.neighbors[column]
            # the second shell tells bins apart, the first peak sets the scale: the inset enlarges the former
            inset = ax.inset_axes((0.40, 0.40, 0.575, 0.565))
            sigma = system.sigma(system.first, neighbor)
            y = g.sel(neighbor=neighbor).transpose("softness_bin", "r").values
            for panel, k in itertools.product((ax, inset), range(middles.size)):
                panel.plot(g["r"], y[k], color=colours(k), linewidth=0.8 if panel is ax else 0.7)
            near = (g["r"].values > 1.28 * sigma) & (g["r"].values < 2.7 * sigma)
            inset.set_xlim(1.28 * sigma, 2.7 * sigma)
            inset.set_ylim(0, 1.12 * float(np.nanmax(y[:, near], initial=1.0)))
            inset.tick_params(labelsize=6.5, pad=2)
            inset.minorticks_off()
            ax.set_xlim(0.6, min(3.6, float(g["r"].max())))
            ax.set_ylim(0, 1.06 * float(np.nanmax(y, initial=1.0)))
            ax.axhline(1, color="black", linewidth=0.4, zorder=0)
            ax.set_ylabel(rf"$g_\mathrm{{{center}{tex(neighbor)}}}(r)$")
            said = [system.label] if rows > 1 and column == 0 else []
            if column == 0:
                said.append(_kind(system))
            letter(ax, name, said, {2: 50, 3: 34}.get(shown + 1, 20))
            if system is results.systems[-1]:
                ax.set_xlabel(rf"$r$ (${results.units[0]}$)")
        strata_bar(figure, list(row[:-1]), edges, middles, "bin of $S$")
        _entropy_of_softness(row[-1], system, colours, next(letters))
        if system is results.systems[-1]:
            row[-1].set_xlabel("softness $S$")
    return figure


def caption(results: Results) -> str:
    """Write the caption."""
    first = results.systems[0]
    return (
        f"Radial distribution functions around {first.first} in {first.ensemble.sizes['softness_bin']} equal bins of "
        f"softness, supercooled temperatures pooled, from {structure(results)}; insets enlarge the second shell. Last "
        f"column: pair excess entropy of each bin, without errors."
    )


def _kind(system: SystemResults) -> str:
    cold = system.cold("softness")
    return f"{'inherent structures' if system.inherent else 'thermal'}, {cold} coldest $T$"


def _bin_edges(system: SystemResults) -> tuple[np.ndarray, np.ndarray]:
    middles = system.ensemble["softness_bin"].values
    half = (middles[1] - middles[0]) / 2 if middles.size > 1 else 0.5
    return np.append(middles - half, middles[-1] + half), middles


def _entropy_of_softness(ax: Axes, system: SystemResults, colours: Any, name: str) -> None:
    kinds: list[tuple[str, xr.DataArray, str, Any]] = [
        ("thermal", system.thermal("s2_grouped_pooled"), "s", (0, (3, 1.5)))
    ]
    if system.inherent:
        kinds.append(("inherent", system.ensemble["s2_grouped_pooled"], "o", "-"))
    x = system.ensemble["softness_bin"].values
    for _, y, shape, dash in kinds:
        ax.plot(x, y, color=GREY, linestyle=dash, linewidth=0.9, zorder=1)
        ax.scatter(
            x, y, c=[colours(k) for k in range(x.size)], marker=shape, s=18, zorder=2, edgecolors="black", linewidths=0.4
        )  # fmt: skip
    ax.set_ylabel(S2)
    handles = [
        Line2D(
            [], [], color=GREY, linestyle=dash, marker=shape, markeredgecolor="black", markeredgewidth=0.4, label=kind
        )
        for kind, _, shape, dash in kinds
    ]
    ax.legend(handles=handles, loc="best")
    letter(ax, name, [] if system.inherent else ["no inherent structures"], 36)
