"""How a figure becomes files: its layout is solved once and frozen, then both are one drawing."""

from __future__ import annotations

from pathlib import Path

import matplotlib
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.markers import TICKDOWN, TICKLEFT, TICKRIGHT, TICKUP, MarkerStyle
from matplotlib.ticker import FixedLocator, Locator, NullFormatter, NullLocator

from daskglass.report.both import BothCanvas
from daskglass.report.style import styled


def save(figure: Figure, path: Path) -> None:
    """Save a figure as `path.svg` and `path.png`, which are one drawing."""
    with styled(), path.with_name(f"{path.name}.svg").open("w", encoding="utf-8") as svg:
        figure.dpi = matplotlib.rcParams["savefig.dpi"]
        canvas = BothCanvas(figure, svg)
        _lay_out(figure)
        canvas.print_both(path.with_name(f"{path.name}.png"))


def _lay_out(figure: Figure) -> None:
    """Solve the layout of a figure, once, without the minor ticks; later drawings keep it."""
    axes: list[Axis] = [axis for ax in figure.axes if ax.axison for axis in (ax.xaxis, ax.yaxis)]
    locators = [axis.get_minor_locator() for axis in axes]
    labelled = [_labelled(axis) for axis in axes]
    for axis, values in zip(axes, labelled, strict=True):
        axis.set_minor_locator(FixedLocator(values) if values else NullLocator())
    if (layout := figure.get_layout_engine()) is not None:
        layout.execute(figure)
        figure.set_layout_engine("none")
    for axis, locator in zip(axes, locators, strict=True):
        if not isinstance(locator, NullLocator):
            _mark(axis, locator)


def _labelled(axis: Axis) -> list[float]:
    """Minor ticks of an axis that have labels."""
    formatter = axis.get_minor_formatter()
    if isinstance(formatter, NullFormatter):
        return []
    values = axis.get_minorticklocs().tolist()
    return [value for value, label in zip(values, formatter.format_ticks(values), strict=True) if label]


def _mark(axis: Axis, locator: Locator) -> None:
    """Draw minor ticks, all of one side of a panel as one line of markers: Matplotlib's own are hundreds."""
    locator.set_axis(axis)
    low, high = sorted(axis.get_view_interval())
    values = [value for value in locator() if low <= value <= high]
    ax, drawn = axis.axes, axis.get_tick_params(which="minor")
    horizontal = axis is ax.xaxis
    sides = (("bottom", TICKUP), ("top", TICKDOWN)) if horizontal else (("left", TICKRIGHT), ("right", TICKLEFT))
    for place, (side, marker) in enumerate(sides):
        if not drawn.get(side, True):
            continue
        places = (values, [place] * len(values))
        line = Line2D(
            *(places if horizontal else places[::-1]), linestyle="", marker=MarkerStyle(marker), color="black",
            markersize=matplotlib.rcParams["xtick.minor.size"], markeredgewidth=matplotlib.rcParams["xtick.minor.width"],
            transform=ax.get_xaxis_transform() if horizontal else ax.get_yaxis_transform(), clip_on=False,
        )  # fmt: skip
        # in the axes, a legend would make way for it
        ax.figure.add_artist(line)
