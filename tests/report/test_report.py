"""The figures and the page: whole, honest about what a study cannot show, and the same every time."""

from __future__ import annotations

import itertools
import re
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable, Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import pytest
import xarray as xr
import zarr
from matplotlib import image
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.text import Text
from matplotlib.ticker import AutoMinorLocator

from daskglass.errors import StoreError
from daskglass.physics.systems import kob_andersen
from daskglass.plot import panel, spheres
from daskglass.registry import FIGURES
from daskglass.report import draw, figures, folder, style
from daskglass.report.both import METADATA
from daskglass.report.claims import judge
from daskglass.report.numbers import with_error
from daskglass.report.page import page
from daskglass.report.results import read_results
from daskglass.report.saving import save
from daskglass.report.style import styled, wrapped
from daskglass.store.blocks import open_store
from tests.report.synthetic import STRATA, build, groups, mixture_of, tree

Make = Callable[..., Path]
FILES = {f"figure_{k}.{form}" for k in range(1, 7) for form in ("png", "svg")} | {"index.html"}


@pytest.fixture(scope="module", autouse=True)
def small_pictures() -> Iterator[None]:
    """Draw small pictures: how large they are tests nothing."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(spheres, "PIXELS", 60)
        patch.setitem(style._RC, "savefig.dpi", 50)
        yield


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """Build a store in the folder of the test."""

    def made(name: str = "made.zarr", **options: Any) -> Path:
        return build(tmp_path / name, **options)

    return made


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory, small_pictures: None) -> Path:
    """Page of one drawn store, whose title tries to break out of the page."""
    path = tmp_path_factory.mktemp("drawn") / "study.zarr"
    return draw(build(path, title="<script>alert(1)</script> & co"))


def html_of(study: xr.DataTree) -> str:
    """Page of a store without its figures."""
    return page(read_results(study), [], {})


def figure_of(name: str, study: xr.DataTree) -> Figure:
    return figures.drawn(name, read_results(study))


def texts(figure: Figure) -> str:
    """All text of a figure, mathematics in plain letters, on one line."""
    found = " ".join(text.get_text() for text in figure.findobj(Text))
    found = re.sub(r"\\mathrm|[${}\\]", "", found)
    return re.sub(r"\s+", " ", found)


def reasons(study: xr.DataTree) -> str:
    return "\n".join(f"{c.verdict}: {c.text}: {'; '.join(c.reasons)}" for c in judge(read_results(study)))


def verdict(study: xr.DataTree, part: str) -> str:
    return next(claim.verdict for claim in judge(read_results(study)) if part in claim.text)


# --- files ---------------------------------------------------------------------------------------------------------


def test_draw_writes_six_figures_twice_and_one_page_beside_the_store(drawn: Path) -> None:
    assert drawn == folder(drawn.parent.with_name("study.zarr")) / "index.html"
    assert {file.name for file in drawn.parent.iterdir()} == FILES
    assert [entry.name for entry in drawn.parent.parent.iterdir() if ".new" in entry.name or ".old" in entry.name] == []


def test_every_figure_parses(drawn: Path) -> None:
    for k in range(1, 7):
        assert image.imread(drawn.with_name(f"figure_{k}.png")).std() > 0
        assert ElementTree.parse(drawn.with_name(f"figure_{k}.svg")).getroot().tag.endswith("svg")


def test_the_page_needs_nothing_from_elsewhere(drawn: Path) -> None:
    links: list[str] = []

    class Links(HTMLParser):
        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            links.extend(value or "" for name, value in attrs if name in ("src", "href", "srcset", "action", "data"))

    html = drawn.read_text(encoding="utf-8")
    Links().feed(html)
    assert sum(link.startswith("data:image/svg+xml;base64,") for link in links) == 6
    assert all(link.startswith(("data:", "#")) for link in links)
    assert "url(" not in html
    assert "@import" not in html


def test_text_of_a_study_is_escaped(drawn: Path) -> None:
    html = drawn.read_text(encoding="utf-8")
    assert "<script" not in html
    assert "&lt;script&gt;alert(1)&lt;/script&gt; &amp; co" in html


def test_the_page_holds_the_numbers_behind_the_figures(drawn: Path) -> None:
    html = drawn.read_text(encoding="utf-8")
    for said in (
        "0.875",
        "Confusion matrix",
        "recall P(S&gt;0|R)",
        "Onset temperature",
        "0.8500 ± 0.0043",
        "numpy 2.4",
    ):
        assert said in html


def test_drawing_twice_gives_the_same_bytes(drawn: Path, tmp_path: Path) -> None:
    study = tree(title="<script>alert(1)</script> & co")
    for number, name in ((1, "liquid"), (4, "correlation")):
        save(figure_of(name, study), tmp_path / f"figure_{number}")
        for form in ("png", "svg"):
            name = f"figure_{number}.{form}"
            assert (tmp_path / name).read_bytes() == drawn.with_name(name).read_bytes(), name
    assert html_of(study) == html_of(open_store(drawn.parent.with_name("study.zarr")))


def test_one_drawing_is_the_svg_that_matplotlib_makes(tmp_path: Path) -> None:
    figure = figure_of("correlation", tree())
    save(figure, tmp_path / "figure")
    figure.canvas = FigureCanvasSVG(figure)
    with styled():
        figure.canvas.print_svg(tmp_path / "other.svg", metadata=METADATA)
    ours, theirs = (numbers_of(tmp_path / name) for name in ("figure.svg", "other.svg"))
    assert len(ours) > 3000
    assert ours == pytest.approx(theirs, abs=0.3)  # of a point: texts are placed in whole pixels


def numbers_of(svg: Path) -> list[float]:
    """All numbers that an SVG draws with, without images and names."""
    text = re.sub(r'(xlink:href|id|clip-path)="[^"]*"|url\([^)]*\)', "", svg.read_text())
    return [float(number) for number in re.findall(r"-?\d+\.?\d*(?:e-?\d+)?", text)]


def test_the_page_counts_the_core_seconds_of_every_stage_and_system() -> None:
    spent = {"figures": {"all systems": 4.06}, "hops": {"ka_0.0": 1234.5}}
    text = page(read_results(tree()), [], spent)
    rows = [re.findall(r"<td>(.*?)</td>", row) for row in re.findall(r"<tr>(.*?)</tr>", text)]
    assert rows[-2:] == [["hops", "1,234.5"], ["sum", "1,234.5"]]
    assert "1,234 core seconds" in text
    # however long they took to draw
    assert page(read_results(tree()), [], {**spent, "figures": {"all systems": 104.06}}) == text


def test_a_layout_is_solved_once_and_both_files_are_one_drawing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[str] = []

    def counted(owner: type, name: str) -> None:
        method = getattr(owner, name)
        monkeypatch.setattr(owner, name, lambda *given: (calls.append(name), method(*given))[1])

    counted(ConstrainedLayoutEngine, "execute")
    counted(Figure, "draw")
    save(figure_of("correlation", tree()), tmp_path / "figure")
    assert calls == ["execute", "draw"]


def test_minor_ticks_are_those_of_matplotlib(tmp_path: Path) -> None:
    figure = figure_of("liquid", tree())
    save(figure, tmp_path / "figure")
    radial = figure.axes[2]
    marks = [line for line in figure.artists + figure.lines if line.get_transform() == radial.get_xaxis_transform()]
    left = AutoMinorLocator()
    left.set_axis(radial.xaxis)
    low, high = radial.get_xlim()
    with styled():
        expected = [x for x in left() if low <= x <= high]
    assert len(expected) > 4
    assert [list(line.get_xdata()) for line in marks] == [expected, expected]
    assert [set(line.get_ydata()) for line in marks] == [{0}, {1}]


def test_a_failed_drawing_leaves_the_old_one(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    path = make()
    folder(path).mkdir()
    (folder(path) / "index.html").write_text("old")

    def fail(*_: Any) -> None:
        raise RuntimeError("no ink")

    monkeypatch.setattr("daskglass.report.page.write_figure", fail)
    with pytest.raises(RuntimeError, match="no ink"):
        draw(path)
    assert (folder(path) / "index.html").read_text() == "old"
    assert [entry.name for entry in path.parent.iterdir() if "figures." in entry.name] == []


def test_drawing_leaves_the_parameters_of_matplotlib_alone() -> None:
    study = tree()
    with matplotlib.rc_context({"font.size": 21.0}):
        before = dict(matplotlib.rcParams)
        figure_of("diffusion", study)
        assert dict(matplotlib.rcParams) == before


def test_matplotlib_is_imported_only_by_drawing() -> None:
    code = "import sys, daskglass, daskglass.report, daskglass.cli; sys.exit('matplotlib' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


# --- unfinished stores ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("group", ["ensemble", "model", "production"])
def test_a_system_without_a_group_is_unfinished(make: Make, group: str) -> None:
    path = make()
    del zarr.open_group(path, mode="a")[f"ka_0.0/{group}"]
    with pytest.raises(StoreError, match=rf"ka_0\.0 lacks {group}.*daskglass run"):
        draw(path)
    assert not folder(path).exists()


def test_a_system_without_barriers_is_unfinished(make: Make) -> None:
    path = make(change=lambda _, ensemble: ensemble.drop_vars("activation_energy"))
    with pytest.raises(StoreError, match=r"ka_0\.0 lacks barriers"):
        draw(path)


def test_no_store_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="no store here"):
        draw(tmp_path / "none.zarr")


def test_an_empty_store_is_an_error(tmp_path: Path) -> None:
    zarr.open_group(tmp_path / "empty.zarr", mode="w")
    with pytest.raises(StoreError, match="no system"):
        draw(tmp_path / "empty.zarr")


# --- what a study cannot show --------------------------------------------------------------------------------------


def test_temperatures_that_do_not_diffuse_are_named() -> None:
    def change(_: str, ensemble: xr.Dataset) -> xr.Dataset:
        names = ["diffusivity", "reduced_diffusivity"]
        return ensemble.assign({name: ensemble[name].where(ensemble["temperature"] > 0.65) for name in names})

    study = tree(change=change)
    assert "not diffusive at T = 0.60, 0.50" in texts(figure_of("liquid", study))
    assert "not diffusive at T = 0.60, 0.50" in texts(figure_of("diffusion", study))


def test_without_any_diffusion_the_panels_have_a_note() -> None:
    def change(_: str, ensemble: xr.Dataset) -> xr.Dataset:
        return ensemble.assign(reduced_diffusivity=ensemble["reduced_diffusivity"] * np.nan)

    assert texts(figure_of("diffusion", tree(change=change))).count("not diffusive at T = 0.90") == 2


def test_one_temperature_has_no_fit() -> None:
    study = tree(temperatures=[0.7], replicas=1, inherent=False)
    assert "1 supercooled temperature: no fit" in texts(figure_of("strata", study))
    assert "no T_A from S and s^(2)_i" in texts(figure_of("correlation", study))
    assert "no supercooled fit" in texts(figure_of("barriers", study))
    assert "confirmed: ln" not in reasons(study)


def test_two_temperatures_fit_any_line() -> None:
    study = tree(temperatures=[0.7, 0.6])
    assert "a line fits always" in texts(figure_of("strata", study))
    assert verdict(study, "linear in 1/T") == "not decidable here"


def alike(_: str, ensemble: xr.Dataset) -> xr.Dataset:
    """Strata whose outer ones have Σ that differ by two standard errors."""
    apart = ensemble["scaled_entropy"].isel(stratum=-1) - ensemble["scaled_entropy"].isel(stratum=0)
    one = xr.DataArray(np.diag([1.0] + [0.0] * STRATA), dims=("term", "term_2"))
    return ensemble.assign(scaled_entropy_terms_cov=(apart / 2) ** 2 * one)


def test_an_onset_of_strata_that_hardly_differ_is_unknown() -> None:
    study = tree(change=alike)
    assert "unknown: Σ of the outer strata differ by 2.0 errors" in html_of(study)
    assert verdict(study, "same onset") == "not decidable here"
    assert "unknown:" not in html_of(tree())


def test_an_onset_that_is_unknown_is_drawn_nowhere() -> None:
    study = tree(change=alike)
    known, unknown = (texts(figure_of("strata", of)) for of in (tree(), study))
    assert unknown.count("T_A unknown: Sigma of the outer strata differ by 2.0 errors") == 2
    assert "1/T_A" in known
    assert "1/T_A" not in unknown
    assert "T_A unknown from S and s^(2)_i" in texts(figure_of("correlation", study))
    assert "T_A is unknown (Sigma of the outer strata differ by 2.0 errors)" in texts(figure_of("barriers", study))


def test_an_onset_beyond_the_simulated_range_is_extrapolated() -> None:
    study = tree(temperatures=[0.75, 0.7, 0.6, 0.5])
    assert "extrapolated" in texts(figure_of("strata", study))
    assert "open: extrapolated" in texts(figure_of("correlation", study))
    assert "extrapolated" in html_of(study)
    assert verdict(study, "same onset") == "not decidable here"


def test_a_missing_onset_is_noted_and_not_drawn() -> None:
    def change(_: str, ensemble: xr.Dataset) -> xr.Dataset:
        names = ["onset_temperature", "onset_probability", "scaled_energy", "scaled_entropy"]
        return ensemble.assign({name: ensemble[name] * np.nan for name in names})

    study = tree(change=change)
    assert "the strata do not meet" in texts(figure_of("strata", study))
    assert "nothing to scale by" in texts(figure_of("barriers", study))


def test_an_absurd_onset_is_noted_and_not_drawn() -> None:
    def change(_: str, ensemble: xr.Dataset) -> xr.Dataset:
        return ensemble.assign(onset_temperature=ensemble["onset_temperature"] * 0 + 40.0)

    figure = figure_of("strata", tree(change=change))
    assert "far outside the simulated range: not drawn" in texts(figure)
    assert figure.axes[0].get_xlim()[0] > 0.9


def test_strata_without_events_leave_the_figure_and_are_counted() -> None:
    def change(_: str, ensemble: xr.Dataset) -> xr.Dataset:
        cold = (ensemble["temperature"] < 0.55) & (
            ensemble["stratum_middle"] < ensemble["stratum_middle"].mean("stratum")
        )
        return ensemble.assign(
            events=ensemble["events"].where(~cold, 0), probability=ensemble["probability"].where(~cold, 0.0)
        )

    study = tree(change=change)
    figure = figure_of("strata", study)
    assert "no event in 2 of 25 (stratum, T)" in texts(figure)
    assert figure.axes[0].get_ylim()[0] > 1e-3
    assert "an outermost stratum has no events" in reasons(study)


def test_a_probability_above_one_refuses_the_collapse() -> None:
    def change(_: str, ensemble: xr.Dataset) -> xr.Dataset:
        return ensemble.assign(onset_probability=ensemble["onset_probability"] * 0 + 1.2)

    study = tree(change=change)
    assert "1.20 is no probability below 1" in texts(figure_of("barriers", study))
    assert "> 1: no probability" in texts(figure_of("strata", study))


@pytest.mark.parametrize(("error", "refused"), [(0.9, False), (1.1, True)])
def test_scaled_barriers_of_unknown_scale_are_refused(error: float, refused: bool) -> None:
    def change(_: str, ensemble: xr.Dataset) -> xr.Dataset:
        terms = ensemble["scaled_entropy_terms_cov"].copy()
        terms[..., -1, -1] = error**2
        return ensemble.assign(scaled_entropy_terms_cov=terms)

    assert ("is 0 within its error" in texts(figure_of("barriers", tree(change=change)))) is refused


def test_a_thermal_study_notes_that_inherent_structures_are_missing() -> None:
    study = tree(inherent=False, replicas=1)
    assert "no inherent structures" in texts(figure_of("grouped", study))
    said = texts(figure_of("barriers", study))
    assert "no inherent structures: the entropy is thermal" in said
    assert "inherent s^" not in said


def test_it_says_where_blocks_are_too_short_for_their_errors() -> None:
    def lasting(cold: float) -> Callable[[str, xr.Dataset], xr.Dataset]:
        return lambda _, e: e.assign(relaxation_time=xr.where(e["temperature"] > 0.55, 0.1, cold))

    assert "too small" not in html_of(tree(change=lasting(0.1)))
    said = "is longer than half the run, T ≤ 0.5, those over blocks are too small"
    assert said in html_of(tree(change=lasting(1000.0)))
    assert said in html_of(tree(change=lasting(np.nan)))


def test_it_says_what_errors_are_over() -> None:
    html = html_of(tree(replicas=1))
    assert "standard errors over blocks of time of the one run; those of s⁽²⁾ are unknown" in html
    assert "those of recall, precision, the fraction rearranging and r also over blocks of time" in html_of(tree())
    assert "nan" not in html.lower()


def test_one_system_shows_no_trend() -> None:
    study = tree()
    assert "one system: no trend with Delta" in texts(figure_of("correlation", study))
    assert "nothing to collapse" in texts(figure_of("barriers", study))
    assert verdict(study, "rises with Δ") == "not decidable here"


def test_a_frame_without_softness_leaves_no_snapshot() -> None:
    unfinished = groups()
    unfinished["ka_0.0/production"]["softness"][...] = np.nan
    study = xr.DataTree.from_dict(unfinished)
    assert "no frame with softness" in texts(figure_of("liquid", study))


# --- mixtures ------------------------------------------------------------------------------------------------------


def test_systems_of_unknown_potential_are_drawn_too() -> None:
    study = tree(systems={"glass": mixture_of("A", "B")})
    for node in study.subtree:
        node.attrs.pop("mixture", None)
        node.attrs.pop("delta", None)
    for name in FIGURES:
        figure_of(name, study).draw_without_rendering()
    assert "no potential is known" in texts(figure_of("liquid", study))
    written = html_of(study)
    assert "ρ = 1.2" in written
    assert "Δ = " not in written


@pytest.mark.parametrize("species", [("Ar",), ("Ni", "P", "Zr_2"), ("A", "B", "C", "D")])
def test_any_number_of_species_is_drawn_by_name(species: tuple[str, ...]) -> None:
    study = tree(systems={"glass_$x$": mixture_of(*species)})
    first, *others = [figure_of(name, study) for name in FIGURES]
    first.draw_without_rendering()
    first, fifth = texts(first), texts(others[3])
    for a, b in itertools.islice(itertools.combinations_with_replacement(species, 2), 6):
        assert f"{a}{b}" in first
    assert f"g_{species[0]}{species[-1] if len(species) < 4 else species[2]}(r)" in fifth


def test_systems_that_differ_in_delta_are_named_by_it() -> None:
    study = tree(systems={f"ka_{d}": kob_andersen(d) for d in (0.2, 0.0)})
    said = texts(figure_of("correlation", study))
    assert "Delta = 0.2" in said
    assert "Delta (sigma_AA)" in said


def test_systems_that_differ_otherwise_keep_their_names() -> None:
    study = tree(systems={"light": mixture_of("A", "B"), "heavy": mixture_of("A", "B", density=1.3)})
    said = texts(figure_of("correlation", study))
    assert "light" in said
    assert "systems differ in more than Delta: no trend" in said


def test_systems_are_in_the_order_of_the_study() -> None:
    results = read_results(tree(systems={"b": mixture_of("A"), "a": mixture_of("A", density=1.1)}))
    assert [system.name for system in results.systems] == ["b", "a"]


# --- pieces --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "error", "text"),
    [
        (0.97583, 0.0229, "0.976 ± 0.023"),
        (-9.0961, 0.0015, "−9.0961 ± 0.0015"),
        (1.2345e-5, 2e-7, "(1.234 ± 0.020) × 10⁻⁵"),
        (28.4, np.nan, "28.40"),
        (-1e-6, 0.02, "0.000 ± 0.020"),
        (0.0082164, np.nan, "0.00822"),
        (np.nan, 0.1, "–"),
    ],
)
def test_numbers_have_the_digits_their_errors_allow(value: float, error: float, text: str) -> None:
    assert with_error(value, error) == text


def test_lines_break_between_words_and_never_in_mathematics() -> None:
    lines = wrapped(r"scaled by $\ln P_\mathrm{R} (T_\mathrm{A})$ here", 12).split("\n")
    assert len(lines) > 1
    assert all(line.count("$") % 2 == 0 for line in lines)


def test_a_near_sphere_hides_a_far_one() -> None:
    box = np.full(3, 10.0)
    toward_the_eye = np.linalg.inv(spheres._rotation()) @ np.array([0.0, 0.0, 1.0])
    red, blue = (1.0, 0.0, 0.0), (0.0, 0.0, 1.0)
    centers = np.array([3 * toward_the_eye, -3 * toward_the_eye])
    for order in ([0, 1], [1, 0]):
        scene = spheres.Spheres(centers[order], np.full(2, 2.0), np.array([red, blue])[order])
        picture = spheres.render(scene, box, pixels=80)
        middle = picture[34:46, 34:46, :3].mean(axis=(0, 1))
        assert middle[0] > middle[2] + 0.3


def test_a_picture_is_transparent_where_there_is_nothing() -> None:
    scene = spheres.Spheres(np.zeros((1, 3)), np.full(1, 3.0), np.ones((1, 3)))
    picture = spheres.render(scene, np.full(3, 10.0), pixels=80)
    assert picture[0, 0, 3] == 0
    assert picture[40, 40, 3] == 1


def test_wrapped_positions_lie_in_the_box() -> None:
    box = np.array([4.0, 5.0, 6.0])
    position = np.random.default_rng(0).normal(0, 20, (50, 3))
    inside = spheres.wrap(position, box)
    assert (np.abs(inside) <= box / 2).all()
    np.testing.assert_allclose(np.exp(2j * np.pi * inside / box), np.exp(2j * np.pi * position / box), atol=1e-9)


@pytest.mark.parametrize("limits", [(8.5e-3, 9.6e-3), (1e-3, 5e-2), (2e-3, 9e-3), (1.01e-4, 1.04e-4)])
def test_every_label_of_a_logarithmic_axis_says_where_it_stands(limits):
    figure = Figure()
    ax = figure.add_subplot()
    ax.plot([1, 2], limits)
    panel.log_y(ax)
    figure.canvas.draw()
    ticks = [*zip(ax.get_yticks(minor=True), ax.get_yticklabels(minor=True), strict=True)]
    shown = [(value, label.get_text()) for value, label in ticks if label.get_text()]
    assert shown
    for value, text in shown:
        mantissa, exponent = re.fullmatch(r"\$([\d.]+)\\times 10\^\{(-?\d+)\}\$", text).groups()
        assert float(mantissa) * 10 ** int(exponent) == pytest.approx(value, rel=1e-3)
