"""Figures of the page, a file each; the registry has them in order."""

from __future__ import annotations

from typing import Protocol

from matplotlib.figure import Figure

from daskglass.registry import ENSEMBLE_FIGURES, FIGURES, OTHER_FIGURES, entry_of, load
from daskglass.report.results import Results
from daskglass.report.style import styled


class Drawing(Protocol):
    """A figure: its title, how it is drawn, and its caption."""

    TITLE: str

    def draw(self, results: Results) -> Figure:
        """Draw the figure."""

    def caption(self, results: Results) -> str:
        """Write the caption; amounts of data are added to it."""


def get_figure(name: str) -> Drawing:
    """Return the module of a figure.

    Raises
    ------
    StudyError
        If there is none of this name.
    """
    figure: Drawing = load(entry_of({**FIGURES, **OTHER_FIGURES, **ENSEMBLE_FIGURES}, name, "figure").place)
    return figure


def drawn(name: str, results: Results) -> Figure:
    """Draw a figure in the style of the report."""
    with styled():
        return get_figure(name).draw(results)
