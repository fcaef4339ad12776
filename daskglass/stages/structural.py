"""Structural variables: one number per particle and frame that is to foresee motion; a line each.

Strata, barriers, and correlations with softness are computed for every one of them.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class StructuralVariable:
    """A variable of the store that particles are binned by.

    Attributes
    ----------
    name : of the variable, over particles; NaN where it is not defined
    label, units : for texts and attributes
    symbol : for axes, in LaTeX; the label where there is none
    suffix : of what the ensemble holds of its correlation with softness: `pearson`, `pearson_pooled`, `joint`
    """

    name: str
    label: str
    units: str = "1"
    symbol: str = ""
    suffix: str = ""


SOFTNESS = StructuralVariable("softness", "softness", symbol="$S$")
STRUCTURAL_VARIABLES: list[StructuralVariable] = [
    SOFTNESS,
    StructuralVariable("local_entropy", "local pair excess entropy", "k_B", r"$s^{(2)}_i$ ($k_\mathrm{B}$)"),
]


def names() -> tuple[str, ...]:
    """Names of the structural variables."""
    return tuple(variable.name for variable in STRUCTURAL_VARIABLES)


def named(names: Iterable[str]) -> list[StructuralVariable]:
    """Structural variables of these names, as a store has them; of a name that nobody registered, with that as label."""
    known = {variable.name: variable for variable in STRUCTURAL_VARIABLES}
    return [known.get(name, StructuralVariable(name, name.replace("_", " "))) for name in names]
