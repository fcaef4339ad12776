"""Claims of the paper, each tested against the numbers of a study."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from scipy.special import chdtrc

from daskglass.report import collapse
from daskglass.report.results import Results, SystemResults

Verdict = Literal["confirmed", "refuted", "not decidable here"]
YES: Verdict = "confirmed"
NO: Verdict = "refuted"
OPEN: Verdict = "not decidable here"

ENOUGH_TEMPERATURES = 4  # of a stratum: with three, one degree of freedom tests nothing
UNLIKELY = 0.01  # p-value below which a straight line does not describe the points
STRAIGHT = 0.98  # R² from which a line describes points whose errors are smaller than any curvature
SIGMAS = 2.0
ALIKE = 0.03  # relative difference of onset temperatures that no one would call a disagreement
TOO_UNCERTAIN = 0.1  # standard error of a difference of onset temperatures, relative, that hides any disagreement
COLLAPSED = 0.95  # R² of one line through the scaled barriers of all systems
DEPTH = 1.02  # the coldest temperature, relative to the paper's, up to which their spreads compare
ABOUT_HALF = (0.4, 0.6)
VARIABLES = {"softness": "softness", "local_entropy": "local s⁽²⁾"}


@dataclass(frozen=True)
class Claim:
    """A claim, the verdict of a study, and its reasons."""

    text: str
    verdict: Verdict
    reasons: tuple[str, ...]


@dataclass(frozen=True)
class _Finding:
    system: str
    verdict: Verdict
    reason: str


def judge(results: Results) -> list[Claim]:
    """Judge each claim of the paper by the numbers of a study."""
    each = [
        ("ln P_R of every stratum is linear in 1/T, for softness and for local s⁽²⁾", _arrhenius),
        ("at the coldest T, P_R varies more between strata of softness than between strata of local s⁽²⁾", _wider),
        ("P_R varies ten-fold between strata of softness at the coldest T", _tenfold),
        ("softness and local s⁽²⁾ give the same onset temperature T_A", _same_onset),
        ("s⁽²⁾ rises monotonically with softness", _monotonic),
    ]
    claims = [_together(text, [finding(system) for system in results.systems]) for text, finding in each]
    claims.insert(3, _correlation(results))
    claims += [
        _collapse(results, "entropy", "the activation entropies of all systems collapse on one line in s⁽²⁾"),
        _collapse(results, "energy", "the activation energies of all systems collapse on one line in s⁽²⁾"),
    ]
    return claims


def _together(text: str, findings: Sequence[_Finding]) -> Claim:
    """Confirmed if confirmed for all systems, refuted if refuted for one."""
    verdicts = {finding.verdict for finding in findings}
    verdict: Verdict = NO if NO in verdicts else OPEN if OPEN in verdicts else YES
    if len(findings) == 1:
        return Claim(text, verdict, (findings[0].reason,))
    alike = len(verdicts) == 1
    return Claim(text, verdict, tuple(f"{f.system}{'' if alike else ' ' + f.verdict}: {f.reason}" for f in findings))


# --- one system ----------------------------------------------------------------------------------------------------


def _arrhenius(system: SystemResults) -> _Finding:
    squares, freedom, straightness = 0.0, 0, []
    fewest = min(system.cold(variable) for variable in VARIABLES)
    for variable in VARIABLES:
        fits = system.fits(variable).isel(temperature=slice(-system.cold(variable), None))
        for k in range(fits.sizes["stratum"]):
            stratum = fits.isel(stratum=k)
            happened = stratum["events"].values > 0
            fewest = min(fewest, int(happened.sum()))
            if happened.sum() < 3:
                continue
            stratum = stratum.isel(temperature=happened)
            y = np.log(stratum["probability"].values)
            line = (
                float(stratum["activation_entropy"])
                - float(stratum["activation_energy"]) / stratum["temperature"].values
            )
            error = _relative_error(stratum)
            squares += float((((y - line) / error) ** 2).sum())
            freedom += y.size - 2
            total = float(((y - y.mean()) ** 2).sum())
            straightness.append(1 - float(((y - line) ** 2).sum()) / total if total else 0.0)
    if fewest < ENOUGH_TEMPERATURES:
        counted = _count(fewest, "supercooled temperature")
        reason = f"{counted} with events in every stratum; the fit needs {ENOUGH_TEMPERATURES}"
        if freedom:
            reason += f" (χ² per degree of freedom {squares / freedom:.2g}, smallest R² {min(straightness):.3f})"
        return _Finding(system.name, OPEN, reason)
    p = float(chdtrc(freedom, squares))
    reason = (
        f"χ² per degree of freedom {squares / freedom:.2g}, smallest R² {min(straightness):.3f}, "
        f"{fewest} or more temperatures per stratum"
    )
    return _Finding(system.name, YES if p >= UNLIKELY or min(straightness) >= STRAIGHT else NO, reason)


def _relative_error(stratum: xr.Dataset) -> NDArray[np.float64]:
    """Error of ln P_R: from the bootstrap if known, otherwise from the counts."""
    counted = 1 / np.sqrt(stratum["events"].values.astype(float))
    if "probability_err" not in stratum:
        return counted
    known = (stratum["probability_err"] / stratum["probability"]).values
    return np.where(np.isfinite(known) & (known > 0), known, counted)


def spread(system: SystemResults, variable: str) -> tuple[float, float]:
    """Ln of the ratio of P_R between the highest and the lowest stratum at the coldest temperature, and its error."""
    coldest = system.fits(variable).isel(temperature=-1)
    if (coldest["events"].values[[0, -1]] == 0).any():
        return np.nan, np.nan
    P = coldest["probability"].values
    error = _relative_error(coldest)
    return float(np.log(P[-1] / P[0])), float(np.hypot(error[0], error[-1]))


def _wider(system: SystemResults) -> _Finding:
    (S, S_err), (s2, s2_err) = spread(system, "softness"), spread(system, "local_entropy")
    T = system.temperature.min()
    if not np.isfinite(S + s2):
        return _Finding(system.name, OPEN, f"an outermost stratum has no events at T = {T:g}")
    difference, error = S - s2, float(np.hypot(S_err, s2_err))
    reason = f"{_ratio(S, S_err)} for softness, {_ratio(s2, s2_err)} for local s⁽²⁾ at T = {T:g}"
    if abs(difference) < SIGMAS * error:
        return _Finding(system.name, OPEN, f"{reason}: differ by less than {SIGMAS:g} standard errors")
    return _Finding(system.name, YES if difference > 0 else NO, reason)


def _ratio(log: float, error: float) -> str:
    return f"{np.exp(log):.1f}-fold (± {np.exp(log) * error:.1f})"


def _tenfold(system: SystemResults) -> _Finding:
    S, error = spread(system, "softness")
    T, paper = float(system.temperature.min()), system.coldest_of_the_paper()
    if not np.isfinite(S):
        return _Finding(system.name, OPEN, f"an outermost stratum has no events at T = {T:g}")
    found = f"{_ratio(S, error)} at T = {T:g}"
    if abs(S - np.log(10)) < SIGMAS * error or np.exp(S) >= 10:
        return _Finding(system.name, YES, found)
    if paper is None:
        return _Finding(system.name, OPEN, f"{found}; this mixture is not in the paper")
    if paper * DEPTH < T:
        return _Finding(system.name, OPEN, f"{found}; the paper's coldest T is {paper:g}, where the ratio is larger")
    return _Finding(system.name, NO, found)


def _same_onset(system: SystemResults) -> _Finding:
    (x, x_err), (y, y_err) = system.onset("softness"), system.onset("local_entropy")
    without = [name for name, value in (("softness", x), ("local s⁽²⁾", y)) if not np.isfinite(value)]
    if without:
        return _Finding(system.name, OPEN, f"no T_A from strata of {' and '.join(without)}")
    error = float(np.hypot(x_err, y_err))
    reason = f"{x:.3f} and {y:.3f}"
    if not np.isfinite(error) or error == 0:
        return _Finding(system.name, OPEN, f"{reason}, errors unknown")
    apart = abs(x - y) / error
    reason = f"{with_error(x, x_err)} and {with_error(y, y_err)}, {apart:.1f} standard errors apart"
    outside = sum(system.extrapolated(variable) for variable in VARIABLES)
    if outside:
        which = "both are" if outside == 2 else "one is"
        return _Finding(system.name, OPEN, f"{reason}, but {which} outside the simulated temperatures")
    if apart > SIGMAS and abs(x - y) > ALIKE * (x + y) / 2:
        return _Finding(system.name, NO, reason)
    if error > TOO_UNCERTAIN * (x + y) / 2:
        return _Finding(system.name, OPEN, f"{reason}, too uncertain to compare")
    return _Finding(system.name, YES, reason)


def _monotonic(system: SystemResults) -> _Finding:
    kinds = ["thermal"] + ["inherent"] * system.inherent
    name = "s2_grouped_pooled"
    found: list[str] = []
    verdict = YES
    for kind in kinds:
        pooled = (system.ensemble[name] if kind == "inherent" else system.thermal(name)).values
        steps = np.diff(pooled)
        if not np.isfinite(steps).all():
            return _Finding(system.name, OPEN, f"{kind}: a softness bin has no particles")
        falls = np.flatnonzero(steps <= 0)
        found.append(f"{kind}: {pooled[0]:.2f} to {pooled[-1]:.2f} k_B".replace("-", "−"))
        if falls.size:
            worst = int(falls[np.argmin(steps[falls])])
            found[-1] += f", decreases by {-steps[worst]:.2g} at bin {worst + 1} of {pooled.size}"
            surely = _surely_falls(system, kind, worst)
            verdict = NO if surely or verdict == NO else OPEN
            found[-1] += "" if surely else " (within the scatter between temperatures)"
    return _Finding(system.name, verdict, "; ".join(found) + f"; {len(pooled)} bins")


def _surely_falls(system: SystemResults, kind: str, step: int) -> bool:
    """Whether a decrease between two bins is significant over temperatures; the pooled values have no errors."""
    grouped = system.ensemble["s2_grouped"] if kind == "inherent" else system.thermal("s2_grouped")
    each = np.diff(grouped.transpose("temperature", "softness_bin").values[-system.cold("softness") :], axis=1)[:, step]
    each = each[np.isfinite(each)]
    return bool(each.size > 1 and each.mean() < -SIGMAS * each.std(ddof=1) / np.sqrt(each.size))


# --- all systems ---------------------------------------------------------------------------------------------------


def _correlation(results: Results) -> Claim:
    text = "the Pearson correlation of softness and local s⁽²⁾ rises with Δ, to about 0.5"
    systems = sorted(results.systems, key=lambda system: system.delta)
    r = np.array([float(system.ensemble["pearson_pooled"]) for system in systems])
    where = [s.name if s.mixture is None else f"Δ = {s.delta:g}" for s in systems]
    values = ", ".join(f"{value:.2f} at {place}" for value, place in zip(r, where, strict=True)).replace("-", "−")
    if r.size == 1:
        return Claim(text, OPEN, ("one system: no trend with Δ", values))
    if not results.in_delta:
        return Claim(text, OPEN, ("the systems differ not only in Δ", values))
    if not np.isfinite(r).all():
        return Claim(text, OPEN, (values,))
    if r.size == 2:
        return Claim(text, OPEN if r[1] > r[0] else NO, (values, "two systems are too few for a trend"))
    rises = (np.diff(r) > 0).all()
    half = ABOUT_HALF[0] <= r[-1] <= ABOUT_HALF[1]
    reason = values if rises else f"{values}: not monotonic"
    if rises and not half:
        reason += f": rises, but the largest is not between {ABOUT_HALF[0]:g} and {ABOUT_HALF[1]:g}"
    return Claim(text, YES if rises and half else NO, (reason,))


def _collapse(results: Results, of: str, text: str) -> Claim:
    inherent = results.inherent
    found = {system.name: collapse.points(system, inherent) for system in results.systems}
    usable = {name: points for name, points in found.items() if not points.refused}
    refused = [f"{name}: {points.refused}" for name, points in found.items() if points.refused]
    apart = [points.deviation for points in usable.values() if np.isfinite(points.deviation)]
    identity = f"y_E = y_Σ − 1 holds to {max(apart):.2g}" if apart else ""
    if len(usable) < 2:
        why = "one system: nothing to collapse" if len(found) == 1 else "fewer than two systems have scaled barriers"
        return Claim(text, OPEN, (why, *refused, *([identity] if identity else [])))
    x = np.concatenate([points.s2 for points in usable.values()])
    y = np.concatenate([getattr(points, f"y_{of}") for points in usable.values()])
    known = np.isfinite(x) & np.isfinite(y)
    x, y = x[known], y[known]
    slope, intercept = np.polyfit(x, y, 1)
    rest = y - slope * x - intercept
    R2 = 1 - float((rest**2).sum() / ((y - y.mean()) ** 2).sum())
    kind = "inherent" if inherent else "thermal"
    reason = (
        f"one line through {x.size} strata of {len(usable)} systems: R² = {R2:.3f}, slope {slope:.3g} per k_B, "
        f"root mean square deviation {np.sqrt((rest**2).mean()):.2g} ({kind} s⁽²⁾)"
    ).replace("-", "−")
    reasons = (reason, identity, *(f"left out: {left}" for left in refused))
    if refused:
        return Claim(text, OPEN, reasons)
    return Claim(text, YES if R2 >= COLLAPSED else NO, reasons)


# --- numbers -------------------------------------------------------------------------------------------------------


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'s' * (number != 1)}"


def with_error(value: float, error: float = np.nan) -> str:
    """Value ± error, to two digits of the error; three or four digits without an error; a dash if unknown."""
    if not np.isfinite(value):
        return "–"
    power = int(np.floor(np.log10(abs(value)))) if value else 0
    if power < -3 or power > 5:
        text = with_error(value / 10.0**power, error / 10.0**power)
        return f"({text}) × 10{_raised(power)}" if "±" in text else f"{text} × 10{_raised(power)}"
    if not np.isfinite(error) or error <= 0:
        digits = max(0, 3 - power if power >= 0 else 2 - power)
        return f"{value:.{digits}f}".replace("-", "−")
    digits = int(np.clip(1 - np.floor(np.log10(error)), 0, 6))
    return f"{value:.{digits}f} ± {error:.{digits}f}".replace("-", "−")


def _raised(power: int) -> str:
    return str(power).translate(str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"))
