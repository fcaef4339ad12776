"""Figures 3 and 4: rearrangement by stratum, and what softness and local entropy have in common."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from daskglass.report.results import Results, SystemResults, read_results, tex
from daskglass.report.style import (
    GREY,
    colour,
    error_bars,
    in_style,
    instead,
    letter,
    letters_of_panels,
    log_y,
    marker,
    new_figure,
    number,
    strata_bar,
    strata_colours,
)

JOINT_MAP = "magma_r"  # few counts are pale, like the paper they stand on
PAPER = {"facecolor": "white", "alpha": 0.75, "linewidth": 0, "boxstyle": "square,pad=0.15"}
FAR_ONSET = 2.0  # an onset temperature beyond this many times the hottest one is printed, not drawn
VARIABLES = {"softness": "$S$", "local_entropy": r"$s^{(2)}_i$ ($k_\mathrm{B}$)"}


# --- 3: rearrangement by stratum -----------------------------------------------------------------------------------


@in_style
def figure_3(tree: xr.DataTree) -> Figure:
    """Probability of rearrangement against 1/T by stratum, of softness and of local entropy; a row per system."""
    results = read_results(tree)
    rows = len(results.systems)
    figure = new_figure(3.0 if rows == 1 else 2.35 * rows)
    grid = figure.subplots(rows, 2, sharey="row", squeeze=False)
    letters = letters_of_panels()
    for row, system in zip(grid, results.systems, strict=True):
        for ax, variable in zip(row, VARIABLES, strict=True):
            said = _strata(ax, results, system, variable)
            if rows > 1:
                said[0] = f"{system.label}: {said[0]}"
            letter(ax, next(letters), said, 50)
            fits = system.fits(variable)
            strata_bar(
                figure,
                ax,
                fits["stratum_edges"].values,
                fits["stratum_middle"].values,
                f"stratum of {VARIABLES[variable]}",
            )
        row[0].set_ylabel(r"$P_\mathrm{R}$")
    for ax in grid[-1]:
        ax.set_xlabel(rf"$1/T$ ($k_\mathrm{{B}}/{results.units[1]}$)")
    return figure


def _strata(ax: Axes, results: Results, system: SystemResults, variable: str) -> list[str]:
    """Draw one panel of figure 3; returns what must be said about it."""
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
                    x[points], P[points, k], bars, fmt="o", color=shade, markerfacecolor=face, markersize=3.6, linewidth=0.8
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
    seen = P[happened]
    low = seen.min() if seen.size else 1e-3
    ax.set_ylim(min(low / 1.6, ax.get_ylim()[0] if ax.get_yscale() == "log" else 1.0), 1.25)
    log_y(ax)
    if near:
        if np.isfinite(onset_err) and onset_err < onset:
            ax.axvspan(1 / (onset + onset_err), 1 / (onset - onset_err), color=GREY, alpha=0.18, linewidth=0)
        ax.axvline(1 / onset, color=GREY, linewidth=0.9, linestyle=(0, (4, 2)))
        ax.text(
            1 / onset + 0.015 * span, 0.04, r"$1/T_\mathrm{A}$", transform=ax.get_xaxis_transform(), color=GREY, fontsize=8.0
        )  # fmt: skip
    ax.axhline(1.0, color="black", linewidth=0.4)
    ax.set_xlim(left - 0.09 * span, right + 0.06 * span)
    said = [_said_of_onset(system, variable)]
    empty = int((~happened).sum())
    if empty:
        said.append(f"no event in {empty} of {happened.size} (stratum, $T$)")
    return said


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
    text = rf"$T_\mathrm{{A}}$ = {_pm(onset, error)}"
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


# --- 4: softness and local entropy ---------------------------------------------------------------------------------


@in_style
def figure_4(tree: xr.DataTree) -> Figure:
    """Joint histogram of softness and local entropy, their correlation, and the onset temperatures of both."""
    results = read_results(tree)
    count = len(results.systems)
    letters = letters_of_panels()
    if count == 1:
        figure = new_figure(2.75)
        axes = figure.subplots(1, 3, width_ratios=(1.3, 0.85, 1))
        panels, pearson, onset = [axes[0]], axes[1], axes[2]
    else:
        columns = 2 if count in (2, 4) else 3
        rows = -(-count // columns)
        figure = new_figure(2.25 * rows + 2.6)
        halves: Any = figure.subfigures(2, 1, height_ratios=(2.25 * rows, 2.6))
        above, below = halves
        grid = above.subplots(rows, columns, sharex=True, sharey=True, squeeze=False).ravel()
        for ax in grid[count:]:
            ax.set_axis_off()
        panels = list(grid[:count])
        pearson, onset = below.subplots(1, 2)
    mappable = _joint(panels, results, letters)
    bar = panels[0].figure.colorbar(mappable, ax=panels, pad=0.02, aspect=22, fraction=0.08)
    bar.set_label("particles × frames")
    bar.outline.set_linewidth(0.5)
    _pearson(pearson, results, next(letters))
    _onsets(onset, results, next(letters))
    return figure


def _joint(panels: list[Axes], results: Results, letters: Iterator[str]) -> ScalarMappable:
    joints = [system.ensemble["joint"] for system in results.systems]
    norm = LogNorm(1, max(2, max(int(joint.max()) for joint in joints)))
    name = tex(results.systems[0].first)
    columns = 1 if len(panels) == 1 else (2 if len(panels) in (2, 4) else 3)
    for k, (ax, system, joint) in enumerate(zip(panels, results.systems, joints, strict=True)):
        joint = joint.transpose("joint_local_entropy", "joint_softness")
        counts = np.ma.masked_less(joint.values, 1)
        ax.pcolormesh(
            joint["joint_softness"], joint["joint_local_entropy"], counts, norm=norm, cmap=JOINT_MAP, rasterized=True
        )  # fmt: skip
        if k + columns >= len(panels):
            ax.set_xlabel(rf"softness $S$ of $\mathrm{{{name}}}$")
            ax.tick_params(labelbottom=True)
        if k % columns == 0:
            ax.set_ylabel(r"local $s^{(2)}_i$ ($k_\mathrm{B}$)")
        pooled = float(system.ensemble["pearson_pooled"])
        ax.text(0.04, 0.96, f"$r$ = {number(pooled)}", transform=ax.transAxes, va="top", bbox=PAPER)
        letter(ax, next(letters), [system.label] if len(panels) > 1 else [])
    return ScalarMappable(norm, JOINT_MAP)


def _pearson(ax: Axes, results: Results, which: str) -> None:
    places = _places(ax, results)
    step = 0.35 * min(np.diff(sorted(places.values())), default=1.0)
    for system in results.systems:
        x = places[system.name]
        by_T = system.ensemble["pearson"].values
        # beside the value of all, so that neither hides the other
        ax.plot(
            x + step * np.linspace(0.3, 1.0, by_T.size), by_T, "o", color=colour(system.index), markersize=2.2, alpha=0.6
        )  # fmt: skip
        ax.plot(
            x, float(system.ensemble["pearson_pooled"]), marker(system.index), color=colour(system.index), markersize=5.5
        )  # fmt: skip
    low, high = ax.get_ylim()
    ax.set_ylim(min(0.0, low), max(0.75, high))
    ax.axhline(0.0, color="black", linewidth=0.4)
    ax.set_ylabel("Pearson correlation of $S$, $s^{(2)}_i$")
    handles = [
        Line2D([], [], color=GREY, marker="o", markersize=5.5, linestyle="", label="all $T$ pooled"),
        Line2D([], [], color=GREY, marker="o", markersize=2.2, linestyle="", label="each $T$, hot to cold"),
    ]
    ax.legend(handles=handles, loc="lower right" if len(results.systems) > 1 else "lower center", handletextpad=0.2)
    letter(ax, which, _no_trend(results), 24 if len(results.systems) == 1 else 46)


def _no_trend(results: Results) -> list[str]:
    if len(results.systems) == 1:
        return [r"one system: no trend with $\Delta$"]
    return [] if results.in_delta else [r"systems differ in more than $\Delta$: no trend"]


def _places(ax: Axes, results: Results) -> Mapping[str, float]:
    """Where systems stand on an axis: at their Δ, or side by side with their names."""
    if results.in_delta and len(results.systems) > 1:
        ax.set_xlabel(rf"$\Delta$ (${results.units[0]}$)")
        delta = [system.delta for system in results.systems]
        room = 0.12 * max(max(delta) - min(delta), 0.1)
        ax.set_xlim(min(delta) - room, max(delta) + room)
        return {system.name: system.delta for system in results.systems}
    turn = 25 if len(results.systems) > 2 else 0
    ax.set_xticks(
        range(len(results.systems)),
        [s.label for s in results.systems],
        rotation=turn,
        ha="right" if turn else "center",
    )
    ax.tick_params(axis="x", which="minor", bottom=False, top=False)
    ax.set_xlim(-0.6, len(results.systems) - 0.4)
    return {system.name: float(k) for k, system in enumerate(results.systems)}


def _onsets(ax: Axes, results: Results, which: str) -> None:
    energy = results.units[1]
    said, drawn, open_ones = [], [], False
    for system in results.systems:
        x, x_err = system.onset("softness")
        y, y_err = system.onset("local_entropy")
        name = f"{system.label}: " if len(results.systems) > 1 else ""
        hottest = FAR_ONSET * system.temperature.max()
        if not (np.isfinite(x) and np.isfinite(y)):
            without = " and ".join(what for what, value in (("$S$", x), ("$s^{(2)}_i$", y)) if not np.isfinite(value))
            said.append(rf"{name}no $T_\mathrm{{A}}$ from {without}")
            continue
        if max(x, y) > hottest:
            said.append(rf"{name}$T_\mathrm{{A}}$ far outside the simulated range: not drawn")
            continue
        outside = system.extrapolated("softness") or system.extrapolated("local_entropy")
        open_ones |= outside
        drawn.append((x, y, x_err, y_err))
        ax.errorbar(
            x, y, _one_bar(y_err), _one_bar(x_err), fmt=marker(system.index), color=colour(system.index), markersize=5,
            markerfacecolor="white" if outside else colour(system.index), linewidth=0.9, label=system.label,
        )  # fmt: skip
    ax.set_xlabel(rf"$T_\mathrm{{A}}$ from strata of $S$ (${energy}/k_\mathrm{{B}}$)")
    ax.set_ylabel(rf"$T_\mathrm{{A}}$ from $s^{{(2)}}_i$ (${energy}/k_\mathrm{{B}}$)")
    if not drawn:
        letter(ax, which)
        instead(ax, "; ".join(said), 28)
        return
    values = np.array(drawn)
    reach = np.nan_to_num(values[:, 2:]).max()
    low, high = values[:, :2].min() - 1.3 * reach, values[:, :2].max() + 1.3 * reach
    room = max(0.12 * (high - low), 0.04 * high)
    ends = np.array([max(low - room, 0.0), high + room])
    ax.plot(ends, ends, color=GREY, linewidth=0.7, linestyle=(0, (4, 2)), zorder=0)
    ax.set_xlim(*ends)
    ax.set_ylim(*ends)
    for axis in (ax.xaxis, ax.yaxis):
        axis.set_major_locator(MaxNLocator(4))
    ax.legend(loc="upper left")
    if open_ones:
        said.append("open: extrapolated beyond the simulated $T$")
    letter(ax, which, said, 26 if len(results.systems) == 1 else 46)


def _one_bar(error: float) -> float | None:
    return error if np.isfinite(error) else None
