"""g(r) around particles of each softness bin, a row per system, and the pair excess entropy of each."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import Colormap
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from daskglass import plot
from daskglass.plot.panel import GREY, S2, strata_colours
from daskglass.report.beside import Named, Names, legend
from daskglass.report.caption_parts import of_each, structure
from daskglass.report.results import Results, SystemResults, tex
from daskglass.report.style import (
    NEIGHBORS,
    colour,
    letter,
    letters_of_panels,
    marker,
    new_figure,
    strata_bar,
)

TITLE = "Structure and entropy by softness"
KINDS: dict[str, tuple[str, Any]] = {
    "inherent": ("o", "-"),
    "thermal": ("s", (0, (3, 1.5))),
}  # of structure: marker and line
INSET = (0.40, 0.36, 0.575, 0.605)
BELOW = 0.25  # of the height of a panel, what is under its inset


def draw(results: Results) -> Figure:
    """Draw the figure."""
    rows = len(results.systems)
    shown = min(NEIGHBORS, max(len(system.neighbors) for system in results.systems))
    figure = new_figure(2.4 if rows == 1 else 1.72 * rows)
    sides: Any = figure.subfigures(1, 2, width_ratios=(shown, 0.95))
    left, right = sides
    grid = left.subplots(rows, shown, squeeze=False, sharex="col")
    letters = letters_of_panels()
    for row, system in zip(grid, results.systems, strict=True):
        for neighbor, ax in itertools.zip_longest(system.neighbors[:NEIGHBORS], row):
            if neighbor is None:
                ax.set_axis_off()
                continue
            _radial(ax, system, neighbor)
            letter(ax, next(letters), of=system.label if rows > 1 else "")
    for ax in grid[-1]:
        ax.set_xlabel(rf"$r$ (${results.units[0]}$)")
    strata_bar(left, list(grid.ravel()), [_bins(system) for system in results.systems], "bin of $S$", rows)
    kinds = list(KINDS) if results.inherent else ["thermal"]
    if rows == 1:
        _entropies(right.subplots(), results.systems[0], kinds, next(letters))
        return figure
    for ax, kind in zip(right.subplots(len(kinds), 1, squeeze=False, sharex=True)[:, 0], kinds, strict=True):
        _entropies_of_all(ax, results, kind, next(letters))
    return figure


def caption(results: Results) -> str:
    """Write the caption."""
    first = results.systems[0]
    cold = of_each(results, lambda system: str(system.cold("softness")))
    return (
        f"Radial distribution functions around {first.first} in {first.ensemble.sizes['softness_bin']} equal bins of "
        f"softness, supercooled temperatures pooled (the coldest: {cold}), from {structure(results)}; insets enlarge the "
        f"second shell. Right: pair excess entropy of each bin. Error bars are standard errors."
    )


def _bins(system: SystemResults) -> tuple[np.ndarray, np.ndarray]:
    """Edges and middles of the softness bins."""
    middles = system.ensemble["softness_bin"].values
    half = (middles[1] - middles[0]) / 2 if middles.size > 1 else 0.5
    return np.append(middles - half, middles[-1] + half), middles


def _colours(system: SystemResults) -> Colormap:
    return strata_colours(system.ensemble.sizes["softness_bin"])


def _radial(ax: Axes, system: SystemResults, neighbor: str) -> None:
    """Draw g(r) of each bin."""
    g = system.ensemble["g_grouped_pooled"].sel(neighbor=neighbor, drop=True).transpose("softness_bin", "r")
    r, y = g["r"].values, g.values
    # the second shell tells bins apart, the first peak sets the scale: the inset enlarges the former
    inset = ax.inset_axes(INSET)
    colours = _colours(system)
    ax.axhline(1, color="black", linewidth=0.4, zorder=0)
    for panel, k in itertools.product((ax, inset), range(len(y))):
        plot.radial_distribution(g.isel(softness_bin=k), ax=panel, color=colours(k), linewidth=0.7)
    inset.set(xlabel="", ylabel="")
    sigma = system.sigma(system.first, neighbor)
    near = (r > 1.28 * sigma) & (r < 2.7 * sigma)
    inset.set_xlim(1.28 * sigma, 2.7 * sigma)
    inset.set_ylim(0, 1.12 * float(np.nanmax(y[:, near], initial=1.0)))
    inset.tick_params(pad=2)
    inset.minorticks_off()
    ax.set_xlim(0.6, min(3.6, float(r.max())))
    # beside its first peak, g(r) stays below the inset
    ax.set_ylim(0, max(1.06 * float(np.nanmax(y, initial=1.0)), inset.get_ylim()[1] / BELOW))
    ax.set_xlabel("")
    ax.set_ylabel(rf"$g_\mathrm{{{tex(system.first)}{tex(neighbor)}}}(r)$")


def _entropy(system: SystemResults, kind: str) -> str:
    """Name of the entropy of the softness bins."""
    return "s2_grouped_pooled" if kind == "inherent" else system.thermal_name("s2_grouped_pooled")


def _entropies(ax: Axes, system: SystemResults, kinds: list[str], name: str) -> None:
    """Draw the entropy of one system, with the colours of its bins."""
    colours, named, handles = _colours(system), [], []
    for kind in kinds:
        name_of_kind, (shape, dash) = _entropy(system, kind), KINDS[kind]
        look: dict[str, Any] = {"color": GREY, "linestyle": dash, "marker": "none", "linewidth": 0.9, "zorder": 1}
        plot.by_softness(system.ensemble, name_of_kind, ax=ax, **look)
        x, y = _bins(system)[1], system.ensemble[name_of_kind].values
        ax.scatter(
            x, y, c=[colours(k) for k in range(x.size)], marker=shape, s=13, zorder=2, edgecolors="black", linewidths=0.4
        )  # fmt: skip
        named.append(Named(kind, x, y))
        handles.append(Line2D([], [], color=GREY, linestyle=dash, marker=shape, label=kind))
    ax.set_xlabel("softness $S$")
    ax.set_ylabel(S2)
    Names(ax, named, ax.legend(handles=handles, loc="best"))
    letter(ax, name, [] if system.inherent else ["no inherent structures"])


def _entropies_of_all(ax: Axes, results: Results, kind: str, name: str) -> None:
    """Draw the entropy of several systems."""
    named = []
    for system in results.systems:
        entropy = _entropy(system, kind)
        plot.by_softness(
            system.ensemble, entropy, ax=ax, marker=marker(system.index), color=colour(system.index), linestyle="-",
            linewidth=0.7,
        )  # fmt: skip
        named.append(Named(system.label, _bins(system)[1], system.ensemble[entropy].values, system.index))
    low, high = ax.get_xlim()
    ax.set_xlim(low, high + 0.18 * (high - low))  # for names
    ax.set_xlabel("softness $S$")
    ax.set_ylabel(rf"{kind} {S2}")
    Names(ax, named, legend(ax, named, lines=True))
    letter(ax, name, [] if results.inherent else ["no inherent structures"])
