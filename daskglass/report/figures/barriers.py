"""Scaled and unscaled barriers of the strata of softness against the entropy of their surroundings."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from daskglass import plot
from daskglass.plot.panel import S2
from daskglass.report import collapse
from daskglass.report.beside import Named, Names, legend
from daskglass.report.caption_parts import structure
from daskglass.report.results import Results
from daskglass.report.style import SMALL, colour, instead, letter, marker, new_figure

TITLE = "Collapse of the barriers"


def draw(results: Results) -> Figure:
    """Draw the figure."""
    figure = new_figure(4.5)
    grid = figure.add_gridspec(2, 1)
    a, b = grid[0].subgridspec(1, 2).subplots(squeeze=False)[0]
    c, d, e = grid[1].subgridspec(1, 3).subplots(squeeze=False)[0]
    kind = "inherent" if results.inherent else "thermal"
    found = {system.name: collapse.points(system, kind == "inherent") for system in results.systems}
    refused = [f"{s.label}: {_math(found[s.name].refused)}" for s in results.systems if found[s.name].refused]
    panels = (
        (a, "a", "scaled_entropy", r"$y_\Sigma = \Sigma/\ln P_\mathrm{R}(T_\mathrm{A})$"),
        (b, "b", "scaled_energy", r"$y_E = \Delta E/[k_\mathrm{B}T_\mathrm{A} \ln P_\mathrm{R}(T_\mathrm{A})]$"),
        (c, "c", "activation_entropy", r"$\Sigma$ ($k_\mathrm{B}$)"),
        (d, "d", "activation_energy", rf"$\Delta E$ (${results.units[1]}$)"),
    )
    notes = {"a": _notes(results, found, refused)}
    for ax, which, barrier, text in panels:
        named = _against_entropy(ax, results, found, barrier)
        ax.set_xlabel(rf"{kind} {S2}")
        ax.set_ylabel(text)
        letter(ax, which, notes.get(which, []))
        if not named:
            instead(ax, "; ".join(refused) or "no fit")
        elif len(results.systems) > 1 and which != "b":
            Names(ax, named, legend(ax, named))
    _identity(e, results, found)
    return figure


def caption(results: Results) -> str:
    """Write the caption."""
    bins = results.systems[0].ensemble.sizes["softness_bin"]
    return (
        f"Barriers of the strata of softness against the pair excess entropy of {structure(results)} at the same "
        f"softness: s⁽²⁾ of the {bins} softness bins, interpolated linearly between their middles, at the middle of each "
        f"stratum. (a, b) scaled by ln P_R(T_A), (c, d) unscaled, (e) y_E against y_Σ − 1, equal (dashed) where all strata "
        f"meet at T_A. Error bars: bootstrap; those of (a, b) share the error of ln P_R(T_A)."
    )


def _math(text: str) -> str:
    """Text of a refusal with its symbols set as mathematics."""
    for symbol, typeset in (
        ("ln P_R(T_A)", r"$\ln P_\mathrm{R}(T_\mathrm{A})$"),
        ("P_R(T_A)", r"$P_\mathrm{R}(T_\mathrm{A})$"),
        ("no T_A", r"no $T_\mathrm{A}$"),
        ("T_A is", r"$T_\mathrm{A}$ is"),
        ("Σ", r"$\Sigma$"),
    ):
        text = text.replace(symbol, typeset)
    return text


def _against_entropy(
    ax: Axes, results: Results, found: Mapping[str, collapse.Points], barrier: str
) -> list[Named]:  # fmt: skip
    """Draw barriers of all systems against entropy; returns what is drawn."""
    named = []
    ax.margins(y=0.12)  # for names
    for system in results.systems:
        points, fits = found[system.name], system.fits("softness")
        known = np.isfinite(points.x) & np.isfinite(fits[barrier].values)
        if (barrier.startswith("scaled_") and points.refused) or not known.any():
            continue
        plot.barriers(
            fits, xr.DataArray(points.x, dims="stratum"), barrier, ax=ax, fmt=marker(system.index),
            color=colour(system.index), linewidth=0.8,
        )  # fmt: skip
        named.append(Named(system.label, points.x[known], fits[barrier].values[known], system.index))
    return named


def _notes(results: Results, found: Mapping[str, collapse.Points], refused: list[str]) -> list[str]:
    """What must be said about all panels."""
    notes = [] if results.inherent else ["no inherent structures: the entropy is thermal"]
    notes += [text for text in refused if len(refused) < len(results.systems)]
    notes += [
        f"{s.label}: {found[s.name].outside} strata lie beyond the softness bins"
        for s in results.systems
        if found[s.name].outside
    ]
    return notes + ["one system: nothing to collapse on"] * (len(results.systems) == 1)


def _identity(ax: Axes, results: Results, found: Mapping[str, collapse.Points]) -> None:
    """Draw y_E against y_Σ - 1, which are equal where strata meet at T_A."""
    ax.margins(0.12)
    for system in results.systems:
        if not found[system.name].refused:
            plot.collapse(system.fits("softness"), ax=ax, marker=marker(system.index), color=colour(system.index))
    deviations = [points.deviation for points in found.values() if np.isfinite(points.deviation)]
    ax.set_xlabel(r"$y_\Sigma - 1$")
    ax.set_ylabel("$y_E$")
    letter(ax, "e")
    text = rf"largest $|y_E - y_\Sigma + 1|$: {_power(max(deviations))}" if deviations else ""
    if not ax.has_data():
        instead(ax, f"scaled barriers undetermined; {text}" if text else "no fit")
        return
    ax.text(0.05, 0.93, text, transform=ax.transAxes, va="top", fontsize=SMALL)


def _power(value: float) -> str:
    """Number of two digits, as a power of ten where it is small."""
    mantissa, exponent = f"{value:.1e}".split("e")
    return f"{value:.2g}" if value >= 0.01 else rf"${mantissa} \times 10^{{{int(exponent)}}}$"
