"""Figures and page as tasks of a run: a worker draws each, once all tables of all systems are complete."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from daskglass.pipeline.plan import figures_of_study
from daskglass.pipeline.tasks import Task
from daskglass.report import folder
from daskglass.stages.declare import Plan
from daskglass.store.aside import fence, name_aside, sizes_below
from daskglass.store.durable import publish
from daskglass.store.ledger import core_seconds_of
from daskglass.study.settings import fingerprint

EVERY = "all systems"  # what a figure shows


def figure_tasks(plans: Sequence[Plan], tasks: Sequence[Task]) -> list[Task]:
    """Tasks that draw the figures and write the page of a study.

    Parameters
    ----------
    plans : of all its systems, in order
    tasks : of all its stages; those that write tables come before any figure
    """
    path, systems = plans[0].path, fingerprint([plan.system for plan in plans])
    names = figures_of_study(plans)
    tables = tuple(task.key for task in tasks if any(region.block is None for region in task.owns))
    figures = [
        Task(
            "figures", EVERY, f"figures-{EVERY}/{name}", draw_figure, (path, number), after=tables,
            inputs={"systems": systems, "number": fingerprint(number)},
        )
        for number, name in enumerate(names, start=1)
    ]  # fmt: skip
    page = Task(
        "figures", EVERY, f"figures-{EVERY}/page", write_page, (path,),
        after=(*tables, *(figure.key for figure in figures)), inputs={"systems": systems, "figures": fingerprint(names)},
    )  # fmt: skip
    return [*figures, page]


def nothing(plans: Sequence[Plan], tasks: Sequence[Task]) -> list[Task]:
    """Draw nothing: figures are of all systems of a study."""
    return []


def draw_figure(path: Path, number: int) -> dict[str, Any]:
    """Draw a figure of a store."""
    from daskglass.report import page
    from daskglass.report.results import open_results

    with _into_place(path) as (aside, files):
        page.write_figure(open_results(path), number, aside)
    return {"files": files}


def write_page(path: Path) -> dict[str, Any]:
    """Write the page of a store, whose figures are drawn."""
    from daskglass.report import page
    from daskglass.report.results import open_results

    with _into_place(path) as (aside, files):
        page.write_page(open_results(path), core_seconds_of(path), folder(path), aside)
    return {"files": files}


@contextmanager
def _into_place(path: Path) -> Iterator[tuple[Path, dict[str, int]]]:
    """Yield a folder whose files are renamed to the store's figures in the end, and their sizes, by name, known then."""
    target, files = folder(path), dict[str, int]()
    with name_aside(path) as aside, fence(path, aside.parent):
        aside.mkdir()
        yield aside, files
        sizes = sizes_below(aside)
        publish([(aside / name, target / name) for name in sizes], target.parent)
    files.update({f"{target.name}/{name}": size for name, size in sizes.items()})
