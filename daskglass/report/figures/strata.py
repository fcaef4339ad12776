"""Probability of rearrangement against 1/T by stratum, of softness and of local entropy; a panel per system."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from daskglass.registry import listed
from daskglass.report.caption_parts import of_each
from daskglass.report.results import Results, SystemResults
from daskglass.report.style import (
    FAR_ONSET,
    GREY,
    SMALL,
    error_bars,
    in_rows,
    letter,
    letters_of_panels,
    lines_below,
    log_y,
    new_figure,
    number,
    strata_bar,
    strata_colours,
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
            ax.set_xlabel(rf"$1/T$ ($k_\mathrm{{B}}/{results.units[1]}$)")
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
    P, error = fits["probability"].transpose("temperature", "stratum").values, None
    if "probability_err" in fits:
        error = fits["probability_err"].reindex(temperature=T).transpose("temperature", "stratum").values
    happened = fits["events"].transpose("temperature", "stratum").values > 0
    cold = np.arange(T.size) >= T.size - system.cold(variable)
    energy, entropy = fits["activation_energy"].values, fits["activation_entropy"].values
    onset, onset_err = system.onset(variable)
    near = np.isfinite(onset) and onset <= FAR_ONSET * T.max()
    x = 1 / T
    left, right = min(x.min(), 1 / onset if near else np.inf), x.max()
    span = max(right - left, 0.08 * right)
    colours, _ = strata_colours(fits["stratum_edges"].values)
    for k in range(P.shape[1]):
        shade = colours(k)
        for chosen, face in ((cold, shade), (~cold, "white")):
            points = chosen & happened[:, k]
            if points.any():
                bars = error_bars(error[points, k]) if error is not None else None
                ax.errorbar(
                    x[points], P[points, k], bars, fmt="o", color=shade, markerfacecolor=face, markersize=3.0, linewidth=0.8
                )  # fmt: skip
        if np.isfinite(energy[k]):
            inside = np.linspace(1 / T[cold].max(), x.max() + 0.02 * span, 50)
            ax.plot(inside, np.exp(entropy[k] - energy[k] * inside), color=shade, linewidth=1.0)
            if near and onset > T[cold].max():
                beyond = np.linspace(1 / onset, 1 / T[cold].max(), 50)
                ax.plot(
                    beyond,
                    np.exp(entropy[k] - energy[k] * beyond),
                    color=shade,
                    linewidth=0.9,
                    linestyle=(0, (1.5, 1.5)),
                )
    if near:
        if np.isfinite(onset_err) and onset_err < onset:
            ax.axvspan(1 / (onset + onset_err), 1 / (onset - onset_err), color=GREY, alpha=0.18, linewidth=0)
        ax.axvline(1 / onset, color=GREY, linewidth=0.9, linestyle=(0, (4, 2)))
        ax.text(
            1 / onset + 0.015 * span, 0.04, r"$1/T_\mathrm{A}$", transform=ax.get_xaxis_transform(), color=GREY, fontsize=SMALL
        )  # fmt: skip
    ax.axhline(1.0, color="black", linewidth=0.4)
    ax.set_xlim(left - 0.09 * span, right + 0.06 * span)
    said = [_said_of_onset(system, variable)]
    empty = int((~happened).sum())
    if empty:
        said.append(f"no event in {empty} of {happened.size} (stratum, $T$)")
    return said, float(P[happened].min()) if happened.any() else 1e-3


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
