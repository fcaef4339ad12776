"""Claims that something rises: the correlation with Δ, the entropy with softness."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from daskglass.report.claims.verdicts import Finding
from daskglass.report.collapse import grouped_by_softness
from daskglass.report.fits import least_squares, scatter
from daskglass.report.numbers import percent, with_error
from daskglass.report.results import Results, SystemResults, known
from daskglass.report.statistics import Tested, departure
from daskglass.stages.structural import LOCAL_ENTROPY, SOFTNESS, StructuralVariable
from daskglass.variables import UNITS

HALF, ABOUT = 0.5, 0.1  # the correlation that the paper calls about 0.5, and what is still about that
DIP = 0.5  # fall of the correlation between neighbouring Δ, of the average rise between them
ENOUGH_SYSTEMS = 3
STEP = 0.05  # of the whole rise of s⁽²⁾: a fall between neighbouring bins of half their average rise

CORRELATION = (
    f"three tests: the slope in Δ is above 0; margin of a fall between neighbouring Δ: {percent(DIP)} of "
    f"the average rise between them; the largest Δ lies within {HALF:g} ± {ABOUT:g}; errors hold "
    f"what other training examples would change"
)
MONOTONIC = (
    f"steps between neighbouring softness bins, one-sided; margin of a fall: {percent(STEP)} of the whole rise; errors of bins "
    f"add in quadrature"
)
TRAINED = "frames or replicas, of production and training"
ERRORS = "two or more replicas, as errors are unknown"


def correlation(results: Results, other: StructuralVariable) -> list[Finding]:
    """Test whether the Pearson correlation of softness and another variable rises with Δ, without a fall, to about 0.5."""
    systems = sorted(results.systems, key=lambda system: system.delta)
    name = f"pearson_pooled{other.suffix}"
    r, error = (np.array([known(s.ensemble, f"{name}{err}", ()) for s in systems]) for err in ("", "_err"))
    if other != LOCAL_ENTROPY:
        r = np.abs(r)
    places = [s.name if s.mixture is None else f"Δ = {s.delta:g}" for s in systems]
    values = ", ".join(f"{with_error(*pair)} at {place}" for *pair, place in zip(r, error, places, strict=True))
    remedy = f"{ENOUGH_SYSTEMS} or more systems that differ in Δ alone"
    if len(systems) == 1:
        return [Finding("", f"one system: no trend with Δ; {values}", remedy=remedy)]
    if not results.in_delta:
        return [Finding("", f"the systems differ not only in Δ; {values}", remedy=remedy)]
    if not (np.isfinite(r) & (error > 0)).all():
        return [Finding("", values, remedy=ERRORS)]
    steps, step_errors = np.diff(r), np.hypot(error[1:], error[:-1])
    margin = DIP * max(0.0, steps.mean())
    falls = tuple(departure(-step, e, margin, signed=True) for step, e in zip(steps, step_errors, strict=True))
    last = departure(r[-1] - HALF, error[-1], ABOUT)
    return [
        _slope(np.array([s.delta for s in systems]), r, error, values, remedy),
        Finding(
            "",
            f"smallest step {_smallest(steps, step_errors)}",
            falls,
            lambda fall: f"a fall of {fall:.2g}",
            more=TRAINED,
        ),
        Finding(
            "",
            f"{with_error(r[-1], error[-1])} at the largest Δ",
            (last,),
            lambda d: f"{d:.2g} from {HALF:g}",
            more=TRAINED,
        ),
    ]


def _slope(
    delta: NDArray[np.float64], r: NDArray[np.float64], error: NDArray[np.float64], values: str, remedy: str
) -> Finding:
    if r.size < ENOUGH_SYSTEMS:
        return Finding("", values, remedy=remedy)
    design = np.column_stack([np.ones_like(delta), delta])
    common = scatter(design, r, error**2)
    fit = least_squares(design, r, np.diag(error**2 + common))
    slope, slope_err = float(fit.values[1]), float(np.sqrt(fit.covariance[1, 1]))
    test = departure(-slope, slope_err, 0.0, signed=True, freedom=fit.freedom)
    more = TRAINED if common < (error**2).mean() else "Δ, as they scatter about a line"
    return Finding(
        "",
        f"{values}: slope {with_error(slope, slope_err)}",
        (test,),
        lambda size: f"a slope of −{size:.2g}",
        more=more,
    )


def monotonic(system: SystemResults, other: StructuralVariable) -> Finding:
    """Test whether the structure of softness bins falls anywhere; of what falls with softness, whether it rises."""
    tests: list[Tested] = []
    numbers: list[str] = []
    # replicas vary about the mean of their temperature
    freedom = system.cold(SOFTNESS.name) * (system.replicas - 1)
    kinds = ("thermal", "inherent") if system.inherent and other == LOCAL_ENTROPY else (_kind(system),)
    for kind in kinds:
        pooled, error = grouped_by_softness(system, other, kind == "inherent")
        unit = UNITS.get(other.units, other.units)
        numbers.append(f"{kind}: {pooled[0]:.2f} to {pooled[-1]:.2f} {unit}".replace("-", "−").rstrip())
        if other != LOCAL_ENTROPY and pooled[-1] < pooled[0]:
            pooled = -pooled
        if not np.isfinite(pooled).all():
            return Finding(system.name, f"{kind}: a softness bin has no particles", remedy="more frames or replicas")
        if not (error > 0).all():
            return Finding(system.name, "; ".join(numbers), remedy=ERRORS)
        steps, step_errors = np.diff(pooled) / np.ptp(pooled), np.hypot(error[1:], error[:-1]) / np.ptp(pooled)
        numbers[-1] += f", smallest step {_smallest(steps, step_errors, lambda *step: f'{percent(*step)} of that')}"
        tests += [departure(-step, e, STEP, True, freedom) for step, e in zip(steps, step_errors, strict=True)]
    return Finding(system.name, "; ".join(numbers), tuple(tests), lambda fall: f"a fall of {percent(fall)} of the rise")


def _kind(system: SystemResults) -> str:
    return "inherent" if system.inherent else "thermal"


def _smallest(
    steps: NDArray[np.float64], errors: NDArray[np.float64], write: Callable[[float, float], str] = with_error
) -> str:
    k = int(np.argmin(steps))
    return f"{write(float(steps[k]), float(errors[k]))} (number {k + 1} of {steps.size})"
