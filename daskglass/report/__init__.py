"""Figures and the page of a study: what a finished store holds, drawn and described."""

from __future__ import annotations

import shutil
from pathlib import Path

from daskglass.store.durable import replace_folder, restore, sync_tree


def folder(store: Path) -> Path:
    """Folder of the figures of a store, beside it."""
    return store.with_name(f"{store.stem}.figures")


def draw(store: Path) -> Path:
    """Draw the figures and the page of a store into `folder(store)`, which is replaced as a whole.

    Parameters
    ----------
    store : path of a store whose study has run to its barriers

    Returns
    -------
    Path of the page, `index.html`; beside it lie `figure_1.png`, `figure_1.svg`, `figure_2.png`, …

    Raises
    ------
    StoreError
        If there is no store, or a system of it is not finished: the message says which and what it lacks. If the figures
        cannot be written.
    """
    # Matplotlib takes a second to import, and only those who draw need it
    from daskglass.errors import writing
    from daskglass.report.page import write_figure, write_page
    from daskglass.report.results import open_results
    from daskglass.store.ledger import core_seconds_of

    store = Path(store)
    target = folder(store)
    aside, old = target.with_name(f"{target.name}.new"), target.with_name(f"{target.name}.old")
    results = open_results(store)
    restore(target, old)
    shutil.rmtree(aside, ignore_errors=True)
    try:
        with writing(target):
            aside.mkdir()
            for number in range(1, len(results.figures) + 1):
                write_figure(results, number, aside)
            write_page(results, core_seconds_of(store), aside, aside)
            sync_tree(aside)
            replace_folder(aside, target, old)
    finally:
        shutil.rmtree(aside, ignore_errors=True)
    return target / "index.html"
