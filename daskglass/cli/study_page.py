"""The page *Study* on Dask's dashboard: progress, failures, and results so far."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from importlib.resources import files
from pathlib import Path
from typing import Any

import jinja2
import numpy as np
from bokeh.document import Document
from bokeh.layouts import column, row
from bokeh.models import ColumnDataSource
from bokeh.models.annotations import Title
from bokeh.models.widgets import Div, Select
from bokeh.palettes import viridis
from bokeh.plotting import figure
from distributed import Scheduler, Status
from distributed.dashboard.components.scheduler import BOKEH_THEME, env
from distributed.dashboard.core import BokehApplication
from distributed.dashboard.scheduler import template_variables
from tornado.ioloop import IOLoop

from daskglass.cli.live_results import Rearrangement, RelaxationTimes, rearrangement, relaxation
from daskglass.cluster.servers import PrivateScheduler
from daskglass.errors import StoreError
from daskglass.pipeline.progress import Follower, Progress, Tally, headline, progress, rate

PAGE = "study"
EVERY = 2.0  # s between updates
SHADES = 0.88  # of viridis: its yellow is too pale for points on white
# a block or table that is being replaced is read again later
BEING_WRITTEN = (OSError, KeyError, ValueError, RuntimeError)


async def add_study_page(scheduler: PrivateScheduler, store: Path) -> None:
    """Add the page to the dashboard of a scheduler and to the bar of Dask's pages; runs on the scheduler's event loop.

    Parameters
    ----------
    scheduler : in this process, with a dashboard
    store : of the study that runs
    """
    variables = template_variables(scheduler)
    # all pages share this list
    variables["pages"].insert(0, PAGE)
    application = BokehApplication(
        {f"/{PAGE}": partial(_document, _LiveStudy(store))}, scheduler, scheduler.prefix, variables
    )
    scheduler.http_application.add_application(application)
    application.initialize(IOLoop.current())
    application.start()


@dataclass(frozen=True)
class _PageData:
    """Contents of a page: progress, relaxation times and P_R by system, and what could not be read."""

    progress: Progress
    relaxation: dict[str, RelaxationTimes]
    rearrangement: dict[str, Rearrangement]
    unread: tuple[str, ...]


class _LiveStudy:
    """The data that all open pages share, read in a thread at most once a second."""

    def __init__(self, store: Path) -> None:
        self.store = store
        self.latest = _PageData(progress(Tally(), None, False, time.time()), {}, {}, ())
        self._follower, self._turn, self._next = Follower(store), asyncio.Lock(), 0.0
        self._relaxation: dict[str, tuple[Any, RelaxationTimes]] = {}
        self._rearrangement: dict[str, tuple[Any, Rearrangement]] = {}

    async def update(self) -> _PageData:
        """Read the study again unless that was just done; return its data."""
        async with self._turn:
            if time.monotonic() >= self._next:
                self.latest = await asyncio.to_thread(self._read)
                self._next = time.monotonic() + EVERY / 2
            return self.latest

    def _read(self) -> _PageData:
        try:
            now = self._follower.look()
        except (OSError, StoreError) as error:
            return replace(self.latest, unread=(str(error),))
        done = {(row.system, row.stage): row for row in now.rows}
        unread = []
        for system in now.systems:
            ensemble, barriers = (done.get((system, stage)) for stage in ("ensemble", "barriers"))
            fitted = barriers is not None and barriers.done == barriers.total
            try:
                if ensemble is not None and ensemble.done:
                    version = (now.began, ensemble.done)
                    _kept(self._relaxation, system, version, partial(relaxation, self.store, system))
                if ensemble is not None and ensemble.done == ensemble.total:
                    version = (now.began, fitted)
                    _kept(self._rearrangement, system, version, partial(rearrangement, self.store, system, fitted))
            except BEING_WRITTEN as error:
                unread.append(f"{system}: plots not updated: {type(error).__name__}: {error}")
        return _PageData(
            now,
            {system: kept for system, (_, kept) in self._relaxation.items()},
            {system: kept for system, (_, kept) in self._rearrangement.items()},
            tuple(unread),
        )


def _kept(cache: dict[str, tuple[Any, Any]], system: str, version: Any, read: Callable[[], Any]) -> None:
    """Read results of a system, unless this version was read before."""
    if system not in cache or cache[system][0] != version:
        cache[system] = (version, read())


# --- one open page -------------------------------------------------------------------------------------------------


def _document(live: _LiveStudy, scheduler: Scheduler, extra: dict[str, Any], doc: Document) -> None:
    """Fill the document of one open page, and keep it up to date."""
    template = jinja2.Environment(autoescape=True, trim_blocks=True, undefined=jinja2.StrictUndefined).from_string(
        files("daskglass.cli").joinpath("study_page.html").read_text(encoding="utf-8")
    )
    style = files("daskglass.cli").joinpath("study_page.css").read_text(encoding="utf-8")
    text = Div(sizing_mode="stretch_width", stylesheets=[style])
    system = Select(title="system", visible=False, width=200)
    strata, draw_strata = _strata_plot()
    relaxing, draw_relaxing = _relaxation_plot()

    def show(data: _PageData) -> None:
        text.text = _html(template, data)
        names = list(data.rearrangement)
        if system.options != names:
            system.update(options=names, visible=len(names) > 1)
        if names and system.value not in names:
            system.value = names[0]
        draw_strata(system.value, data.rearrangement.get(system.value))
        draw_relaxing(data.relaxation)

    async def refresh() -> None:
        # callbacks outlive the scheduler for a moment
        if scheduler.status == Status.running:
            show(await live.update())

    show(live.latest)
    system.on_change("value", lambda attribute, old, new: show(live.latest))
    # Bokeh awaits what they return
    doc.add_next_tick_callback(refresh)  # type: ignore[arg-type]
    doc.add_periodic_callback(refresh, int(1000 * EVERY))  # type: ignore[arg-type]
    plots = column(relaxing, strata, system, width=520)
    doc.add_root(row(text, plots, sizing_mode="stretch_width", spacing=30))
    doc.title = "Study"
    doc.template = env.get_template("simple.html")
    doc.template_variables.update(extra)
    doc.theme = BOKEH_THEME


def _html(template: jinja2.Template, data: _PageData) -> str:
    now = data.progress
    notes = [{"kind": "warning", "time": "", "text": text, "tasks": ""} for text in data.unread]
    for note in now.notes:
        more = f" and {note.tasks - 1:,} more" * (note.tasks > 1)
        at = time.strftime("%H:%M:%S", time.localtime(note.at))
        notes.append({"kind": note.kind, "time": at, "text": note.text, "tasks": note.key + more})
    return template.render(
        now=now,
        headline=headline(now),
        rows={(row.stage, row.system): row for row in now.rows},
        speeds={stage: rate(speed) for stage, speed in now.speed.items()},
        notes=notes,
    )


def _strata_plot() -> tuple[figure, Callable[[str, Rearrangement | None], None]]:
    """Plot of P_R against 1/T by stratum of softness, and a function that redraws it."""
    title = Title(text="P_R by softness: waiting for the first ensemble")
    plot = figure(
        title=title,
        height=330, y_axis_type="log", sizing_mode="stretch_width", tools="box_zoom,reset,save,hover",
        x_axis_label="1/T  (k_B/ε)", y_axis_label="P_R",
        tooltips=[("T", "@T"), ("P_R", "@P{0.00000}"), ("events", "@events"), ("stratum of S", "@label")],
    )  # fmt: skip
    points = ColumnDataSource({name: [] for name in ("x", "T", "P", "events", "label", "colour")})
    lines = ColumnDataSource({name: [] for name in ("x", "P", "colour")})
    plot.multi_line("x", "P", source=lines, line_color="colour", line_width=1.2)
    marks = plot.scatter("x", "P", source=points, size=7, color="colour", legend_field="label")
    plot.hover.renderers = [marks]
    plot.legend.update(
        title="softness", location="bottom_left", visible=False, label_text_font_size="11px", padding=4, spacing=-2
    )

    def draw(system: str, found: Rearrangement | None) -> None:
        if found is None:
            return
        happened = found.events > 0
        colours = [viridis(256)[int(shade)] for shade in np.linspace(0, SHADES * 255, found.middle.size)]
        T, stratum = np.nonzero(happened)
        _update(points, {
            "x": (1 / found.temperature[T]).tolist(), "T": found.temperature[T].tolist(),
            "P": found.probability[happened].tolist(), "events": found.events[happened].tolist(),
            "label": [f"{found.middle[k]:.2f}".replace("-", "−") for k in stratum],
            "colour": [colours[k] for k in stratum],
        })  # fmt: skip
        drawn: dict[str, list[Any]] = {"x": [], "P": [], "colour": []}
        if found.energy is not None and found.entropy is not None:
            x = np.linspace(1 / found.temperature.max(), 1 / found.temperature.min(), 30)
            for k in np.flatnonzero(np.isfinite(found.energy)):
                drawn["x"].append(x.tolist())
                drawn["P"].append(np.exp(found.entropy[k] - found.energy[k] * x).tolist())
                drawn["colour"].append(colours[k])
        _update(lines, drawn)
        plot.legend.visible = True
        fits = "barriers not fitted yet" if found.energy is None else "lines: fitted barriers"
        lacking = f"; no events in {(~happened).sum()} of {happened.size} points" * (not happened.all())
        title.text = f"P_R by softness, {system}; {fits}{lacking}"

    return plot, draw


def _relaxation_plot() -> tuple[figure, Callable[[dict[str, RelaxationTimes]], None]]:
    """Plot of τ_α against T, a point per replica, and a function that redraws it."""
    title = Title(text="Relaxation time: waiting for the first finished replica")
    plot = figure(
        title=title,
        height=330, y_axis_type="log", sizing_mode="stretch_width", tools="box_zoom,reset,save,hover",
        x_axis_label="T  (ε/k_B)", y_axis_label="τ_α  (τ)",
        tooltips=[("system", "@system"), ("T", "@T"), ("replica", "@replica"), ("τ_α", "@tau")],
    )  # fmt: skip
    points = ColumnDataSource({name: [] for name in ("T", "tau", "replica", "system", "colour")})
    plot.scatter("T", "tau", source=points, size=8, color="colour", fill_alpha=0.5, legend_field="system")
    plot.legend.update(location="top_right", visible=False, label_text_font_size="11px", padding=4, spacing=-2)

    def draw(found: dict[str, RelaxationTimes]) -> None:
        if not found:
            return
        # with all of matplotlib, once someone looks
        from daskglass.report.style import COLOURS

        data: dict[str, list[Any]] = {name: [] for name in points.data}
        for index, (system, known) in enumerate(found.items()):
            data["T"] += known.temperature.tolist()
            data["tau"] += known.time.tolist()
            data["replica"] += known.replica.tolist()
            data["system"] += [system] * known.time.size
            data["colour"] += [COLOURS[index % len(COLOURS)]] * known.time.size
        _update(points, data)
        plot.legend.visible = True
        slow = sum(known.slow for known in found.values())
        title.text = f"Relaxation time, {len(data['T'])} replicas so far" + (
            f"; F(Q,t) of {slow} more does not cross 1/e" * bool(slow)
        )

    return plot, draw


def _update(source: ColumnDataSource, data: dict[str, list[Any]]) -> None:
    """Send data to the browser if they changed."""
    if source.data != data:
        source.data = data
