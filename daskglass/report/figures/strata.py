"""Probability of rearrangement against 1/T by stratum, of softness and of local entropy; a panel per system."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from daskglass import plot
from daskglass.plot.panel import log_y, number
from daskglass.registry import listed
from daskglass.report.caption_parts import of_each
from daskglass.report.results import Results, SystemResults, unknown_onset
from daskglass.report.style import (
    FAR_ONSET,
    in_rows,
    letter,
    letters_of_panels,
    lines_below,
    new_figure,
    strata_bar,
)
from daskglass.stages.structural import OF_PAPER, StructuralVariable

TITLE = "Probability of rearrangement by stratum"
TALLEST = 9.6  # inches


def draw(results: Results) -> Figure:
    """Draw the figure."""
    return of_variables(results, OF_PAPER)


def of_variables(results: Results, variables: Sequence[StructuralVariable]) -> Figure:
    """Draw P_R in the strata of some variables."""
    several = len(results.systems) > 1
    lines, columns = in_rows(len(results.systems))
    # variables lie below one another, of one system side by side
    shape = (lines * len(variables), columns) if several else in_rows(len(variables))
    figure = new_figure(min(2.0 * shape[0], TALLEST) if several else 2.6 * shape[0])
    grid = figure.subplots(*shape, sharey=True, squeeze=False)
    for ax in () if several else grid.ravel()[len(variables) :]:
        ax.set_axis_off()
    letters = letters_of_panels()
    lowest = 1.0
    for line, (place, variable) in itertools.product(range(lines), enumerate(variables)):
        shown = results.systems[line * columns : (line + 1) * columns]
        row = grid[line * len(variables) + place] if several else grid.ravel()[place : place + 1]
        panels = list(row[: len(shown)])
        for ax in row[len(shown) :]:
            ax.set_axis_off()
        notes, lows = zip(*map(_strata, panels, shown, itertools.repeat(variable.name)), strict=True)
        lowest = min(lowest, *lows)
        labels = [system.label if several else "" for system in shown]
        below = max(map(lines_below, panels, notes, labels))
        for ax, said, label in zip(panels, notes, labels, strict=True):
            letter(ax, next(letters), said, label, below)
            ax.set(xlabel=rf"$1/T$ ($k_\mathrm{{B}}/{results.units[1]}$)", ylabel="")
        fits = [system.fits(variable.name) for system in shown]
        strata = [(fit["stratum_edges"].values, fit["stratum_middle"].values) for fit in fits]
        strata_bar(figure, list(row), strata, f"stratum of {variable.symbol or variable.label}")
    grid[0, 0].set_ylim(lowest / 1.6, 1.25)
    log_y(grid[0, 0])
    for ax in grid[:, 0]:
        ax.set_ylabel(r"$P_\mathrm{R}$")
    return figure


def caption(results: Results) -> str:
    """Write the caption."""
    return caption_of(results, OF_PAPER)


def caption_of(results: Results, variables: Sequence[StructuralVariable]) -> str:
    """Write the caption of `of_variables`."""
    first = results.systems[0]
    fitted = of_each(results, lambda system: listed((str(system.cold(v.name)) for v in variables), "and"))
    order = "left to right" if len(results.systems) == 1 else "from top to bottom"
    labels = listed((variable.label for variable in variables), "and")
    return (
        f"Fraction of {first.first} with p_hop above the threshold, in {first.ensemble.sizes['stratum']} equal strata of "
        f"{labels} ({order}). Filled points enter the Arrhenius fits (lines; dotted "
        f"where extrapolated), open points are hotter. Dashed: onset temperature T_A where the strata meet, with its "
        f"standard error shaded. Error bars: bootstrap over replicas and blocks of time. Supercooled temperatures fitted "
        f"({labels}): {fitted}."
    )


def _strata(ax: Axes, system: SystemResults, variable: str) -> tuple[list[str], float]:
    """Draw one panel; returns its notes, and the lowest probability in it."""
    fits = system.fits(variable)
    T = system.temperature
    happened = fits["events"].transpose("temperature", "stratum").values > 0
    hot = T.size - system.cold(variable)
    onset, _ = system.onset(variable)
    near = np.isfinite(onset) and onset <= FAR_ONSET * T.max() and not unknown_onset(system.fits(variable))
    x = 1 / T
    left, right = min(x.min(), 1 / onset if near else np.inf), x.max()
    span = max(right - left, 0.08 * right)
    look: dict[str, Any] = {"markersize": 3.0, "linewidth": 0.8}
    if hot < T.size:
        plot.rearrangement_probability(fits.isel(temperature=slice(hot, None)), ax=ax, **look)
        plot.arrhenius(fits, [T[hot], 1 / (right + 0.02 * span)], ax=ax, linewidth=1.0)
        if near and onset > T[hot]:
            plot.arrhenius(fits, [T[hot], onset], ax=ax, linewidth=0.9, linestyle=(0, (1.5, 1.5)))
    if hot:
        plot.rearrangement_probability(fits.isel(temperature=slice(hot)), ax=ax, markerfacecolor="white", **look)
    if near:
        plot.onset_temperature(fits, ax=ax, linewidth=0.9)
    ax.axhline(1.0, color="black", linewidth=0.4)
    ax.set_xlim(left - 0.09 * span, right + 0.06 * span)
    said = [_said_of_onset(system, variable)]
    empty = int((~happened).sum())
    if empty:
        said.append(f"no event in {empty} of {happened.size} (stratum, $T$)")
    return said, float(fits["probability"].where(fits["events"] > 0).min()) if happened.any() else 1e-3


def _said_of_onset(system: SystemResults, variable: str) -> str:
    cold = system.cold(variable)
    used = (
        int(system.fits(variable)["temperatures_used"].max()) if "temperatures_used" in system.fits(variable) else cold
    )
    if not np.isfinite(system.fits(variable)["activation_energy"].values).any():
        reason = f"{cold} supercooled temperature{'s' * (cold != 1)}" if used >= min(cold, 2) else "too few events"
        return f"{reason}: no fit"
    onset, error = system.onset(variable)
    if not np.isfinite(onset):
        return r"no $T_\mathrm{A}$: the strata do not meet"
    if why := unknown_onset(system.fits(variable)):
        return rf"$T_\mathrm{{A}}$ unknown: {why}".replace("Σ", r"$\Sigma$")
    value = _pm(onset, error).replace("±", r"\pm")
    text = rf"$T_\mathrm{{A}} = {value}$"  # mathematics, in which no line breaks
    if onset > FAR_ONSET * system.temperature.max():
        return f"{text}, far outside the simulated range: not drawn"
    if system.extrapolated(variable):
        text += ", extrapolated"
    P = float(system.fits(variable)["onset_probability"])
    if P > 1:
        text += rf"; $P_\mathrm{{R}}(T_\mathrm{{A}})$ = {P:.2f} > 1: no probability"
    if cold == 2:
        text += "; 2 temperatures: a line fits always"
    return text


def _pm(value: float, error: float) -> str:
    """Value and error with digits that the error allows, for short labels."""
    if not np.isfinite(error) or error <= 0:
        return number(value, 3)
    digits = int(np.clip(1 - np.floor(np.log10(error)), 0, 4))
    return f"{number(value, digits)} ± {number(error, digits)}"
