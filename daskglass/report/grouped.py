"""Figures 5 and 6: structure and entropy by softness, and the collapse of the barriers."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import Any

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from daskglass.report import collapse
from daskglass.report.results import Results, SystemResults, read_results, tex
from daskglass.report.style import (
    GREY,
    NEIGHBORS,
    S2,
    colour,
    error_bars,
    in_style,
    instead,
    letter,
    letters_of_panels,
    marker,
    new_figure,
    strata_bar,
    strata_colours,
    wrapped,
)

# --- 5: structure by softness --------------------------------------------------------------------------------------


@in_style
def figure_5(tree: xr.DataTree) -> Figure:
    """g(r) around particles of each softness bin, and the pair excess entropy of each; a row per system."""
    results = read_results(tree)
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


# --- 6: the collapse -----------------------------------------------------------------------------------------------


@in_style
def figure_6(tree: xr.DataTree) -> Figure:
    """Scaled and unscaled barriers of the strata of softness against the entropy of their surroundings."""
    results = read_results(tree)
    figure = new_figure(4.9)
    (a, b, c), (d, e, f) = figure.subplots(2, 3)
    energy = results.units[1]
    kind = "inherent" if all(system.inherent for system in results.systems) else "thermal"
    label = rf"{kind} {S2}"
    f.set_axis_off()
    found = {system.name: collapse.points(system, kind == "inherent") for system in results.systems}
    refused = [f"{s.label}: {_math(found[s.name].refused)}" for s in results.systems if found[s.name].refused]
    panels = (
        (a, "a", "y_entropy", r"$y_\Sigma = \Sigma/\ln P_\mathrm{R}(T_\mathrm{A})$"),
        (b, "b", "y_energy", r"$y_E = \Delta E/[k_\mathrm{B}T_\mathrm{A} \ln P_\mathrm{R}(T_\mathrm{A})]$"),
        (d, "d", "entropy", r"$\Sigma$ ($k_\mathrm{B}$)"),
        (e, "e", "energy", rf"$\Delta E$ (${energy}$)"),
    )
    for ax, name, field, text in panels:
        drawn = False
        for system in results.systems:
            points = found[system.name]
            y, error = getattr(points, field), getattr(points, f"{field}_err")
            known = np.isfinite(points.s2) & np.isfinite(y)
            if (field.startswith("y_") and points.refused) or not known.any():
                continue
            drawn = True
            ax.errorbar(
                points.s2[known], y[known], error_bars(error[known]), fmt=marker(system.index), color=colour(system.index),
                linewidth=0.8,
            )  # fmt: skip
        ax.set_xlabel(label)
        ax.set_ylabel(text)
        letter(ax, name)
        if not drawn:
            instead(ax, "; ".join(refused) or "no fit", 27)
    _identity(c, results, found)
    handles = [
        Line2D([], [], color=colour(s.index), marker=marker(s.index), linestyle="", label=s.label) for s in results.systems
    ]  # fmt: skip
    notes = [] if kind == "inherent" else ["no inherent structures: the entropy is thermal"]
    notes += [text for text in refused if len(refused) < len(results.systems)]
    notes += [
        f"{s.label}: {found[s.name].outside} strata lie beyond the softness bins"
        for s in results.systems
        if found[s.name].outside
    ]
    if len(results.systems) == 1:
        notes.append("one system: nothing to collapse on")
    _key(f, handles, notes)
    return figure


def _math(text: str) -> str:
    """Text of a refusal with its symbols set as mathematics."""
    for symbol, typeset in (
        ("ln P_R(T_A)", r"$\ln P_\mathrm{R}(T_\mathrm{A})$"),
        (" P_R(T_A)", r" $P_\mathrm{R}(T_\mathrm{A})$"),
        ("no T_A", r"no $T_\mathrm{A}$"),
    ):
        text = text.replace(symbol, typeset)
    return text


def _key(ax: Axes, handles: list[Line2D], notes: list[str]) -> None:
    ax.legend(handles=handles, loc="upper left", title="system", alignment="left", fontsize=8.5)
    ax.text(
        0.03,
        0.02,
        "\n".join(wrapped(note, 36) for note in notes),
        transform=ax.transAxes,
        va="bottom",
        color=GREY,
        fontsize=8.0,
        style="italic",
    )


def _identity(ax: Axes, results: Results, found: Mapping[str, collapse.Points]) -> None:
    """Draw y_E against y_Σ - 1, which are equal where strata meet at T_A."""
    ends: list[float] = []
    for system in results.systems:
        points = found[system.name]
        if points.refused:
            continue
        x, y = points.y_entropy - 1, points.y_energy
        ax.plot(x, y, marker(system.index), color=colour(system.index))
        ends += [*x[np.isfinite(x)], *y[np.isfinite(y)]]
    deviations = [points.deviation for points in found.values() if np.isfinite(points.deviation)]
    ax.set_xlabel(r"$y_\Sigma - 1$")
    ax.set_ylabel("$y_E$")
    letter(ax, "c")
    text = rf"largest $|y_E - y_\Sigma + 1|$: {max(deviations):.2g}" if deviations else ""
    if not ends:
        instead(ax, f"scaled barriers undetermined; {text}" if text else "no fit", 27)
        return
    room = 0.06 * (max(ends) - min(ends))
    line = np.array([min(ends) - room, max(ends) + room])
    ax.plot(line, line, color=GREY, linewidth=0.8, zorder=0, linestyle=(0, (4, 2)))
    ax.text(0.05, 0.93, text, transform=ax.transAxes, va="top", fontsize=8.0)
