"""Joint histogram of softness and local entropy, their correlation, and the onset temperatures of both."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from daskglass import plot
from daskglass.plot.panel import GREY, error_bars
from daskglass.report.beside import Named, Names, legend
from daskglass.report.caption_parts import of_each
from daskglass.report.results import Results, known, tex, unknown_onset
from daskglass.report.style import (
    FAR_ONSET,
    SMALL,
    colour,
    in_rows,
    instead,
    letter,
    letters_of_panels,
    marker,
    new_figure,
)

TITLE = "Softness against local pair excess entropy"
BOTH = {"softness": "$S$", "local_entropy": "$s^{(2)}_i$"}


def draw(results: Results) -> Figure:
    """Draw the figure."""
    count = len(results.systems)
    letters = letters_of_panels()
    if count == 1:
        figure = new_figure(2.3)
        axes = figure.subplots(1, 3, width_ratios=(1.3, 0.85, 1))
        panels, pearson, onset = [axes[0]], axes[1], axes[2]
    else:
        rows, columns = in_rows(count)
        height = rows * (1.75 if columns > 3 else 2.1)
        figure = new_figure(height + 2.4)
        halves: Any = figure.subfigures(2, 1, height_ratios=(height, 2.4))
        above, below = halves
        grid = above.subplots(rows, columns, sharex=True, sharey=True, squeeze=False).ravel()
        for ax in grid[count:]:
            ax.set_axis_off()
        panels = list(grid[:count])
        pearson, onset = below.subplots(1, 2)
    _joint(panels, results, letters)
    bar = panels[0].figure.colorbar(panels[0].collections[0], ax=panels, pad=0.02, aspect=22, fraction=0.08)
    bar.set_label("particles × frames", fontsize=SMALL)
    bar.outline.set_linewidth(0.5)
    _pearson(pearson, results, next(letters))
    _onsets(onset, results, next(letters))
    return figure


def caption(results: Results) -> str:
    """Write the caption."""
    pairs = of_each(results, lambda system: f"{int(system.ensemble['joint'].sum()):,}")
    return (
        f"Joint histogram of softness and local pair excess entropy of {results.systems[0].first}, all temperatures pooled "
        f"(particles × frames: {pairs}), their Pearson correlation r, and the onset temperatures from the strata of both; "
        f"dashed: equality; open: outside the simulated temperatures. Error bars are standard errors."
    )


def _joint(panels: list[Axes], results: Results, letters: Iterator[str]) -> None:
    joints = [system.ensemble["joint"] for system in results.systems]
    norm = LogNorm(1, max(2, max(int(joint.max()) for joint in joints)))
    name = tex(results.systems[0].first)
    _, columns = in_rows(len(panels))
    for k, (ax, system, joint) in enumerate(zip(panels, results.systems, joints, strict=True)):
        joint = joint.transpose("joint_softness", "joint_local_entropy")
        plot.joint_histogram(joint, system.ensemble["pearson_pooled"], ax=ax, norm=norm, colorbar=False)
        ax.xaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 5, 10]))
        last, leftmost = k + columns >= len(panels), k % columns == 0
        ax.set_xlabel(rf"softness $S$ of $\mathrm{{{name}}}$" if last else "")
        ax.set_ylabel(r"local $s^{(2)}_i$ ($k_\mathrm{B}$)" if leftmost else "")
        if last:
            ax.tick_params(labelbottom=True)
        letter(ax, next(letters), of=system.label if len(panels) > 1 else "")


def _pearson(ax: Axes, results: Results, which: str) -> None:
    places = _places(ax, results)
    step = 0.35 * min(np.diff(sorted(places.values())), default=1.0)
    for system in results.systems:
        x, ensemble = places[system.name], system.ensemble
        by_T = ensemble["pearson"].values
        # beside the value of all, so that neither hides the other
        ax.errorbar(
            x + step * np.linspace(0.3, 1.0, by_T.size), by_T, error_bars(known(ensemble, "pearson_err", by_T.shape)),
            fmt="o", color=colour(system.index), markersize=2.0, elinewidth=0.6, capsize=0, alpha=0.6,
        )  # fmt: skip
        ax.errorbar(
            x, float(ensemble["pearson_pooled"]), error_bars(known(ensemble, "pearson_pooled_err", ())),
            fmt=marker(system.index), color=colour(system.index), markersize=4.5, elinewidth=0.9,
        )  # fmt: skip
    low, high = ax.get_ylim()
    ax.set_ylim(min(0.0, low), max(0.75, high))
    ax.axhline(0.0, color="black", linewidth=0.4)
    ax.set_ylabel("Pearson correlation of $S$, $s^{(2)}_i$")
    handles = [
        Line2D([], [], color=GREY, marker="o", markersize=4.5, linestyle="", label="all $T$ pooled"),
        Line2D([], [], color=GREY, marker="o", markersize=2.0, linestyle="", label="each $T$, hot to cold"),
    ]
    ax.legend(handles=handles, loc="lower right" if len(results.systems) > 1 else "lower center", handletextpad=0.2)
    letter(ax, which, _no_trend(results))


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
        # values of each temperature are right of the value of all
        ax.set_xlim(min(delta) - room, max(delta) + max(room, 0.42 * min(np.diff(sorted(delta)))))
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
    named: list[Named] = []
    for system in results.systems:
        (x, x_err), (y, y_err) = map(system.onset, BOTH)
        name = f"{system.label}: " if len(results.systems) > 1 else ""
        hottest = FAR_ONSET * system.temperature.max()
        if not (np.isfinite(x) and np.isfinite(y)):
            without = " and ".join(
                symbol for symbol, value in zip(BOTH.values(), (x, y), strict=True) if not np.isfinite(value)
            )
            said.append(rf"{name}no $T_\mathrm{{A}}$ from {without}")
            continue
        if unknown := [symbol for variable, symbol in BOTH.items() if unknown_onset(system.fits(variable))]:
            said.append(rf"{name}$T_\mathrm{{A}}$ unknown from {' and '.join(unknown)}")
            continue
        if max(x, y) > hottest:
            said.append(rf"{name}$T_\mathrm{{A}}$ far outside the simulated range: not drawn")
            continue
        outside = system.extrapolated("softness") or system.extrapolated("local_entropy")
        open_ones |= outside
        drawn.append((x, y, x_err, y_err))
        ax.errorbar(
            x, y, _one_bar(y_err), _one_bar(x_err), fmt=marker(system.index), color=colour(system.index), markersize=4.5,
            markerfacecolor="white" if outside else colour(system.index), linewidth=0.9,
        )  # fmt: skip
        named.append(Named(system.label, np.array([x]), np.array([y]), system.index))
    ax.set_xlabel(rf"$T_\mathrm{{A}}$ from strata of $S$ (${energy}/k_\mathrm{{B}}$)")
    ax.set_ylabel(rf"$T_\mathrm{{A}}$ from $s^{{(2)}}_i$ (${energy}/k_\mathrm{{B}}$)")
    if not drawn:
        letter(ax, which)
        instead(ax, "; ".join(said))
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
        axis.set_major_locator(MaxNLocator(5, steps=[1, 2, 5, 10]))
    if len(results.systems) > 1:
        Names(ax, named, legend(ax, named))
    if open_ones:
        said.append("open: extrapolated")
    letter(ax, which, said)


def _one_bar(error: float) -> float | None:
    return error if np.isfinite(error) else None
