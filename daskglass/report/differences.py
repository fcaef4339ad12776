"""The figure of two studies compared: every difference in units of its error, by quantity and system."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.ticker import MaxNLocator

from daskglass.report.compare import Comparison, Row
from daskglass.report.results import tex
from daskglass.report.style import GREY, PIXELS_PER_INCH, colour, marker, styled
from daskglass.stages.structural import STRUCTURAL_VARIABLES
from daskglass.store.export import whole

WIDTH = 85 / 25.4  # inches: one column of a journal
SIZES: dict[Any, Any] = {
    "font.size": 7.5,
    "axes.labelsize": 7.5,
    "xtick.labelsize": 7.0,
    "ytick.labelsize": 7.0,
    "legend.fontsize": 7.0,
}
FURTHEST = 2.0  # in units of the bound; what lies beyond is drawn at the edge
SYMBOLS = {
    "potential_energy": "$U$",
    "pressure": "$P$",
    "s2": "$s^{(2)}$",
    "s2_thermal": "$s^{(2)}$, thermal",
    "relaxation_time": r"$\tau_\alpha$",
    "diffusivity": "$D$",
    "rearranging_fraction": "rearranging",
    "pearson": "Pearson",
    "pearson_pooled": "Pearson, pooled",
    "onset_temperature": "$T_A$",
    "activation_energy": r"$\Delta E$",
    "activation_entropy": r"$\Sigma$",
    "scaled_energy": "$y_E$",
    "scaled_entropy": r"$y_\Sigma$",
    "s2_grouped_pooled": "$s^{(2)}(S)$",
    "s2_grouped_thermal_pooled": "$s^{(2)}(S)$, thermal",
}


def save(found: Comparison, path: Path) -> None:
    """Draw the differences into a file, whole or not at all."""
    with styled(), matplotlib.rc_context(SIZES), whole(path) as aside:
        draw(found).savefig(aside, format=path.suffix.removeprefix("."), dpi=PIXELS_PER_INCH)


def draw(found: Comparison) -> Figure:
    """Draw the differences, a line for each quantity, side by side for each system."""
    quantities = list(dict.fromkeys(row.quantity for row in found.rows))
    systems = list(dict.fromkeys(row.system for row in found.rows))
    each = 0.12 + 0.035 * len(systems)  # inches of a line
    layout = ConstrainedLayoutEngine(w_pad=0.03, h_pad=0.03)
    figure = Figure(figsize=(WIDTH, 0.62 + each * len(quantities)), layout=layout)
    ax = figure.subplots()
    bound = found.bound
    furthest = max(abs(sigma) for row in found.rows for sigma in row.differences.values())
    edge = 1.08 * min(max(furthest, bound), FURTHEST * bound)
    ax.axvspan(-bound, bound, color="#ececec", linewidth=0)
    ax.axvline(0, color=GREY, linewidth=0.6)
    for row in found.rows:
        index = systems.index(row.system)
        shift = 0.6 * ((index + 0.5) / len(systems) - 0.5)
        _line(ax, row, quantities.index(row.quantity) + shift, index, edge)
    ax.set_xlim(-edge, edge)
    ax.set_ylim(len(quantities) - 0.5, -0.5)
    ax.set_yticks(range(len(quantities)), [_label(quantity) for quantity in quantities])
    ax.tick_params(axis="y", which="both", length=0)
    ax.yaxis.minorticks_off()
    ax.xaxis.set_major_locator(MaxNLocator(7, integer=True))
    ax.set_xlabel(r"difference ($\sigma$)")
    # of one system there is nothing to tell apart
    for index, system in enumerate(systems if len(systems) > 1 else []):
        ax.plot([], [], marker(index), color=colour(index), markersize=3, label=tex(system).replace(r"\_", "_"))
    said = rf"grey: within ${bound:.1f}\,\sigma$; large: all $T$ together; open: not judged"
    ax.set_title(said, fontsize=7.0, color=GREY, loc="right")
    if len(systems) > 1:
        figure.legend(loc="outside lower center", ncols=len(systems), handletextpad=0.1, columnspacing=0.9)
    return figure


def _line(ax: Axes, row: Row, height: float, index: int, edge: float) -> None:
    """Differences of one quantity of one system; what is beyond the edge lies on it, as an arrow."""
    inside = 0.97 * edge
    values = np.array(list(row.differences.values()))
    for k, value in enumerate(values):
        beyond = abs(value) > inside
        shape = (">" if value > 0 else "<") if beyond else marker(index)
        ax.plot(
            float(np.clip(value, -inside, inside)), height, shape, color=colour(index), clip_on=False, zorder=3,
            markersize=4.6 if k >= row.sigma.size else 2.6, markeredgewidth=0.6, alpha=0.85,
            markerfacecolor="none" if row.own_model else colour(index),
        )  # fmt: skip


def _label(quantity: str) -> str:
    """Symbol of a quantity, and of the structural variable whose strata it is of."""
    name, _, part = quantity.partition(" of ")
    symbols = {variable.name: variable.symbol.partition(" (")[0] or variable.label for variable in STRUCTURAL_VARIABLES}
    text = SYMBOLS.get(name, name.replace("_", " "))
    return f"{text}, {symbols.get(part, part.replace('_', ' '))}" if part else text
