"""Scaled and unscaled barriers of the strata of softness against the entropy of their surroundings."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from daskglass.report import collapse
from daskglass.report.caption_parts import structure
from daskglass.report.results import Results
from daskglass.report.style import GREY, S2, colour, error_bars, instead, letter, marker, new_figure, wrapped

TITLE = "Collapse of the barriers"


def draw(results: Results) -> Figure:
    """Draw the figure."""
    figure = new_figure(4.9)
    (a, b, c), (d, e, f) = figure.subplots(2, 3)
    energy = results.units[1]
    kind = "inherent" if results.inherent else "thermal"
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


def caption(results: Results) -> str:
    """Write the caption."""
    bins = results.systems[0].ensemble.sizes["softness_bin"]
    return (
        f"Barriers of the strata of softness against the pair excess entropy of {structure(results)} at the same "
        f"softness: s⁽²⁾ of the {bins} softness bins, interpolated linearly between their middles, at the middle of each "
        f"stratum. (a, b) scaled by ln P_R(T_A), (c) y_E against y_Σ − 1, equal (dashed) where all strata meet at T_A, "
        f"(d, e) unscaled. Error bars: bootstrap; those of (a, b) share the error of ln P_R(T_A)."
    )


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
