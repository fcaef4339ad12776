"""Figures as tasks of a run: each drawn once, and again when what it shows changed, or its files are gone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from daskglass.errors import StoreError
from daskglass.pipeline.check import take_damaged_back
from daskglass.pipeline.dispatch import call
from daskglass.pipeline.run import pending
from daskglass.pipeline.tasks import Task
from daskglass.plot import spheres
from daskglass.registry import FIGURES
from daskglass.report import draw, folder, style
from daskglass.report.results import open_results
from daskglass.report.tasks import figure_tasks
from daskglass.store.aside import folder_aside
from daskglass.store.ledger import Ledger
from daskglass.store.wholeness import Region
from tests.report.synthetic import build, mixture_of

SYSTEMS = {"light": mixture_of("A", "B"), "heavy": mixture_of("A", "B", density=1.3)}
ALL = {"liquid", "diffusion", "page"}


@dataclass(frozen=True)
class Planned:
    """What the tasks of figures need of a plan."""

    path: Path
    system: str
    settings: Mapping[str, object] = field(default_factory=lambda: {"structural": ("softness", "local_entropy")})

    def runs(self, of: str) -> tuple[str, ...]:
        """Systems of files, without isoconfigurational ensembles."""
        return ("production",) if of == "production" else ()


def fit(system: str) -> Task:
    """Task that writes the tables of a system."""
    return Task(
        "barriers", system, f"barriers-{system}", dict, (), inputs={}, owns=(Region(f"{system}/ensemble", ("g",)),)
    )


@dataclass
class Study:
    """A finished store of two systems, and its ledger."""

    path: Path
    ledger: Ledger

    def tasks(self, names: tuple[str, ...] = tuple(SYSTEMS)) -> list[Task]:
        """All tasks, were the study run now."""
        fits = [fit(name) for name in names]
        return [*fits, *figure_tasks([Planned(self.path, name) for name in names], fits)]

    def run(self, names: tuple[str, ...] = tuple(SYSTEMS)) -> set[str]:
        """Do what is left, one task after the other; returns what that was."""
        take_damaged_back(self.path, self.ledger)
        todo = pending(self.tasks(names), self.ledger)
        with folder_aside(self.path) as aside:
            for task in todo:
                done = call(task.function, task.arguments, task.settings, [], aside)
                self.ledger.complete(task.key, task.inputs or {}, {**done.value, **done.wrote})
        return {task.key.rpartition("/")[2] for task in todo}


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Study]:
    """Draw small pictures, and two of them, which tests enough."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(spheres, "PIXELS", 60)
        patch.setitem(style._RC, "savefig.dpi", 50)
        # all of it put back in order: the place of a figure is its number
        every = dict(FIGURES)
        for name in every.keys() - ALL:
            del FIGURES[name]
        path = build(tmp_path_factory.mktemp("tasks") / "study.zarr", systems=SYSTEMS)
        study = Study(path, Ledger(path))
        try:
            assert study.run() == {"barriers-light", "barriers-heavy", *ALL}
            yield study
        finally:
            FIGURES.clear()
            FIGURES.update(every)


def test_figures_that_are_drawn_are_not_drawn_again(drawn: Study) -> None:
    assert drawn.run() == set()


def test_tables_of_one_system_that_are_done_again_are_drawn_again(drawn: Study) -> None:
    drawn.ledger.begin(["barriers-heavy"])
    assert drawn.run() == {"barriers-heavy", *ALL}


@pytest.mark.parametrize("change", [Path.unlink, lambda file: file.write_bytes(file.read_bytes()[:100])])
def test_an_image_that_is_gone_or_cut_short_is_drawn_again_and_no_other(drawn: Study, change) -> None:
    change(folder(drawn.path) / "figure_2.png")
    assert drawn.run() == {"diffusion", "page"}
    assert drawn.run() == set()


def test_systems_in_another_order_have_other_colours(drawn: Study) -> None:
    assert drawn.run(("heavy", "light")) == ALL
    assert drawn.run() == ALL


def test_tasks_draw_what_the_command_draws(drawn: Study) -> None:
    place = folder(drawn.path)
    by_tasks = {file.name: file.read_bytes() for file in place.iterdir()}
    draw(drawn.path)
    assert {file.name: file.read_bytes() for file in place.iterdir()} == by_tasks
    # and a run knows them as its own
    assert drawn.run() == set()


def test_a_figure_waits_for_the_tables_of_all_systems_and_the_page_for_all_figures(drawn: Study) -> None:
    *figures, page = drawn.tasks()[2:]
    assert {figure.after for figure in figures} == {("barriers-light", "barriers-heavy")}
    assert {figure.key for figure in figures} < set(page.after)


def test_a_figure_of_a_run_that_was_taken_over_is_discarded(drawn: Study) -> None:
    task = drawn.tasks()[3]
    place = folder(drawn.path) / "figure_2.png"
    before = place.stat()
    with (
        folder_aside(drawn.path) as aside,
        folder_aside(drawn.path),
        pytest.raises(StoreError, match="another run took over this store"),
    ):
        call(task.function, task.arguments, {}, [], aside)
    assert place.stat() == before


def test_results_are_read_once_until_tables_change(drawn: Study, tmp_path: Path) -> None:
    path = build(tmp_path / "own.zarr", systems=SYSTEMS)
    first = open_results(path)
    assert open_results(path) is first
    (path / "heavy/ensemble/g").rename(path / "heavy/ensemble/.g")
    (path / "heavy/ensemble/.g").rename(path / "heavy/ensemble/g")
    assert open_results(path) is not first
