"""Claims that the scaled barriers of all systems collapse on one line in the entropy."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from daskglass.report import collapse
from daskglass.report.claims.verdicts import Finding
from daskglass.report.fits import Group, OneLine, one_line
from daskglass.report.numbers import count, percent, with_error
from daskglass.report.results import Results
from daskglass.report.statistics import RELATIVE, Tested
from daskglass.stages.structural import LOCAL_ENTROPY, StructuralVariable
from daskglass.variables import UNITS

APART = 0.1  # of the range of y: twice what a symbol covers in figure 6
ENOUGH_STRATA = 3  # of a system: a line goes through two
SYMBOLS = {"entropy": "y_Σ", "energy": "y_E"}

COLLAPSE = (
    f"one line against a line for each system, and against a parabola for all; errors of both coordinates, of ln P_R(T_A) and "
    f"their correlations count; margin: a root-mean-square distance of {percent(APART)} of the range of y. Where lines are not "
    f"surely that close, the F test refutes that they are one line exactly: it weighs most what is known best, the distance what "
    f"is known worst"
)


def collapsed(results: Results, of: str, other: StructuralVariable) -> tuple[list[Finding], list[str]]:
    """Test whether the scaled entropies or energies of all systems lie on one straight line; and what is worth knowing."""
    found = {system.name: collapse.points(system, results.inherent, other) for system in results.systems}
    groups = {name: group_of(points, of) for name, points in found.items() if not points.refused}
    usable = [group for group in groups.values() if isinstance(group, Group)]
    left_out = [
        Finding(name, f"left out: {points.refused}", remedy="more T, frames or replicas, until ln P_R(T_A) is known")
        for name, points in found.items()
        if points.refused
    ]
    left_out += [
        Finding(name, f"left out: {group.reason}", remedy=group.remedy)
        for name, group in groups.items()
        if isinstance(group, LeftOut)
    ]
    apart = [points.deviation for points in found.values() if np.isfinite(points.deviation)]
    notes = [f"y_E = y_Σ − 1 holds to {max(apart):.2g}"] if apart else []
    if len(found) == 1:
        return [*left_out, Finding("", "one system: nothing to collapse", remedy="two or more systems")], notes
    if len(usable) < 2:
        return left_out, notes
    result = one_line(usable, APART)
    (intercept, slope), errors = result.line.values, np.sqrt(result.line.covariance.diagonal())
    points = sum(group.x.size for group in usable)
    lines = [
        f"the likeliest line, if all lie on one: {SYMBOLS[of]} = ({with_error(intercept, errors[0])}) + "
        f"({with_error(slope, errors[1])}) {_abscissa(results, other)}",
        f"{points} strata of {count(len(usable), 'system')}, as measured, scatter by {result.deviation:.2g} about "
        f"the line through them, of slope {result.through[1]:.2f}".replace("-", "−"),
    ]
    return [*_tested(result), *left_out], [*lines, *notes]


def _abscissa(results: Results, other: StructuralVariable) -> str:
    if other == LOCAL_ENTROPY:
        return f"s⁽²⁾/k_B, {'inherent' if results.inherent else 'thermal'} s⁽²⁾"
    unit = UNITS.get(other.units, other.units)
    return f"x, x the {other.label} of the same softness" + f" in {unit}" * bool(unit)


def _tested(result: OneLine) -> list[Finding]:
    lines = (
        f"lines of the systems: {_distance(result.apart)} from the one line. That they differ: F test, p = {result.p:.2g}; that "
        f"they part by more than {percent(APART)}: p = {result.apart.beyond:.2g}"
    )
    bent = f"parabola: {_distance(result.bent)} from the line"
    return [
        Finding(
            "", lines, (result.differ,), lambda size: f"a line that is shifted by {percent(size)} of the range of y"
        ),
        Finding("", bent, (result.bent,), lambda size: f"a bend of {percent(size)}"),
    ]


def _distance(tested: Tested) -> str:
    return f"{percent(tested.value)} of the range of y (errors alone make {percent(tested.error)})"


class LeftOut(NamedTuple):
    """Why a system has no part in the line, and what would give it one."""

    reason: str
    remedy: str


def group_of(points: collapse.Points, of: str) -> Group | LeftOut:
    """Points of a system whose errors are known, or why there are none."""
    y, covariance = getattr(points, f"y_{of}"), getattr(points, f"y_{of}_terms_cov")
    known = np.isfinite(points.x) & np.isfinite(y)
    if known.sum() < ENOUGH_STRATA:
        return LeftOut(f"only {int(known.sum())} strata with barriers and entropy", "more T, frames or replicas")
    terms = np.append(known, True)
    covariance = covariance[np.ix_(terms, terms)]
    if not (np.isfinite(covariance).all() and np.isfinite(points.x_err[known]).all()):
        return LeftOut(
            "errors unknown",
            "two or more replicas; in a store of an older version, `daskglass run` fits its barriers again",
        )
    spread = np.linalg.eigvalsh(covariance)
    if spread[0] <= RELATIVE * spread[-1]:
        return LeftOut("the covariance of its strata and ln P_R(T_A) is singular", "more resamples than strata")
    return Group(points.x[known], points.x_err[known], y[known], covariance)
