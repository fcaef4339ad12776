"""Claims about the strata of one system each: Arrhenius law, spread of P_R, onset temperature."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from daskglass.physics.barriers import logarithm, onset_of
from daskglass.report.chance import lines_freedom
from daskglass.report.claims.verdicts import Finding
from daskglass.report.fits import Bend, bend, least_squares, scatter
from daskglass.report.numbers import percent, with_error
from daskglass.report.results import SystemResults, known, unknown_onset
from daskglass.report.statistics import departure, in_each
from daskglass.stages.structural import LOCAL_ENTROPY, SOFTNESS, StructuralVariable

STRAIGHT = 0.05  # of the change of ln P_R over the range: as thick as the symbols that it is drawn with
ENOUGH_TEMPERATURES = 4  # of a stratum: a parabola goes through three
TENFOLD = 10.0
NEARLY = 8.0  # the least that is still called ten-fold, a number of one digit
DEPTH = 1.02  # the coldest temperature, relative to the paper's, up to which their spreads compare
LARGEST = 1000.0  # factor that is written as a number
ALIKE = 0.03  # of T_A: half the usual distance between simulated temperatures, so no method could tell them apart

FITS_AGAIN = "two or more blocks of time; in a store of an older version, `daskglass run` fits its barriers again"

ARRHENIUS = (
    f"a parabola in 1/T against a line in every stratum, weighted by errors and the scatter between temperatures; margin: "
    f"they part by {percent(STRAIGHT)} of the change of ln P_R over the fitted range. Where several ranges lie below the T_A "
    f"of their own fit, a stratum counts as bent, or as straight, if it is in each"
)
WIDER = (
    "ratios of P_R between the highest and the lowest stratum, one-sided, no margin, by Student’s t of as many blocks of time "
    "as are independent; errors add in quadrature, though both come from the same frames"
)
TEN = (
    f"ratio of P_R between the highest and the lowest stratum, one-sided, by Student’s t of independent blocks of time; margin: "
    f"{NEARLY:g}-fold is still called ten-fold. The ratio rises as T falls, so it refutes only where T is as cold as the paper’s"
)
ONSET = (
    f"relative difference of the two T_A, two-sided, by Student’s t; margin: {percent(ALIKE)}; its error knows that both come "
    f"from the same frames"
)


def words(variable: StructuralVariable) -> str:
    """Name of a variable in texts."""
    return "local s⁽²⁾" if variable == LOCAL_ENTROPY else variable.label


def arrhenius(system: SystemResults, *variables: StructuralVariable) -> Finding:
    """Test the bend of ln P_R(1/T) in every stratum of some variables, in each range that lies below its own T_A."""
    return straight(system, {variable: ranges(system, variable) for variable in variables})


def ranges(system: SystemResults, variable: StructuralVariable) -> list[int]:
    """Numbers of coldest temperatures that lie below the T_A of their own fit, that of the barriers first; or the stated one."""
    used, fits = system.cold(variable.name), system.fits(variable.name)
    if system.hottest is not None:
        return [used]
    others = (k for k in range(ENOUGH_TEMPERATURES, system.temperature.size + 1) if k != used)
    return [used, *(k for k in others if (onset_of_coldest(fits, k) > system.temperature).sum() == k)]


def onset_of_coldest(fits: xr.Dataset, count: int) -> float:
    """T_A from the coldest temperatures alone, in the strata of the barriers."""
    return onset_of(fits.isel(temperature=slice(-count, None)))


def straight(system: SystemResults, of: Mapping[StructuralVariable, Sequence[int]]) -> Finding:
    """Test the bend in every stratum of some variables, over each number of coldest temperatures, that of the barriers first."""
    fewest = min(
        rearranging(stratum, count).sizes["temperature"]
        for variable, counts in of.items()
        for stratum in strata_of(system, variable)
        for count in counts
    )
    if fewest < ENOUGH_TEMPERATURES:
        return Finding(
            system.name, f"a stratum has events at {fewest} supercooled T only",
            remedy=f"events in every stratum at {ENOUGH_TEMPERATURES} or more supercooled T",
        )  # fmt: skip
    bends = {
        f"stratum {k} of {words(variable)}": {count: bend_of(rearranging(stratum, count)) for count in counts}
        for variable, counts in of.items()
        for k, stratum in enumerate(strata_of(system, variable), start=1)
    }
    tested = {where: in_each([one.tested for one in bent.values()]) for where, bent in bends.items()}
    where = max(tested, key=lambda name: abs(tested[name].value))
    sizes = [f"{percent(one.tested.value, one.tested.error)} in {T} T" for T, one in bends[where].items()]
    least_sure = max((one for bent in bends.values() for one in bent.values()), key=lambda one: one.tested.within)
    return Finding(
        system.name,
        f"largest bend {' or '.join(sizes)} ({where})",
        tuple(tested.values()),
        lambda size: f"a bend of {percent(size)}",
        more="supercooled T, as their scatter exceeds their errors" if least_sure.scattered else "frames or replicas",
    )


def strata_of(system: SystemResults, variable: StructuralVariable) -> list[xr.Dataset]:
    """Each stratum of a variable, over temperature."""
    fits = system.fits(variable.name)
    return [fits.isel(stratum=k) for k in range(fits.sizes["stratum"])]


def rearranging(stratum: xr.Dataset, count: int) -> xr.Dataset:
    """The coldest temperatures of a stratum, without those at which it has no events."""
    cold = stratum.isel(temperature=slice(-count, None))
    return cold.isel(temperature=cold["events"].values > 0)


def bend_of(stratum: xr.Dataset) -> Bend:
    """Bend of ln P_R(1/T)."""
    y, error = logarithms(stratum)
    return bend(1 / stratum["temperature"].values, y, error**2, STRAIGHT)


def logarithms(table: xr.Dataset) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Ln P_R and its error: from the bootstrap if known, otherwise from the counts; NaN where nothing happened."""
    error = table["probability_err"].values if "probability_err" in table else None
    return logarithm(table["probability"].values, table["events"].values, error)


def spreads(system: SystemResults, variable: str) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Ln of the ratio of P_R between the outermost strata at each temperature, and its error; positive for most.

    NaN where one of the two has no events.
    """
    outer = system.fits(variable).isel(stratum=[0, -1]).transpose("temperature", ...)
    logs, errors = logarithms(outer)
    ratio, error = logs[:, 1] - logs[:, 0], np.hypot(errors[:, 0], errors[:, 1])
    if "spread_err" in outer:
        # strata of the same frames have errors in common
        known = outer["spread_err"].values
        error = np.where(np.isfinite(known) & (known > 0), known, error)
    # motion may go with low values as well as with high ones
    sign = 1.0 if np.nansum(ratio) >= 0 else -1.0
    return sign * ratio, np.where(np.isfinite(ratio), error, np.nan)


def wider(system: SystemResults, other: StructuralVariable) -> Finding:
    """Test whether P_R varies more over softness than over another variable at the coldest temperature."""
    (S, S_err), (x, x_err) = ((values[-1] for values in spreads(system, each.name)) for each in (SOFTNESS, other))
    T = system.temperature.min()
    if not np.isfinite(S + x):
        return _eventless(system)
    numbers = f"{fold(S, S_err)} for softness, {fold(x, x_err)} for {words(other)} at T = {T:g}"
    freedom = _freedom(system)
    if not freedom > 0:
        return _blockless(system, numbers, freedom)
    test = departure(x - S, float(np.hypot(S_err, x_err)), 0.0, signed=True, freedom=freedom)
    return Finding(system.name, numbers, (test,), _factor)


def _factor(log: float) -> str:
    return f"a factor of {np.exp(log):.2f}" if log < np.log(LARGEST) else f"a factor of over {LARGEST:,.0f}"


def tenfold(system: SystemResults, variable: StructuralVariable) -> Finding:
    """Test whether P_R varies ten-fold over a variable at the coldest temperature."""
    ratios, errors = spreads(system, variable.name)
    T, paper = float(system.temperature.min()), system.coldest_of_the_paper()
    if not np.isfinite(ratios[-1]):
        return _eventless(system)
    numbers, freedom = f"{fold(ratios[-1], errors[-1])} at T = {T:g}", _freedom(system)
    if not freedom > 0:
        return _blockless(system, numbers, freedom)
    comparable = paper is not None and paper * DEPTH >= T
    test = departure(
        np.log(TENFOLD) - ratios[-1], errors[-1], np.log(TENFOLD / NEARLY), True, freedom, refutes=comparable
    )
    if comparable:
        return Finding(system.name, numbers, (test,), lambda log: f"a ratio of {TENFOLD * np.exp(-log):.1f}")
    if paper is None:
        return Finding(system.name, numbers, (test,), remedy="a mixture of the paper")
    there = extrapolated(system, variable, paper)
    if np.isfinite(there[0]):
        numbers += f", extrapolated to {fold(*there)} at the paper’s coldest T = {paper:g}"
    return Finding(system.name, numbers, (test,), remedy=f"T = {paper:g}")


def extrapolated(system: SystemResults, variable: StructuralVariable, T: float) -> tuple[float, float]:
    """Ln of the ratio of `spreads` at another temperature, by a line in 1/T, and its error; NaN with too few points."""
    cold = system.cold(variable.name)
    ratios, errors = (values[-cold:] for values in spreads(system, variable.name))
    known = np.isfinite(ratios)
    if known.sum() < ENOUGH_TEMPERATURES:
        return np.nan, np.nan
    x = 1 / system.temperature[-cold:][known] - 1 / T
    design = np.column_stack([np.ones_like(x), x])
    variance = errors[known] ** 2
    fit = least_squares(design, ratios[known], np.diag(variance + scatter(design, ratios[known], variance)))
    return float(fit.values[0]), float(np.sqrt(fit.covariance[0, 0]))


def onset(system: SystemResults, other: StructuralVariable) -> Finding:
    """Test whether softness and another variable give the same onset temperature."""
    both = {variable.name: words(variable) for variable in (SOFTNESS, other)}
    (x, x_err), (y, y_err) = (system.onset(variable) for variable in both)
    missing = [label for value, label in zip((x, y), both.values(), strict=True) if not np.isfinite(value)]
    if missing:
        return Finding(
            system.name,
            f"no T_A from strata of {' and '.join(missing)}",
            remedy="more supercooled T, frames or replicas",
        )
    numbers = f"{with_error(x, x_err)} from softness and {with_error(y, y_err)} from {words(other)}"
    error = _difference_error(system, *both)
    if not error > 0:
        return Finding(system.name, f"{numbers}, error of their difference unknown", remedy=FITS_AGAIN)
    if unknown := [label for variable, label in both.items() if unknown_onset(system.fits(variable))]:
        numbers += f", unknown from {' and '.join(unknown)}"
        return Finding(system.name, numbers, remedy="more supercooled T, frames or replicas")
    middle = (x + y) / 2
    freedom = min(lines_freedom(system.cold(variable)) for variable in both)
    test = departure((x - y) / middle, error / middle, ALIKE, freedom=freedom)
    numbers += f", differ by {percent(test.value, test.error)}"
    if outside := [label for variable, label in both.items() if system.extrapolated(variable)]:
        numbers += f", but outside the simulated T from {' and '.join(outside)}"
        return Finding(system.name, numbers, remedy=f"simulated T on both sides of {min(x, y):.2f} to {max(x, y):.2f}")
    return Finding(system.name, numbers, (test,), lambda size: f"a difference of {percent(size)}")


def _difference_error(system: SystemResults, one: str, other: str) -> float:
    """Standard error of the difference between the T_A of two variables, which come from the same frames."""
    names = system.ensemble["variable"].values.tolist()
    pair = [names.index(variable) for variable in (one, other)]
    (a, ab), (_, b) = known(system.ensemble, "onset_temperature_cov", (len(names), len(names)))[np.ix_(pair, pair)]
    variance = a + b - 2 * ab
    return float(np.sqrt(variance)) if variance > 0 else np.nan


def _freedom(system: SystemResults) -> float:
    """Degrees of freedom of the errors at the coldest temperature: of independent blocks; NaN where those are not known."""
    return float(known(system.ensemble, "blocks", system.temperature.shape)[-1]) - 1


def fold(log: float, error: float) -> str:
    """Write a ratio by its logarithm and the error of that."""
    return f"({with_error(np.exp(log), np.exp(log) * error)})-fold"


def _blockless(system: SystemResults, numbers: str, freedom: float) -> Finding:
    if freedom == 0:
        T = system.temperature.min()
        remedy = f"a second replica, or a longer run, at T = {T:g}"
        return Finding(
            system.name, f"{numbers}, of one run, too short for two independent blocks of time", remedy=remedy
        )
    return Finding(system.name, f"{numbers}, errors over an unknown number of blocks", remedy=FITS_AGAIN)


def _eventless(system: SystemResults) -> Finding:
    T = system.temperature.min()
    return Finding(
        system.name, f"an outermost stratum has no events at T = {T:g}", remedy=f"more frames or replicas at T = {T:g}"
    )
