"""The six figures of a study, each a function from an open store to a Matplotlib figure."""

from __future__ import annotations

from daskglass.report.bulk import figure_1, figure_2
from daskglass.report.grouped import figure_5, figure_6
from daskglass.report.strata import figure_3, figure_4

FIGURES = (figure_1, figure_2, figure_3, figure_4, figure_5, figure_6)

__all__ = ["FIGURES", "figure_1", "figure_2", "figure_3", "figure_4", "figure_5", "figure_6"]
