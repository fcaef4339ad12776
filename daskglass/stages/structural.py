"""Structural variables: one number per particle and frame that is to foresee motion; a line each.

Strata, barriers, and correlations with softness are computed for every one of them.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class StructuralVariable:
    """A variable of the store that particles are binned by.

    Attributes
    ----------
    name : of the variable, over particles; NaN where it is not defined
    label, units : for texts and axes
    suffix : of what the ensemble holds of its correlation with softness: `pearson`, `pearson_pooled`, `joint`
    """

    name: str
    label: str
    units: str = "1"
    suffix: str = ""


SOFTNESS = StructuralVariable("softness", "softness")
STRUCTURAL_VARIABLES: list[StructuralVariable] = [
    SOFTNESS,
    StructuralVariable("local_entropy", "local pair excess entropy", "k_B"),
]


def names() -> tuple[str, ...]:
    """Names of the structural variables."""
    return tuple(variable.name for variable in STRUCTURAL_VARIABLES)
