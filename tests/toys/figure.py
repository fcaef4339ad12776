"""A figure of one number."""

from matplotlib.figure import Figure

from daskglass.report.contents import Contents
from daskglass.report.style import instead, new_figure

TITLE = "How many systems there are"


def draw(contents: Contents) -> Figure:
    figure = new_figure(2.0)
    instead(figure.subplots(), f"{len(contents.systems)}")
    return figure


def caption(contents: Contents) -> str:
    return "The number of systems, large."
