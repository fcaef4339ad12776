"""Figures as they are printed: sizes and fonts of a journal, names beside what they name, no text on another."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.backend_bases import RendererBase
from matplotlib.figure import Figure
from matplotlib.transforms import Bbox

from daskglass.physics.systems import kob_andersen
from daskglass.plot import spheres
from daskglass.registry import ENSEMBLE_FIGURES, FIGURES
from daskglass.report import figures, style
from daskglass.report.beside import Named, Names, legend
from daskglass.report.both import Both
from daskglass.report.results import Results, read_results
from daskglass.report.saving import save
from daskglass.report.style import styled
from tests.report.ensembles import board
from tests.report.synthetic import tree

TEMPERATURES = (0.9, 0.8, 0.7, 0.64, 0.58, 0.55, 0.53, 0.51)
DELTAS = (0.0, 0.1, 0.2, 0.3, 0.4)
# temperatures and lags
ENSEMBLES: dict[str, tuple[tuple[float, ...], tuple[float, ...]]] = {
    "one lag": ((0.44,), (4120.0,)),
    "lags": (TEMPERATURES, (1.0, 10.0, 100.0)),
}
PAGE = 230  # mm, of height
TOUCH = 0.4  # points by which boxes of letters may meet: they are larger than their ink


@dataclass(frozen=True)
class Line:
    """A line of text as it is drawn: what, how large, where (in points, from the top left)."""

    text: str
    size: float
    box: Bbox


@dataclass(frozen=True)
class Print:
    """A figure and the lines of text on it."""

    figure: Figure
    lines: list[Line]


def apart(name: str, ensemble: xr.Dataset) -> xr.Dataset:
    """Let systems differ: in entropy, mean softness and onset."""
    delta = float(name.removeprefix("ka_"))
    s2 = [f"s2_grouped{kind}_pooled" for kind in ("", "_thermal") if f"s2_grouped{kind}_pooled" in ensemble]
    return ensemble.assign({name: ensemble[name] * (1 + delta) for name in s2}).assign(
        mean_softness=ensemble["mean_softness"] + 0.5 * delta,
        onset_temperature=ensemble["onset_temperature"] * (1 + delta),
    )


def study(which: str) -> Results:
    """Results of the joint study, of one system alone, and of three without inherent structures."""
    deltas = {"joint": DELTAS, "one": DELTAS[:1], "thermal": DELTAS[::2]}[which]
    systems = {f"ka_{delta}": kob_andersen(delta) for delta in deltas}
    return read_results(
        tree(systems=systems, temperatures=TEMPERATURES, inherent=which != "thermal", change=apart, particles=500)
    )


@pytest.fixture(scope="module")
def prints(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """Print a figure of a study, once."""
    folder = tmp_path_factory.mktemp("prints")
    known: dict[tuple[str, str], Print] = {}
    results = {which: study(which) for which in ("joint", "one", "thermal")}
    results |= {which: read_results(board(T, lags)) for which, (T, lags) in ENSEMBLES.items()}
    lines: list[Line] = []
    draw_text = Both.draw_text

    def record(both: Both, gc: Any, x: float, y: float, s: str, prop: Any, angle: float, **rest: Any) -> None:
        width, height, descent = both.get_text_width_height_descent(s, prop, rest["ismath"])
        rise = height - descent
        box = (x - rise, y - width, x + descent, y) if angle == 90 else (x, y - rise, x + width, y + descent)
        assert angle in (0, 90)
        lines.append(Line(s, prop.get_size_in_points(), Bbox.from_extents(*np.divide(box, both.points_to_pixels(1)))))
        draw_text(both, gc, x, y, s, prop, angle, **rest)

    def printed(which: str, name: str) -> Print:
        if (which, name) not in known:
            lines.clear()
            figure = figures.drawn(name, results[which])
            save(figure, folder / f"{which}_{name}")
            known[which, name] = Print(figure, [line for line in lines if line.text.strip()])
        return known[which, name]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(spheres, "PIXELS", 60)
        patch.setitem(style._RC, "savefig.dpi", 72)
        patch.setattr(Both, "draw_text", record)
        yield printed


def every_print(test: Any) -> Any:
    of_ensembles = [(which, name) for which in ENSEMBLES for name in ENSEMBLE_FIGURES]
    of_runs = [(which, name) for which in ("joint", "one", "thermal") for name in FIGURES]
    return pytest.mark.parametrize(("which", "name"), [*of_runs, *of_ensembles])(test)


@every_print
def test_a_figure_has_the_width_of_columns_and_fits_on_a_page(prints: Any, which: str, name: str) -> None:
    figure = prints(which, name).figure
    width, height = figure.get_size_inches() * 25.4
    assert any(np.isclose(width, columns) for columns in (85, 178))
    assert height < PAGE
    assert max(ax.get_window_extent().width for ax in figure.axes) / figure.dpi * 25.4 <= 85


@every_print
def test_all_text_has_seven_or_eight_points(prints: Any, which: str, name: str) -> None:
    assert {line.size for line in prints(which, name).lines} <= {7.0, 8.0}


@every_print
def test_no_text_is_on_another_or_cut_off(prints: Any, which: str, name: str) -> None:
    printed = prints(which, name)
    boxes = [(line.text, line.box.padded(-TOUCH)) for line in printed.lines]
    met = [(a, b) for (a, one), (b, other) in itertools.combinations(boxes, 2) if one.overlaps(other)]
    assert met == []
    page = Bbox.from_bounds(0, 0, *printed.figure.get_size_inches() * 72)
    assert [text for text, box in boxes if not page.x0 <= box.x0 < box.x1 <= page.x1] == []
    assert [text for text, box in boxes if not page.y0 <= box.y0 < box.y1 <= page.y1] == []


@pytest.mark.parametrize("name", FIGURES)
def test_no_panel_of_the_joint_study_is_empty(prints: Any, name: str) -> None:
    for ax in prints("joint", name).figure.axes:
        assert ax.lines or ax.collections or ax.images or ax.get_label() == "<colorbar>"
        assert ax.axison or ax.images


def names_in(figure: Figure) -> list[list[str]]:
    """Names that are drawn, panel by panel."""
    found = [names for names in figure.findobj(Names) if isinstance(names, Names)]
    return [[text.get_text() for text in names.get_children() if text.get_visible()] for names in found]


@pytest.mark.parametrize("name", ["liquid", "diffusion", "grouped", "barriers"])
def test_systems_are_named_beside_their_curves(prints: Any, name: str) -> None:
    labels = [rf"$\Delta$ = {delta:g}" for delta in DELTAS]
    short = [labels[0], *(f"{delta:g}" for delta in DELTAS[1:])]
    found = names_in(prints("joint", name).figure)
    assert labels in found or short in found


# --- names ---------------------------------------------------------------------------------------------------------


def named_panel(tmp_path: Path, curves: list[np.ndarray]) -> tuple[Axes, Names, RendererBase]:
    """Panel of some curves, saved, with their names."""
    with styled():
        figure = style.new_figure(2.0)
        ax = figure.subplots()
        for k, curve in enumerate(curves):
            ax.plot(*curve, "o-", color=style.colour(k))
        named = [Named(f"curve {k}", *curve, k) for k, curve in enumerate(curves)]
        names = Names(ax, named, legend(ax, named))
    save(figure, tmp_path / "figure")
    return ax, names, figure.canvas.get_renderer()  # type: ignore[attr-defined]


def test_names_stand_beside_their_curves_and_on_none(tmp_path: Path) -> None:
    x = np.linspace(0, 1, 9)
    curves = [np.array([x, (k + 1) * x]) for k in range(4)]
    ax, names, renderer = named_panel(tmp_path, curves)
    assert not ax.get_legend().get_visible()
    assert names.get_visible()
    for k, text in enumerate(names.get_children()):
        box = text.get_window_extent(renderer)
        along = [ax.transData.transform(np.column_stack([x, y])) for x, y in curves]
        assert not any(box.contains(*point) for points in along for point in points)
        near = [np.hypot(*(points - [(box.x0 + box.x1) / 2, (box.y0 + box.y1) / 2]).T).min() for points in along]
        assert int(np.argmin(near)) == k


def test_points_on_top_of_one_another_have_a_legend(tmp_path: Path) -> None:
    x = np.linspace(0, 1, 5)
    ax, names, _ = named_panel(tmp_path, [np.array([x, x])] * 3)
    assert ax.get_legend().get_visible()
    assert not any(text.get_visible() for text in names.get_children())
