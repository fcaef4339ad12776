"""The stages of a study, in order: a line each."""

from __future__ import annotations

from daskglass.stages import (
    barriers,
    convert,
    ensemble,
    entropy,
    hops,
    indicators,
    inherent,
    predictor,
    scoreboard,
    simulate,
    softness,
    structure,
    train,
)
from daskglass.stages.declare import Stage

FIGURES = "figures"
STAGES: list[Stage] = [
    simulate.STAGE,
    convert.STAGE,
    inherent.STAGE,
    hops.STAGE,
    structure.STAGE,
    train.STAGE,
    softness.STAGE,
    entropy.STAGE,
    indicators.STAGE,
    ensemble.STAGE,
    barriers.STAGE,
    predictor.STAGE,
    scoreboard.STAGE,
    # of all systems at once: daskglass.report.tasks
    Stage(FIGURES, ()),
]


def names() -> tuple[str, ...]:
    """Names of the stages, in order."""
    return tuple(stage.name for stage in STAGES)
