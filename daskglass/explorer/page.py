"""The page of the explorer: its controls, what they choose, and the order in which that is read and drawn."""

from __future__ import annotations

import html
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from importlib.resources import files
from pathlib import Path
from typing import Any, cast

import jinja2
import numpy as np
import xarray as xr
from bokeh.document import Document
from bokeh.events import DocumentReady, SelectionGeometry
from bokeh.layouts import column, row
from bokeh.models import CustomJS, CustomJSTickFormatter
from bokeh.models.widgets import Button, CheckboxGroup, Div, RangeSlider, Select, Slider
from numpy.typing import NDArray

from daskglass.explorer import live, panels
from daskglass.explorer.brush import Brush, Limits, Slab, chosen, is_shown, limits_of, neat, query_code
from daskglass.explorer.frames import (
    Choice,
    Frame,
    along,
    axis_label,
    positions_of,
    quantities_of,
    read_frame,
    runs_of,
    times_of,
)
from daskglass.explorer.newest import Newest
from daskglass.explorer.views import View, colour_limits, number, view
from daskglass.physics.particles import species_names
from daskglass.store.blocks import open_tree

DIVERGING = ("softness", "propensity_margin")  # variables whose sign has a meaning
THICKNESS = 2.0  # σ, at first
BODY = """{% extends base %}{% block postamble %}
<meta name="viewport" content="width=device-width, initial-scale=1">
<link rel="icon" href="data:,">
<style>body { margin: 8px 24px 24px; background: #fff; font-family: Helvetica, Arial, sans-serif; }</style>{% endblock %}
{% block contents %}<main>{{ super() }}</main>{% endblock %}"""
NAME_HANDLES = """
const handles = Bokeh.index.find_one(slider)?.shadow_el.querySelectorAll(".noUi-handle") ?? [];
const ends = handles.length === 2 ? ["lowest ", "highest "] : [""];
handles.forEach((handle, k) => handle.setAttribute("aria-label", ends[k] + slider.title));
"""


@dataclass(frozen=True)
class Wanted:
    """What the page is to show; `limits` are those of histograms and sliders, None where the frame is to give them."""

    choice: Choice
    slab: Slab
    brush: Brush
    limits: tuple[Limits, Limits] | None


def fill(store: Path, doc: Document) -> None:
    """Fill the document of one open page."""
    _Page(store, doc)


class _Page:
    """Widgets of a page, and what it shows last: and what was read for it last."""

    def __init__(self, store: Path, doc: Document) -> None:
        self.store, self.doc = store, doc
        self.runs = runs_of(open_tree(store))
        self.brush = Brush()
        self.limits: tuple[Limits, Limits] | None = None
        self.colours: panels.Colours = ((0.0, 1.0), False)
        self.setting = False
        self.frame: tuple[Choice, Frame] | None = None
        self.samples: tuple[Any, live.Samples] | None = None
        self.everyone: tuple[Any, tuple[xr.DataArray, int] | None] | None = None
        self._controls()
        self._plots()
        # events of what is in a document already are not followed
        self._follow()
        self._lay_out()
        # a frame that is chosen is seen before what takes longer is counted of the one before
        self.seen = Newest(doc, (self._see,), self._show_nothing)
        self.counted = Newest(doc, (self._radial, self._rates), self._show_fault)
        self.choose_system()
        doc.on_session_destroyed(self._close)

    def _close(self, context: Any) -> None:
        self.seen.stop()
        self.counted.stop()

    @property
    def run(self) -> xr.Dataset:
        return self.runs[self.system.value][self.kind.value]

    # --- widgets ------------------------------------------------------------------------------------------------------

    def _controls(self) -> None:
        self.style = files("daskglass.explorer").joinpath("page.css").read_text(encoding="utf-8")
        look: dict[str, Any] = {"sizing_mode": "stretch_width", "stylesheets": [self.style]}
        selects = ("system", "run", "temperature", "replica", "lag", "positions", "colour by", "against")
        (self.system, self.kind, self.temperature, self.replica, self.lag, self.positions, self.first, self.second) = (
            Select(title=title, name=title, options=[], **look) for title in selects
        )
        self.label = CustomJSTickFormatter(args={"labels": []}, code="return labels[Math.round(tick)] ?? ''")
        self.time = Slider(
            name="time", title="time", start=0, end=1, step=1, value=0, format=self.label, tooltips=False, **look
        )
        self.depth = Slider(name="depth", title="depth z (σ)", start=0, end=1, step=0.1, value=0, **look)
        self.thickness = Slider(
            name="thickness", title="thickness (σ)", start=0.5, end=1, step=0.1, value=THICKNESS, **look
        )
        self.species = CheckboxGroup(name="species", inline=True, **look)
        self.range_first, self.range_second = (
            RangeSlider(name=name, title=name, start=0, end=1, step=0.01, value=(0, 1), format="0.00", **look)
            for name in ("range", "range against")
        )
        self.clear = Button(name="clear", label="Choose all again", **look)
        self.copy = Button(label="Copy", width=80, stylesheets=[self.style])
        self.numbers, self.code = (Div(**look) for _ in range(2))

    def _plots(self) -> None:
        self.slab_plot, self.draw_slab = panels.slab_panel()
        self.histogram_plot, self.draw_histogram = panels.histogram_panel()
        self.joint_plot, self.draw_joint = panels.joint_panel()
        self.rates_plot, self.draw_rates = panels.rates_panel()
        self.radial_plot, self.draw_radial = panels.radial_panel()

    def _lay_out(self) -> None:
        name = html.escape(self.store.name)
        head = Div(text=f"<h1>{name}</h1>", stylesheets=[self.style], sizing_mode="stretch_width")
        left = column(
            self.system, self.kind, self.temperature, self.replica, self.time, self.lag, self.positions, self.first,
            self.second, self._words("species shown"), self.species, self.depth, self.thickness, self.range_first,
            self.range_second, self.clear, width=250, stylesheets=[self.style], css_classes=["controls"],
        )  # fmt: skip
        right = column(self.histogram_plot, self.joint_plot, sizing_mode="stretch_width")
        beside: dict[str, Any] = {
            "sizing_mode": "stretch_width",
            "stylesheets": [self.style],
            "css_classes": ["beside"],
        }
        looks = row(self.slab_plot, right, spacing=16, **beside)
        found = row(self.rates_plot, self.radial_plot, spacing=16, **beside)
        code = column(row(self._words("the same in code"), self.copy), self.code, sizing_mode="stretch_width")
        # what was found before is not shown beside the reason why there is nothing now
        self.parts = (looks, found, code)
        middle = column(self.numbers, *self.parts, sizing_mode="stretch_width")
        self.doc.add_root(column(head, row(left, middle, spacing=24, **beside), sizing_mode="stretch_width"))
        self.doc.title = f"{self.store.name} · explore"
        self.doc.template = jinja2.Environment(autoescape=True).from_string(BODY)

    def _words(self, text: str) -> Div:
        return Div(text=text, stylesheets=[self.style])

    def _follow(self) -> None:
        def on(widget: Any, property: str, then: Callable[[], None]) -> None:
            widget.on_change(property, lambda attribute, old, new: None if self.setting else then())

        on(self.system, "value", self.choose_system)
        on(self.kind, "value", self.choose_run)
        for select in (self.first, self.second):
            on(select, "value", self.choose_variables)
        for widget in (self.temperature, self.replica, self.time, self.lag, self.positions, self.depth, self.thickness):
            on(widget, "value", self.show)
        on(self.species, "active", self.show)
        on(self.range_first, "value", self.slide)
        on(self.range_second, "value", self.slide)
        # Bokeh gives handles no names
        for slider in (self.time, self.depth, self.thickness, self.range_first, self.range_second):
            name = CustomJS(args={"slider": slider}, code=NAME_HANDLES)
            self.doc.js_on_event(DocumentReady, name)
            slider.js_on_change("title", name)
        self.clear.on_click(lambda: self.paint(Brush()))
        self.copy.js_on_click(CustomJS(args={"code": self.code}, code="navigator.clipboard.writeText(code.tags[0])"))
        for plot, brushed in (
            (self.histogram_plot, lambda x, y: replace(self.brush, first=x)),
            (self.joint_plot, lambda x, y: replace(self.brush, first=x, second=y)),
            (self.slab_plot, lambda x, y: replace(self.brush, region=(x, y))),
        ):
            plot.on_event(SelectionGeometry, partial(self._brushed, brushed))

    # --- what is chosen -----------------------------------------------------------------------------------------------

    def choose_system(self) -> None:
        """Offer the runs of the system."""
        with _Setting(self):
            _offer(self.system, list(self.runs))
            _offer(self.kind, list(self.runs[self.system.value]))
        self.choose_run()

    def choose_run(self) -> None:
        """Offer what the run has."""
        run = self.run
        dim, names = along(run), species_names(run["species"])
        box = np.asarray(run["box"].values, np.float64).reshape(-1, 3)[0]
        labels = list(quantities_of(run))
        with _Setting(self):
            temperatures = [repr(float(T)) for T in run["temperature"].values]
            _offer(self.temperature, temperatures, temperatures[-1])
            _offer(self.replica, [str(int(replica)) for replica in run["replica"].values])
            lags = run["lag"].values if "lag" in run.dims else [0.0]
            _offer(self.lag, [(str(k), f"{lag:.6g} τ") for k, lag in enumerate(lags)])
            self.lag.visible = "lag" in run.dims
            _offer(self.positions, positions_of(run))
            _offer(self.first, labels)
            _offer(self.second, labels, next((name for name in ("hop", "propensity") if name in labels), labels[-1]))
            self.time.update(end=max(run.sizes[dim] - 1, 1), disabled=run.sizes[dim] == 1, value=run.sizes[dim] // 2)
            self.depth.update(end=round(float(box[2]), 1), value=round(float(box[2]) / 2, 1))
            self.thickness.update(end=round(float(box[2]), 1), value=THICKNESS)
            # all species are shown where softness is not what is coloured by
            self.species.update(labels=names, active=[0] if self.first.value == "softness" else list(range(len(names))))
        self.choose_variables()

    def choose_variables(self) -> None:
        """Begin anew with ranges, which are of other variables."""
        self.brush, self.limits = Brush(), None
        self.show()

    def slide(self) -> None:
        """Choose the ranges of the sliders; a range from end to end is none."""

        def limits(slider: RangeSlider) -> Limits | None:
            low, high = (float(end) for end in slider.value)
            # a slider moves in steps, which need not end where it does
            low = slider.start if low < slider.start + slider.step / 2 else low
            high = slider.end if high > slider.end - slider.step / 2 else high
            return None if (low, high) == (slider.start, slider.end) else (low, high)

        self.brush = replace(self.brush, first=limits(self.range_first), second=limits(self.range_second))
        self.show()

    def _brushed(self, brushed: Callable[[Limits, Limits], Brush], event: SelectionGeometry) -> None:
        shape = cast(dict[str, Any], event.geometry)
        if event.final and shape["type"] == "rect":
            x, y = (neat(float(shape[f"{axis}0"]), float(shape[f"{axis}1"])) for axis in "xy")
            self.paint(brushed(x, y))

    def paint(self, brush: Brush) -> None:
        """Choose by a brush, and move the sliders there."""
        self.brush = brush
        self._set_sliders()
        self.show()

    def _set_sliders(self) -> None:
        if self.limits is None:
            return
        with _Setting(self):
            for slider, limits, wanted in (
                (self.range_first, self.limits[0], self.brush.first), (self.range_second, self.limits[1], self.brush.second)
            ):  # fmt: skip
                low, high = wanted or limits
                step = (limits[1] - limits[0]) / 200
                slider.update(
                    start=limits[0], end=limits[1], step=step, value=(max(low, limits[0]), min(high, limits[1]))
                )

    # --- from what is chosen to what is shown -------------------------------------------------------------------------

    def show(self) -> None:
        """Ask for what the widgets say; what was asked for before and is not shown yet is not shown any more."""
        quantities = quantities_of(self.run)
        choice = Choice(
            self.system.value, self.kind.value, float(self.temperature.value), int(self.replica.value), int(self.time.value),
            int(self.lag.value), self.positions.value, quantities[self.first.value], quantities[self.second.value],
        )  # fmt: skip
        self._name_frames(choice)
        names = tuple(self.species.labels[k] for k in self.species.active)
        slab = Slab(float(self.depth.value), float(self.thickness.value), names)
        self.seen.want(Wanted(choice, slab, self.brush, self.limits))

    def _name_frames(self, choice: Choice) -> None:
        dim = along(self.run)
        labels = [f"{label:.6g}" + " τ" * (dim == "time") for label in times_of(self.run, choice)]
        if self.label.args["labels"] != labels:
            self.label.args = {"labels": labels}
            with _Setting(self):
                self.time.title = dim

    def _show_nothing(self, why: str) -> None:
        for part in self.parts:
            part.visible = False
        self._show_fault(why)

    def _show_fault(self, why: str) -> None:
        self.numbers.text = f'<p class="numbers fault">{html.escape(why)}</p>'

    def _dataset(self, wanted: Wanted) -> xr.Dataset:
        return self.runs[wanted.choice.system][wanted.choice.run]

    def _frame(self, wanted: Wanted) -> Frame:
        if self.frame is None or self.frame[0] != wanted.choice:
            self.frame = (wanted.choice, read_frame(self._dataset(wanted), wanted.choice))
        return self.frame[1]

    def _see(self, wanted: Wanted) -> partial[None]:
        frame = self._frame(wanted)
        shown = is_shown(frame, wanted.slab)
        first, second = limits_of(frame.first[shown]), limits_of(frame.second[shown])
        colours = None
        if wanted.limits is None:
            diverging = wanted.choice.first.name in DIVERGING
            colours = (colour_limits(frame.first[shown], diverging), diverging)
        else:
            # bins and sliders stay where they are from frame to frame
            first, second = _wider(first, wanted.limits[0]), _wider(second, wanted.limits[1])
        found = view(frame, wanted.slab, wanted.brush, (first, second))
        return partial(self._show_view, wanted, found, frame.box, (first, second), colours)

    def _show_view(
        self, wanted: Wanted, found: View, box: NDArray[np.float64], limits: tuple[Limits, Limits], colours: panels.Colours | None
    ) -> None:  # fmt: skip
        run, choice = self._dataset(wanted), wanted.choice
        for part in self.parts:
            part.visible = True
        self.limits, self.colours = limits, colours or self.colours
        self._set_sliders()
        labels = (axis_label(run, choice.first), axis_label(run, choice.second))
        self.draw_slab(found, (float(box[0]), float(box[1])), self.colours, labels)
        self.draw_histogram(found, limits[0], labels[0])
        self.draw_joint(found, limits, labels)
        with _Setting(self):
            self.range_first.title, self.range_second.title = choice.first.label, choice.second.label
        share = 100 * found.chosen / max(found.shown, 1)
        self.numbers.text = (
            f'<p class="numbers"><b>{found.chosen:,}</b> of {found.shown:,} particles chosen ({share:.3g} %). '
            f"Their mean {html.escape(choice.first.label)}: <b>{number(found.mean_first)}</b>, "
            f"{html.escape(choice.second.label)}: <b>{number(found.mean_second)}</b></p>"
        )
        code = query_code(self.store, run, choice, wanted.slab, wanted.brush)
        panels.retitle(self.rates_plot, "P_R: counting …")
        panels.retitle(self.radial_plot, "g(r): counting …")
        self.counted.want(wanted)
        self.code.update(text=f"<pre tabindex='0'>{html.escape(code)}</pre>", tags=[code])

    def _radial(self, wanted: Wanted) -> partial[None]:
        frame = self._frame(wanted)
        which = (wanted.choice, wanted.slab.species)
        if self.everyone is None or self.everyone[0] != which:
            self.everyone = (which, live.radial(frame, is_shown(frame, wanted.slab)))
        whole = self.everyone[1]
        found = whole if wanted.brush == Brush() else live.radial(frame, chosen(frame, wanted.slab, wanted.brush))
        return partial(self.draw_radial, found, None if whole is None else whole[0])

    def _rates(self, wanted: Wanted) -> partial[None]:
        run, choice = self._dataset(wanted), wanted.choice
        if not live.has_rates(run, choice.first):
            return partial(self.draw_rates, None, f"P_R: no p_hop over times in {choice.run}", "")
        which = (choice.system, choice.run, choice.first)
        if self.samples is None or self.samples[0] != which:
            self.samples = (which, live.read_samples(run, choice.first))
        samples = self.samples[1]
        found = live.rates(samples, run["species"], wanted.slab.species, wanted.brush.first)
        limits = wanted.brush.first
        alone = " alone" * (wanted.brush != Brush(first=limits))
        what = choice.first.label + (
            f" {number(limits[0])} to {number(limits[1])}{alone}" if limits else ", all values"
        )
        return partial(self.draw_rates, found, what, f"{samples.frames} of {samples.total} times")


def _wider(one: Limits, other: Limits) -> Limits:
    return min(one[0], other[0]), max(one[1], other[1])


class _Setting:
    """Widgets are set within: their changes ask for nothing."""

    def __init__(self, page: _Page) -> None:
        self.page = page

    def __enter__(self) -> None:
        self.page.setting = True

    def __exit__(self, *error: object) -> None:
        self.page.setting = False


def _offer(select: Select, options: list[Any], first: str | None = None) -> None:
    """Offer options, and keep what is chosen where it is among them."""
    values = [option if isinstance(option, str) else option[0] for option in options]
    value = select.value if select.value in values else first or values[0]
    select.update(options=options, value=value)
