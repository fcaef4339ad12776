"""Probability of rearrangement by stratum of the structural variables beside those of the paper."""

from __future__ import annotations

from matplotlib.figure import Figure

from daskglass.registry import listed
from daskglass.report.caption_parts import of_each
from daskglass.report.figures import strata
from daskglass.report.numbers import with_error
from daskglass.report.results import Results, SystemResults, known
from daskglass.stages.structural import StructuralVariable

TITLE = "Other structural variables"


def draw(results: Results) -> Figure:
    """Draw the figure."""
    return strata.of_variables(results, results.others)


def caption(results: Results) -> str:
    """Write the caption."""
    pearson = of_each(results, lambda system: listed((_pearson(system, each) for each in results.others), "and"))
    return f"{strata.caption_of(results, results.others)} Pearson correlation with softness, all temperatures pooled: {pearson}."


def _pearson(system: SystemResults, variable: StructuralVariable) -> str:
    values = (float(known(system.ensemble, f"pearson_pooled{variable.suffix}{error}", ())) for error in ("", "_err"))
    return with_error(*values)
