"""A figure of one number."""

from matplotlib.figure import Figure

from daskglass.report.results import Results
from daskglass.report.style import instead, new_figure

TITLE = "How many systems there are"


def draw(results: Results) -> Figure:
    figure = new_figure(2.0)
    instead(figure.subplots(), f"{len(results.systems)}")
    return figure


def caption(results: Results) -> str:
    return "The number of systems, large."
