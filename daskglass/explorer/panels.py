"""Plots of the explorer: each function returns a figure and a function that draws what was found into it."""

from __future__ import annotations

import html
from collections.abc import Callable
from typing import cast

import numpy as np
import xarray as xr
from bokeh.models import ColumnDataSource, HoverTool, LinearColorMapper, Range1d, SaveTool
from bokeh.models.annotations import ColorBar, Title
from bokeh.palettes import Greys256, RdBu11, Viridis256, interp_palette
from bokeh.plotting import figure

from daskglass.explorer.brush import BINS, MOST_DRAWN, Limits
from daskglass.explorer.live import Rates
from daskglass.explorer.views import View

ACCENT, ALL, INK, SOFT = "#0072b2", "#8b929c", "#1d2129", "#5d646f"
DIVERGING = interp_palette(RdBu11, 256)  # blue to red, as in the figures of the report
DASHES = ("solid", "dashed", "dotted", "dotdash")
NONE = "#d9dce0"  # of particles without a value

Colours = tuple[Limits, bool]  # ends, and whether they part at zero


def _figure(name: str, height: int, tools: str, **more: object) -> tuple[figure, Title]:
    title = Title(
        text="",
        text_font_size="13px",
        text_font_style="normal",
        text_color=INK,
        text_font="Helvetica, Arial, sans-serif",
    )
    plot = figure(title=title, height=height, tools=tools, sizing_mode="stretch_width", name=name, **more)  # type: ignore[arg-type]
    plot.add_tools(SaveTool(filename=f"daskglass_{name}"))
    plot.toolbar.logo = None
    for axis in plot.axis:
        axis.update(
            axis_label_text_font_style="normal", axis_label_text_font_size="12px", axis_label_text_color=INK,
            major_label_text_font_size="11px", major_label_text_color=INK, axis_label_text_font="Helvetica, Arial, sans-serif",
        )  # fmt: skip
    plot.grid.grid_line_color = None
    return plot, title


def retitle(plot: figure, text: str) -> None:
    """Write above a plot what is not drawn yet."""
    cast(Title, plot.title).text = text


def _tooltip(*rows: tuple[str, str]) -> str:
    """Rows of what and its value, darker than Bokeh has them."""
    cells = (f"<span style='color:{SOFT}'>{html.escape(what)}</span><span>{value}</span>" for what, value in rows)
    look = f"display:grid;grid-template-columns:auto auto;gap:2px 10px;font:12px Helvetica,Arial,sans-serif;color:{INK}"
    return f"<div style='{look}'>{''.join(cells)}</div>"


def slab_panel() -> tuple[figure, Callable[[View, tuple[float, float], Colours, tuple[str, str]], None]]:
    """Particles of the slab, seen along z."""
    plot, title = _figure(
        "slab", 640, "pan,wheel_zoom,box_select,reset", active_drag="box_select", match_aspect=True,
        x_range=Range1d(start=0, end=1), y_range=Range1d(start=0, end=1), x_axis_label="x  (σ)", y_axis_label="y  (σ)",
    )  # fmt: skip
    names = ("x", "y", "z", "first", "second", "particle", "species", "radius", "alpha")
    source = ColumnDataSource({name: [] for name in names})
    mapper = LinearColorMapper(palette=DIVERGING, low=-1, high=1, nan_color=NONE)
    discs = plot.circle(
        "x", "y", radius="radius", source=source, line_color=INK, line_width=0.4, fill_alpha="alpha", line_alpha="alpha",
        fill_color={"field": "first", "transform": mapper},
    )  # fmt: skip
    # what is chosen is known to the server alone
    discs.update(nonselection_glyph=None, selection_glyph=None)
    hover = HoverTool(renderers=[discs])
    plot.add_tools(hover)
    bar = ColorBar(
        color_mapper=mapper, height=10, title_text_font_style="normal", title_text_font_size="12px", title_text_color=INK,
        major_label_text_color=INK, padding=6,
    )  # fmt: skip
    plot.add_layout(bar, "below")

    def draw(found: View, box: tuple[float, float], colours: Colours, labels: tuple[str, str]) -> None:
        (low, high), diverging = colours
        mapper.update(palette=DIVERGING if diverging else Viridis256, low=low, high=high)
        bar.title = labels[0]
        hover.tooltips = _tooltip(
            ("particle", "@particle (@species)"), (labels[0], "@first{0.000}"), (labels[1], "@second{0.000}"),
            ("x, y, z", "@x{0.00}, @y{0.00}, @z{0.00}"),
        )  # fmt: skip
        if (plot.x_range.end, plot.y_range.end) != box:  # type: ignore[attr-defined]
            plot.x_range.update(start=0, end=box[0], reset_start=0, reset_end=box[0])
            plot.y_range.update(start=0, end=box[1], reset_start=0, reset_end=box[1])
        source.data = found.points
        count = len(found.points["x"])
        sampled = f"{MOST_DRAWN:,} drawn at random" if count < found.in_slab else "all drawn"
        title.text = f"{found.in_slab:,} particles in the slab, {sampled}"

    return plot, draw


def histogram_panel() -> tuple[figure, Callable[[View, Limits, str], None]]:
    """Histogram of the first variable: of all particles shown, and of those that are chosen."""
    plot, title = _figure("histogram", 270, "xbox_select", active_drag="xbox_select", y_axis_label="particles")
    source = ColumnDataSource({name: [] for name in ("left", "right", "all", "chosen")})
    for name, colour in (("all", ALL), ("chosen", ACCENT)):
        bars = plot.quad(left="left", right="right", bottom=0, top=name, source=source, color=colour)
        bars.update(nonselection_glyph=None, selection_glyph=None)
    plot.y_range.start = 0  # type: ignore[attr-defined]

    def draw(found: View, limits: Limits, label: str) -> None:
        edges = np.linspace(*limits, BINS + 1)
        source.data = {"left": edges[:-1], "right": edges[1:], "all": found.counts, "chosen": found.counts_chosen}
        plot.xaxis.axis_label = label
        title.text = "Drag to choose a range; blue: chosen"

    return plot, draw


def joint_panel() -> tuple[figure, Callable[[View, tuple[Limits, Limits], tuple[str, str]], None]]:
    """Joint histogram of both variables: of all particles shown in greys, and of those that are chosen in blues."""
    plot, title = _figure(
        "joint",
        370,
        "box_select",
        active_drag="box_select",
        x_range=Range1d(start=0, end=1),
        y_range=Range1d(start=0, end=1),
    )
    source = ColumnDataSource({name: [] for name in ("all", "chosen", "x", "y", "dw", "dh")})
    for name, ends in (("all", (Greys256[210], Greys256[60])), ("chosen", ("#a6d0ee", "#004a75"))):
        colours = LinearColorMapper(palette=interp_palette(ends, 64), low=0, nan_color="rgba(0, 0, 0, 0)")
        plot.image(image=name, x="x", y="y", dw="dw", dh="dh", source=source, color_mapper=colours)  # type: ignore[call-arg]

    def draw(found: View, limits: tuple[Limits, Limits], labels: tuple[str, str]) -> None:
        (left, right), (low, high) = limits
        images = {"all": found.joint, "chosen": found.joint_chosen}
        # more particles than tenfold would hide all others
        shades = {
            name: np.where(counts > 0, np.log10(np.maximum(counts, 1)), np.nan) for name, counts in images.items()
        }
        source.data = {
            **{name: [shade] for name, shade in shades.items()},
            "x": [left], "y": [low], "dw": [right - left], "dh": [high - low],
        }  # fmt: skip
        plot.x_range.update(start=left, end=right)
        plot.y_range.update(start=low, end=high)
        plot.xaxis.axis_label, plot.yaxis.axis_label = labels
        title.text = "Joint histogram (log scale); blue: chosen"

    return plot, draw


def rates_panel() -> tuple[figure, Callable[[Rates | None, str, str], None]]:
    """P_R against 1/T of the chosen range, and of all particles."""
    inverse = "1/T  (k_B/ε)"
    plot, title = _figure("P_R", 330, "box_zoom,reset", y_axis_type="log", x_axis_label=inverse, y_axis_label="P_R")
    names = ("x", "T", "chosen", "all", "events", "samples")
    source = ColumnDataSource({name: [] for name in names})
    plot.line("x", "all", source=source, color=SOFT, line_dash="dashed", legend_label="all")
    plot.line("x", "chosen", source=source, color=ACCENT, line_width=1.5, legend_label="range")
    plot.scatter("x", "all", source=source, color=SOFT, size=4)
    marks = plot.scatter("x", "chosen", source=source, color=ACCENT, size=7)
    told = _tooltip(("T", "@T"), ("P_R", "@chosen{0.00000}"), ("events", "@events{0,0} of @samples{0,0}"))
    plot.add_tools(HoverTool(renderers=[marks], tooltips=told))
    plot.legend.update(
        location="bottom_left", label_text_font_size="11px", padding=4, spacing=0, border_line_color=None, visible=False
    )

    def draw(found: Rates | None, what: str, over: str) -> None:
        plot.legend.visible = found is not None
        if found is None:
            source.data = {name: [] for name in names}
            title.text, plot.xaxis.axis_label = what, inverse
            return
        # zero has no place on a logarithmic axis
        part, whole = (np.where(P > 0, P, np.nan) for P in (found.probability, found.everywhere))
        source.data = {
            "x": 1 / found.temperature, "T": found.temperature, "chosen": part, "all": whole,
            "events": found.events, "samples": found.samples,
        }  # fmt: skip
        lacking = int((found.events == 0).sum())
        title.text = f"P_R, {what}; {over}"
        plot.xaxis.axis_label = inverse + f";  no events at {lacking} T" * bool(lacking)

    return plot, draw


def radial_panel() -> tuple[figure, Callable[[tuple[xr.DataArray, int] | None, xr.DataArray | None], None]]:
    """g(r) around the chosen particles, and around all that are shown."""
    plot, title = _figure("g", 330, "box_zoom,reset", x_axis_label="r  (σ)", y_axis_label="g(r)")
    source = ColumnDataSource({name: [] for name in ("r", "g", "colour", "dash")})
    plot.multi_line("r", "g", source=source, line_color="colour", line_dash="dash", line_width=1.4)

    def draw(chosen: tuple[xr.DataArray, int] | None, everyone: xr.DataArray | None) -> None:
        columns: dict[str, list[object]] = {name: [] for name in source.data}
        for g, colour in ((everyone, ALL), (chosen[0] if chosen else None, ACCENT)):
            if g is None:
                continue
            for k, neighbor in enumerate(g["neighbor"].values):
                columns["r"].append(g["r"].values)
                columns["g"].append(g.sel(neighbor=neighbor).values)
                columns["colour"].append(colour)
                columns["dash"].append(DASHES[k % len(DASHES)])
        source.data = columns
        if chosen is None:
            title.text = "g(r): no particle is chosen"
            return
        dashes = ", ".join(f"{dash} {name}" for dash, name in zip(DASHES, chosen[0]["neighbor"].values, strict=False))
        title.text = f"g(r) around {chosen[1]:,} chosen (blue), all (grey)"
        plot.xaxis.axis_label = f"r  (σ);  {dashes}"

    return plot, draw
