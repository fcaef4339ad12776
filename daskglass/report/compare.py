"""Two studies of the same systems: their differences in units of their errors, and whether chance explains them.

What `chance` says of one difference is judged over all of them. A quantity at many temperatures, which are runs of their
own, has one comparison more: the sum of its differences over √n, which finds what shifts all of them a little.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from scipy.special import chdtrc

from daskglass.errors import StudyError
from daskglass.physics.labels import same
from daskglass.physics.motion import PARTS
from daskglass.report.chance import family_bound, lines_freedom, student, student_sigma
from daskglass.report.comparable import GROUPS, MODEL, STRATA, check_meaning, concerned, differing, in_words
from daskglass.report.results import unknown_onset
from daskglass.stages.structural import SOFTNESS, STRUCTURAL_VARIABLES
from daskglass.store.tables import Tables

OF_ONSET = ("onset_temperature", "scaled_energy", "scaled_entropy")
OLDER = "errors of an older version: `daskglass run` fits its barriers again"
TOGETHER = "all T together"
SIDES = ("here", "in the reference")
Verdict = Literal["agrees", "beyond", "not judged"]


@dataclass(frozen=True)
class Quantity:
    """A quantity of the ensemble.

    Attributes
    ----------
    name : of the variable; its error is `name_err`
    resampled : whether its error is that of the bootstrap over replicas and blocks of time; otherwise, over replicas
    needs : settings that both studies must have in common
    pooled : whether it is of several temperatures together, which must then be the same
    own_model : whether it depends on where the softness of a study ends up, of which its error knows in part at most
    """

    name: str
    resampled: bool = True
    needs: tuple[str, ...] = ()
    pooled: bool = False
    own_model: bool = False


# Left out: D*, which is D times numbers that both share; P_R, as strata of two studies have other edges, and all that
# they tell is in ΔE and Σ. Strata hold the same particles whatever the scale of softness, and a model that is a little
# off changes barriers in second order only; where S = 0 lies, and which way S points, changes in first order.
QUANTITIES = (
    *(Quantity(name, resampled=False) for name in ("potential_energy", "pressure", "s2", "s2_thermal")),
    *(Quantity(name, resampled=False) for name in ("relaxation_time", "diffusivity")),
    Quantity("rearranging_fraction"),
    *(Quantity(name, needs=MODEL, own_model=True) for name in ("recall", "precision")),
    *(
        Quantity(f"pearson{pooled}{variable.suffix}", needs=MODEL, pooled=bool(pooled), own_model=True)
        for variable in STRUCTURAL_VARIABLES
        if variable != SOFTNESS
        for pooled in ("", "_pooled")
    ),
    *(
        Quantity(name, needs=STRATA, pooled=True)
        for name in (
            "onset_temperature", "activation_energy", "activation_entropy", "scaled_energy", "scaled_entropy",
        )
    ),
    *(
        Quantity(name, resampled=False, needs=(*MODEL, *GROUPS), pooled=True, own_model=True)
        for name in ("s2_grouped_pooled", "s2_grouped_thermal_pooled")
    ),
)  # fmt: skip


@dataclass(frozen=True)
class Row:
    """A quantity of one system, at all labels that both studies have.

    Attributes
    ----------
    labels : where, such as `T = 0.7`; empty for a single number
    first, first_err, second, second_err, freedom : values, errors and degrees of freedom
    sigma : differences, in σ of a normal distribution
    together : of all of them, if they are independent; otherwise NaN
    own_model : see `Quantity`: no verdict
    """

    system: str
    quantity: str
    labels: tuple[str, ...]
    first: NDArray[np.float64]
    first_err: NDArray[np.float64]
    second: NDArray[np.float64]
    second_err: NDArray[np.float64]
    freedom: NDArray[np.float64]
    sigma: NDArray[np.float64]
    together: float
    own_model: bool

    @property
    def differences(self) -> dict[str, float]:
        """Differences in σ by label, and all of them together where they are independent."""
        found = dict(zip(self.labels, self.sigma.tolist(), strict=True))
        return found if np.isnan(self.together) else found | {TOGETHER: self.together}

    @property
    def largest(self) -> tuple[str, float]:
        """Label of the largest difference, and that."""
        return max(self.differences.items(), key=lambda item: abs(item[1]))


@dataclass(frozen=True)
class Comparison:
    """Two studies compared.

    Attributes
    ----------
    rows : of each system and quantity
    sigma : asked for
    differs : settings that differ, and should not matter, in words
    left_out : what could not be compared, and why
    """

    rows: Sequence[Row]
    sigma: float
    differs: Sequence[str] = ()
    left_out: Sequence[str] = ()

    @property
    def comparisons(self) -> NDArray[np.float64]:
        """All that is judged, in σ."""
        return np.array([sigma for row in self.rows if not row.own_model for sigma in row.differences.values()])

    @property
    def bound(self) -> float:
        """Difference in σ beyond which none may be."""
        return family_bound(self.sigma, self.comparisons.size)

    @property
    def agrees(self) -> bool:
        """Whether all that is judged is within the bound."""
        return bool((np.abs(self.comparisons) <= self.bound).all())

    @property
    def chi_squared(self) -> tuple[float, int, float]:
        """Sum of the squares of all differences judged, their number, and how often chance exceeds it if independent."""
        squares = np.concatenate([row.sigma for row in self.rows if not row.own_model]) ** 2
        return float(squares.sum()), squares.size, float(chdtrc(squares.size, squares.sum()))

    def verdict(self, row: Row) -> Verdict:
        """Verdict on a row."""
        if row.own_model:
            return "not judged"
        return "agrees" if abs(row.largest[1]) <= self.bound else "beyond"


def compare(first: Mapping[str, Tables], second: Mapping[str, Tables], sigma: float = 3.0) -> Comparison:
    """Compare the systems that two studies have in common.

    Parameters
    ----------
    first, second : tables of every system; the second are the reference
    sigma : difference that one comparison alone would be allowed; see `chance.family_bound`

    Returns
    -------
    Differences of first - second.

    Raises
    ------
    StudyError
        If nothing can be compared: there is no common system, or the settings of one give its quantities another
        meaning. It names them.
    """
    common = [system for system in first if system in second]
    if not common:
        raise StudyError(f"no system in common: {', '.join(first)} here, {', '.join(second)} in the reference")
    differs = {system: differing(first[system], second[system]) for system in common}
    for system in common:
        check_meaning(system, differs[system])
    left_out = [
        f"{system}: only {side}"
        for side, here, there in zip(SIDES, (first, second), (second, first), strict=True)
        for system in here
        if system not in there
    ]
    rows: list[Row] = []
    for system in common:
        found, missing = _compare(system, first[system], second[system], differs[system])
        rows += found
        left_out += missing
    if not any(not row.own_model for row in rows):
        raise StudyError(f"nothing in common that can be judged: {'; '.join(left_out)}")
    return Comparison(rows, sigma, list(_in_words(differs)), left_out)


# --- one system ----------------------------------------------------------------------------------------------------


def _compare(
    system: str, first: Tables, second: Tables, differs: Mapping[str, tuple[Any, Any]]
) -> tuple[list[Row], list[str]]:
    """Rows of a system, and what could not be compared."""
    T = [tables.ensemble["temperature"].values for tables in (first, second)]
    here, there = np.nonzero(same(T[0][:, None], T[1]))
    left_out = [
        f"{system}: only {side}: T = {', '.join(f'{value:g}' for value in np.delete(values, shared))}"
        for side, values, shared in zip(SIDES, T, (here, there), strict=True)
        if shared.size < values.size
    ]
    same_temperatures = not left_out
    variables = [tables.ensemble["variable"].values.tolist() for tables in (first, second)]
    left_out += [
        f"{system}: strata of {name}: only {side}"
        for side, these, others in zip(SIDES, variables, reversed(variables), strict=True)
        for name in these
        if name not in others
    ]
    matched = first.ensemble.isel(temperature=here), second.ensemble.isel(temperature=there)
    rows = []
    for quantity in QUANTITIES:
        has = [quantity.name in table for table in matched]
        if not any(has):
            continue
        name = f"{system}: {quantity.name}"
        if not all(has):
            left_out.append(f"{name}: only {SIDES[not has[0]]}")
        elif quantity.pooled and not same_temperatures:
            left_out.append(f"{name}: of all temperatures together, which differ")
        else:
            for part, values in _parts(quantity, *matched):
                found, why = None, _conditions(quantity, part, differs) + _undefined(quantity, part, matched)
                if not why:
                    found, why = _row(
                        system, quantity, part, values, [_freedom(quantity, part, table) for table in matched]
                    )
                rows += [found] if found is not None else []
                left_out += [f"{_named(name, part)}: {reason}" for reason in why]
    return rows, left_out


def _conditions(quantity: Quantity, part: str, differs: Mapping[str, tuple[Any, Any]]) -> list[str]:
    """Why the studies do not have a quantity in common, if they do not: the settings that it needs and that differ."""
    keys = (*quantity.needs, *MODEL) if part == SOFTNESS.name else quantity.needs
    return [f"{key}: {in_words(differs[key])}" for key in concerned(differs, keys)]


def _undefined(quantity: Quantity, part: str, tables: Sequence[xr.Dataset]) -> list[str]:
    """Why the errors of a quantity say nothing of how far it may be off, if they do not."""
    why = []
    for side, table in zip(SIDES, tables, strict=True):
        if quantity.resampled and "blocks" not in table:
            why.append(f"{OLDER} ({side})")
        elif quantity.name in OF_ONSET and (unknown := unknown_onset(table.sel(variable=part))):
            why.append(f"T_A is unknown {side}: {unknown}")
    return why


Values = Sequence[xr.DataArray]  # value and error of the first, then those of the second


def _parts(quantity: Quantity, first: xr.Dataset, second: xr.Dataset) -> Iterator[tuple[str, Values]]:
    """A quantity of both, for each structural variable it is of."""
    values = [
        table[name] if name in table else xr.full_like(table[quantity.name], np.nan, dtype=np.float64)
        for table in (first, second)
        for name in (quantity.name, f"{quantity.name}_err")
    ]
    if "variable" not in values[0].dims:
        yield "", values
        return
    names = [value["variable"].values.tolist() for value in values]
    for name in names[0]:
        if name in names[2]:
            yield name, [v.isel(variable=each.index(name)) for v, each in zip(values, names, strict=True)]


def _row(
    system: str, quantity: Quantity, part: str, values: Values, freedom: Sequence[NDArray[np.float64]]
) -> tuple[Row | None, list[str]]:
    """Compare one quantity where both have a value and an error, and say where not."""
    if values[0].shape != values[2].shape:
        return None, [f"{dict(values[0].sizes)} here, {dict(values[2].sizes)} in the reference"]
    dims = [str(dim) for dim in values[0].dims]
    labels = np.array(_labels(values[0]), dtype=object)
    x, x_err, y, y_err = (value.transpose(*dims).values.astype(np.float64).ravel() for value in values)
    valued = np.isfinite([x, y])
    known = np.isfinite([x_err, y_err]) & (np.array([x_err, y_err]) >= 0)
    both = valued.all(axis=0)
    lacks = {
        f"no value {SIDES[0]}": ~valued[0] & valued[1],
        f"no value {SIDES[1]}": valued[0] & ~valued[1],
        f"no error {SIDES[0]}": both & ~known[0] & known[1],
        f"no error {SIDES[1]}": both & known[0] & ~known[1],
        "no error on either side": both & ~known.any(axis=0),
    }
    why = [what + _where(labels[missing]) * (not missing.all()) for what, missing in lacks.items() if missing.any()]
    both &= known.all(axis=0)
    if not both.any():
        return None, why
    x, x_err, y, y_err = (each[both] for each in (x, x_err, y, y_err))
    t, degrees = student(x - y, x_err, y_err, *(each[both] if each.ndim else each for each in freedom))
    sigma = student_sigma(t, degrees)
    independent = dims == ["temperature"] and not quantity.own_model and sigma.size > 1
    together = float(sigma.sum() / np.sqrt(sigma.size)) if independent else np.nan
    name = _named(quantity.name, part)
    return (
        Row(
            system, name, tuple(labels[both]), x, x_err, y, y_err, degrees, sigma, together, quantity.own_model
        ),
        why,
    )  # fmt: skip


def _freedom(quantity: Quantity, part: str, table: xr.Dataset) -> NDArray[np.float64]:
    """Degrees of freedom of the errors of a quantity: one number, or that of each of the temperatures."""
    if not quantity.resampled:
        replicas = table.sizes["replica"]
        return np.array(float(replicas - 1 if replicas > 1 else PARTS - 1))
    over_blocks = np.maximum(table["blocks"].values - 1.0, 1.0)
    if not quantity.pooled:
        return over_blocks
    scatter = np.inf
    if part:
        # barriers are of the coldest temperatures alone, whose blocks are the fewest, and of their scatter about lines
        cold = int(table["supercooled"].sel(variable=part))
        over_blocks = over_blocks[np.argsort(table["temperature"].values)[:cold]]
        scatter = lines_freedom(cold)
    # what all of them have an equal part in, by Welch and Satterthwaite
    return np.array(min(over_blocks.size**2 / (1 / over_blocks).sum(), scatter))


# --- words ---------------------------------------------------------------------------------------------------------


def _named(name: str, part: str) -> str:
    return f"{name} of {part}" if part else name


def _labels(values: xr.DataArray) -> list[str]:
    if not values.dims:
        return [""]
    (dim,) = values.dims
    if dim == "temperature":
        return [f"T = {value:.10g}" for value in values["temperature"].values]
    word = {"stratum": "stratum", "softness_bin": "bin"}[str(dim)]
    return [f"{word} {k + 1}" for k in range(values.size)]


def _where(labels: NDArray[np.object_]) -> str:
    word = labels[0].rpartition(" ")[0]
    return f" at {labels[0]}" + "".join(label.replace(word, ",", 1) for label in labels[1:])


def _in_words(differs: Mapping[str, Mapping[str, tuple[Any, Any]]]) -> Iterator[str]:
    """What differs, once where it is so in several systems."""
    systems: dict[str, list[str]] = {}
    for system, found in differs.items():
        for key, values in found.items():
            systems.setdefault(f"{key}: {in_words(values)}", []).append(system)
    for text, where in systems.items():
        yield text if len(where) == len(differs) else f"{text} ({', '.join(where)})"
